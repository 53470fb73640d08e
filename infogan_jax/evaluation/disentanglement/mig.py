"""MIG: is each factor told by one code, and by no other?"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from infogan_jax.data.dataset import Factor
from infogan_jax.evaluation.disentanglement.bins import bin_codes, bin_factors
from infogan_jax.evaluation.disentanglement.examples import check_examples
from infogan_jax.evaluation.disentanglement.gap import gap_of_the_two_best
from infogan_jax.evaluation.disentanglement.information import entropies, information_matrix


class MIG(NamedTuple):
    """The mutual information gap and what it is made of."""

    score: float
    """The mean gap, in [0, 1]: 1 where each factor is determined by one code and no other knows of it."""
    gaps: np.ndarray
    """Of each factor, float64 [F] in [0, 1]."""
    information: np.ndarray
    """I(c_i; v_j), float64 [C, F] in nats."""
    entropies: np.ndarray
    """H(v_j), float64 [F] in nats."""


def mutual_information_gap(
    codes: ArrayLike,
    values: ArrayLike,
    factors: Sequence[Factor],
    *,
    categorical: Collection[int] = (),
    code_bins: int = 20,
    factor_bins: int = 20,
) -> MIG:
    """How much more the best code knows of a factor than the second best, as a share of the factor's entropy.

        MIG = 1/F sum_j (I(c_i(j); v_j) - max_{i != i(j)} I(c_i; v_j)) / H(v_j),  i(j) = argmax_i I(c_i; v_j)

    The paper integrates over the encoder's posterior; here, as in disentanglement_lib, each code is one
    number per example, cut into bins (`bin_codes`, `bin_factors`). A lone code is compared with 0.

    Args:
        codes: float [N, C].
        values: float [N, F], in the factors' units.
        factors: what the columns of `values` are.
        categorical: the columns of `codes` that hold a category.
        code_bins: bins of equal width for each continuous code.
        factor_bins: quantile bins for each number or angle with more values than that.

    Returns:
        The score, each factor's gap, and the information and entropies behind them.

    Raises:
        TypeError: the codes or the values aren't real numbers.
        ValueError: a shape or a value doesn't fit, a factor doesn't vary, or there are fewer than 2 bins.

    References:
        Chen et al. 2018, "Isolating sources of disentanglement in variational autoencoders", section 4.
    """
    codes, values = check_examples(codes, values, factors, categorical)
    binned = bin_factors(values, factors, factor_bins)
    information = information_matrix(bin_codes(codes, code_bins, categorical), binned)
    entropy = entropies(binned)
    gaps = gap_of_the_two_best(information, floor=np.zeros(len(factors))) / entropy
    return MIG(float(gaps.mean()), gaps, information, entropy)
