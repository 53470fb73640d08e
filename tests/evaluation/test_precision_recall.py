"""Precision and recall worked by hand, and against a direct count with scikit-learn's neighbours."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from infogan_jax.evaluation import precision_recall as module
from infogan_jax.evaluation.precision_recall import precision_recall


def column(*values):
    return np.array(values, float)[:, None]


def test_a_case_worked_by_hand():
    # Nearest neighbours are at 1, 1, 4 of the real and 3, 3, 88 of the generated. 9 is at 4 from 5, just
    # inside; 12 and 100 are outside. The generated balls are [6, 12], [9, 15] and [12, 188]: none has a real.
    real, generated = column(0, 1, 5), column(9, 12, 100)
    assert precision_recall(real, generated, neighbours=1) == pytest.approx((1 / 3, 0))
    # Second neighbours are at 5, 4, 5 and 91, 88, 91: the ball of 9 now has every real.
    assert precision_recall(real, generated, neighbours=2) == pytest.approx((1 / 3, 1))


def test_equals_a_direct_count():
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(40, 3)), rng.normal(size=(60, 3)) * 0.8 + 0.7

    def share(points, centres):
        # A centre is its own first neighbour.
        radii = NearestNeighbors(n_neighbors=4).fit(centres).kneighbors(centres)[0][:, -1]
        return np.mean(
            [any(np.linalg.norm(p - c) <= r for c, r in zip(centres, radii, strict=True)) for p in points]
        )

    measured = precision_recall(real, generated)
    assert measured == pytest.approx((share(generated, real), share(real, generated)))
    assert 0 < measured.recall < 1 and 0 < measured.precision < 1


def test_blocks_do_not_change_the_result(monkeypatch):
    rng = np.random.default_rng(1)
    real, generated = rng.normal(size=(35, 2)), rng.normal(size=(50, 2)) + 1
    whole = precision_recall(real, generated)
    monkeypatch.setattr(module, "BLOCK_ELEMENTS", 7 * 50)
    assert precision_recall(real, generated) == whole
    monkeypatch.setattr(module, "BLOCK_ELEMENTS", 1)
    assert precision_recall(real, generated) == whole


def test_order_does_not_matter_and_exchanging_the_sets_exchanges_the_two():
    rng = np.random.default_rng(2)
    real, generated = rng.normal(size=(30, 2)), rng.normal(size=(30, 2)) * 2
    measured = precision_recall(real, generated)
    assert precision_recall(rng.permutation(real), rng.permutation(generated)) == measured
    assert precision_recall(generated, real) == measured[::-1]
    assert measured.precision < measured.recall


def test_a_dropped_mode_costs_recall_and_an_invented_one_precision():
    rng = np.random.default_rng(3)
    here, there = rng.normal(size=(50, 2)), rng.normal(size=(50, 2)) + 100
    both = np.concatenate([here, there])
    dropped = precision_recall(both, here + 0.01)
    invented = precision_recall(here, both + 0.01)
    assert dropped == pytest.approx((1, 0.5), abs=0.1)
    assert invented == pytest.approx((0.5, 1), abs=0.1)


def test_copies_coincide_far_from_the_origin():
    # Real points come four times each, so all radii are 0: only exact copies are inside.
    points = np.random.default_rng(4).normal(size=(10, 50)) + 30
    real = np.repeat(points, 4, axis=0)
    generated = np.concatenate([points, points + 0.001])
    assert precision_recall(real, generated).precision == 0.5
    assert precision_recall(real, real) == (1, 1)


def test_a_shift_of_both_sets_changes_nothing():
    rng = np.random.default_rng(6)
    real, generated = rng.normal(size=(200, 2)), 3 + 0.1 * rng.normal(size=(200, 2))
    here = precision_recall(real, generated)
    assert precision_recall(1e8 + real, 1e8 + generated) == here
    assert 0 < here.precision < 1 and here.recall < 0.1


def test_a_collapsed_generator_covers_nothing():
    real = np.random.default_rng(5).normal(size=(20, 3))
    generated = np.repeat(real[:1] + 1e-3, 20, axis=0)
    assert precision_recall(real, generated) == (1, 0)


@pytest.mark.parametrize("neighbours", [0, 4])
def test_a_number_of_neighbours_that_does_not_fit_is_refused(neighbours):
    with pytest.raises(ValueError, match=f"neighbours is {neighbours}"):
        precision_recall(np.zeros((9, 2)), np.zeros((4, 2)), neighbours=neighbours)


def test_wrong_features_are_refused():
    with pytest.raises(ValueError, match="real has 2 features and generated 3"):
        precision_recall(np.zeros((9, 2)), np.zeros((9, 3)))
