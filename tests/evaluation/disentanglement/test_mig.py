"""The gap of codes whose information is known exactly, on a grid of independent factors."""

import numpy as np
import pytest

from infogan_jax.data.dataset import Factor
from infogan_jax.evaluation.disentanglement.mig import mutual_information_gap


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("perfect", 1),  # I = H(v) for one code, 0 for the other
        ("permuted", 1),  # neither order, sign nor scale of the codes matters
        ("rotated", 0),  # u + v and u - v know as much of u
        ("dead", 0),  # nobody knows anything
        ("with a dead one", 1),  # a dead code is no rival
    ],
)
def test_score(grid, name, score):
    assert mutual_information_gap(grid.codes[name], grid.values, grid.factors).score == pytest.approx(
        score, abs=1e-12
    )


def test_a_duplicate_closes_the_gap_of_its_factor_only(grid):
    result = mutual_information_gap(grid.codes["duplicated"], grid.values, grid.factors)
    np.testing.assert_allclose(result.gaps, [0, 1], atol=1e-12)
    assert result.score == pytest.approx(0.5, abs=1e-12)


def test_noise_has_a_small_gap(grid):
    # Its information is the bias of the bins, some (19 * 15) / (2 * 256) nats for either code.
    result = mutual_information_gap(grid.codes["random"], grid.values, grid.factors)
    assert result.score < 0.1
    np.testing.assert_allclose(result.information, 19 * 15 / 512, rtol=0.25)


def test_by_hand():
    # c1 is v but for one example in four (information as worked out in test_information), c2 nothing.
    codes, values = np.array([[0.0, 0], [0, 0], [1, 0], [1, 0]]), np.array([[0.0], [0], [0], [1]])
    result = mutual_information_gap(codes, values, (Factor("v", "category"),))
    information = 0.5 * np.log(4 / 3) + 0.25 * np.log(2 / 3) + 0.25 * np.log(2)
    entropy = 0.75 * np.log(4 / 3) + 0.25 * np.log(4)
    np.testing.assert_allclose(result.information, [[information], [0]], atol=1e-15)
    np.testing.assert_allclose(result.entropies, [entropy], atol=1e-15)
    assert result.score == pytest.approx(information / entropy, abs=1e-15)
    assert mutual_information_gap(codes[:, :1], values, (Factor("v", "category"),)).score == result.score


def test_every_kind_of_factor_and_code(classes):
    # Each code determines its factor up to the bins; the others' information is the bias, about
    # (19 * 19) / (2 * 300) of log 20 nats.
    result = mutual_information_gap(
        classes.codes, classes.values, classes.factors, categorical=classes.categorical
    )
    np.testing.assert_allclose(result.entropies, np.log([5, 20, 20]), atol=1e-3)
    np.testing.assert_array_equal(result.information.argmax(axis=0), [0, 1, 2])
    assert (result.gaps > [0.85, 0.55, 0.55]).all()


def test_a_number_that_is_mostly_the_same_has_a_gap():
    # All quantiles of it are 0. The code is the number, but its bins of equal width put 1 beside 0.
    values = np.array([0.0] * 960 + list(range(1, 41)))[:, None]
    result = mutual_information_gap(values, values, (Factor("size"),))
    assert result.entropies == pytest.approx([-0.96 * np.log(0.96) - 0.04 * np.log(0.04)])
    assert 0.9 < result.score < 1


def test_the_bins_are_arguments(classes):
    coarse = mutual_information_gap(
        classes.codes, classes.values, classes.factors, categorical=(0,), code_bins=4, factor_bins=2
    )
    np.testing.assert_allclose(coarse.entropies, np.log([5, 2, 2]), atol=1e-12)
    assert (coarse.gaps[1:] > 0.8).all()
