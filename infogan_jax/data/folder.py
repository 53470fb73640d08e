"""A directory of image files: read, cut into squares, and split file by file."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from infogan_jax.data.dataset import Dataset, Split
from infogan_jax.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".pgm")

_TEST_EVERY = 5
"""Every fifth file, in the order of the names, is held out."""

_GREY_MODES = ("1", "L")


def image_shape(folder: Path | None, crop: int) -> tuple[int, int, int]:
    """Height, width and channels of the images, from the first file alone.

    Args:
        folder: the directory.
        crop: the squares' side in pixels; 0 takes the images whole.

    Raises:
        UserError: there is no such directory, too few images in it, or a crop larger than the first.
    """
    first = _files(folder)[0]
    with _opened(first) as image:
        width, height = image.size
        channels = 1 if image.mode in _GREY_MODES else 3
    if crop > min(width, height):
        raise UserError(f"--data.crop is {crop}, but {first} has {width}x{height} pixels")
    return (crop, crop, channels) if crop else (height, width, channels)


def load(folder: Path | None, crop: int, name: str) -> Dataset:
    """Loads the images, cut into squares without overlap; every fifth file is for testing.

    Squares of one single value, which show nothing, are left out.

    Args:
        folder: the directory.
        crop: the squares' side in pixels; 0 takes the images whole.
        name: what the data set is called in reports.

    Returns:
        Images without labels.

    Raises:
        UserError: as `image_shape`; or a file can't be read, or is of another shape than the first, or no
            square of a split shows anything.
    """
    height, width, channels = image_shape(folder, crop)
    mode = "L" if channels == 1 else "RGB"
    splits: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    for position, file in enumerate(_files(folder)):
        with _opened(file) as image:
            pixels = np.asarray(image.convert(mode)).reshape(image.height, image.width, channels)
        if crop:
            pixels = _squares(pixels, crop)
        elif pixels.shape != (height, width, channels):
            there = f"{pixels.shape[1]}x{pixels.shape[0]}"
            raise UserError(
                f"{file} has {there} pixels, but the first file {width}x{height}: "
                "cut them to one size with --data.crop"
            )
        else:
            pixels = pixels[np.newaxis]
        splits["test" if position % _TEST_EVERY == 0 else "train"].append(pixels)
    kept = {split: _varied(np.concatenate(images)) for split, images in splits.items()}
    for split, images in kept.items():
        if not len(images):
            raise UserError(f"{folder}: no {split} image shows more than one value")
    return Dataset(name, Split(kept["train"], None), Split(kept["test"], None), num_classes=None)


def _files(folder: Path | None) -> list[Path]:
    if folder is None:
        raise UserError("--data.folder is missing: name the directory that holds the images")
    if not folder.is_dir():
        raise UserError(f"--data.folder is {folder}, which is no directory")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if len(files) < 2:
        raise UserError(
            f"{folder} holds {len(files)} image files ({', '.join(SUFFIXES)}): there must be 2 or more"
        )
    return files


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(file) as image:
            yield image
    except OSError as error:
        raise UserError(f"{file} can't be read ({error}): repair it or take it out of the folder") from error


def _squares(pixels: np.ndarray, size: int) -> np.ndarray:
    """All whole squares of an image [h, w, c], row by row: [n, size, size, c]."""
    rows, columns = pixels.shape[0] // size, pixels.shape[1] // size
    cut = pixels[: rows * size, : columns * size].reshape(rows, size, columns, size, -1)
    return cut.swapaxes(1, 2).reshape(-1, size, size, pixels.shape[2])


def _varied(images: np.ndarray) -> np.ndarray:
    flat = images.reshape(len(images), -1)
    return images[(flat != flat[:, :1]).any(axis=1)]
