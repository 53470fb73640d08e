"""One array in a weights file: its shape and type are known, its numbers not yet read."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class StoredArray(NamedTuple):
    """An array that a file holds.

    Attributes:
        shape: its axes.
        dtype: the type of its numbers in the file.
        read: reads them, as an array of that shape and type.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]
