"""FactorVAE's score: is there a code for each factor that varies least when that factor is held?"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from infogan_jax.evaluation.disentanglement.examples import Seed, check_codes, check_count
from infogan_jax.evaluation.disentanglement.groups import Groups, draw_groups


class FactorVAE(NamedTuple):
    """The score and what it is made of."""

    score: float
    """The accuracy of the vote on the test groups, in [0, 1]; 1 / F is chance. 0 where all codes are dead."""
    votes: np.ndarray
    """In how many training groups that held factor j code i varied least, int64 [C, F]."""
    active: np.ndarray
    """Which codes aren't dead, bool [C]."""


def factor_vae_score(
    groups: Groups,
    codes: ArrayLike,
    num_factors: int,
    *,
    seed: Seed,
    categorical: Collection[int] = (),
    size: int = 64,
    train_votes: int = 200,
    test_votes: int = 100,
    dead_below: float = 0.05,
) -> FactorVAE:
    """The accuracy of a majority vote on which factor was held, by the code that varied least.

        i* = argmin_i Var_group(c_i) / Var(c_i);  the vote for i is argmax_j #{groups that held j with i* = i}

    The variance of a categorical code is that of its one-hot vector, which is the share of pairs that
    differ. A code that hardly varies over the data would win by its noise, so
    it is left out.

    Args:
        groups: codes of examples that share a factor's value: `groups_of_examples`, or one that renders.
        codes: of examples with all factors free, float [N, C], N >= 2: the scale and the dead codes.
        num_factors: F, 2 or more.
        seed: of the draws.
        categorical: the columns of the codes that hold a category.
        size: examples in a group.
        train_votes: groups for each factor, to fill the table of votes.
        test_votes: groups for each factor, to score it.
        dead_below: a code is dead if its standard deviation is below this, in the code's unit.

    Returns:
        The score, the votes and which codes took part.

    Raises:
        TypeError: the codes aren't real numbers.
        ValueError: a number is too low, a shape or a value doesn't fit, or `groups` gave codes that don't.

    References:
        Kim and Mnih 2018, "Disentangling by factorising", section 4.
    """
    check_count("num_factors", num_factors, at_least=2)
    check_count("size", size, at_least=2)
    check_count("dead_below", dead_below, at_least=0)
    for name, value in (("train_votes", train_votes), ("test_votes", test_votes)):
        check_count(name, value, at_least=1)
    codes = check_codes(codes, categorical)
    check_count("the number of codes' rows", len(codes), at_least=2)
    rng = np.random.default_rng(seed)
    scale = _variances(codes, categorical)
    # Without the second condition a threshold of 0 would divide by the variance of a constant code.
    active = (np.sqrt(scale) >= dead_below) & (scale > 0)
    if not active.any():
        return FactorVAE(0.0, np.zeros((len(scale), num_factors), np.int64), active)

    def least_varied(factor: int) -> np.ndarray:
        groups_codes = draw_groups(groups, rng, factor, train_votes + test_votes, size)
        if groups_codes.shape[-1] != codes.shape[1]:
            raise ValueError(f"groups gave {groups_codes.shape[-1]} codes: they must be {codes.shape[1]}")
        relative = _variances(groups_codes, categorical)[:, active] / scale[active]
        winners: np.ndarray = np.flatnonzero(active)[relative.argmin(axis=1)]
        return winners

    winners = np.stack([least_varied(factor) for factor in range(num_factors)], axis=1)
    votes = np.stack(
        [np.bincount(column, minlength=len(scale)) for column in winners[:train_votes].T], axis=1
    )
    right = votes.argmax(axis=1)[winners[train_votes:]] == np.arange(num_factors)
    return FactorVAE(float(right.mean()), votes, active)


def _variances(codes: np.ndarray, categorical: Collection[int]) -> np.ndarray:
    """Unbiased, over the last axis but one."""
    variances: np.ndarray = codes.var(axis=-2, ddof=1)
    for index in categorical:
        column = codes[..., index]
        variances[..., index] = sum((column == k).var(axis=-1, ddof=1) for k in np.unique(column))
    return variances
