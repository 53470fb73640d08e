"""Convolutions as products with patches: what a kernel sees at each place, side by side.

S and K (see `layers.py`) are products with the same patches of x, which are copied out once and kept for
the backward pass.
"""

from collections.abc import Sequence
from typing import cast

import jax
import jax.numpy as jnp
from jax import Array


def of_image(x: Array, size: int, stride: int) -> Array:
    """What the kernel sees at each pixel of y: [batch, height of y, width of y, size * size * c]."""
    batch, height, width, channels = x.shape
    rows, columns, blocks = -(-height // stride), -(-width // stride), -(-size // stride)
    # Whole steps of columns, so that what is copied lies side by side.
    steps = columns + blocks - 1
    left, _ = same(width, size, stride)
    right = steps * stride - width - left
    x = jnp.pad(x, ((0, 0), same(height, size, stride), (left, right), (0, 0)))
    x = x.reshape(batch, x.shape[1], steps, stride * channels)
    # Columns, then rows: of all places at once XLA makes a program that takes long to compile. Of the last
    # step a kernel that isn't a multiple of the stride sees a part.
    x = jnp.concatenate(
        [x[:, :, j : j + columns, : (size - j * stride) * channels] for j in range(blocks)], -1
    )
    return jnp.concatenate([x[:, i : i + (rows - 1) * stride + 1 : stride] for i in range(size)], -1)


def of_output(y: Array, size: int, stride: int) -> Array:
    """The smaller image as it is."""
    return y


def convolve(patches: Array, kernel: Array, stride: int, shape: Sequence[int]) -> Array:
    """S, of patches that are there already."""
    return patches @ kernel.reshape(-1, kernel.shape[-1])


def spread(y: Array, kernel: Array, stride: int, shape: Sequence[int]) -> Array:
    """T: a plain convolution of y to blocks of x, or one product and a sum where x has few channels.

    The convolution reads pixels around y that aren't there, which the product doesn't.
    """
    batch, height, width, _ = y.shape
    size, _, channels, features = kernel.shape
    blocks = -(-size // stride)
    # By blocks of x, in which the kernel steps by one: [blocks, blocks, stride * stride * c, o].
    w = jnp.pad(kernel, ((0, -size % stride), (0, -size % stride), (0, 0), (0, 0)))
    w = w.reshape(blocks, stride, blocks, stride, channels, features)
    w = w.transpose(0, 2, 1, 3, 4, 5).reshape(blocks, blocks, -1, features)
    if channels * stride**2 >= 16:
        pad = (blocks - 1, blocks - 1)
        # A convolution turns its kernel: here back to what the pixels spread.
        w = w[::-1, ::-1].swapaxes(2, 3)
        x = jax.lax.conv_general_dilated(y, w, (1, 1), (pad, pad), dimension_numbers=("NHWC", "HWIO", "NHWC"))
    else:
        touched = y @ w.transpose(3, 0, 1, 2).reshape(features, -1)
        parts = (
            jnp.pad(part, ((0, 0), (a, blocks - 1 - a), (b, blocks - 1 - b), (0, 0)))
            for (a, b), part in zip(
                ((a, b) for a in range(blocks) for b in range(blocks)),
                jnp.split(touched, blocks * blocks, axis=-1),
                strict=True,
            )
        )
        x = cast(Array, sum(parts))
    x = x.reshape(batch, height + blocks - 1, width + blocks - 1, stride, stride, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(batch, (height + blocks - 1) * stride, (width + blocks - 1) * stride, channels)
    (top, _), (left, _) = (same(length, size, stride) for length in shape[1:3])
    return x[:, top : top + shape[1], left : left + shape[2]]


def kernel_gradient(patches: Array, y: Array, size: int, stride: int) -> Array:
    """K: one product of y with the patches of x."""
    # The smaller one is turned, behind a barrier, and so is the result: XLA would choose otherwise.
    patches, y = patches.reshape(-1, patches.shape[-1]), y.reshape(-1, y.shape[-1])
    if patches.size > y.size:
        kernel = jax.lax.optimization_barrier(jax.lax.optimization_barrier(y.T) @ patches).T
    else:
        kernel = jax.lax.optimization_barrier(patches.T) @ y
    gradient: Array = kernel.reshape(size, size, -1, y.shape[-1])
    return gradient


def same(length: int, size: int, stride: int) -> tuple[int, int]:
    """The pixels that padding "SAME" adds before and after."""
    total = max((-(-length // stride) - 1) * stride + size - length, 0)
    return total // 2, total - total // 2
