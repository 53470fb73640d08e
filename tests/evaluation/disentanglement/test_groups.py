"""Groups share what they should, vary in the rest, and follow the data's frequencies."""

import numpy as np
import pytest

from infogan_jax.data.dataset import Factor
from infogan_jax.evaluation.disentanglement.bins import bin_factors
from infogan_jax.evaluation.disentanglement.groups import draw_groups, groups_of_examples


def test_groups_share_one_factor_and_no_other(grid):
    groups = groups_of_examples(grid.values, grid.values, grid.factors)  # the codes are the factors
    for factor in range(2):
        drawn = groups(np.random.default_rng(0), factor, 200, 8)
        assert drawn.shape == (200, 8, 2)
        held, free = drawn[..., factor], drawn[..., 1 - factor]
        assert (held == held[:, :1]).all()
        # Both are uniform on 16 levels, over groups and within them.
        assert len(np.unique(held)) == len(np.unique(free)) == 16
        assert free.mean() == pytest.approx(7.5, abs=0.5)
        assert free.var(axis=1, ddof=1).mean() == pytest.approx((16**2 - 1) / 12, rel=0.1)


def test_a_value_is_held_as_often_as_it_occurs_and_all_its_examples_are_drawn():
    # 30 examples of class 0 and 10 of class 1; the code is the example's number.
    values, codes = np.repeat([0.0, 1], [30, 10])[:, None], np.arange(40.0)[:, None]
    drawn = groups_of_examples(codes, values, (Factor("v", "category"),))(
        np.random.default_rng(0), 0, 2000, 5
    )
    assert np.mean(drawn[:, 0, 0] < 30) == pytest.approx(0.75, abs=0.04)
    assert ((drawn < 30) == (drawn[:, :1] < 30)).all()
    np.testing.assert_array_equal(np.unique(drawn), codes[:, 0])


def test_numbers_and_angles_share_their_bin(classes):
    groups = groups_of_examples(classes.values, classes.values, classes.factors, factor_bins=10)
    for factor in range(3):
        drawn = groups(np.random.default_rng(0), factor, 50, 6)
        # Looked up among the examples, each group lies in one bin of the factor.
        bins = dict(
            zip(
                classes.values[:, factor],
                bin_factors(classes.values, classes.factors, 10)[:, factor],
                strict=True,
            )
        )
        found = np.vectorize(bins.get)(drawn[..., factor])
        assert (found == found[:, :1]).all()


def test_draws_are_a_function_of_the_generator(grid):
    groups = groups_of_examples(grid.values, grid.values, grid.factors)
    one, two = (groups(np.random.default_rng(0), 1, 5, 4) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert (one != groups(np.random.default_rng(1), 1, 5, 4)).any()


def test_a_value_that_one_example_has_is_refused():
    with pytest.raises(ValueError, match="factor v has a value"):
        groups_of_examples(np.zeros((3, 1)), np.array([[0.0], [0], [1]]), (Factor("v", "category"),))


@pytest.mark.parametrize(
    ("codes", "match"),
    [
        (np.zeros((3, 4)), r"shape \(3, 4\)"),
        (np.zeros((4, 3, 2)), r"must be \(3, 4, codes\)"),
        (np.full((3, 4, 1), np.nan), "not finite"),
    ],
)
def test_groups_of_another_shape_are_refused(codes, match):
    with pytest.raises(ValueError, match=match):
        draw_groups(lambda *_: codes, np.random.default_rng(0), 0, 3, 4)
