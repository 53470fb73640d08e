"""Groups of examples that share the value of one factor, which BetaVAE's and FactorVAE's scores need."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from infogan_jax.data.dataset import Factor
from infogan_jax.evaluation.disentanglement.bins import bin_factors
from infogan_jax.evaluation.disentanglement.examples import check_examples

Groups = Callable[[np.random.Generator, int, int, int], np.ndarray]
"""groups(rng, factor, count, size): codes, float [count, size, C].

Each group has a value of the factor (its column among the factors) drawn for it; the other factors are
drawn for each of its `size` examples. Where any image can be rendered this draws, renders and reads the
codes; for a finite data set it is `groups_of_examples`.
"""


def groups_of_examples(
    codes: ArrayLike, values: ArrayLike, factors: Sequence[Factor], *, factor_bins: int = 20
) -> Groups:
    """Groups from a finite data set: a value as often as it occurs, then examples that have it.

    The examples of a group are drawn with replacement, as if from the empirical distribution. A number or
    an angle with more than `factor_bins` values is shared up to its bin, so it still varies a little within
    a group: with 20 bins, a number that is spread evenly keeps a 400th of its variance.

    Args:
        codes: float [N, C].
        values: float [N, F], in the factors' units.
        factors: what the columns of `values` are.
        factor_bins: quantile bins for each number or angle with more values than that.

    Returns:
        A function as `Groups` says.

    Raises:
        TypeError: the codes or the values aren't real numbers.
        ValueError: a shape or a value doesn't fit, a factor doesn't vary, or one of its values or bins
            has a single example, with which nothing can share it.
    """
    codes, values = check_examples(codes, values, factors)
    binned = bin_factors(values, factors, factor_bins)
    rows = np.argsort(binned, axis=0, kind="stable")
    counts = [np.bincount(column) for column in binned.T]
    for factor, count in zip(factors, counts, strict=True):
        if count.min() < 2:
            raise ValueError(
                f"factor {factor.name} has a value or bin with one example: leave that out, or lower "
                "factor_bins"
            )

    def groups(rng: np.random.Generator, factor: int, count: int, size: int) -> np.ndarray:
        shared = rng.choice(binned[:, factor], size=(count, 1))
        sizes = counts[factor]
        first = np.cumsum(sizes) - sizes
        drawn: np.ndarray = codes[
            rows[first[shared] + rng.integers(sizes[shared], size=(count, size)), factor]
        ]
        return drawn

    return groups


def draw_groups(groups: Groups, rng: np.random.Generator, factor: int, count: int, size: int) -> np.ndarray:
    """What `groups` gives, looked at.

    Returns:
        float64 [count, size, C].

    Raises:
        ValueError: it has another shape, or a code isn't finite.
    """
    codes = np.asarray(groups(rng, factor, count, size), np.float64)
    if codes.ndim != 3 or codes.shape[:2] != (count, size) or codes.size == 0:
        raise ValueError(f"groups gave codes of shape {codes.shape}: they must be ({count}, {size}, codes)")
    if not np.isfinite(codes).all():
        raise ValueError("groups gave a code that is not finite: all must be finite")
    return codes
