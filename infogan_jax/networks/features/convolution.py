"""What the feature networks share: images put on a network's scale, convolutions with a bias, pooling."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from losses.checks import floats

Convolution = dict[str, Array]
"""`kernel`, float32 [size, size, in, out], and `bias`, float32 [out]; depthwise, `in` is 1."""


def convolution(kernel: np.ndarray, bias: np.ndarray) -> Convolution:
    """A layer's weights as arrays on the device.

    Args:
        kernel: [size, size, in, out].
        bias: [out].

    Returns:
        Both, float32.
    """
    return {"kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.asarray(bias, jnp.float32)}


def convolve(layer: Convolution, x: Array, *, stride: int = 1) -> Array:
    """A convolution with padding "SAME" and a bias.

    Args:
        layer: the weights.
        x: float32 [batch, height, width, in].
        stride: the step in pixels, in both directions.

    Returns:
        Float32 [batch, ceil(height / stride), ceil(width / stride), out].
    """
    y = jax.lax.conv_general_dilated(
        x, layer["kernel"], (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return y + layer["bias"].reshape(1, 1, 1, -1)


def convolve_depthwise(layer: Convolution, x: Array, *, stride: int) -> Array:
    """A convolution of each channel by itself, with padding "SAME" and a bias.

        y[p, q, c] = b[c] + sum_i,j k[i, j, c] x[stride p + i, stride q + j, c]

    Args:
        layer: the weights, the kernel [size, size, 1, channels].
        x: float32 [batch, height, width, channels].
        stride: the step in pixels, in both directions.

    Returns:
        Float32 [batch, ceil(height / stride), ceil(width / stride), channels].
    """
    # XLA's CPU backend makes one loop of these sums; the same with `lax`'s grouped convolution took
    # EfficientNet-Lite0 11 times as long, and 4 times as long with the gradient.
    kernel = layer["kernel"][:, :, 0]
    size = kernel.shape[0]
    pads = jax.lax.padtype_to_pads(x.shape[1:3], (size, size), (stride, stride), "SAME")
    x = jnp.pad(x, [(0, 0), *pads, (0, 0)])
    rows, columns = (stride * ((side - size) // stride) + 1 for side in x.shape[1:3])
    y = layer["bias"].reshape(1, 1, 1, -1)
    for i, j in np.ndindex(size, size):
        y = y + x[:, i : i + rows : stride, j : j + columns : stride] * kernel[i, j].reshape(1, 1, 1, -1)
    return y


def max_pool(x: Array) -> Array:
    """The largest of each 2 x 2 pixels; an odd last row or column is left out.

    Args:
        x: float [batch, height, width, channels].

    Returns:
        Of the type of ``x``, [batch, height // 2, width // 2, channels]. The gradient goes to the largest
        pixel; equal ones share it.
    """
    # Not `lax.reduce_window`: on XLA's CPU backend, its gradient took 70 times as long.
    x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
    x = jnp.maximum(x[:, ::2], x[:, 1::2])
    return jnp.maximum(x[:, :, ::2], x[:, :, 1::2])


def normalised(images: Array, mean: Array, std: Array) -> Array:
    """Images on the scale that a network was trained on.

        (images - mean) / std

    Args:
        images: float [batch, height, width, 3], RGB in [0, 1].
        mean: of each channel on that scale, [3].
        std: of each channel on that scale, [3].

    Returns:
        Float32, of the shape of ``images``.

    Raises:
        TypeError: ``images`` is not a float array.
        ValueError: ``images`` is not [batch, height, width, 3].
    """
    (images,) = floats("[batch, height, width, 3]", images=images)
    if images.shape[-1] != 3:
        raise ValueError(f"images has {images.shape[-1]} channels: it must have 3, red, green and blue")
    return (images.astype(jnp.float32) - mean.reshape(1, 1, 1, 3)) / std.reshape(1, 1, 1, 3)
