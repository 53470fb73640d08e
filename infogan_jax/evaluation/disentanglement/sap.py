"""SAP: is each factor predicted by one code alone, and by no other?"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier

from infogan_jax.data.dataset import Factor
from infogan_jax.evaluation.disentanglement.examples import check_examples, features, target
from infogan_jax.evaluation.disentanglement.gap import gap_of_the_two_best
from infogan_jax.evaluation.disentanglement.prediction import one_thread, skill


class SAP(NamedTuple):
    """The separated attribute predictability and what it is made of."""

    score: float
    """The mean gap, in [0, 1]."""
    gaps: np.ndarray
    """Of each factor, float64 [F]: in [0, 1], and at most 1 - 1 / K for a category of K values."""
    scores: np.ndarray
    """How well each code alone predicts each factor, float64 [C, F] in [0, 1]."""


@one_thread
def separated_attribute_predictability(
    codes: ArrayLike, values: ArrayLike, factors: Sequence[Factor], *, categorical: Collection[int] = ()
) -> SAP:
    """How much better the best code predicts a factor than the second best.

        SAP = 1/F sum_j (S_i(j),j - max_{i != i(j)} S_ij),  i(j) = argmax_i S_ij

    S_ij is, for a number, R^2 of the line through code i (the squared correlation); for an angle, the
    mean R^2 of its cos and its sin; for a category, the balanced accuracy of thresholds on code i, chosen
    greedily by a decision tree with a leaf for each value. As in the paper, models this small are fitted
    and scored on the same examples. A lone code is compared with a constant one.

    Args:
        codes: float [N, C].
        values: float [N, F], in the factors' units.
        factors: what the columns of `values` are.
        categorical: the columns of `codes` that hold a category; they enter one-hot.

    Returns:
        The score, each factor's gap and the scores behind them.

    Raises:
        TypeError: the codes or the values aren't real numbers.
        ValueError: a shape or a value doesn't fit, or a factor doesn't vary.

    References:
        Kumar et al. 2018, "Variational inference of disentangled latent concepts from unlabeled
        observations", section 3.
    """
    codes, values = check_examples(codes, values, factors, categorical)
    inputs = features(codes, categorical)
    targets = [target(column, factor) for column, factor in zip(values.T, factors, strict=True)]
    scores = np.array(
        [[_predictability(x, y, factor) for y, factor in zip(targets, factors, strict=True)] for x in inputs]
    )
    floor = np.array(
        [
            1 / len(np.unique(y)) if factor.kind == "category" else 0.0
            for y, factor in zip(targets, factors, strict=True)
        ]
    )
    gaps = gap_of_the_two_best(scores, floor)
    return SAP(float(gaps.mean()), gaps, scores)


def _predictability(x: np.ndarray, y: np.ndarray, factor: Factor) -> float:
    if factor.kind != "category":
        # Of a constant code, rounding may leave R^2 a little below 0.
        return max(0.0, skill(y, LinearRegression().fit(x, y).predict(x), factor))
    classes = np.unique(y)
    leaves = max(len(classes), x.shape[1])
    tree = DecisionTreeClassifier(max_leaf_nodes=leaves, class_weight="balanced", random_state=0)
    right = tree.fit(x, y).predict(x) == y
    return float(np.mean([right[y == value].mean() for value in classes]))
