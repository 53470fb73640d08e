"""Image files as pixels, whatever a camera, a scanner or a broken download has made of them."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 2**26
"""8192 x 8192. An image of more is refused before it is decoded: it may be meant to fill the memory."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".pgm")

# Pillow knows dozens of formats by their content, some of which start other programs.
_FORMATS = ("PNG", "JPEG", "BMP", "PPM")
_SIXTEEN_BITS = ("I", "I;16", "I;16B")
_GREY = ("1", "L", "La", "LA", *_SIXTEEN_BITS)
_COLOUR = ("P", "PA", "RGB", "RGBA", "CMYK")

DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, OverflowError, MemoryError),
    *(struct.error, zlib.error, Image.DecompressionBombError, Image.DecompressionBombWarning),
)
"""What Pillow raises, in one format or another, for bytes that are no image or not all of one."""


class Unreadable(Exception):
    """Why a file can't be read as an image."""


def read(file: Path, channels: int | None = None) -> np.ndarray:
    """Reads a PNG, JPEG, BMP or PGM file.

    It is turned upright as its EXIF orientation says. What is transparent lies on white. Of 16 bits a value
    the upper eight are kept. CMYK becomes RGB without a colour profile. Of an animation the first picture
    is taken.

    Args:
        file: the file.
        channels: 1 for grey and 3 for RGB, to which the image is converted; None takes 1 for images that
            are stored as grey (of 1, 8 or 16 bits), with or without transparency, and 3 for all others, a
            palette of greys among them.

    Returns:
        uint8 [H, W, channels].

    Raises:
        Unreadable: the file is empty, damaged, no such image, no file at all, or has more than `MAX_PIXELS`.
            The message is the reason.
    """
    with _opened(file) as image:
        grey = image.mode in _GREY if channels is None else channels == 1
        pixels = np.asarray(_opaque(ImageOps.exif_transpose(image)).convert("L" if grey else "RGB"))
    if not pixels.size:
        raise Unreadable("no pixels")
    return pixels.reshape(*pixels.shape[:2], 1 if grey else 3)


def sides(file: Path) -> tuple[int, int]:
    """Height and width of a file's image before it is turned upright, from the header alone.

    Raises:
        Unreadable: as `read`, where the header says so.
    """
    with _opened(file) as image:
        return image.height, image.width


@contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    """An image of which the header has been read; what is wrong with the rest is `Unreadable` too."""
    try:
        if not file.is_file():
            raise Unreadable("no regular file")
        if not file.stat().st_size:
            raise Unreadable("empty")
        with warnings.catch_warnings():
            # Pillow warns of odd metadata, which is none of our business where the pixels are there.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=_FORMATS) as image:
                check_size(image)
                yield image
    except UnidentifiedImageError as error:
        raise Unreadable("no PNG, JPEG, BMP or PGM") from error
    except DAMAGE as error:
        raise Unreadable(reason(error)) from error


def reason(error: BaseException) -> str:
    """What Pillow says is wrong, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def check_size(image: Image.Image) -> None:
    """Refuses an image, of which no more than the header has been read, that has too many pixels.

    Raises:
        Unreadable: it has more than `MAX_PIXELS`.
    """
    if image.width * image.height > MAX_PIXELS:
        raise Unreadable(f"{image.width}x{image.height} pixels are more than {MAX_PIXELS:,}")


def _opaque(image: Image.Image) -> Image.Image:
    """The image with 8 bits a value and without transparency."""
    transparent = image.has_transparency_data
    if image.mode in _SIXTEEN_BITS and not transparent:
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in _SIXTEEN_BITS or image.mode not in (*_GREY, *_COLOUR):
        raise Unreadable(f"pixels of mode {image.mode}{' with transparency' if transparent else ''}")
    if not transparent:
        return image
    colours = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
