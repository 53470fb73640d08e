"""Codes and factors cut into bins, for the measures that need discrete variables."""

from collections.abc import Collection, Sequence

import numpy as np

from infogan_jax.data.dataset import Factor
from infogan_jax.evaluation.disentanglement.examples import check_count


def bin_codes(codes: np.ndarray, bins: int, categorical: Collection[int] = ()) -> np.ndarray:
    """Each continuous code in equal-width bins between its least and its greatest value.

        floor(bins (c - min) / (max - min)), the maximum in the last bin

    Args:
        codes: float [N, C].
        bins: how many for each continuous code; a constant one is all in bin 0.
        categorical: the columns that hold a category: each category is a bin.

    Returns:
        int64 [N, C], from 0; bins without an example may lie between.

    Raises:
        ValueError: fewer than 2 bins.

    References:
        Locatello et al. 2019, "Challenging common assumptions in the unsupervised learning of
        disentangled representations" (20 bins of equal width, in its disentanglement_lib).
    """
    check_count("code_bins", bins, at_least=2)
    return np.stack(
        [
            np.unique(column, return_inverse=True)[1] if index in categorical else _equal_width(column, bins)
            for index, column in enumerate(codes.T)
        ],
        axis=1,
    )


def bin_factors(values: np.ndarray, factors: Sequence[Factor], bins: int) -> np.ndarray:
    """Each factor by its values where these are few, else in bins that hold about equally many examples.

    The bins' edges are the quantiles k / bins, and where the least value reaches beyond the first of them it
    has a bin of its own: two values or more make two bins or more. A category is never cut; an angle is first
    taken modulo its period, so that no bin has values on two sides of the circle.

    Args:
        values: float [N, F].
        factors: what the columns are.
        bins: how many for a number or an angle with more distinct values than that.

    Returns:
        int64 [N, F], from 0, each number up to the greatest with an example.

    Raises:
        ValueError: fewer than 2 bins.
    """
    check_count("factor_bins", bins, at_least=2)
    columns = []
    for column, factor in zip(values.T, factors, strict=True):
        if factor.kind == "angle":
            column = np.mod(column, factor.period)
        distinct, index = np.unique(column, return_inverse=True)
        if factor.kind != "category" and len(distinct) > bins:
            # An edge at the least value has nothing below it; of a skewed number, all edges may be there.
            edges = np.maximum(np.quantile(column, np.arange(1, bins) / bins), distinct[1])
            index = np.unique(np.searchsorted(edges, column, side="right"), return_inverse=True)[1]
        columns.append(index)
    return np.stack(columns, axis=1)


def _equal_width(column: np.ndarray, bins: int) -> np.ndarray:
    width = np.ptp(column)
    if width == 0:
        return np.zeros(len(column), np.int64)
    binned: np.ndarray = np.minimum((column - column.min()) / width * bins, bins - 1).astype(np.int64)
    return binned
