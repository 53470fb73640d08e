"""Bins worked out by hand."""

import numpy as np
import pytest

from infogan_jax.data.dataset import Factor
from infogan_jax.evaluation.disentanglement.bins import bin_codes, bin_factors


def column(*values):
    return np.array(values, float)[:, None]


def test_codes_have_bins_of_equal_width_with_the_maximum_in_the_last():
    # From -1 to 1 in 4: edges at -0.5, 0 and 0.5, each in the bin above it.
    codes = column(-1, -0.51, -0.5, -0.01, 0, 0.49, 0.5, 1)
    np.testing.assert_array_equal(bin_codes(codes, 4)[:, 0], [0, 0, 1, 1, 2, 2, 3, 3])


def test_a_histogram_agrees():
    codes = np.random.default_rng(0).normal(size=(500, 2))
    bins = bin_codes(codes, 20)
    for k in range(2):
        np.testing.assert_array_equal(np.bincount(bins[:, k], minlength=20), np.histogram(codes[:, k], 20)[0])


def test_a_constant_code_is_one_bin():
    np.testing.assert_array_equal(bin_codes(column(3, 3, 3), 20), np.zeros((3, 1)))


def test_categories_of_a_code_stay_apart_however_many():
    codes = np.arange(50.0)[:, None]
    assert len(np.unique(bin_codes(codes, 20))) == 20
    np.testing.assert_array_equal(bin_codes(codes, 20, (0,)), codes)


def test_few_values_are_bins_of_their_own():
    np.testing.assert_array_equal(
        bin_factors(column(10, 0.5, 10, 2), (Factor("size"),), 3)[:, 0], [2, 0, 2, 1]
    )


def test_many_values_are_cut_into_bins_of_equal_counts():
    values = np.random.default_rng(0).exponential(size=(200, 1))
    bins = bin_factors(values, (Factor("size"),), 8)[:, 0]
    np.testing.assert_array_equal(np.bincount(bins), np.full(8, 25))
    assert (np.diff(bins[np.argsort(values[:, 0])]) >= 0).all()


def test_a_quantile_is_in_the_bin_above_it():
    # The quartiles of 0 to 8 are 2, 4 and 6.
    bins = bin_factors(np.arange(9.0)[:, None], (Factor("size"),), 4)[:, 0]
    np.testing.assert_array_equal(bins, [0, 0, 1, 1, 2, 2, 3, 3, 3])


@pytest.mark.parametrize(("repeated", "bins"), [(60, 10), (960, 20), (1_000_000, 2)])
def test_repeated_values_leave_no_empty_bin_and_are_not_all_in_one(repeated, bins):
    values = column(*[0] * repeated, *range(1, 41))
    index = bin_factors(values, (Factor("size"),), bins)[:, 0]
    counts = np.bincount(index)
    assert (counts > 0).all() and len(counts) > 1
    # The value that most examples have keeps to itself.
    assert counts[0] == repeated and (index[:repeated] == 0).all()
    # Nor is all in one bin where it is the greatest.
    assert len(np.unique(bin_factors(-values, (Factor("size"),), bins))) > 1


def test_a_category_is_never_cut():
    values = np.arange(50.0)[:, None]
    assert len(np.unique(bin_factors(values, (Factor("glyph", "category"),), 5))) == 50
    assert len(np.unique(bin_factors(values, (Factor("glyph"),), 5))) == 5


def test_an_angle_is_taken_modulo_its_period():
    turn = Factor("turn", "angle", "degrees", 360.0)
    np.testing.assert_array_equal(
        bin_factors(column(-90, 270, 0, 360, 630), (turn,), 5)[:, 0], [1, 1, 0, 0, 1]
    )
