"""The feature networks by name: phi of SRGAN's content error, and of the distances named after it."""

from pathlib import Path
from typing import Any

from jax import Array

from infogan_jax.errors import UserError
from infogan_jax.networks.features import efficientnet_lite0, vgg19
from infogan_jax.networks.features.efficientnet_lite0 import EfficientNetLite0
from infogan_jax.networks.features.vgg19 import VGG19

_LAYERS = {"vgg19": vgg19.LAYERS, "efficientnet-lite0": tuple(map(str, efficientnet_lite0.STAGES))}


def load(network: str, layer: str, weights: Path | None) -> VGG19 | EfficientNetLite0:
    """A network's weights.

    Args:
        network: "vgg19" or "efficientnet-lite0".
        layer: one of its layers, which is only looked at: of VGG19 a convolution, of the other a stage.
        weights: VGG19's file; those of the other are in a package.

    Returns:
        The network.

    Raises:
        NotInstalled: its weights are in a package that isn't there.
        UserError: the network has no such layer, or its weights aren't there or can't be used.
    """
    if layer not in _LAYERS[network]:
        raise UserError(f"{network} has no layer {layer!r}: take one of {', '.join(_LAYERS[network])}")
    if network == "vgg19":
        if weights is None:
            raise UserError("vgg19's weights are missing: name the file with --content.weights")
        return vgg19.load(weights)
    return efficientnet_lite0.load(efficientnet_lite0.packaged_weights())


def features(network: str, layer: str, params: dict[str, Any], images: Array) -> Array:
    """The feature maps of images.

    Args:
        network: as in `load`.
        layer: as in `load`.
        params: the weights.
        images: float [batch, height, width, 3], RGB in [0, 1].

    Returns:
        Float32 [batch, height', width', channels].
    """
    if network == "vgg19":
        return vgg19.features(params, images, layer=layer)
    return efficientnet_lite0.features(params, images, stage=int(layer))
