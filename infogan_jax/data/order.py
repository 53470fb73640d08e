"""Which images a training step sees, as a function of the step's number alone."""

import functools
from collections.abc import Callable

import numpy as np


def batch_indices(seed: int, step: int, batch: int, size: int) -> np.ndarray:
    """Indices of the images of one batch: every image comes once an epoch, in a new order each time.

    Position p = step * batch + i for i in 0..batch-1 belongs to epoch p // size, and its index is
    permutation(seed, epoch)[p % size]. A batch may span epochs, and no step needs those before it.

    Args:
        seed: chooses the orders, 0 <= seed < 2**64.
        step: number of the step, from 0.
        batch: images a step; may be larger than size.
        size: images in the data set, at most 2**31 - 1.

    Returns:
        Indices in [0, size), int32 [batch].

    Raises:
        ValueError: an argument is out of range.
    """
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed is {seed}; it must be in 0..2**64 - 1")
    if step < 0 or batch < 1 or not 1 <= size < 2**31:
        raise ValueError(
            f"step {step}, batch {batch}, size {size}: step must be at least 0, batch at least 1 "
            "and size in 1..2**31 - 1"
        )
    epochs, offsets = np.divmod(int(step) * batch + np.arange(batch, dtype=np.int64), size)
    indices = np.empty(batch, np.int32)
    for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
        here = epochs == epoch
        indices[here] = _orders(int(seed), size)(epoch)[offsets[here]]
    return indices


def endless_indices(seed: int, step: int, batch: int) -> np.ndarray:
    """Numbers of the images of one batch, of images without end: as good as never the same one twice.

    Args:
        seed: chooses the images, 0 <= seed < 2**64.
        step: number of the step, 0 <= step < 2**64.
        batch: images a step, at least 1.

    Returns:
        Independent draws, uniform in [0, 2**31), int32 [batch].

    Raises:
        ValueError: an argument is out of range.
    """
    if not (0 <= seed < 2**64 and 0 <= step < 2**64) or batch < 1:
        raise ValueError(
            f"seed {seed}, step {step}, batch {batch}: seed and step must be in 0..2**64 - 1 "
            "and batch at least 1"
        )
    raw = np.random.Philox(key=np.array([seed, step], np.uint64)).random_raw(batch)
    return (raw >> np.uint64(33)).astype(np.int32)


# So many seeds may be trained side by side, each of which is asked in turn.
@functools.lru_cache(maxsize=32)
def _orders(seed: int, size: int) -> Callable[[int], np.ndarray]:
    """A seed's orders by epoch. The last two are kept: a step reads one, or two where it spans epochs."""

    @functools.lru_cache(maxsize=2)
    def order(epoch: int) -> np.ndarray:
        return _permuted(seed, epoch, size)

    return order


def _permuted(seed: int, epoch: int, size: int) -> np.ndarray:
    # numpy promises (NEP 19) that a bit generator's stream of raw integers stays the same across
    # versions and platforms, but not the methods of np.random.Generator, permutation among them.
    # Sorting the raw stream rests on the promise alone.
    key = np.array([seed, epoch], np.uint64)
    order = np.argsort(np.random.Philox(key=key).random_raw(size), kind="stable").astype(np.int32)
    order.flags.writeable = False  # the cache hands the same array to every caller
    return order
