"""The one strided convolution and the one transposed convolution, fast on CPU in and out of `lax.scan`.

Beside them `pixel_shuffle`, which enlarges what a convolution of stride 1 has made.

Both convolutions equal `jax.lax.conv_general_dilated` and `jax.lax.conv_transpose` with padding "SAME"
for NHWC images and HWIO kernels. XLA's CPU backend is slow at what differentiation makes of a
convolution: dilated ones where it is strided, and for the kernel, of any stride, one up to 70 times as
slow inside `lax.scan` as a product. So on CPU they are written as two bilinear maps, the strided
convolution S and its adjoint in x, the transposed convolution T, beside the kernel's gradient K:

    y = S(x, k)     x = T(y, k)     k = K(x, y)     <S(x, k), y> = <x, T(y, k)> = <k, K(x, y)>

Each map's derivatives are the other two. Where there are many channels they are computed with a part of
the products (`toom_cook.py`), elsewhere by patches (`patches.py`). Accelerators keep `lax`'s
own convolutions. The choice is made when a program is traced, by JAX's default backend:
`lax.platform_dependent` would keep both forms' intermediates for the backward pass. A program without
one that is to run elsewhere too, an exported one, is traced inside `for_every_platform`, which keeps both.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from types import ModuleType
from typing import cast

import jax
from jax import Array

from infogan_jax.networks import patches, toom_cook
from losses.checks import check_count, check_rank

Shape = tuple[int, int, int, int]

_Convolution = Callable[[Array, Array], Array]

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")

_every_platform = ContextVar("_every_platform", default=False)


@contextmanager
def for_every_platform() -> Iterator[None]:
    """What is traced inside takes each platform's form of a convolution when it is lowered for it."""
    token = _every_platform.set(True)
    try:
        yield
    finally:
        _every_platform.reset(token)


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
    return _by_platform(partial(_conv_on_cpu, stride=stride), partial(_conv_of_lax, stride=stride), x, kernel)


def _by_platform(on_cpu: _Convolution, elsewhere: _Convolution, x: Array, kernel: Array) -> Array:
    if _every_platform.get():
        return cast(Array, jax.lax.platform_dependent(x, kernel, cpu=on_cpu, default=elsewhere))
    return (on_cpu if jax.default_backend() == "cpu" else elsewhere)(x, kernel)


def _conv_of_lax(x: Array, kernel: Array, *, stride: int) -> Array:
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=_DIMENSIONS)


def _conv_on_cpu(x: Array, kernel: Array, *, stride: int) -> Array:
    size, _, channels, features = kernel.shape
    by_patches = _way(x.shape, kernel, stride) is patches
    if by_patches and stride == 1 and size % 2 and features <= channels:
        # Padded alike on all sides, it is the transposed convolution too. That one keeps no patches for the
        # backward pass, and copies them there from the output's gradient, which has no more channels than x.
        return _conv_transpose_on_cpu(x, kernel, stride=1)
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
    return _by_platform(
        partial(_conv_transpose_on_cpu, stride=stride),
        partial(_conv_transpose_of_lax, stride=stride),
        x,
        kernel,
    )


def _conv_transpose_of_lax(x: Array, kernel: Array, *, stride: int) -> Array:
    return jax.lax.conv_transpose(x, kernel, (stride, stride), "SAME", dimension_numbers=_DIMENSIONS)


def _conv_transpose_on_cpu(x: Array, kernel: Array, *, stride: int) -> Array:
    # lax.conv_transpose correlates, so a pixel spreads the kernel turned by 180 degrees.
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    shape = (x.shape[0], x.shape[1] * stride, x.shape[2] * stride, kernel.shape[-1])
    return _spread(x, turned, stride, shape)


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


def _way(shape: Sequence[int], kernel: Array, stride: int) -> ModuleType:
    """How the three maps are computed, of x's shape: with a part of the products where that pays."""
    return toom_cook if toom_cook.suits(shape, kernel, stride) else patches


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(x: Array, kernel: Array, stride: int) -> Array:
    """S: the strided convolution."""
    return _convolve_forward(x, kernel, stride)[0]


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _spread(y: Array, kernel: Array, stride: int, shape: Shape) -> Array:
    """T: the transposed convolution, to images of a shape."""
    return _spread_forward(y, kernel, stride, shape)[0]


def _convolve_forward(x: Array, kernel: Array, stride: int) -> tuple[Array, tuple[Array, Array, Array]]:
    way = _way(x.shape, kernel, stride)
    blocks = way.of_image(x, len(kernel), stride)
    # Of x itself the backward pass reads the shape alone.
    return way.convolve(blocks, kernel, stride, x.shape), (x, blocks, kernel)


def _convolve_backward(stride: int, saved: tuple[Array, Array, Array], y: Array) -> tuple[Array, Array]:
    x, blocks, kernel = saved
    way = _way(x.shape, kernel, stride)
    gradient = way.kernel_gradient(blocks, way.of_output(y, len(kernel), stride), len(kernel), stride)
    return _spread(y, kernel, stride, x.shape), gradient


def _spread_forward(y: Array, kernel: Array, stride: int, shape: Shape) -> tuple[Array, tuple[Array, Array]]:
    way = _way(shape, kernel, stride)
    outputs = way.of_output(y, len(kernel), stride)
    return way.spread(outputs, kernel, stride, shape), (outputs, kernel)


def _spread_backward(stride: int, shape: Shape, saved: tuple[Array, Array], x: Array) -> tuple[Array, Array]:
    outputs, kernel = saved
    way = _way(shape, kernel, stride)
    blocks = way.of_image(x, len(kernel), stride)
    slope = way.convolve(blocks, kernel, stride, x.shape)
    return slope, way.kernel_gradient(blocks, outputs, len(kernel), stride)


_convolve.defvjp(_convolve_forward, _convolve_backward)
_spread.defvjp(_spread_forward, _spread_backward)
