"""Codes and true factors of the same examples, as every measure here takes them.

Codes are float [N, C], one column for each latent code as Q reads it from an image: the mean of a
continuous code, or the category of a categorical one. Which columns hold a category has to be said
(`categorical`), because its numbers have no order. Values are float [N, F], a column for each `Factor`.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import ArrayLike

from infogan_jax.data.dataset import Factor

Seed = int | np.random.Generator
"""What the random choices come from: a measure is a function of its arguments and of this."""


def check_codes(codes: ArrayLike, categorical: Collection[int] = ()) -> np.ndarray:
    """The codes as float64 [N, C].

    Args:
        codes: real numbers [N, C].
        categorical: the columns that hold a category.

    Raises:
        TypeError: the codes aren't real numbers.
        ValueError: the shape is another, a code isn't finite, or a categorical one not a whole number.
    """
    codes = _matrix("codes", codes)
    for column in categorical:
        if column not in range(codes.shape[1]):
            raise ValueError(
                f"categorical names column {column}: codes have columns 0 to {codes.shape[1] - 1}"
            )
        if (codes[:, column] != np.rint(codes[:, column])).any():
            raise ValueError(f"codes column {column} is categorical: it must hold whole numbers")
    return codes


def check_examples(
    codes: ArrayLike, values: ArrayLike, factors: Sequence[Factor], categorical: Collection[int] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """The codes as float64 [N, C] and the factors' values as float64 [N, F].

    Args:
        codes: real numbers [N, C].
        values: real numbers [N, F], in the factors' units.
        factors: what the columns of `values` are.
        categorical: the columns of `codes` that hold a category.

    Raises:
        TypeError: the codes or the values aren't real numbers.
        ValueError: a shape doesn't fit, a number isn't finite, a category isn't a whole number, or a
            factor has the same value everywhere: nothing can be said of it.
    """
    codes, values = check_codes(codes, categorical), _matrix("values", values)
    if len(codes) != len(values):
        raise ValueError(f"codes have {len(codes)} rows and values {len(values)}: they must be as many")
    if values.shape[1] != len(factors):
        raise ValueError(f"values have {values.shape[1]} columns for {len(factors)} factors")
    for column, factor in zip(values.T, factors, strict=True):
        if factor.kind == "category" and (column != np.rint(column)).any():
            raise ValueError(f"values of factor {factor.name}, a category, must be whole numbers")
        if not varies(column, factor):
            raise ValueError(
                f"values of factor {factor.name} don't vary, or an angle's cos or sin doesn't: leave it out, "
                "or call such an angle a category"
            )
    return codes, values


def check_count(name: str, value: float, at_least: int) -> None:
    """Refuses a number that is too low.

    Raises:
        ValueError: it is below `at_least`.
    """
    if value < at_least:
        raise ValueError(f"{name} is {value}: it must be {at_least} or more")


def features(codes: np.ndarray, categorical: Collection[int] = ()) -> list[np.ndarray]:
    """Each code as numbers that a regression can weigh: itself, or a category one-hot.

    Args:
        codes: float [N, C], as `check_codes` returns them.
        categorical: the columns that hold a category.

    Returns:
        For each code, float [N, 1] or, of a categorical one, [N, categories that occur].
    """
    return [
        (column[:, None] == np.unique(column)).astype(float) if index in categorical else column[:, None]
        for index, column in enumerate(codes.T)
    ]


def target(column: np.ndarray, factor: Factor) -> np.ndarray:
    """A factor as what a model is fitted to.

    Args:
        column: its values, float [N].
        factor: what it is.

    Returns:
        A number as it is, float [N]; an angle as (cos, sin) of 2 pi value / period, float [N, 2]; a
        category as int64 [N].
    """
    if factor.kind == "category":
        return column.astype(np.int64)
    if factor.kind == "angle":
        turn = 2 * np.pi * column / factor.period
        return np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return column


def halves(
    values: np.ndarray, factors: Sequence[Factor], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A random half of the examples to fit on, and the other to score on.

    Args:
        values: float [N, F].
        factors: what its columns are.
        rng: what the choice comes from.

    Returns:
        The rows of either half, int64 [N // 2] and [N - N // 2].

    Raises:
        ValueError: a factor has the same value in all of a half.
    """
    rows = rng.permutation(len(values))
    train, test = np.split(rows, [len(values) // 2])
    for column, factor in zip(values.T, factors, strict=True):
        if not all(len(half) and varies(column[half], factor) for half in (train, test)):
            raise ValueError(
                f"factor {factor.name} doesn't vary in a random half of the {len(values)} examples: "
                "give more of them"
            )
    return train, test


def _matrix(name: str, x: ArrayLike) -> np.ndarray:
    x = np.asarray(x)
    if x.dtype.kind not in "fiub":
        raise TypeError(f"{name} are {x.dtype}: they must be real numbers")
    if x.ndim != 2 or x.size == 0:
        raise ValueError(f"{name} have shape {x.shape}: they must be [examples, columns], none empty")
    if not np.isfinite(x).all():
        raise ValueError(f"{name} hold a value that is not finite: all must be finite")
    return x.astype(np.float64)


def varies(column: np.ndarray, factor: Factor) -> bool:
    """Whether a factor has more than one value, and of an angle both its cos and its sin.

    Args:
        column: its values, float [N].
        factor: what it is.
    """
    # Of two angles at equal distances from an axis, either the cos or the sin is the same but for rounding.
    tolerance = 1e-9 if factor.kind == "angle" else 0.0
    return bool((np.ptp(target(column, factor), axis=0) > tolerance).all())
