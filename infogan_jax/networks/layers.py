"""The one strided convolution and the one transposed convolution, fast on CPU in and out of `lax.scan`.

Beside them `pixel_shuffle`, which enlarges what a convolution of stride 1 has made.

Both convolutions equal `jax.lax.conv_general_dilated` and `jax.lax.conv_transpose` with padding "SAME"
for NHWC images and HWIO kernels. XLA's CPU backend is slow at what differentiation makes of a
convolution: dilated ones where it is strided, and for the kernel, of any stride, one up to 70 times as
slow inside `lax.scan` as a product. So on CPU they are written as two bilinear maps, the strided
convolution S and its adjoint in x, the transposed convolution T, beside the kernel's gradient K:

    y = S(x, k)     x = T(y, k)     k = K(x, y)     <S(x, k), y> = <x, T(y, k)> = <k, K(x, y)>

S and K are products with the same patches of x, which are copied out once and kept for the backward
pass. Each map's derivatives are the other two, of any order in reverse mode. Accelerators keep `lax`'s
own convolutions. The choice is made when a program is traced, by JAX's default backend:
`lax.platform_dependent` would keep both forms' intermediates for the backward pass.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from losses.checks import check_count, check_rank

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def conv(x: Array, kernel: Array, *, stride: int) -> Array:
    """A convolution with padding "SAME".

    Args:
        x: images, float [batch, height, width, in].
        kernel: float [size, size, in, out].
        stride: the step in pixels, in both directions.

    Returns:
        Float [batch, ceil(height / stride), ceil(width / stride), out].

    Raises:
        ValueError: the kernel isn't square, or isn't for as many channels as the images have.
    """
    _check_kernel(x, kernel)
    if jax.default_backend() != "cpu":
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), "SAME", dimension_numbers=_DIMENSIONS
        )
    size, _, channels, features = kernel.shape
    if stride == 1 and size % 2 and features <= channels:
        # Padded alike on all sides, it is the transposed convolution too. That one keeps no patches for the
        # backward pass, and copies them there from the output's gradient, which has no more channels than x.
        return conv_transpose(x, kernel, stride=1)
    return _convolve(x, kernel, stride)


def conv_transpose(x: Array, kernel: Array, *, stride: int) -> Array:
    """A transposed convolution with padding "SAME".

    Args:
        x: images, float [batch, height, width, in].
        kernel: float [size, size, in, out].
        stride: the enlargement, in both directions.

    Returns:
        Float [batch, height * stride, width * stride, out].

    Raises:
        ValueError: the kernel isn't square, or isn't for as many channels as the images have.
    """
    _check_kernel(x, kernel)
    if jax.default_backend() == "cpu":
        # lax.conv_transpose correlates, so a pixel spreads the kernel turned by 180 degrees.
        turned = kernel[::-1, ::-1].swapaxes(2, 3)
        return _spread(x, turned, stride, (x.shape[1] * stride, x.shape[2] * stride))
    return jax.lax.conv_transpose(x, kernel, (stride, stride), "SAME", dimension_numbers=_DIMENSIONS)


def pixel_shuffle(x: Array, factor: int) -> Array:
    """The sub-pixel shuffle: the channels of a pixel become a block of factor x factor pixels.

        y[n, r h + i, r w + j, c] = x[n, h, w, r^2 c + r i + j],   0 <= i, j < r = factor

    An output channel's block lies together in the channels of x, a row of it after the other: the order of
    PyTorch's `PixelShuffle`. The paper's equation and TensorFlow's `depth_to_space` have the block's
    places outside and the output channels inside; between the two, a kernel's outputs change places.

    Args:
        x: [batch, height, width, channels], its channels a multiple of factor^2.
        factor: r, the enlargement in both directions, 1 or more.

    Returns:
        [batch, factor height, factor width, channels / factor^2], of the dtype of ``x``.

    Raises:
        TypeError: ``factor`` is not a Python integer.
        ValueError: ``x`` has another rank or its channels are no multiple of factor^2, or ``factor`` is
            below 1.

    References:
        Shi et al. 2016, "Real-time single image and video super-resolution using an efficient sub-pixel
        convolutional neural network", eq. 4.
    """
    check_count("factor", factor, at_least=1)
    check_rank("[batch, height, width, channels]", x=x)
    batch, height, width, channels = x.shape
    if channels % factor**2:
        raise ValueError(f"x has {channels} channels: for factor {factor} it needs a multiple of {factor**2}")
    x = x.reshape(batch, height, width, -1, factor, factor).transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(batch, height * factor, width * factor, -1)


def _check_kernel(x: Array, kernel: Array) -> None:
    size = kernel.shape[0]
    if kernel.ndim != 4 or kernel.shape[1] != size or x.shape[-1] != kernel.shape[2]:
        wanted = f"(size, size, {x.shape[-1]}, out)"
        raise ValueError(f"kernel {kernel.shape} does not fit images {x.shape}: it must be {wanted}")


# In what follows x is the larger image, [batch, height, width, c], y the smaller one, [batch,
# ceil(height / stride), ceil(width / stride), o], and the kernel [size, size, c, o].


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(x: Array, kernel: Array, stride: int) -> Array:
    """S: the strided convolution, as a product with all that the kernel sees."""
    return _times(_patches(x, len(kernel), stride), kernel)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _spread(y: Array, kernel: Array, stride: int, shape: tuple[int, int]) -> Array:
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


def _convolve_forward(x: Array, kernel: Array, stride: int) -> tuple[Array, tuple[Array, Array, Array]]:
    patches = _patches(x, len(kernel), stride)
    return _times(patches, kernel), (x, patches, kernel)


def _convolve_backward(stride: int, saved: tuple[Array, Array, Array], y: Array) -> tuple[Array, Array]:
    x, patches, kernel = saved
    return _spread(y, kernel, stride, x.shape[1:3]), _kernel_gradient(patches, y, len(kernel))


def _spread_backward(
    stride: int, shape: tuple[int, int], saved: tuple[Array, Array], x: Array
) -> tuple[Array, Array]:
    y, kernel = saved
    patches = _patches(x, len(kernel), stride)
    return _times(patches, kernel), _kernel_gradient(patches, y, len(kernel))


_convolve.defvjp(_convolve_forward, _convolve_backward)
_spread.defvjp(
    lambda y, kernel, stride, shape: (_spread(y, kernel, stride, shape), (y, kernel)), _spread_backward
)


def _times(patches: Array, kernel: Array) -> Array:
    """S, of patches that are there already."""
    return patches @ kernel.reshape(-1, kernel.shape[-1])


def _kernel_gradient(patches: Array, y: Array, size: int) -> Array:
    """K: one product of y with the patches of x."""
    # The smaller one is turned, behind a barrier, and so is the result: XLA would choose otherwise.
    patches, y = patches.reshape(-1, patches.shape[-1]), y.reshape(-1, y.shape[-1])
    if patches.size > y.size:
        kernel = jax.lax.optimization_barrier(jax.lax.optimization_barrier(y.T) @ patches).T
    else:
        kernel = jax.lax.optimization_barrier(patches.T) @ y
    return kernel.reshape(size, size, -1, y.shape[-1])


def _same(length: int, size: int, stride: int) -> tuple[int, int]:
    """The pixels that padding "SAME" adds before and after."""
    total = max((-(-length // stride) - 1) * stride + size - length, 0)
    return total // 2, total - total // 2


def _patches(x: Array, size: int, stride: int) -> Array:
    """What the kernel sees at each pixel of y: [batch, height of y, width of y, size * size * c]."""
    batch, height, width, channels = x.shape
    rows, columns, blocks = -(-height // stride), -(-width // stride), -(-size // stride)
    # Whole steps of columns, so that what is copied lies side by side.
    steps = columns + blocks - 1
    left, _ = _same(width, size, stride)
    right = steps * stride - width - left
    x = jnp.pad(x, ((0, 0), _same(height, size, stride), (left, right), (0, 0)))
    x = x.reshape(batch, x.shape[1], steps, stride * channels)
    # Columns, then rows: of all places at once XLA makes a program that takes long to compile. Of the last
    # step a kernel that isn't a multiple of the stride sees a part.
    x = jnp.concatenate(
        [x[:, :, j : j + columns, : (size - j * stride) * channels] for j in range(blocks)], -1
    )
    return jnp.concatenate([x[:, i : i + (rows - 1) * stride + 1 : stride] for i in range(size)], -1)
