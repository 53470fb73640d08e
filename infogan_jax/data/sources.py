"""Where images come from: each source by name, how to see that it is there and how to load it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from infogan_jax.data import digits, folder, scenes, tfds
from infogan_jax.data.dataset import Dataset

if TYPE_CHECKING:
    from jax import Array

    # Not at run time: with it comes JAX, which takes longer to import than data takes to be looked for.
    from infogan_jax.config import Data


class _Source(NamedTuple):
    image_shape: Callable[[Data], tuple[int, int, int]]
    load: Callable[[Data], Dataset]
    count: Callable[[Data], int] = lambda data: 0
    fewer: str = ""
    """What to do where its images don't fit into memory."""


_SOURCES = {
    "digits": _Source(lambda data: digits.image_shape(data.name), lambda data: digits.load(data.name)),
    "tfds": _Source(
        lambda data: tfds.image_shape(data.name, size=data.size, extra=data.extra),
        lambda data: tfds.load(data.name, size=data.size, extra=data.extra, limit=data.limit),
        lambda data: tfds.count(data.name, extra=data.extra, limit=data.limit),
        "take fewer with --data.limit",
    ),
    "folder": _Source(
        lambda data: folder.image_shape(
            data.folder, data.crop, size=data.size, grey=data.grey, skip_unreadable=data.skip_unreadable
        ),
        lambda data: folder.load(
            data.folder,
            data.crop,
            data.name,
            size=data.size,
            grey=data.grey,
            skip_unreadable=data.skip_unreadable,
        ),
        lambda data: folder.count(data.folder, data.crop),
        "make them smaller with --data.size, or name a folder that holds fewer",
    ),
    # As with digits, these are the same in every run of a scene, whatever its seed.
    "scenes": _Source(
        lambda data: scenes.image_shape(data.name),
        lambda data: scenes.load(data.name, data.render, -(-data.render // 5)),
        lambda data: data.render + -(-data.render // 5),
        "take fewer with --data.render",
    ),
}


def check(data: Data) -> tuple[int, int, int]:
    """Refuses data that is not there, in well under a second and without reading it.

    Args:
        data: where the images come from.

    Returns:
        Height, width and channels of the images.

    Raises:
        UserError: the source does not have the data.
    """
    return _SOURCES[data.source].image_shape(data)


def nbytes(data: Data) -> int:
    """Bytes of all images, once they are loaded, at most; 0 where that isn't known before.

    Args:
        data: what `check` has found to be there.
    """
    return _SOURCES[data.source].count(data) * math.prod(check(data))


def fewer(data: Data) -> str:
    """What to do where a data set's images don't fit into memory, as the end of a sentence."""
    return _SOURCES[data.source].fewer


def endless(data: Data) -> Callable[[Array], Array] | None:
    """What a training sees in place of its data set's images, rendered in the step.

    Args:
        data: what `check` has found to be there.

    Returns:
        A function of an image's number, int32 [] of 0 and above, that gives uint8 [h, w, c] and can be jitted
        and vmapped; None where a training sees the data set's own.
    """
    return scenes.endless(data.name) if data.endless else None


def load(data: Data) -> Dataset:
    """Loads a data set into memory.

    Args:
        data: where the images come from.

    Returns:
        The data set.

    Raises:
        UserError: the source does not have the data in a form that can be used.
    """
    return _SOURCES[data.source].load(data)
