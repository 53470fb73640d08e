"""A directory of image files: its layout, and the images read, cut or resized, and split file by file."""

import math
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from infogan_jax.data import factors_file, image_files
from infogan_jax.data.dataset import Dataset, Factor, Split
from infogan_jax.data.resize import centre_square
from infogan_jax.errors import UserError, one_line

_TEST_EVERY = 5
"""Every fifth file is held out, in the order of the names, of each class by itself."""

_SHOWN = 20

T = TypeVar("T")


def image_shape(
    folder: Path | None, crop: int, *, size: int = 0, grey: bool = False, skip_unreadable: bool = False
) -> tuple[int, int, int]:
    """Height, width and channels of the images, from the first file alone.

    Args:
        folder: the directory.
        crop: the squares' side in pixels; 0: none.
        size: the side that images are resized to, in pixels; 0: none.
        grey: whether colour becomes grey.
        skip_unreadable: whether the first file is the first that can be read.

    Raises:
        UserError: there is no such directory, it is not laid out as `load` says, its first file can't be
            read, or a crop is larger than the first image.
    """
    layout = _layout(folder)
    for file in layout.files:
        try:
            height, width, channels = image_files.read(file.path, channels=1 if grey else None).shape
        except image_files.Unreadable as reason:
            if skip_unreadable:
                continue
            raise _unreadable(layout.folder, {file.path: str(reason)}) from reason
        if crop > min(width, height):
            raise UserError(f"--data.crop is {crop}, but {file.path} has {width}x{height} pixels")
        side = crop or size
        return (side, side, channels) if side else (height, width, channels)
    raise UserError(f"{folder} holds no image file that can be read")


def count(folder: Path | None, crop: int) -> int:
    """Images that `load` reads at most; 0 where they are cut, since only their sizes say into how many.

    Args:
        folder: the directory.
        crop: the squares' side in pixels; 0: none.

    Raises:
        UserError: there is no such directory, or it is not laid out as `load` says.
    """
    return 0 if crop else len(_layout(folder).files)


def load(
    folder: Path | None,
    crop: int,
    name: str,
    *,
    size: int = 0,
    grey: bool = False,
    skip_unreadable: bool = False,
) -> Dataset:
    """Loads the images of a directory, or of its sub-folders, each of which is then a class.

    Images are taken whole, or cut into all whole squares without overlap (crop), or squares from their
    centres are resized (size; `centre_square`). The first one says whether all become grey or colour, unless
    all are to be grey. Images may lie one folder deeper (CLASS/renders/*.png).
    Squares of one single value, which show nothing, are left out. Every fifth file in the order of the names
    is for testing, counted in each sub-folder anew. Hidden sub-folders (`.NAME`) don't count. A file
    `factors.csv` in the directory has factors of variation (`factors_file.read`).

    Args:
        folder: the directory.
        crop: the squares' side in pixels; 0: none.
        name: what the data set is called in reports.
        size: the side that images are resized to, in pixels; 0: none.
        grey: whether colour becomes grey.
        skip_unreadable: whether files that can't be read are left out, with one line on standard error that
            names them. All others stay in the split that they would be in. Of a file that is left out,
            `factors.csv` may say something or nothing.

    Returns:
        Images; labels where there are sub-folders, numbered in the order of their names; factors where there
        is a `factors.csv`. All squares of an image have its label and factors.

    Raises:
        UserError: as `image_shape` and `factors_file.read`; or files can't be read, or an image that is taken
            whole is of another shape than the first, or no square of a split shows anything.
    """
    folder, files, num_classes = _layout(folder)
    factors: tuple[Factor, ...] = ()
    values = None
    # Of a pipe there would be no end to wait for.
    if (table := folder / factors_file.FILE_NAME).is_file():
        factors, values = factors_file.read(
            table,
            [file.path.relative_to(folder).as_posix() for file in files],
            skipped=lambda image: skip_unreadable and not _readable(folder / image),
        )
    shape = image_shape(folder, crop, size=size, grey=grey, skip_unreadable=skip_unreadable)

    # How many squares show anything isn't known before. A bytearray grows in place: nothing is there twice.
    squares = {"train": bytearray(), "test": bytearray()}
    origins: dict[str, list[int]] = {"train": [], "test": []}  # of each square, its file's place in `files`
    unreadable: dict[Path, str] = {}
    for index, file in enumerate(files):
        try:
            pixels = image_files.read(file.path, channels=shape[2])
        except image_files.Unreadable as reason:
            unreadable[file.path] = str(reason)
            continue
        if not (crop or size) and pixels.shape != shape:
            raise UserError(
                f"{file.path} has {pixels.shape[1]}x{pixels.shape[0]} pixels, but the first file "
                f"{shape[1]}x{shape[0]}: cut them to one size with --data.crop or resize them with "
                "--data.size"
            )
        shown = _varied(_cut(pixels, crop, size))
        squares[file.split].extend(shown.tobytes())
        origins[file.split] += [index] * len(shown)
    if unreadable:
        if not skip_unreadable:
            raise _unreadable(folder, unreadable)
        names = ", ".join(str(path.relative_to(folder)) for path in unreadable)
        left_out = f"{folder}: {len(unreadable)} unreadable image files left out: {names}"
        print(one_line(left_out), file=sys.stderr)

    labels = None if num_classes is None else np.array([file.label for file in files], np.int32)
    splits = {}
    for split, origin in origins.items():
        if not origin:
            raise UserError(f"{folder}: no {split} image shows more than one value")
        of_squares = (None if each is None else each[origin] for each in (labels, values))
        splits[split] = Split(np.frombuffer(squares[split], np.uint8).reshape(-1, *shape), *of_squares)
    return Dataset(name, **splits, num_classes=num_classes, factors=factors)


def held_out(folder: Path | None, *, skip_unreadable: bool = False) -> Iterator[np.ndarray]:
    """The files for testing as they are, whole, where `load` cuts them.

    Args:
        folder: the directory, laid out as `load` says.
        skip_unreadable: whether files that can't be read are passed over.

    Yields:
        In colour, uint8 [height, width, 3], in the order of their names.

    Raises:
        UserError: a file can't be read.
    """
    return (
        pixels for _, pixels in _of_held_out(folder, partial(image_files.read, channels=3), skip_unreadable)
    )


def held_out_sides(folder: Path | None, *, skip_unreadable: bool = False) -> Iterator[tuple[Path, int, int]]:
    """The files for testing and their sides, from their headers alone.

    Args:
        folder: as in `held_out`.
        skip_unreadable: as in `held_out`.

    Yields:
        The file and its sides in pixels.

    Raises:
        UserError: a file can't be read.
    """
    return ((path, *sides) for path, sides in _of_held_out(folder, image_files.sides, skip_unreadable))


def _of_held_out(
    folder: Path | None, read: Callable[[Path], T], skip_unreadable: bool
) -> Iterator[tuple[Path, T]]:
    layout = _layout(folder)
    for file in layout.files:
        if file.split != "test":
            continue
        try:
            yield file.path, read(file.path)
        except image_files.Unreadable as reason:
            if not skip_unreadable:
                raise _unreadable(layout.folder, {file.path: str(reason)}) from reason


def files_below(folder: Path) -> list[Path]:
    """All image files that `load` could read in a directory, whether it is laid out as `load` says or not."""
    images, folders = _listed(folder)
    return images + [image for each in folders for part in _members(each) for image in part]


def files_in(folder: Path) -> list[Path]:
    """The image files that lie in a directory itself, in the order of their names.

    Raises:
        UserError: there is no such directory, or no image file in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no directory: name one that holds images")
    files, _ = _listed(folder)
    if not files:
        raise UserError(f"{folder} holds no image file ({', '.join(image_files.SUFFIXES)})")
    return files


class _File(NamedTuple):
    path: Path
    label: int
    split: str


class _Layout(NamedTuple):
    folder: Path
    files: list[_File]
    num_classes: int | None


def _layout(folder: Path | None) -> _Layout:
    """The image files in the order of their names, class by class where there are sub-folders."""
    if folder is None:
        raise UserError("--data.folder is missing: name the directory that holds the images")
    if not folder.is_dir():
        raise UserError(f"--data.folder is {folder}, which is no directory")
    images, folders = _listed(folder)
    classes = [child for child in folders if not child.name.startswith(".")]
    inside = [_members(each) for each in classes]
    contents = [own or deeper for own, deeper in inside]
    mixed = [each for each, (own, deeper) in zip(classes, inside, strict=True) if own and deeper]
    if images and any(contents):
        mixed = [folder]
    if mixed:
        raise UserError(f"{mixed[0]} holds images and folders of images: leave it one of the two")
    if images or not any(contents):
        classes, contents = [folder], [images]
    for each, members in zip(classes, contents, strict=True):
        if len(members) < 2:
            raise UserError(
                f"{each} holds {len(members)} image files ({', '.join(image_files.SUFFIXES)}): "
                "there must be 2 or more"
            )
    files = [
        _File(path, label, "test" if position % _TEST_EVERY == 0 else "train")
        for label, members in enumerate(contents)
        for position, path in enumerate(members)
    ]
    return _Layout(folder, files, None if images else len(classes))


def _members(folder: Path) -> tuple[list[Path], list[Path]]:
    """The images that lie in a class's folder itself, and those in its sub-folders."""
    images, folders = _listed(folder)
    # A link may lead round in a circle.
    deeper = (child for child in folders if not (child.name.startswith(".") or folder.is_symlink()))
    return images, [image for child in deeper for image in _listed(child)[0]]


def _listed(folder: Path) -> tuple[list[Path], list[Path]]:
    """The image files and the folders in a folder, each in the order of their names."""
    files, folders = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            # A link that leads nowhere or round in a circle is no folder; read as a file, it is named.
            if entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and os.path.isdir(entry.path)):
                folders.append(entry.name)
            elif entry.name.lower().endswith(image_files.SUFFIXES):
                files.append(entry.name)
    return [folder / name for name in sorted(files)], [folder / name for name in sorted(folders)]


def _readable(file: Path) -> bool:
    try:
        image_files.read(file)
    except image_files.Unreadable:
        return False
    return True


def _unreadable(folder: Path, reasons: dict[Path, str]) -> UserError:
    named = [f"{path.relative_to(folder)} ({reason})" for path, reason in reasons.items()]
    shown = ", ".join(named[:_SHOWN]) + (", ..." if len(named) > _SHOWN else "")
    return UserError(
        f"{folder}: can't read {len(named)} of its image files: {shown}; repair them, take them out, or pass "
        "them over with --data.skip-unreadable"
    )


def _cut(pixels: np.ndarray, crop: int, size: int) -> np.ndarray:
    """An image [h, w, c] as it is, its centre resized, or all its whole squares row by row: [n, H, W, c]."""
    if size:
        pixels = centre_square(pixels, size)
    if not crop:
        return pixels[np.newaxis]
    height, width, channels = pixels.shape
    rows, columns = height // crop, width // crop
    cut = pixels[: rows * crop, : columns * crop].reshape(rows, crop, columns, crop, channels)
    return cut.swapaxes(1, 2).reshape(-1, crop, crop, channels)


def _varied(images: np.ndarray) -> np.ndarray:
    flat = images.reshape(len(images), math.prod(images.shape[1:]))
    varied: np.ndarray = images[(flat != flat[:, :1]).any(axis=1)]
    return varied
