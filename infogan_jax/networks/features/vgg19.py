"""VGG19's feature maps, the phi of SRGAN's content error.

Ledig et al. write phi_i,j for the map of the j-th convolution, after its activation, before the i-th
max-pooling: phi_2,2 is the layer conv2_2 here, phi_5,4 is conv5_4.

References:
    Simonyan and Zisserman 2015, "Very deep convolutional networks for large-scale image recognition",
    table 1, column E. Ledig et al. 2017, "Photo-realistic single image super-resolution using a generative
    adversarial network", section 2.2.1.
"""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from infogan_jax.networks.features import weights_file
from infogan_jax.networks.features.convolution import convolution, convolve, max_pool, normalised

_BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and convolutions between one max-pooling and the next."""

_CONVOLUTIONS = [
    (block, number, channels)
    for block, (channels, count) in enumerate(_BLOCKS, start=1)
    for number in range(1, count + 1)
]

LAYERS = tuple(f"conv{block}_{number}" for block, number, _ in _CONVOLUTIONS)
"""The convolutions in order, named as in the paper: block, then number in the block."""

# Of RGB in [0, 1]. torchvision's networks were trained on images with mean 0 and standard deviation 1 in each
# channel, Keras' (which are the authors' own) on values from 0 to 255 less the mean.
_TORCHVISION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
_KERAS = np.array([123.68, 116.779, 103.939]) / 255, np.full(3, 1 / 255)


class VGG19(NamedTuple):
    """VGG19 with its weights.

    Attributes:
        params: the weights, for `features`.
        sha256: of the file that they came from, in hexadecimal.
    """

    params: dict[str, Any]
    sha256: str


def load(path: Path) -> VGG19:
    """Reads VGG19's weights from a file, without PyTorch or TensorFlow.

    Args:
        path: torchvision's `vgg19` as `.pth` or `.safetensors`, or Keras' VGG19 as `.h5`, with or without
            the dense layers.

    Returns:
        The network. Its kernels are float32 [3, 3, in, out] and take RGB; the normalisation that
        belongs to the file's origin is among its parameters.

    Raises:
        UserError: the file can't be read, or its layers are not VGG19's (those of VGG16 and of VGG19 with
            batch norm are not).
    """
    file = weights_file.read(path)
    keras = any(name.startswith("block1_conv1/") for name in file.arrays)
    inputs = [3] + [channels for _, _, channels in _CONVOLUTIONS]
    names: dict[str, tuple[str, str]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for index, (layer, (block, number, channels)) in enumerate(zip(LAYERS, _CONVOLUTIONS, strict=True)):
        if keras:
            kernel, bias = (f"block{block}_conv{number}/{kind}" for kind in ("kernel", "bias"))
            shapes[kernel] = (3, 3, inputs[index], channels)
        else:
            # torchvision numbers convolutions, activations and poolings in one row.
            place = 2 * index + block - 1
            kernel, bias = (f"features.{place}.{kind}" for kind in ("weight", "bias"))
            shapes[kernel] = (channels, inputs[index], 3, 3)
        shapes[bias] = (channels,)
        names[layer] = kernel, bias
    arrays = weights_file.take(file, shapes)
    if keras:  # its first kernel takes blue, green, red
        first, _ = names[LAYERS[0]]
        arrays[first] = arrays[first][:, :, ::-1]
    axes = (0, 1, 2, 3) if keras else (2, 3, 1, 0)
    mean, std = _KERAS if keras else _TORCHVISION
    params: dict[str, Any] = {
        layer: convolution(arrays[kernel].transpose(axes), arrays[bias])
        for layer, (kernel, bias) in names.items()
    }
    params |= {"mean": jnp.asarray(mean, jnp.float32), "std": jnp.asarray(std, jnp.float32)}
    return VGG19(params, file.sha256)


def features(params: dict[str, Any], images: Array, *, layer: str = "conv5_4") -> Array:
    """The map of one of VGG19's convolutions, after its activation.

        phi_i,j(images)

    Give ``params`` to a jitted function as an argument: as constants of the program, 80 MB of weights make
    it slow to compile.

    Args:
        params: the weights, `VGG19.params`.
        images: float [batch, height, width, 3], RGB in [0, 1].
        layer: one of `LAYERS`; "conv2_2" is phi_2,2 and "conv5_4" phi_5,4.

    Returns:
        At least 0, float32 [batch, height // 2^(i - 1), width // 2^(i - 1), channels].

    Raises:
        TypeError: ``images`` is not a float array.
        ValueError: ``images`` is not [batch, height, width, 3] or too small, or there is no such layer.

    References:
        Ledig et al. 2017, eq. 5.
    """
    if layer not in LAYERS:
        raise ValueError(f"layer is {layer!r}: it must be one of {', '.join(LAYERS)}")
    x = normalised(images, params["mean"], params["std"])
    block, _, _ = _CONVOLUTIONS[LAYERS.index(layer)]
    smallest = 2 ** (block - 1)
    if min(x.shape[1:3]) < smallest:
        raise ValueError(
            f"images is {x.shape[1]} x {x.shape[2]}: {layer} needs at least {smallest} x {smallest}"
        )
    for name, (_, number, _) in zip(LAYERS, _CONVOLUTIONS, strict=True):
        if number == 1 and name != LAYERS[0]:
            x = max_pool(x)
        x = jax.nn.relu(convolve(params[name], x))
        if name == layer:
            break
    return x
