"""The weights that a user has in a file: which format it is, and whether it holds what a network needs."""

import hashlib
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from infogan_jax.errors import UserError
from infogan_jax.networks.features import keras_file, safetensors_file, torch_file
from infogan_jax.networks.features.stored_array import StoredArray

_READERS = {
    ".pth": torch_file.read,
    ".pt": torch_file.read,
    ".safetensors": safetensors_file.read,
    ".h5": keras_file.read,
}

# A changed byte in an archive makes `zipfile` read past its end, look for a password or decompress; one in a
# length asks for more memory than there is.
_BROKEN = (OSError, ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)


class WeightsFile(NamedTuple):
    """A weights file.

    Attributes:
        path: where it is.
        sha256: of its bytes, in hexadecimal.
        arrays: what it holds, by name.
    """

    path: Path
    sha256: str
    arrays: Mapping[str, StoredArray]


def read(path: Path) -> WeightsFile:
    """Reads what a weights file holds, all but the numbers.

    Args:
        path: a file whose name ends in `.pth` or `.pt` (PyTorch), `.safetensors` or `.h5` (Keras).

    Returns:
        The file's names, shapes and types, with its hash.

    Raises:
        UserError: there is no such file, its name has another ending, it is broken or holds more than
            arrays, or h5py is missing for `.h5`.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder: name the weights file in it")
    if path.suffix.lower() not in _READERS:
        raise UserError(f"{path} must be a weights file that ends in {', '.join(_READERS)}")
    with _as_user_error(path):
        if not path.stat().st_size:
            raise ValueError("it is empty")
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return WeightsFile(path, sha256, _READERS[path.suffix.lower()](path))


def take(file: WeightsFile, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Reads the arrays that a network needs; all shapes and types are checked before the first is read.

    Args:
        file: the weights file.
        shapes: the shape that each array must have, by name.

    Returns:
        The arrays by name, float32.

    Raises:
        UserError: an array is missing, has another shape or type, or holds a number that isn't finite; it
            names the array, what it is and what it must be.
    """
    for name, shape in shapes.items():
        if name not in file.arrays:
            raise UserError(f"{file.path} has no layer {name}, which must be there with the shape {shape}")
        found = file.arrays[name]
        if found.shape != shape:
            raise UserError(f"{file.path}: layer {name} has the shape {found.shape}; it must be {shape}")
        if not jnp.issubdtype(found.dtype, jnp.floating):
            raise UserError(f"{file.path}: layer {name} is {found.dtype}; its numbers must be floats")
    return {name: _numbers(file, name) for name in shapes}


def _numbers(file: WeightsFile, name: str) -> np.ndarray:
    with _as_user_error(file.path):
        numbers = file.arrays[name].read().astype(np.float32)
    if not np.isfinite(numbers).all():
        raise UserError(f"{file.path}: layer {name} has numbers that aren't finite: download the file again")
    return numbers


@contextmanager
def _as_user_error(path: Path) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}: name the weights file") from error
    except _BROKEN as error:
        why = str(error) or type(error).__name__
        raise UserError(f"{path} can't be read as weights ({why}): download or save it again") from error
