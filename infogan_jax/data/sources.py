"""Where images come from: each source by name, how to see that it is there and how to load it."""

from collections.abc import Callable
from typing import NamedTuple

from infogan_jax.data import digits, tfds
from infogan_jax.data.dataset import Dataset


class _Source(NamedTuple):
    image_shape: Callable[[str], tuple[int, int, int]]
    load: Callable[[str], Dataset]


_SOURCES = {
    "digits": _Source(digits.image_shape, digits.load),
    "tfds": _Source(tfds.image_shape, tfds.load),
}


def check(source: str, name: str) -> tuple[int, int, int]:
    """Refuses data that is not there, in well under a second and without reading it.

    Args:
        source: "digits" or "tfds".
        name: the data set's name within the source.

    Returns:
        Height, width and channels of its images.

    Raises:
        UserError: the source does not have the data.
    """
    return _SOURCES[source].image_shape(name)


def load(source: str, name: str) -> Dataset:
    """Loads a data set into memory.

    Args:
        source: "digits" or "tfds".
        name: the data set's name within the source.

    Returns:
        The data set.

    Raises:
        UserError: the source does not have the data in a form that can be used.
    """
    return _SOURCES[source].load(name)
