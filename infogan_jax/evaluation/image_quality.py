"""How close an enlarged image is to the true one, on its luma, as super-resolution papers measure it."""

import math

import dm_pix
import jax.numpy as jnp
import numpy as np
from jax import Array

from infogan_jax.images import ROUNDING_ERROR, SSIM_WINDOW

# Of R'G'B' from 0 to 255 to luma from 16 to 235.
_LUMA = np.array([65.481, 128.553, 24.966], np.float32) / 255
_BLACK = np.float32(16)
_PEAK = 255.0

_MOST = -10 * math.log10(ROUNDING_ERROR)


def luma(images: np.ndarray) -> Array:
    """The luma Y' of images.

        Y' = 16 + 65.481 R' + 128.553 G' + 24.966 B',   R', G', B' in [0, 1]

    Args:
        images: uint8 [..., 3], R'G'B'.

    Returns:
        Float32 [...], from 16, black, to 235, white; not rounded.

    Raises:
        ValueError: the images are not uint8 of three channels.

    References:
        ITU-R Recommendation BT.601-7, sections 2.5.1 and 2.5.3.
    """
    if images.dtype != np.uint8 or images.shape[-1] != 3:
        raise ValueError(f"images are {images.dtype} {images.shape}: they must be uint8 [..., 3]")
    return _BLACK + jnp.asarray(images).astype(jnp.float32) @ _LUMA


def y_psnr(made: np.ndarray, true: np.ndarray, *, border: int) -> float:
    """Peak signal-to-noise ratio of the luma, the border left out.

        10 log10(255^2 / max(mean (Y'_made - Y'_true)^2, 1/12))

    No error counts as less than that of rounding to bytes: one flat image that is made exactly would
    otherwise make the mean over many infinite.

    Args:
        made: an image, uint8 [height, width, 3].
        true: the true one, of that shape.
        border: pixels left out at each side.

    Returns:
        In dB, at most 58.92, which equal lumas have.

    Raises:
        ValueError: the shapes differ, or nothing is left inside the border.

    References:
        Ledig et al. 2017, section 3.1: on the y-channel, of images without a strip of 4 pixels.
    """
    a, b = _inside(made, true, border)
    return min(float(dm_pix.psnr(a / _PEAK, b / _PEAK)), _MOST)


def y_ssim(made: np.ndarray, true: np.ndarray, *, border: int) -> float:
    """Structural similarity of the luma, the border left out.

    The mean over all places of the index in Gaussian windows of 11x11 pixels, sigma 1.5, that lie inside.

    Args:
        made: an image, uint8 [height, width, 3].
        true: the true one, of that shape.
        border: pixels left out at each side.

    Returns:
        At most 1, which equal images have.

    Raises:
        ValueError: the shapes differ, or less than a window is left inside the border.

    References:
        Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity", eq. 13.
    """
    a, b = _inside(made, true, border)
    if min(a.shape[:2]) < SSIM_WINDOW:
        raise ValueError(f"{a.shape[0]} x {a.shape[1]} pixels inside the border: SSIM needs 11 x 11 or more")
    return float(dm_pix.ssim(a, b, max_val=_PEAK))


def _inside(made: np.ndarray, true: np.ndarray, border: int) -> tuple[Array, Array]:
    """The lumas without the border, [height, width, 1]."""
    if made.shape != true.shape:
        raise ValueError(f"made is {made.shape}, true {true.shape}: they must have one shape")
    height, width, _ = made.shape
    if min(height, width) <= 2 * border:
        raise ValueError(f"{height} x {width} pixels have nothing inside a border of {border}")
    a, b = (luma(x)[border : height - border, border : width - border, jnp.newaxis] for x in (made, true))
    return a, b
