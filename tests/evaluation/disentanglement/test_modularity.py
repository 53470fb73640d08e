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


def test_modularity_is_a_mean_over_codes(grid):
    # One code knows of one factor, the other as much of both.
    u, v = grid.values.T
    result = modularity(np.stack([u, u + v], axis=1), grid.values, grid.factors)
    np.testing.assert_allclose(result.per_code, [1, 0], atol=1e-12)
    assert result.score == pytest.approx(0.5, abs=1e-12)


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


# Twelve or fourteen examples: of the first half models are made, on the second they are scored.
BY_HAND = {
    # In the second half the code is 0 to 5. Of 3 x 3 pairs of a 1 and a 0 it has one the wrong way round.
    "a number": ([0, 1, 2, 3, 4, 5] * 2, [0, 0, 0, 1, 1, 1, 0, 0, 1, 0, 1, 1], (), 8 / 9),
    # 0 is told by code 0, 1 by code 1 and sometimes 0, 2 by code 2. In the second half the two examples of
    # code 0 are a tie, one of the 6 pairs of a 0 and another value, and of the 12 of a 1 and another.
    "a category": (
        [0, 0, 0, 1, 1, 2, 2, 0, 1, 2, 0, 1, 2, 2],
        [0, 0, 1, 1, 1, 2, 2, 0, 1, 2, 1, 1, 2, 2],
        (0,),
        (5.5 / 6 + 11.5 / 12 + 1) / 3,
    ),
}


@pytest.mark.parametrize(("code", "values", "categorical", "score"), BY_HAND.values(), ids=BY_HAND)
def test_explicitness_by_hand(code, values, categorical, score):
    halves = np.random.default_rng(5).permutation(len(code))
    each, v = np.empty((2, len(code), 1))
    each[halves, 0], v[halves, 0] = code, values
    result = explicitness(each, v, (Factor("v", "category"),), seed=5, categorical=categorical)
    assert result.score == pytest.approx(score, abs=1e-12)


def test_explicitness_is_a_mean_over_factors(grid):
    # One factor can be read off, the other by chance.
    result = explicitness(grid.values[:, :1], grid.values, grid.factors, seed=0)
    assert result.per_factor[0] > 0.95 and 0.4 < result.per_factor[1] < 0.6
    assert result.score == pytest.approx(result.per_factor.mean(), abs=1e-12)


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
