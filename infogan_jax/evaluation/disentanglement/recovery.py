"""How well each factor can be read from the best code, and from all codes together."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from sklearn.model_selection import KFold, cross_val_predict

from infogan_jax.data.dataset import Factor
from infogan_jax.evaluation.disentanglement.bins import bin_codes, bin_factors
from infogan_jax.evaluation.disentanglement.examples import (
    Seed,
    check_count,
    check_examples,
    features,
    halves,
    target,
)
from infogan_jax.evaluation.disentanglement.information import entropies, information_matrix
from infogan_jax.evaluation.disentanglement.prediction import (
    forest,
    held_out_skill,
    linear,
    one_thread,
    skill,
    tree,
)

FOLDS = 5
"""Of the training half, when the best code is chosen."""


class Recovery(NamedTuple):
    """What codes tell of factors. Each skill is at most 1, and 0 for the best constant answer.

    The skill is R^2 for a number, the mean R^2 of cos and sin for an angle, and for a category the accuracy
    above chance: see `prediction.skill`.
    """

    best_code: np.ndarray
    """The code from which each factor is read best, chosen on the training half, int64 [F]."""
    single_linear: np.ndarray
    """Skill of a linear model of each code alone, float64 [C, F]."""
    single_flexible: np.ndarray
    """Skill of a decision tree of each code alone, float64 [C, F]."""
    joint_linear: np.ndarray
    """Skill of a linear model of all codes, float64 [F]."""
    joint_flexible: np.ndarray
    """Skill of a random forest of all codes, float64 [F]."""
    rank_correlation: np.ndarray
    """Of each code with each number (Spearman) and angle (Spearman at the best cut of the circle), in
    absolute value, float64 [C, F] in [0, 1]; NaN where the code or the factor is a category."""
    nmi: np.ndarray
    """Normalised mutual information of the bins of each code and factor, float64 [C, F] in [0, 1]."""


@one_thread
def recovery(
    codes: ArrayLike,
    values: ArrayLike,
    factors: Sequence[Factor],
    *,
    seed: Seed,
    categorical: Collection[int] = (),
    code_bins: int = 20,
    factor_bins: int = 20,
) -> Recovery:
    """Reads each factor from each code and from all of them, and ranks the codes against it.

    Models are fitted on a random half of the examples and scored on the other: linear (least squares, or
    multinomial logistic regression of a category) and flexible (a decision tree of one code, a random forest
    of all). The best code is the one whose tree has the highest cross-validated skill within the training
    half. Rank correlations and

        NMI = 2 I(c; v) / (H(c) + H(v))

    fit no model, and are of all examples.

    Args:
        codes: float [N, C], N >= 10.
        values: float [N, F], in the factors' units.
        factors: what the columns of `values` are.
        seed: of the halves and of the forests.
        categorical: the columns of `codes` that hold a category; they enter models one-hot.
        code_bins: for the NMI, bins of equal width for each continuous code.
        factor_bins: for the NMI, quantile bins for each number or angle with more values than that.

    Returns:
        The best code for each factor, the skills, rank correlations and NMI.

    Raises:
        TypeError: the codes or the values aren't real numbers.
        ValueError: a shape or a value doesn't fit, a factor doesn't vary in either half, or there are
            fewer than 2 bins or 10 examples.

    References:
        Spearman 1904, "The proof and measurement of association between two things"; Strehl and Ghosh 2002,
        "Cluster ensembles" (NMI); Breiman 2001, "Random forests".
    """
    codes, values = check_examples(codes, values, factors, categorical)
    binned_codes, binned = bin_codes(codes, code_bins, categorical), bin_factors(values, factors, factor_bins)
    check_count("the number of examples", len(codes), at_least=2 * FOLDS)
    mean_entropy = (entropies(binned_codes)[:, None] + entropies(binned)) / 2
    rng = np.random.default_rng(seed)
    train, _ = parts = halves(values, factors, rng)
    inputs = features(codes, categorical)
    x = np.hstack(inputs)

    single_linear, single_flexible, cross_validated, ranks = np.zeros((4, codes.shape[1], len(factors)))
    joint_linear, joint_flexible = np.zeros((2, len(factors)))
    for j, factor in enumerate(factors):
        y = target(values[:, j], factor)
        joint_linear[j] = held_out_skill(linear(factor), x, y, parts, factor)
        joint_flexible[j] = held_out_skill(forest(factor, rng), x, y, parts, factor)
        for i, code in enumerate(inputs):
            single_linear[i, j] = held_out_skill(linear(factor), code, y, parts, factor)
            single_flexible[i, j] = held_out_skill(tree(factor), code, y, parts, factor)
            guesses = cross_val_predict(tree(factor), code[train], y[train], cv=KFold(FOLDS))
            cross_validated[i, j] = skill(y[train], guesses, factor)
            category = i in categorical or factor.kind == "category"
            ranks[i, j] = np.nan if category else rank_correlation(codes[:, i], values[:, j], factor)
    return Recovery(
        best_code=cross_validated.argmax(axis=0),
        single_linear=single_linear,
        single_flexible=single_flexible,
        joint_linear=joint_linear,
        joint_flexible=joint_flexible,
        rank_correlation=ranks,
        nmi=information_matrix(binned_codes, binned) / mean_entropy,
    )


def rank_correlation(code: np.ndarray, column: np.ndarray, factor: Factor) -> float:
    """Spearman's rank correlation in absolute value; of an angle, at the best cut of its circle.

        number: |rho(c, v)|
        angle: max over cuts t of |rho(c, (v - t) mod period)|

    A code that goes once around with the angle gets 1 wherever its jump is, and so does one that follows it
    along an arc. (A circular-linear correlation would give such a code 0.78: it is 1 only for one that comes
    back the way it went.) The choice of a cut lifts a code of noise to about 1.5 / sqrt(N) to 3 / sqrt(N).

    Args:
        code: float [N].
        column: the factor's values, float [N].
        factor: what it is, a number or an angle.

    Returns:
        In [0, 1]; 0 for a constant code.

    References:
        Spearman 1904.
    """
    count = len(code)
    position = np.mod(column, factor.period) if factor.kind == "angle" else column
    code_ranks, ranks = (rankdata(x) - (count + 1) / 2 for x in (code, position))
    norm = np.sqrt((code_ranks @ code_ranks) * (ranks @ ranks))
    if norm == 0:
        return 0.0
    product = code_ranks @ ranks
    if factor.kind == "angle":
        # A cut one value further on takes the examples of the lowest value to the top: against all others
        # they rise by `count` ranks. Ties keep their sizes, so the norm stays.
        lowest = np.unique(position, return_inverse=True)[1]
        product = product + count * np.cumsum(np.bincount(lowest, weights=code_ranks))
    return float(np.max(np.abs(product)) / norm)
