"""Modularity: does a code tell of one factor only? Explicitness: can a factor be read linearly?"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score

from infogan_jax.data.dataset import Factor
from infogan_jax.evaluation.disentanglement.bins import bin_codes, bin_factors
from infogan_jax.evaluation.disentanglement.examples import (
    Seed,
    check_count,
    check_examples,
    features,
    halves,
)
from infogan_jax.evaluation.disentanglement.information import information_matrix
from infogan_jax.evaluation.disentanglement.prediction import linear_classifier, one_thread


class Modularity(NamedTuple):
    """How far each code keeps to one factor."""

    score: float
    """The mean over the codes that say something, in [0, 1]; 0 where none does."""
    per_code: np.ndarray
    """float64 [C] in [0, 1]; NaN for a code that says nothing of any factor."""


class Explicitness(NamedTuple):
    """How well a linear classifier of all codes ranks each value of a factor."""

    score: float
    """The mean over the factors, in [0, 1]; 0.5 is chance."""
    per_factor: np.ndarray
    """The mean area under the ROC curve over the factor's values, float64 [F] in [0, 1]."""


def modularity(
    codes: ArrayLike,
    values: ArrayLike,
    factors: Sequence[Factor],
    *,
    categorical: Collection[int] = (),
    code_bins: int = 20,
    factor_bins: int = 20,
) -> Modularity:
    """How little a code knows of other factors than the one that it knows best.

        1 - sum_{j != j*} m_ij^2 / (m_ij*^2 (F - 1)),  m_ij = I(c_i; v_j),  j* = argmax_j m_ij

    A code without information keeps to nothing, so it counts neither way (disentanglement_lib gives it
    0). One that is noise has the small m_ij of `information_matrix`'s bias, about the same for every
    factor, and so a modularity near 0.

    Args:
        codes: float [N, C].
        values: float [N, F], F >= 2, in the factors' units.
        factors: what the columns of `values` are.
        categorical: the columns of `codes` that hold a category.
        code_bins: bins of equal width for each continuous code.
        factor_bins: quantile bins for each number or angle with more values than that.

    Returns:
        The score and each code's modularity.

    Raises:
        TypeError: the codes or the values aren't real numbers.
        ValueError: a shape or a value doesn't fit, a factor doesn't vary, there is one factor only, or
            there are fewer than 2 bins.

    References:
        Ridgeway and Mozer 2018, "Learning deep disentangled embeddings with the F-statistic loss", section 3.
    """
    check_count("the number of factors", len(factors), at_least=2)
    codes, values = check_examples(codes, values, factors, categorical)
    information = information_matrix(
        bin_codes(codes, code_bins, categorical), bin_factors(values, factors, factor_bins)
    )
    best = information.max(axis=1)
    # Rounding leaves up to 1e-15 nats where there are none.
    used = best > 1e-12
    others = np.sum(information[used] ** 2, axis=1) - best[used] ** 2
    per_code = np.full(len(best), np.nan)
    per_code[used] = 1 - others / (best[used] ** 2 * (len(factors) - 1))
    return Modularity(float(per_code[used].mean()) if used.any() else 0.0, per_code)


@one_thread
def explicitness(
    codes: ArrayLike,
    values: ArrayLike,
    factors: Sequence[Factor],
    *,
    seed: Seed,
    categorical: Collection[int] = (),
    factor_bins: int = 20,
) -> Explicitness:
    """How well each value of a factor is told from its others by logistic regression on all codes.

        1/F sum_j mean_k AUC(P(v_j = k | c), v_j = k)

    Fitted on a random half of the examples and scored on the other. One multinomial regression serves
    all values of a factor, as in disentanglement_lib: a regression of its own for each value, which the
    paper has, is monotone in the codes and cannot put a middle value first, however plain the code.

    Args:
        codes: float [N, C].
        values: float [N, F], in the factors' units.
        factors: what the columns of `values` are.
        seed: of the choice of halves.
        categorical: the columns of `codes` that hold a category; they enter one-hot.
        factor_bins: quantile bins for each number or angle with more values than that.

    Returns:
        The score and each factor's explicitness.

    Raises:
        TypeError: the codes or the values aren't real numbers.
        ValueError: a shape or a value doesn't fit, a factor doesn't vary in either half or has no value or
            bin in both, or there are fewer than 2 bins.

    References:
        Ridgeway and Mozer 2018, section 3.
    """
    codes, values = check_examples(codes, values, factors, categorical)
    binned = bin_factors(values, factors, factor_bins)
    classes = [Factor(factor.name, "category") for factor in factors]
    train, test = halves(binned, classes, np.random.default_rng(seed))
    x = np.hstack(features(codes, categorical))
    per_factor = []
    for column, factor in zip(binned.T, factors, strict=True):
        if not np.intersect1d(column[train], column[test]).size:
            raise ValueError(
                f"factor {factor.name} has no value or bin in both random halves of the {len(codes)} "
                "examples: give more of them, or lower factor_bins"
            )
        model = linear_classifier().fit(x[train], column[train])
        probabilities = model.predict_proba(x[test])
        areas = [
            roc_auc_score(column[test] == value, probability)
            for value, probability in zip(model.classes_, probabilities.T, strict=True)
            if value in column[test]
        ]
        per_factor.append(np.mean(areas))
    return Explicitness(float(np.mean(per_factor)), np.array(per_factor))
