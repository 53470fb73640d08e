"""Images of any size as squares of one size."""

import numpy as np
from PIL import Image


def centre_square(pixels: np.ndarray, size: int) -> np.ndarray:
    """Cuts out the largest square around the centre of an image and resizes it.

    side = min(H, W); the square begins at row floor((H - side) / 2), column floor((W - side) / 2).
    It is then filtered with a Lanczos kernel of three lobes (`Image.Resampling.LANCZOS` of Pillow), which
    is as wide as the scale asks for where the image shrinks (so nothing aliases), and rounded to uint8.

    Args:
        pixels: an image, uint8 [H, W, C] with C 1 or 3.
        size: the side of the result in pixels, 1 or more; a larger one than the image's enlarges it.

    Returns:
        uint8 [size, size, C]; where size is the square's side already, its pixels as they are.

    Raises:
        ValueError: pixels of another dtype or shape, or a size below 1.

    References:
        Duchon, Lanczos Filtering in One and Two Dimensions, Journal of Applied Meteorology, 1979.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or not pixels.size:
        raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}; they must be uint8 [H, W, 1 or 3]")
    if size < 1:
        raise ValueError(f"size is {size}; it must be 1 or more")
    height, width, channels = pixels.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[top : top + side, left : left + side]
    image = Image.fromarray(square[..., 0] if channels == 1 else square)
    resized = image.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(resized).reshape(size, size, channels)
