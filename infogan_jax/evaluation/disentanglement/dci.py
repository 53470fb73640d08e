"""DCI: disentanglement, completeness and informativeness, by the importance of codes to a random forest."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import entropy

from infogan_jax.data.dataset import Factor
from infogan_jax.evaluation.disentanglement.examples import (
    Seed,
    check_count,
    check_examples,
    features,
    halves,
    target,
)
from infogan_jax.evaluation.disentanglement.prediction import forest, held_out_skill, one_thread


class DCI(NamedTuple):
    """The three scores and what they are made of."""

    disentanglement: float
    """Does a code matter to one factor only? In [0, 1], the mean over codes weighted by importance."""
    completeness: float
    """Is one code enough for a factor? In [0, 1], the mean over factors."""
    informativeness: float
    """How much of the factors can be read from all codes? At most 1, the mean over factors."""
    importance: np.ndarray
    """Of each code to each factor, float64 [C, F], 0 or more; a column sums to 1, or to 0 without any."""
    skills: np.ndarray
    """The informativeness for each factor, float64 [F], at most 1: see `prediction.skill`."""


@one_thread
def dci(
    codes: ArrayLike,
    values: ArrayLike,
    factors: Sequence[Factor],
    *,
    seed: Seed,
    categorical: Collection[int] = (),
) -> DCI:
    """How evenly the importance of codes to factors is spread, and how well the factors are predicted.

        D = sum_i rho_i (1 - H_F(R_i. / sum_j R_ij)),  rho_i = sum_j R_ij / sum_ij R_ij
        C = 1/F sum_j (1 - H_C(R_.j / sum_i R_ij))

    R_ij is the importance of code i to a random forest that predicts factor j, the decrease of impurity
    in its splits, fitted on a random half of the examples; H_K is the entropy to base K. I is the skill of
    the forests on the other half. (The paper has the error instead of the skill, and lasso or forests.)
    Nothing is complete in codes that are never split on.

    Args:
        codes: float [N, C].
        values: float [N, F], F >= 2, in the factors' units.
        factors: what the columns of `values` are.
        seed: of the halves and of the forests.
        categorical: the columns of `codes` that hold a category; they enter one-hot, and the importance
            of such a code is the sum over its categories.

    Returns:
        The three scores, the importances and the skill for each factor.

    Raises:
        TypeError: the codes or the values aren't real numbers.
        ValueError: a shape or a value doesn't fit, a factor doesn't vary in either half, or there is one
            factor only.

    References:
        Eastwood and Williams 2018, "A framework for the quantitative evaluation of disentangled
        representations", section 2.
    """
    check_count("the number of factors", len(factors), at_least=2)
    codes, values = check_examples(codes, values, factors, categorical)
    rng = np.random.default_rng(seed)
    parts = halves(values, factors, rng)
    inputs = features(codes, categorical)
    x = np.hstack(inputs)
    code_of_feature = np.repeat(np.arange(len(inputs)), [block.shape[1] for block in inputs])
    importance = np.zeros((len(inputs), len(factors)))
    skills = np.zeros(len(factors))
    for j, factor in enumerate(factors):
        model = forest(factor, rng)
        skills[j] = held_out_skill(model, x, target(values[:, j], factor), parts, factor)
        importance[:, j] = np.bincount(code_of_feature, weights=model.feature_importances_)
    return DCI(*scores_of_importance(importance), float(skills.mean()), importance, skills)


def scores_of_importance(importance: ArrayLike) -> tuple[float, float]:
    """Disentanglement and completeness of an importance matrix: the formulas of `dci`.

    Args:
        importance: R, float [C, F], 0 or more.

    Returns:
        D and C, each in [0, 1].
    """
    importance = np.asarray(importance, np.float64)
    total = importance.sum()
    disentanglement = importance.sum(axis=1) @ _concentration(importance) / total if total > 0 else 0.0
    return float(disentanglement), float(_concentration(importance.T).mean())


def _concentration(weights: np.ndarray) -> np.ndarray:
    """One minus each row's entropy to the base of its length; 0 for a row of zeros, 1 in a lone column."""
    used = weights.sum(axis=1) > 0
    result = np.zeros(len(weights))
    choices = weights.shape[1]
    result[used] = 1 - entropy(weights[used], axis=1) / np.log(choices) if choices > 1 else 1.0
    return result
