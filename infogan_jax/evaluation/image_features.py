"""What images are compared by: pixels, D's trunk of a reference run, or a network from a file."""

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from infogan_jax.config import InfoGANConfig, to_json
from infogan_jax.errors import UserError
from infogan_jax.evaluation.inference import in_batches
from infogan_jax.networks.features import phi
from infogan_jax.networks.infogan import Table
from infogan_jax.tasks.infogan import discriminator_variables
from infogan_jax.tasks.replica import to_float
from infogan_jax.training import run_folder
from infogan_jax.training.checkpoints import restore

PACKAGED = "efficientnet-lite0"
"""The network whose weights are in a package (extra `features`); VGG19's are in a file."""

# The last feature maps of either, averaged over space.
_LAST = {"vgg19": "conv5_4", PACKAGED: "9"}

_HASH = 8
"""Hexadecimal digits of a configuration's or a file's SHA-256 in a name."""

_SMALLEST = 16
"""VGG19 halves an image four times before its last convolution."""


class ImageFeatures(NamedTuple):
    """A function of images, with the name that every number made from it carries.

    Attributes:
        name: in the measures' names, where it ends no group: it has no dot.
        told: behind "on" or "by", for a reader.
        of: images uint8 [N, H, W, C] to features float32 [N, F].
    """

    name: str
    told: str
    of: Callable[[np.ndarray], np.ndarray]


def _pixels(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 255


PIXELS = ImageFeatures("pixels", "on pixels", _pixels)
"""Values in [0, 1]."""


def find(named: str, image_shape: tuple[int, int, int]) -> ImageFeatures:
    """The features that a user names.

    Args:
        named: a run's folder: what its D and its Q look at, by its newest checkpoint and with batch norm's
            statistics of real images. "efficientnet-lite0", or a file of VGG19's weights: the last feature
            maps, averaged over space; of grey images all three colours are the same.
        image_shape: height, width and channels of the images to be compared.

    Returns:
        The features. Which reference they are of is in their name.

    Raises:
        NotInstalled: the package of the weights isn't there.
        UserError: the run is not an InfoGAN's or of images of another shape; or there is no such run or file,
            or it can't be read.
    """
    path = Path(named)
    if path.is_dir():
        return _trunk(path, image_shape)
    if named != PACKAGED and not path.exists():
        raise UserError(
            f"--features {named} is not there: name a run's folder, a file of VGG19's weights, or {PACKAGED}"
        )
    if named != PACKAGED and min(image_shape[:2]) < _SMALLEST:
        raise UserError(f"--features {named}: VGG19 needs images of {_SMALLEST}x{_SMALLEST} pixels or more")
    if image_shape[2] not in (1, 3):
        raise UserError(
            f"--features {named} takes grey or RGB images, and these have {image_shape[2]} channels"
        )
    return _network("vgg19", path) if named != PACKAGED else _network(PACKAGED, None)


def _trunk(run: Path, image_shape: tuple[int, int, int]) -> ImageFeatures:
    step = run_folder.find_step(run)
    config, state = restore(run, step)
    if not isinstance(config, InfoGANConfig):
        raise UserError(f"--features {run} is a run of {config.experiment}: it must be one of an InfoGAN")
    if config.networks.image_shape != image_shape:
        theirs, ours = ("x".join(map(str, shape)) for shape in (config.networks.image_shape, image_shape))
        raise UserError(f"--features {run} looks at images of {theirs}, and these are of {ours}")
    variables = {
        kind: values.get("trunk", {}) for kind, values in discriminator_variables(state, "real").items()
    }
    look = partial(_look, config, variables)
    # Folders of several seeds' runs are all called s0, s1, ...: the configuration says which run it is.
    setting = hashlib.sha256(json.dumps(to_json(config)).encode()).hexdigest()[:_HASH]
    return ImageFeatures(
        f"trunk-{config.experiment}-s{config.seed}-{step}-{setting}",
        f"by D's trunk of {config.experiment}, seed {config.seed}, step {step:,} ({setting})",
        lambda images: in_batches(lambda batch: {"features": look(batch)}, images)["features"],
    )


@partial(jax.jit, static_argnums=0)
def _look(config: InfoGANConfig, variables: dict[str, Any], images: Array) -> Array:
    features = cast(
        Array, Table(config.networks.trunk).apply(variables, to_float(config, images), train=False)
    )
    return features.reshape(len(images), -1)


def _network(network: str, weights: Path | None) -> ImageFeatures:
    layer = _LAST[network]
    loaded = phi.load(network, layer, weights)
    return ImageFeatures(
        f"{network}-{layer}-{loaded.sha256[:_HASH]}",
        f"by {network}, layer {layer}, averaged over space",
        lambda images: in_batches(
            lambda batch: {"features": _mean_map(network, layer, loaded.params, batch)}, images
        )["features"],
    )


@partial(jax.jit, static_argnums=(0, 1))
def _mean_map(network: str, layer: str, params: Any, images: Array) -> Array:
    rgb = jnp.broadcast_to(images, (*images.shape[:3], 3)).astype(jnp.float32) / 255
    return phi.features(network, layer, params, rgb).mean((1, 2))
