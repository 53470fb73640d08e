"""The file `factors.csv` beside a folder's images: what is known of how they vary."""

import csv
import math
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from infogan_jax.data.dataset import Factor
from infogan_jax.errors import UserError

FILE_NAME = "factors.csv"

_PERIODS = {"degrees": 360.0, "radians": 2 * math.pi}
_CATEGORIES = ("object", "shape", "type", "identity", "category")
_LARGEST = float(np.finfo(np.float32).max)
_SHOWN = 3


def read(
    path: Path, images: Sequence[str], *, skipped: Callable[[str], bool] = lambda image: False
) -> tuple[tuple[Factor, ...], np.ndarray]:
    """Reads the factors of images from a CSV file in UTF-8 with a header.

    The first column is `file`: the image's path from the folder on, with slashes. Every other column is a
    factor, whose name says what it is:

    - `NAME_degrees` and `NAME_radians` are the angle NAME, with a period of 360 degrees or 2 pi;
    - `object`, `shape`, `type`, `identity` and `category` are categories, and so is `NAME_category`, which
      is called NAME: whole numbers from 0;
    - any other is a number without a unit.

    Args:
        path: the CSV file.
        images: the paths of the images, in the order wanted.
        skipped: whether an image without a row needs none, since it will be left out.

    Returns:
        The factors, and their values as float32 [len(images), len(factors)]; NaN where a skipped image has
        no row.

    Raises:
        UserError: the file can't be read, an image that isn't skipped has no row, one has two, a row is for
            no image, or a value is not one of its factor; it names the line.
    """
    (header, _), *rows = _lines(path)
    if header[0] != "file" or len(header) < 2:
        raise UserError(f"{path} begins with {','.join(header)!r}: it must be `file` and the factors' names")
    factors = tuple(_factor(column.strip()) for column in header[1:])
    names = [factor.name for factor in factors]
    if "" in names or len(set(names)) < len(names):
        raise UserError(f"{path} has the factors {', '.join(names)}: each needs a name of its own")
    values: dict[str, list[float]] = {}
    wanted = set(images)
    for cells, line in rows:
        where = f"{path}, line {line}"
        if len(cells) != 1 + len(factors):
            raise UserError(f"{where} has {len(cells)} values where the header has {1 + len(factors)}")
        image = str(PurePosixPath(cells[0]))
        if image not in wanted:
            raise UserError(f"{where}: there is no image {cells[0]} in the folder; take the line out")
        if image in values:
            raise UserError(f"{where}: {image} has a line already; leave one")
        values[image] = [_value(cell, factor, where) for cell, factor in zip(cells[1:], factors, strict=True)]
    missing = [image for image in images if image not in values and not skipped(image)]
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        raise UserError(f"{path} has no line for {len(missing)} images ({shown}): every image needs one")
    unknown = [math.nan] * len(factors)
    return factors, np.array([values.get(image, unknown) for image in images], np.float32)


def _lines(path: Path) -> list[tuple[list[str], int]]:
    """The lines that are not empty, as cells, with their numbers."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            lines = [(cells, reader.line_num) for cells in reader if cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no CSV file in UTF-8 ({error}): repair it or take it away") from error
    return lines or [([""], 1)]


def _factor(column: str) -> Factor:
    name, _, unit = column.rpartition("_")
    if name and unit in _PERIODS:
        return Factor(name, "angle", unit, _PERIODS[unit])
    if name and unit == "category":
        return Factor(name, "category")
    return Factor(column, "category" if column in _CATEGORIES else "number")


def _value(cell: str, factor: Factor, where: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not abs(value) <= _LARGEST:
        raise UserError(f"{where}: {factor.name} is {cell!r}, which is no finite number")
    if factor.kind == "category" and not (value >= 0 and value == int(value)):
        raise UserError(f"{where}: {factor.name} is {cell}; a category is a whole number from 0")
    return value
