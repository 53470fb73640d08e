"""Images made smaller and larger by the bicubic filter: how super-resolution's low resolution comes about.

The filter is Keys' with a = -1/2. Where an image shrinks it is widened by the factor, so that nothing
aliases, and at the borders its weights are scaled to a sum of 1. So does Pillow's `Image.Resampling.BICUBIC`;
MATLAB's `imresize`, with the same filter, mirrors the image at its borders instead.

References:
    Keys 1981, "Cubic convolution interpolation for digital image processing", eq. 15.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from losses.checks import check_count, floats


def low_resolution(images: Array | np.ndarray, factor: int) -> Array:
    """Images made smaller and rounded to bytes, as a file would hold them.

    Pillow rounds between rows and columns too, so a value of its can differ by 1.

    Args:
        images: uint8 [batch, height, width, channels], height and width multiples of the factor.
        factor: the reduction in both directions.

    Returns:
        uint8 [batch, height / factor, width / factor, channels].

    Raises:
        ValueError: height or width is no multiple of the factor.
    """
    check_count("factor", factor, at_least=1)
    _, height, width, _ = images.shape
    if height % factor or width % factor:
        raise ValueError(f"images is {height} x {width}: both must be multiples of the factor {factor}")
    small = _resize(images.astype(jnp.float32), height // factor, width // factor)
    return jnp.round(jnp.clip(small, 0, 255)).astype(jnp.uint8)


def enlarge(images: Array | np.ndarray, factor: int) -> Array:
    """Images made larger: what a super-resolver must be better than.

    Args:
        images: float [batch, height, width, channels], in any unit.
        factor: the enlargement in both directions.

    Returns:
        Float [batch, factor height, factor width, channels], which overshoots at edges.

    Raises:
        TypeError: the images are not float.
        ValueError: the images have another rank or none of some axis.
    """
    check_count("factor", factor, at_least=1)
    (images,) = floats("[batch, height, width, channels]", images=images)
    return _resize(images, images.shape[1] * factor, images.shape[2] * factor)


def _resize(images: Array | np.ndarray, height: int, width: int) -> Array:
    resized: Array = jax.image.resize(
        images, (len(images), height, width, images.shape[3]), "cubic", antialias=True
    )
    return resized
