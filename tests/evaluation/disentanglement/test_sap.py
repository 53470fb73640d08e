"""SAP against correlations and thresholds worked out by hand."""

import numpy as np
import pytest

from infogan_jax.data.dataset import Factor
from infogan_jax.evaluation.disentanglement.sap import separated_attribute_predictability


@pytest.mark.parametrize(
    ("name", "gaps"),
    [
        ("perfect", (1, 1)),  # R^2 of 1 and, of an independent factor, 0
        ("permuted", (1, 1)),
        ("rotated", (0, 0)),  # both codes have R^2 = 1/2
        ("dead", (0, 0)),
        ("with a dead one", (1, 1)),
        ("duplicated", (0, 1)),  # the copy closes the gap of its factor
    ],
)
def test_gaps(grid, name, gaps):
    result = separated_attribute_predictability(grid.codes[name], grid.values, grid.factors)
    np.testing.assert_allclose(result.gaps, gaps, atol=1e-12)
    assert result.score == pytest.approx(np.mean(gaps), abs=1e-12)


def test_noise_has_hardly_a_gap(grid):
    assert separated_attribute_predictability(grid.codes["random"], grid.values, grid.factors).score < 0.05


def test_scores_of_numbers_are_squared_correlations():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(50, 3))
    values = codes @ rng.normal(size=(3, 2)) + rng.normal(size=(50, 2))
    scores = separated_attribute_predictability(codes, values, (Factor("a"), Factor("b"))).scores
    expected = np.corrcoef(codes.T, values.T)[:3, 3:] ** 2
    np.testing.assert_allclose(scores, expected, atol=1e-12)


def test_a_category_by_hand():
    # One threshold on c1 between 1 and 2 gets all three of class 0 and one of two of class 1: the
    # balanced accuracy is 3/4. c2 orders the classes perfectly. A code that says nothing has 1/2.
    codes = np.array([[0.0, 1], [1, 2], [1, 3], [1, 4], [2, 5]])
    classes = np.array([[0.0], [0], [0], [1], [1]])
    result = separated_attribute_predictability(codes, classes, (Factor("v", "category"),))
    np.testing.assert_allclose(result.scores, [[0.75], [1]])
    assert result.score == pytest.approx(0.25)
    alone = separated_attribute_predictability(codes[:, 1:], classes, (Factor("v", "category"),))
    assert alone.score == pytest.approx(0.5)


def test_categorical_codes_are_read_by_category(classes):
    # The code's numbers are a permutation of the values: one-hot, a tree reads them exactly.
    result = separated_attribute_predictability(
        classes.codes, classes.values, classes.factors, categorical=classes.categorical
    )
    assert result.scores[0, 0] == 1
    assert result.gaps[0] > 0.6
    # A line through an angle's code: R^2 of sin is 6 / pi^2, of cos 0.
    assert result.scores[1, 1] == pytest.approx(3 / np.pi**2, abs=0.05)
    assert result.scores[2, 2] == pytest.approx(1)


def test_more_categories_than_values(classes):
    # Nine categories for three values, each category within one value.
    code = np.arange(90) % 9
    value = code // 3
    result = separated_attribute_predictability(
        code[:, None], value[:, None], (Factor("v", "category"),), categorical=(0,)
    )
    assert result.scores[0, 0] == 1
    assert result.score == pytest.approx(1 - 1 / 3)
