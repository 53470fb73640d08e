"""Modularity and explicitness of codes of known worth."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from infogan_jax.data.dataset import Factor
from infogan_jax.evaluation.disentanglement.modularity import explicitness, modularity


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("perfect", 1),  # each code knows of one factor
        ("permuted", 1),
        ("rotated", 0),  # each knows as much of both
        ("dead", 0),  # none says anything
        ("with a dead one", 1),  # a dead code counts neither way
        ("duplicated", 1),  # each copy still knows of one factor: completeness is what suffers
    ],
)
def test_modularity(grid, name, score):
    assert modularity(grid.codes[name], grid.values, grid.factors).score == pytest.approx(score, abs=1e-12)


def test_modularity_of_noise_is_low(grid):
    # The bias of the information is about the same for both factors.
    assert modularity(grid.codes["random"], grid.values, grid.factors).score < 0.35


def test_modularity_of_a_dead_code_is_unknown(grid):
    per_code = modularity(grid.codes["with a dead one"], grid.values, grid.factors).per_code
    np.testing.assert_allclose(per_code, [1, np.nan, 1], atol=1e-12)


def test_modularity_by_hand():
    # Three binary factors on a cube; the code is 2a + (a or b), so with a it shares log 2 and with b:
    # a = 1 gives 3; a = 0 gives b. I(c; b) = H(b) - P(a = 1) log 2 = log(2) / 2; with the third 0.
    cube = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1]), axis=-1).reshape(-1, 3).astype(float)
    a, b, _ = cube.T
    code = 2 * a + np.maximum(a, b)
    factors = [Factor(name, "category") for name in "abc"]
    result = modularity(code[:, None], cube, factors)
    assert result.score == pytest.approx(1 - (1 / 4) / 2, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("perfect", 0.95, 1),
        ("permuted", 0.95, 1),
        ("rotated", 0.95, 1),  # a linear map of the factors is as explicit as they are
        ("duplicated", 0.95, 1),
        ("with a dead one", 0.95, 1),
        ("dead", 0.5, 0.5),  # every example gets the same probability: chance
        ("random", 0.4, 0.6),
    ],
)
def test_explicitness(grid, name, low, high):
    score = explicitness(grid.codes[name], grid.values, grid.factors, seed=0).score
    assert low <= score <= high


def test_explicitness_of_one_binary_factor_is_the_area_under_its_curve():
    # One code and two values: any logistic regression ranks by the code itself, upwards.
    rng = np.random.default_rng(3)
    v = rng.integers(0, 2, 200).astype(float)
    code = v + rng.normal(size=200)
    result = explicitness(code[:, None], v[:, None], (Factor("v", "category"),), seed=5)
    test = np.random.default_rng(5).permutation(200)[100:]
    assert result.score == pytest.approx(roc_auc_score(v[test], code[test]), abs=1e-12)


def test_a_factor_without_a_value_in_both_halves_is_refused():
    each = np.arange(4.0)[:, None]
    with pytest.raises(ValueError, match="factor v has no value or bin in both random halves of the 4"):
        explicitness(each, each, (Factor("v", "category"),), seed=0)


def test_explicitness_of_every_kind(classes):
    # The category's code says nothing of the others; both continuous codes are exact.
    given = (classes.codes, classes.values, classes.factors)
    result = explicitness(*given, seed=0, categorical=classes.categorical)
    assert result.per_factor[0] == 1
    assert (result.per_factor[1:] > 0.9).all()
    assert result.score == explicitness(*given, seed=0, categorical=classes.categorical).score


def test_a_category_under_other_names_is_as_explicit(classes):
    # The code's values stand in another order than the factor's.
    code, shape = classes.codes[:, :1], classes.values[:, :1]
    factors = classes.factors[:1]
    assert explicitness(code, shape, factors, seed=0, categorical=(0,)).score == 1
