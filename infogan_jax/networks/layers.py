"""The one strided convolution and the one transposed convolution, as matrix products on CPU.

Both equal `jax.lax.conv_general_dilated` and `jax.lax.conv_transpose` with padding "SAME" for NHWC
images and HWIO kernels. XLA's CPU backend runs a convolution's weight gradient inside `lax.scan`
16 to 40 times slower than outside it, and a transposed convolution's backward pass slowly in both;
matrix products are fast everywhere. Accelerators keep `lax`'s own convolutions. The choice is made
when a program is traced, by JAX's default backend: `lax.platform_dependent` would keep both forms'
intermediates for the backward pass.
"""

import jax
import jax.numpy as jnp
from jax import Array

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def conv(x: Array, kernel: Array, *, stride: int) -> Array:
    """A convolution with padding "SAME".

    Args:
        x: images, float [batch, height, width, in].
        kernel: float [size, size, in, out], its size a multiple of the stride.
        stride: the step in pixels, in both directions.

    Returns:
        Float [batch, ceil(height / stride), ceil(width / stride), out].

    Raises:
        ValueError: the kernel isn't square or its size isn't a multiple of the stride.
    """
    _check_kernel(x, kernel, stride)
    if jax.default_backend() == "cpu":
        return _conv_as_products(x, kernel, stride)
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=_DIMENSIONS)


def conv_transpose(x: Array, kernel: Array, *, stride: int) -> Array:
    """A transposed convolution with padding "SAME".

    Args:
        x: images, float [batch, height, width, in].
        kernel: float [size, size, in, out], its size a multiple of the stride.
        stride: the enlargement, in both directions.

    Returns:
        Float [batch, height * stride, width * stride, out].

    Raises:
        ValueError: the kernel isn't square or its size isn't a multiple of the stride.
    """
    _check_kernel(x, kernel, stride)
    if jax.default_backend() == "cpu":
        return _conv_transpose_as_product(x, kernel, stride)
    return jax.lax.conv_transpose(x, kernel, (stride, stride), "SAME", dimension_numbers=_DIMENSIONS)


def _check_kernel(x: Array, kernel: Array, stride: int) -> None:
    size = kernel.shape[0]
    if kernel.ndim != 4 or kernel.shape[1] != size or size % stride or x.shape[-1] != kernel.shape[2]:
        raise ValueError(f"kernel {kernel.shape} does not fit images {x.shape} at stride {stride}")


def _conv_as_products(x: Array, kernel: Array, stride: int) -> Array:
    """Space to depth by the stride, then one product for each of the kernel's blocks."""
    batch, height, width, channels = x.shape
    size, _, _, features = kernel.shape
    blocks = size // stride
    out_h, out_w = -(-height // stride), -(-width // stride)

    def same(length: int, out: int) -> tuple[int, int]:
        total = max((out - 1) * stride + size - length, 0)
        return total // 2, total - total // 2

    x = jnp.pad(x, ((0, 0), same(height, out_h), same(width, out_w), (0, 0)))
    # The padded length is (out - 1) * stride + size: whole blocks of the stride.
    x = x.reshape(batch, out_h + blocks - 1, stride, out_w + blocks - 1, stride, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, out_h + blocks - 1, out_w + blocks - 1, -1)
    w = kernel.reshape(blocks, stride, blocks, stride, channels, features)
    w = w.transpose(0, 2, 1, 3, 4, 5).reshape(blocks, blocks, -1, features)
    shifted = [[x[:, a : a + out_h, b : b + out_w] for b in range(blocks)] for a in range(blocks)]
    if x.shape[-1] < 16:
        # Few channels: several thin products would be bound by memory; one wide one is not.
        return jnp.concatenate([block for row in shifted for block in row], axis=-1) @ w.reshape(-1, features)
    return sum(shifted[a][b] @ w[a, b] for a in range(blocks) for b in range(blocks))


def _conv_transpose_as_product(x: Array, kernel: Array, stride: int) -> Array:
    """One product to every output that a pixel touches, then overlapping blocks are added."""
    batch, height, width, channels = x.shape
    size, _, _, features = kernel.shape
    blocks = size // stride
    # lax.conv_transpose correlates, so a pixel spreads the kernel turned by 180 degrees.
    w = kernel[::-1, ::-1].reshape(blocks, stride, blocks, stride, channels, features)
    w = w.transpose(4, 0, 2, 1, 3, 5).reshape(channels, -1)
    # Split, not indexed: the gradient is then one concatenation, not a sum of padded arrays.
    spread = iter(jnp.split(x @ w, blocks * blocks, axis=-1))
    y = sum(
        jnp.pad(next(spread), ((0, 0), (a, blocks - 1 - a), (b, blocks - 1 - b), (0, 0)))
        for a in range(blocks)
        for b in range(blocks)
    )
    y = y.reshape(batch, height + blocks - 1, width + blocks - 1, stride, stride, features)
    y = y.transpose(0, 1, 3, 2, 4, 5)
    y = y.reshape(batch, (height + blocks - 1) * stride, (width + blocks - 1) * stride, features)
    # "SAME" cuts (size - stride) pixels in all; lax.conv_transpose cuts the smaller half first.
    cut = (size - stride) // 2
    return y[:, cut : cut + height * stride, cut : cut + width * stride]
