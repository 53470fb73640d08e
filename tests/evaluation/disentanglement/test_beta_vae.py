"""BetaVAE's score of codes of known worth, from data sets and from a generator of examples."""

import numpy as np
import pytest

from infogan_jax.data.dataset import Factor
from infogan_jax.evaluation.disentanglement.beta_vae import beta_vae_score
from infogan_jax.evaluation.disentanglement.groups import groups_of_examples


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("perfect", 1, 1),  # the held factor's code doesn't differ at all
        ("permuted", 1, 1),
        ("with a dead one", 1, 1),
        ("duplicated", 1, 1),  # a linear classifier may use either copy
        ("rotated", 0.4, 0.6),  # |dv| in both codes when u is held, |du| when v is: alike
        ("dead", 0.5, 0.5),
        ("random", 0.4, 0.6),
    ],
)
def test_score(grid, name, low, high):
    groups = groups_of_examples(grid.codes[name], grid.values, grid.factors)
    assert low <= beta_vae_score(groups, 2, seed=0, pairs=16) <= high


def test_a_rotation_of_factors_that_vary_unequally_is_forgiven():
    # The mixed codes differ alike, but by more when the wider factor is free: a linear classifier sees it.
    def groups(rng, factor, count, size):
        z = rng.random((count, size, 2)) * [1, 10]
        z[..., factor] = z[:, :1, factor]
        return z @ [[1, 1], [1, -1]]

    assert beta_vae_score(groups, 2, seed=0) == 1


def test_points_are_mean_differences():
    # One point of each factor to fit and one to score: only a mean over all pairs tells the factors apart.
    def groups(rng, factor, count, size):
        assert (count, size) == (2 * 4, 2)
        codes = np.zeros((2, 4, 2, 1))
        # Differences 0, 0, 0, 4 have mean 1, and 4, 4, 4, 4 mean 4, whatever the signs; the greatest is 4.
        codes[:, :, 1, 0] = [[0, 0, 0, -4], [4, 0, 0, 0]] if factor == 0 else [[4, -4, 4, -4], [4, 4, 4, 4]]
        return codes.reshape(8, 2, 1)

    assert beta_vae_score(groups, 2, seed=0, pairs=4, train_points=1, test_points=1) == 1


def test_a_categorical_code_differs_or_does_not(classes):
    # Held, the category's code never differs; free, in 4 of 5 pairs, however far apart its numbers are.
    factors, values = classes.factors[::2], classes.values[:, ::2]
    groups = groups_of_examples(classes.codes[:, ::2], values, factors)
    assert beta_vae_score(groups, 2, seed=0, categorical=(0,)) == 1
    # Of a code that tells one pair of categories apart by a large number, only the category counts.
    far = np.where(classes.codes[:, :1] == 0, 1e6, classes.codes[:, :1])
    scores = [
        beta_vae_score(groups_of_examples(code, values, factors), 2, seed=0, categorical=(0,), pairs=2)
        for code in (classes.codes[:, :1], far)
    ]
    assert scores[0] == scores[1]


def test_repeats_itself(grid):
    groups = groups_of_examples(grid.codes["random"], grid.values, (Factor("x"), Factor("y")))
    one, two, three = (
        beta_vae_score(groups, 2, seed=seed, pairs=4) for seed in (7, np.random.default_rng(7), 8)
    )
    assert one == two != three
