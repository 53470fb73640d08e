"""The folded maps, applied pixel by pixel as their docstring says, are the trained table."""

import jax
import numpy as np
import pytest

from infogan_jax.networks.folding import folded
from infogan_jax.networks.infogan import Table
from infogan_jax.networks.tables import KERNEL_SIZE, Layer

ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "lrelu": lambda x: np.where(x > 0, x, 0.1 * x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "linear": lambda x: x,
}


def spread(x, kernel, stride):
    """Each pixel adds the kernel, times its value, from one pixel up and to the left of its block."""
    height, width, _ = x.shape
    canvas = np.zeros((height * stride + 8, width * stride + 8, kernel.shape[-1]))
    for h, w in np.ndindex(height, width):
        top, left = 4 + h * stride - 1, 4 + w * stride - 1
        canvas[top : top + KERNEL_SIZE, left : left + KERNEL_SIZE] += np.einsum(
            "i,abio->abo", x[h, w], kernel
        )
    return canvas[4 : 4 + height * stride, 4 : 4 + width * stride]


def correlate(x, kernel, stride):
    """The kernel's window begins one pixel up and to the left of the block."""
    height, width, _ = x.shape
    padded = np.pad(x, ((1, 4), (1, 4), (0, 0)))
    out = np.zeros((height // stride, width // stride, kernel.shape[-1]))
    for h, w in np.ndindex(out.shape[:2]):
        window = padded[h * stride : h * stride + KERNEL_SIZE, w * stride : w * stride + KERNEL_SIZE]
        out[h, w] = np.einsum("abi,abio->o", window, kernel)
    return out


def applied(maps, x):
    for layer, kernel, bias in maps:
        if layer.kind == "dense":
            x = (x.reshape(-1) @ kernel + bias).reshape(layer.features)
        else:
            x = {"up": spread, "conv": correlate}[layer.kind](x, kernel, layer.stride) + bias
        x = ACTIVATIONS[layer.activation](x)
    return x


@pytest.mark.parametrize(
    ("rows", "shape"),
    [
        (
            (
                Layer("dense", (6,), norm=True),
                Layer("dense", (2, 3, 4), norm=True, activation="lrelu"),
                Layer("up", (5,), 1, norm=True),
                Layer("up", (3,), 2),
                Layer("up", (2,), 2, norm=True, activation="tanh"),
            ),
            (7,),
        ),
        (
            (
                Layer("conv", (3,), 2, activation="lrelu"),
                Layer("conv", (4,), 1, True, "lrelu"),
                Layer("dense", (5,), activation="linear"),
                Layer("dense", (2,), norm=True, activation="sigmoid"),
            ),
            (4, 6, 2),
        ),
    ],
    ids=["generator", "trunk"],
)
def test_folded_maps_are_the_table(rows, shape):
    rng = np.random.default_rng(0)
    table = Table(rows)
    x = rng.normal(size=(2, *shape)).astype(np.float32)
    variables = jax.eval_shape(lambda: table.init(jax.random.key(0), x, train=False))
    # Variances above 0, and nothing at the values that it starts from.
    variables = jax.tree.map(lambda v: rng.uniform(0.2, 1.5, v.shape).astype(np.float32), variables)
    params = jax.tree.map(lambda v: v - 0.8, variables["params"])
    stats = variables["batch_stats"]
    wanted = table.apply({"params": params, "batch_stats": stats}, x, train=False)
    maps = folded(rows, params, stats)
    assert all(m.kernel.dtype == m.bias.dtype == np.float32 for m in maps)
    for one, made in zip(x, np.asarray(wanted), strict=True):
        np.testing.assert_allclose(applied(maps, one), made, rtol=1e-4, atol=1e-4 * np.abs(made).max())
