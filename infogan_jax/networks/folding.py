"""A trained table as plain affine maps: batch norm's running statistics folded into the weights."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from infogan_jax.networks.tables import Layer

_EPSILON = 1e-5
"""Flax's, which batch norm adds to the variance."""

_MODULES = {"dense": "Dense", "conv": "_Convolution", "up": "_Convolution"}


class Affine(NamedTuple):
    """A row of a table at inference: activation(kernel * x + bias).

    Attributes:
        layer: the row.
        kernel: float32: of a dense row [in, out], its outputs in the order of the row's features; of a
            convolution [size, size, in, out], which correlates with x, padded "SAME"; of a transposed one
            [size, size, in, out] as a pixel spreads it, from one pixel up and to the left of its block.
        bias: float32 [out].
    """

    layer: Layer
    kernel: np.ndarray
    bias: np.ndarray


def folded(rows: Sequence[Layer], params: Mapping[str, Any], stats: Mapping[str, Any]) -> list[Affine]:
    """The rows of a `networks.infogan.Table` as it runs with ``train=False``, without batch norm.

        s (W x - mean) + offset = (s W) x + (offset - s mean),   s = scale / sqrt(var + eps)

    In exact arithmetic the maps are the same. The products are float32, in whatever the table computes.

    Args:
        rows: the table's.
        params: its "params".
        stats: its "batch_stats", the running ones.
    """
    counts: Counter[str] = Counter()

    def next_name(module: str) -> str:
        counts[module] += 1
        return f"{module}_{counts[module] - 1}"

    maps = []
    for layer in rows:
        weights = params[next_name(_MODULES[layer.kind])]
        kernel = np.asarray(weights["kernel"], np.float64)
        if layer.norm:
            name = next_name("BatchNorm")
            mean, variance = (np.asarray(stats[name][key], np.float64) for key in ("mean", "var"))
            scale = np.asarray(params[name]["scale"], np.float64) / np.sqrt(variance + _EPSILON)
            bias = np.asarray(params[name]["bias"], np.float64) - scale * mean
            # Batch norm is of channels, the last of a dense row's features.
            repeats = math.prod(layer.features[:-1])
            kernel, bias = kernel * np.tile(scale, repeats), np.tile(bias, repeats)
        else:
            bias = np.asarray(weights["bias"], np.float64).reshape(-1)
        if layer.kind == "up":
            kernel = kernel[::-1, ::-1]
        maps.append(Affine(layer, kernel.astype(np.float32), bias.astype(np.float32)))
    return maps
