"""Training images that the devices don't hold: a call's are gathered while the one before it runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

BUFFERED = 2
"""Calls whose images are ready, or being gathered, before they are asked for."""


@contextmanager
def gathered(
    images: np.ndarray,
    starts: Sequence[int],
    indices: Callable[[int], np.ndarray],
    place: Callable[[np.ndarray], np.ndarray] = lambda batches: batches,
) -> Iterator[Iterator[np.ndarray]]:
    """The images of each call in turn, gathered on a thread that ends with the context.

    Args:
        images: all training images, uint8 [N, h, w, c], in this machine's memory.
        starts: the first step of each call.
        indices: which images the call sees that starts at a step, int32 [...].
        place: what becomes of a call's images, uint8 [..., h, w, c], on that thread: moved to the devices.
    """
    # Late: it takes a second, and most trainings don't need it.
    import grain

    calls = grain.MapDataset.source(starts).map(lambda start: place(images[indices(start)]))
    # In another order, or on several threads, nothing would be faster: memory is the limit.
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=BUFFERED)
    iterator = iter(calls.to_iter_dataset(options))
    try:
        yield iterator
    finally:
        iterator.close()
