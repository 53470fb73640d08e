"""Files of the safetensors format: a header in JSON, and the arrays' bytes behind it.

References:
    https://github.com/huggingface/safetensors#format.
"""

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from infogan_jax.networks.features.stored_array import StoredArray

_DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(jnp.bfloat16),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}

_LENGTH_BYTES = 8
_LARGEST_HEADER = 100_000_000
"""In bytes; the format's own limit."""


def read(path: Path) -> dict[str, StoredArray]:
    """The arrays of a safetensors file.

    Args:
        path: the file.

    Returns:
        The arrays by name, their numbers unread.

    Raises:
        ValueError: the file is broken: the header is no JSON of the format, or the arrays overlap, leave
            gaps or reach outside the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        start = _LENGTH_BYTES + length
        if start > size or length > _LARGEST_HEADER:
            raise ValueError(f"its header would be of {length} bytes, in a file of {size}")
        try:
            header = json.loads(file.read(length))
        except RecursionError as error:
            raise ValueError("its header is nested too deep") from error
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    header.pop("__metadata__", None)
    spans = {name: _span(name, entry) for name, entry in header.items()}
    end = 0
    for name, (_, _, span) in sorted(spans.items(), key=lambda item: item[1][2]):
        if span[0] != end:
            raise ValueError(f"the bytes of {name} begin at {span[0]}, where those before it end at {end}")
        end = span[1]
    if start + end != size:
        raise ValueError(f"its arrays have {end} bytes, and behind its header the file has {size - start}")
    return {
        name: StoredArray(shape, dtype, partial(_numbers, path, shape, dtype, start + span[0]))
        for name, (shape, dtype, span) in spans.items()
    }


def _span(name: str, entry: Any) -> tuple[tuple[int, ...], np.dtype, tuple[int, int]]:
    """Shape, type and the first and last byte of an array behind the header."""
    try:
        dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        whole = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"its header says of {name} what the format does not have") from error
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise ValueError(f"{name} is of the type {dtype}, not one of {', '.join(_DTYPES)}")
    if not whole or end - begin != math.prod(shape) * _DTYPES[dtype].itemsize:
        raise ValueError(f"{name} has the shape {shape} and the bytes {begin} to {end}, which doesn't fit")
    return shape, _DTYPES[dtype], (begin, end)


def _numbers(path: Path, shape: tuple[int, ...], dtype: np.dtype, offset: int) -> np.ndarray:
    return np.fromfile(path, dtype, math.prod(shape), offset=offset).reshape(shape)
