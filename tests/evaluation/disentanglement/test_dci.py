"""DCI: its formulas on matrices worked out by hand, and forests on codes of known worth."""

import numpy as np
import pytest

from infogan_jax.evaluation.disentanglement.dci import dci, scores_of_importance

# A copy shares its factor's importance: 1 - log 2 / log 3 of completeness is left of the 1.
SHARED = 1 - np.log(2) / np.log(3)


@pytest.mark.parametrize(
    ("importance", "expected"),
    [
        (np.eye(2), (1, 1)),
        (np.eye(3)[[2, 0, 1]], (1, 1)),
        (np.full((2, 2), 0.5), (0, 0)),
        (np.zeros((2, 2)), (0, 0)),
        ([[1, 0], [0, 0], [0, 1]], (1, 1)),
        ([[0.5, 0], [0, 1], [0.5, 0]], (1, (SHARED + 1) / 2)),
        # One code for both factors: complete, not disentangled.
        ([[1, 1], [0, 0]], (0, 1)),
        ([[1, 1]], (0, 1)),
        # Code 1 weighs 5/8 and has odds 4:1, code 2 weighs 3/8 and has one factor.
        (
            [[1, 0.25], [0, 0.75]],
            (
                5 / 8 * (1 + (0.8 * np.log(0.8) + 0.2 * np.log(0.2)) / np.log(2)) + 3 / 8,
                (1 + 1 + (0.25 * np.log(0.25) + 0.75 * np.log(0.75)) / np.log(2)) / 2,
            ),
        ),
    ],
)
def test_formulas_by_hand(importance, expected):
    assert scores_of_importance(importance) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "disentanglement", "completeness", "informativeness"),
    [
        ("perfect", (0.97, 1), (0.97, 1), (0.97, 1)),
        ("permuted", (0.97, 1), (0.97, 1), (0.97, 1)),
        ("rotated", (0, 0.1), (0, 0.1), (0.85, 1)),  # both codes matter to both factors: still informative
        ("dead", (0, 0), (0, 0), (-0.2, 0)),  # no split is worth making
        ("with a dead one", (0.97, 1), (0.97, 1), (0.97, 1)),
        ("duplicated", (0.97, 1), (0.6, 0.75), (0.97, 1)),  # (SHARED + 1) / 2 = 0.68
        ("random", (0, 0.1), (0, 0.1), (-0.6, 0.1)),  # noise is split on, evenly
    ],
)
def test_scores(grid, name, disentanglement, completeness, informativeness):
    result = dci(grid.codes[name], grid.values, grid.factors, seed=0)
    for score, (low, high) in zip(result[:3], (disentanglement, completeness, informativeness), strict=True):
        assert low <= score <= high


def test_informativeness_is_a_mean_over_factors(grid):
    # One factor is the code, of the other nothing is known.
    result = dci(grid.values[:, :1], grid.values, grid.factors, seed=0)
    assert result.skills[0] > 0.97 and result.skills[1] < 0.1
    assert result.informativeness == pytest.approx(result.skills.mean(), abs=1e-12)


def test_every_kind_of_factor_and_code(classes):
    given = (classes.codes, classes.values, classes.factors)
    result = dci(*given, seed=3, categorical=classes.categorical)
    np.testing.assert_allclose(result.importance, np.eye(3), atol=0.05)
    np.testing.assert_allclose(result.importance.sum(axis=0), 1)
    assert (result.skills > 0.97).all()
    assert result[:2] == scores_of_importance(result.importance)
    again = dci(*given, seed=np.random.default_rng(3), categorical=classes.categorical)
    np.testing.assert_array_equal(result.importance, again.importance)
