"""FactorVAE's score of codes of known worth, from data sets and from a generator of examples."""

import numpy as np
import pytest

from infogan_jax.evaluation.disentanglement.factor_vae import factor_vae_score
from infogan_jax.evaluation.disentanglement.groups import groups_of_examples


def score(codes, values, factors, **options):
    return factor_vae_score(
        groups_of_examples(codes, values, factors), codes, len(factors), seed=0, **options
    )


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("perfect", 1, 1),  # the held factor's code has no variance
        ("permuted", 1, 1),  # other scales, and a vote says which factor is whose
        ("with a dead one", 1, 1),  # the dead code would win every vote; it is left out
        ("duplicated", 1, 1),  # two codes may vote for one factor
        ("rotated", 0.4, 0.6),  # half the variance goes in both codes, whichever is held
        ("random", 0.4, 0.6),
        ("dead", 0, 0),  # nobody votes
    ],
)
def test_score(grid, name, low, high):
    assert low <= score(grid.codes[name], grid.values, grid.factors, size=32).score <= high


def test_votes_say_which_code_goes_with_which_factor(grid):
    result = score(grid.codes["permuted"], grid.values, grid.factors, train_votes=50)
    np.testing.assert_array_equal(result.votes, [[0, 50], [50, 0]])
    dead = score(grid.codes["with a dead one"], grid.values, grid.factors, train_votes=50)
    np.testing.assert_array_equal(dead.votes, [[50, 0], [0, 0], [0, 50]])
    np.testing.assert_array_equal(dead.active, [True, False, True])


def test_a_nearly_dead_code_wins_unless_left_out(grid):
    # Its values are equal but for one example in 256: most groups hold no variance of it.
    codes = np.column_stack([np.eye(256)[0] * 0.1, grid.values])
    assert score(codes, grid.values, grid.factors).score == 1
    kept = score(codes, grid.values, grid.factors, dead_below=0, size=8)
    assert kept.active.all()
    assert kept.score < 0.9


def test_variances_are_relative_to_those_of_all_examples():
    # Held, factor 0 leaves its code 0.1 of variance, more than code 1 ever has; relative to all the
    # examples' it is less.
    def groups(rng, factor, count, size):
        codes = rng.normal(size=(count, size, 2)) * [10, 0.1]
        codes[..., factor] *= 0.1
        return codes

    everything = np.random.default_rng(1).normal(size=(1000, 2)) * [10, 0.1]
    assert factor_vae_score(groups, everything, 2, seed=0).score == 1


def test_the_vote_is_fitted_on_other_groups_than_it_is_scored_on():
    # Each training group is contradicted by its test group, so a vote that is fair gets nothing right.
    def groups(rng, factor, count, size):
        codes = np.tile(np.array([0.0, 1])[:, None] * [1, 1], (count, 1, 1))
        codes[0, :, factor] = 0.5
        codes[1, :, 1 - factor] = 0.5
        return codes

    result = factor_vae_score(groups, [[0.0, 0], [1, 1]], 2, seed=0, size=2, train_votes=1, test_votes=1)
    np.testing.assert_array_equal(result.votes, np.eye(2))
    assert result.score == 0


def test_a_categorical_code_varies_by_the_share_of_pairs_that_differ(classes):
    result = score(classes.codes, classes.values, classes.factors, categorical=classes.categorical)
    assert result.score == 1
    np.testing.assert_array_equal(result.votes, 200 * np.eye(3))
    # By the numbers of a code of three categories, 0, 1 and 100, what happens between 0 and 1 is nothing:
    # groups that hold the number look still. By category they don't.
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2, (400, 2)).astype(float)
    rare = rng.random(400) < 0.1
    codes = np.column_stack([np.where(rare, 100, values[:, 0]), values[:, 1] + rng.random(400)])
    by_category = score(codes, values, classes.factors[:1] + classes.factors[2:], categorical=(0,), size=16)
    as_number = score(codes, values, classes.factors[:1] + classes.factors[2:], size=16)
    assert by_category.score > as_number.score + 0.1


def test_repeats_itself(grid):
    groups = groups_of_examples(grid.codes["random"], grid.values, grid.factors)
    one, two, three = (
        factor_vae_score(groups, grid.codes["random"], 2, seed=seed).votes
        for seed in (7, np.random.default_rng(7), 8)
    )
    np.testing.assert_array_equal(one, two)
    assert (one != three).any()


def test_groups_with_another_number_of_codes_are_refused(grid):
    with pytest.raises(ValueError, match="gave 3 codes: they must be 2"):
        factor_vae_score(lambda rng, factor, count, size: np.zeros((count, size, 3)), grid.values, 2, seed=0)
