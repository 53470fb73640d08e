"""Models that read a factor from codes, and one score for all kinds of factor."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import r2_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from infogan_jax.data.dataset import Factor

# With all features at every split a noisy one isn't split on for want of a better; with 3 examples in a
# leaf a tree doesn't follow single ones.
F = TypeVar("F", bound=Callable[..., Any])

FOREST = {"n_estimators": 50, "min_samples_leaf": 3, "max_features": 1.0}

one_thread: Callable[[F], F] = threadpool_limits.wrap(limits=1)
"""Decorates what fits models: several threads add up in no fixed order, and rounding follows it. They
don't help models this small either, and where others use the cores they wait for each other."""


def linear_classifier() -> Pipeline:
    """Multinomial logistic regression on standardised features, with an L2 penalty of 1/100.

    The penalty is there for classes that a line separates, whose weights would grow without end. At
    scikit-learn's 1 it would hide how well narrow bins of a factor can be told apart.
    """
    return make_pipeline(StandardScaler(), LogisticRegression(C=100.0, max_iter=1000))


def linear(factor: Factor) -> BaseEstimator:
    """A model for `target`: logistic regression of a category, least squares of any other factor."""
    return linear_classifier() if factor.kind == "category" else LinearRegression()


def tree(factor: Factor) -> DecisionTreeClassifier | DecisionTreeRegressor:
    """A decision tree for `target`: of one number a step function, with 10 examples or more in each step."""
    model = DecisionTreeClassifier if factor.kind == "category" else DecisionTreeRegressor
    return model(min_samples_leaf=10, random_state=0)


def forest(factor: Factor, rng: np.random.Generator) -> RandomForestClassifier | RandomForestRegressor:
    """A random forest for `target`; an angle's cos and sin share one.

    References:
        Breiman 2001, "Random forests".
    """
    model = RandomForestClassifier if factor.kind == "category" else RandomForestRegressor
    return model(**FOREST, random_state=int(rng.integers(2**31)))


def skill(truth: np.ndarray, predicted: np.ndarray, factor: Factor) -> float:
    """The share of the best constant answer's error that a model removes.

        number: R^2 = 1 - sum_n (y_n - f_n)^2 / sum_n (y_n - mean y)^2
        angle: the mean of R^2 of its cos and of its sin
        category: 1 - #{y_n != f_n} / #{y_n != most frequent y}: accuracy above chance

    Args:
        truth: as `target` gives it, with a varying factor.
        predicted: of the same shape.
        factor: what it is.

    Returns:
        At most 1; 0 for the best constant answer, and below it for worse ones.
    """
    if factor.kind == "category":
        most_frequent = np.unique(truth, return_counts=True)[1].max()
        return float(1 - np.sum(truth != predicted) / (len(truth) - most_frequent))
    return float(r2_score(truth, predicted))


def held_out_skill(
    model: BaseEstimator, x: np.ndarray, y: np.ndarray, parts: tuple[np.ndarray, np.ndarray], factor: Factor
) -> float:
    """Fits a model on one part of the examples, in place, and scores it on the other.

    Args:
        model: `linear`, `tree` or `forest` of the factor.
        x: float [N, features].
        y: as `target` gives it.
        parts: the rows to fit on and those to score on, as `halves` gives them.
        factor: what `y` is.

    Returns:
        The `skill` on the second part.
    """
    train, test = parts
    return skill(y[test], model.fit(x[train], y[train]).predict(x[test]), factor)
