import weakref

import numpy as np
import pytest
import scipy.stats

from infogan_jax.data import order
from infogan_jax.data.order import batch_indices, endless_indices

GOLDEN_START = [0, 2, 1, 5, 4, 3, 6, 7, 5, 3, 7, 2]
ENDLESS_START = [24796466, 518722949, 239285202]
GOLDEN_FAR = [8504, 57807, 9691, 8352, 28056, 47599]


def _epochs(seed, batch, size, count):
    steps = -(-count * size // batch)
    taken = np.concatenate([batch_indices(seed, step, batch, size) for step in range(steps)])
    return taken[: count * size].reshape(count, size)


@pytest.mark.parametrize("batch", [1, 3, 7, 10, 25])
def test_every_image_comes_once_an_epoch_whatever_the_batch(batch):
    epochs = _epochs(seed=5, batch=batch, size=10, count=4)
    np.testing.assert_array_equal(np.sort(epochs), np.tile(np.arange(10), (4, 1)))
    # The order does not depend on the batch either.
    np.testing.assert_array_equal(epochs, _epochs(seed=5, batch=4, size=10, count=4))


def test_orders_differ_between_epochs_and_seeds():
    first, second = _epochs(seed=0, batch=50, size=100, count=2)
    (other,) = _epochs(seed=1, batch=50, size=100, count=1)
    for one, two in ((first, second), (first, other), (second, other)):
        assert np.sum(one == two) < 10  # 1 is expected by chance


def test_a_later_step_needs_none_before_it():
    whole = np.concatenate([batch_indices(3, step, 16, 50) for step in range(8)])
    np.testing.assert_array_equal(batch_indices(3, 7, 16, 50), whole[7 * 16 :])


def test_first_places_are_uniform():
    # 2,000 epochs of 5 images: each index is first 400 times, with a standard deviation of 18.
    firsts = batch_indices(9, 0, 10_000, 5).reshape(2000, 5)[:, 0]
    assert np.all(np.abs(np.bincount(firsts) - 400) < 90)


def test_golden_values():
    # Recorded from numpy 2.4.6. Should they change, resumed runs would no longer equal whole ones.
    assert batch_indices(0, 0, 12, 8).tolist() == GOLDEN_START
    assert batch_indices(7, 10**9, 6, 60_000).tolist() == GOLDEN_FAR


def test_numbers_without_end_are_uniform_and_hang_on_seed_and_step():
    assert endless_indices(0, 0, 3).tolist() == ENDLESS_START
    assert endless_indices(2**64 - 1, 2**64 - 1, 1).dtype == np.int32
    numbers = endless_indices(5, 7, 3000)
    assert scipy.stats.kstest(numbers, "uniform", (0, 2**31)).pvalue > 1e-3
    others = [endless_indices(5, 8, 3000), endless_indices(6, 7, 3000)]
    assert not set(numbers) & (set(others[0]) | set(others[1]))
    np.testing.assert_array_equal(numbers[:10], endless_indices(5, 7, 10))


def test_result_is_the_callers_own_int32():
    indices = batch_indices(0, 0, 4, 8)
    assert indices.dtype == np.int32
    indices[:] = 0
    assert batch_indices(0, 0, 4, 8).tolist() == GOLDEN_START[:4]


def test_extreme_arguments():
    assert batch_indices(2**64 - 1, 0, 3, 1).tolist() == [0, 0, 0]


@pytest.mark.parametrize("arguments", [(-1, 0, 1), (2**64, 0, 1), (0, -1, 1), (0, 2**64, 1), (0, 0, 0)])
def test_numbers_without_end_need_arguments_in_range(arguments):
    with pytest.raises(ValueError, match="must be"):
        endless_indices(*arguments)


@pytest.mark.parametrize(
    "arguments", [(-1, 0, 1, 1), (2**64, 0, 1, 1), (0, -1, 1, 1), (0, 0, 0, 1), (0, 0, 1, 0)]
)
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match="must be"):
        batch_indices(*arguments)


def test_of_each_seed_two_orders_are_kept_and_none_is_computed_twice(monkeypatch):
    made, computed = order._permuted, []

    def permuted(*arguments):
        indices = made(*arguments)
        computed.append((arguments, weakref.ref(indices)))
        return indices

    monkeypatch.setattr(order, "_permuted", permuted)
    seeds = range(100, 120)
    for step in range(50):
        for seed in seeds:
            batch_indices(seed, step, 4, 10)
    # 200 places are 20 epochs of ten images.
    assert sorted(arguments for arguments, _ in computed) == [(s, e, 10) for s in seeds for e in range(20)]
    kept = [arguments[1] for arguments, there in computed if there() is not None]
    assert sorted(kept) == [18] * len(seeds) + [19] * len(seeds)
