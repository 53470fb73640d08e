"""The one strided convolution and the one transposed convolution, fast on CPU in and out of `lax.scan`.

Both equal `jax.lax.conv_general_dilated` and `jax.lax.conv_transpose` with padding "SAME" for NHWC
images and HWIO kernels. XLA's CPU backend is fast at a plain convolution and slow at those that
differentiation makes of a strided one: dilated ones, up to 40 times slower inside `lax.scan`. So on
CPU they are written as three bilinear maps,

    convolve:        y = S(x, k)     the strided convolution
    spread:          x = T(y, k)     its adjoint in x, the transposed convolution
    kernel_gradient: k = K(x, y)     its adjoint in k

    <S(x, k), y> = <x, T(y, k)> = <k, K(x, y)>

each computed by plain convolutions or matrix products, and each the derivative of the other two:
differentiation, of any order in reverse mode, never leaves them. Accelerators keep `lax`'s own
convolutions. The choice is made when a program is traced, by JAX's default backend:
`lax.platform_dependent` would keep both forms' intermediates for the backward pass.
"""

from functools import partial

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
        return _convolve(x, kernel, stride)
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
        # lax.conv_transpose correlates, so a pixel spreads the kernel turned by 180 degrees.
        turned = kernel[::-1, ::-1].swapaxes(2, 3)
        return _spread(x, turned, stride, (x.shape[1] * stride, x.shape[2] * stride))
    return jax.lax.conv_transpose(x, kernel, (stride, stride), "SAME", dimension_numbers=_DIMENSIONS)


def _check_kernel(x: Array, kernel: Array, stride: int) -> None:
    size = kernel.shape[0]
    if kernel.ndim != 4 or kernel.shape[1] != size or size % stride or x.shape[-1] != kernel.shape[2]:
        raise ValueError(f"kernel {kernel.shape} does not fit images {x.shape} at stride {stride}")


# In what follows x is the larger image, [batch, height, width, c], y the smaller one, [batch,
# ceil(height / stride), ceil(width / stride), o], and the kernel [size, size, c, o]. Space to depth
# by the stride turns x into blocks, in which the kernel steps by one: [size / stride] of them each way.


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(x: Array, kernel: Array, stride: int) -> Array:
    """S: a plain strided convolution, or one product with all patches where x has few channels."""
    if not _few(x.shape[-1], stride):
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), "SAME", dimension_numbers=_DIMENSIONS
        )
    size = kernel.shape[0]
    return _patches(x, size, stride) @ _to_blocks(kernel, stride).reshape(-1, kernel.shape[-1])


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _spread(y: Array, kernel: Array, stride: int, shape: tuple[int, int]) -> Array:
    """T: a plain convolution of y to blocks of x, or one product and a sum where x has few channels.

    The convolution reads pixels around y that aren't there, which the product doesn't.
    """
    batch, height, width, _ = y.shape
    size, _, channels, features = kernel.shape
    blocks = size // stride
    w = _to_blocks(kernel, stride)
    if not _few(channels, stride):
        pad = (blocks - 1, blocks - 1)
        # A convolution turns its kernel: here back to what the pixels spread.
        w = w[::-1, ::-1].swapaxes(2, 3)
        x = jax.lax.conv_general_dilated(y, w, (1, 1), (pad, pad), dimension_numbers=_DIMENSIONS)
    else:
        touched = y @ w.transpose(3, 0, 1, 2).reshape(features, -1)
        x = sum(
            jnp.pad(part, ((0, 0), (a, blocks - 1 - a), (b, blocks - 1 - b), (0, 0)))
            for (a, b), part in zip(
                ((a, b) for a in range(blocks) for b in range(blocks)),
                jnp.split(touched, blocks * blocks, axis=-1),
                strict=True,
            )
        )
    x = x.reshape(batch, height + blocks - 1, width + blocks - 1, stride, stride, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(batch, (height + blocks - 1) * stride, (width + blocks - 1) * stride, channels)
    (top, _), (left, _) = (_same(length, size, stride) for length in shape)
    return x[:, top : top + shape[0], left : left + shape[1]]


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _kernel_gradient(x: Array, y: Array, stride: int, size: int) -> Array:
    """K: products of y with what each of the kernel's blocks sees, in one where x has few channels."""
    channels, features = x.shape[-1], y.shape[-1]
    blocks = size // stride
    # y is turned once, before the products: XLA would turn it, or the larger x, in each of them.
    turned = jax.lax.optimization_barrier(y.reshape(-1, features).T)
    if _few(channels, stride):
        w = turned @ _patches(x, size, stride).reshape(turned.shape[1], -1)
    else:
        parts = _shifted(x, size, stride)
        w = jnp.concatenate([turned @ part.reshape(turned.shape[1], -1) for part in parts], axis=1)
    w = w.reshape(features, blocks, blocks, stride, stride, channels)
    return w.transpose(1, 3, 2, 4, 5, 0).reshape(size, size, channels, features)


_convolve.defvjp(
    lambda x, kernel, stride: (_convolve(x, kernel, stride), (x, kernel)),
    lambda stride, saved, y: (
        _spread(y, saved[1], stride, saved[0].shape[1:3]),
        _kernel_gradient(saved[0], y, stride, saved[1].shape[0]),
    ),
)
_spread.defvjp(
    lambda y, kernel, stride, shape: (_spread(y, kernel, stride, shape), (y, kernel)),
    lambda stride, shape, saved, x: (
        _convolve(x, saved[1], stride),
        _kernel_gradient(x, saved[0], stride, saved[1].shape[0]),
    ),
)
_kernel_gradient.defvjp(
    lambda x, y, stride, size: (_kernel_gradient(x, y, stride, size), (x, y)),
    lambda stride, size, saved, kernel: (
        _spread(saved[1], kernel, stride, saved[0].shape[1:3]),
        _convolve(saved[0], kernel, stride),
    ),
)


def _few(channels: int, stride: int) -> bool:
    """Whether a block has so few numbers that XLA's plain convolution is slower than one product."""
    return channels * stride**2 < 16


def _same(length: int, size: int, stride: int) -> tuple[int, int]:
    """The pixels that padding "SAME" adds before and after."""
    total = max((-(-length // stride) - 1) * stride + size - length, 0)
    return total // 2, total - total // 2


def _space_to_depth(x: Array, size: int, stride: int) -> Array:
    """The padded x in blocks: [batch, rows, columns, stride * stride * c]."""
    batch, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), _same(height, size, stride), _same(width, size, stride), (0, 0)))
    rows, columns = x.shape[1] // stride, x.shape[2] // stride
    x = x.reshape(batch, rows, stride, columns, stride, channels).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, rows, columns, -1)


def _shifted(x: Array, size: int, stride: int) -> list[Array]:
    """What each of the kernel's blocks sees at each pixel of y: [batch, height of y, width of y, block]."""
    blocks = size // stride
    x = _space_to_depth(x, size, stride)
    height, width = x.shape[1] - blocks + 1, x.shape[2] - blocks + 1
    return [x[:, a : a + height, b : b + width] for a in range(blocks) for b in range(blocks)]


def _patches(x: Array, size: int, stride: int) -> Array:
    """What the kernel sees at each pixel of y: [batch, height of y, width of y, size * size * c]."""
    return jnp.concatenate(_shifted(x, size, stride), axis=-1)


def _to_blocks(kernel: Array, stride: int) -> Array:
    """The kernel by blocks: [size / stride, size / stride, stride * stride * c, o]."""
    size, _, channels, features = kernel.shape
    blocks = size // stride
    w = kernel.reshape(blocks, stride, blocks, stride, channels, features)
    return w.transpose(0, 2, 1, 3, 4, 5).reshape(blocks, blocks, -1, features)
