"""What every loss asks of its arguments, on its first lines.

Shapes, ranks and values raise `ValueError`, types raise `TypeError`, and the message names the
argument, what it is and what it must be.
"""

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

P = ParamSpec("P")
R = TypeVar("R")


def jitted(*constants: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """`jax.jit` with keyword-only arguments that are constants of the compiled program.

    An array of one number without axes counts as that number. What else can't be a constant is refused here,
    by name: JAX's own message names no argument, and to its cache ``True`` may be 1.

    Args:
        *constants: the names of those arguments.

    Returns:
        A decorator.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        compiled = jax.jit(function, static_argnames=constants)

        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            given: dict[str, Any] = {k: _constant(k, kwargs[k]) for k in constants if k in kwargs}
            result: R = compiled(*args, **{**kwargs, **given})
            return result

        return checked

    return decorate


def _constant(name: str, value: Any) -> Any:
    if isinstance(value, jax.core.Tracer):
        raise TypeError(f"{name} is a traced array: it must be a constant, known before compilation")
    if isinstance(value, jax.Array | np.ndarray) and not value.shape:
        value = value.item()
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} is {type(value).__name__}: it must be a Python number")
    try:
        hash(value)
    except TypeError:
        what = type(value).__name__
        raise TypeError(f"{name} is {what}: it must be a constant, such as a Python number") from None
    return value


def check_pmf(p: Array, name: str = "p", *, tolerance: float | None = None) -> None:
    """Refuses what isn't a probability mass function over the last axis.

        p_k >= 0,   |sum_k p_k - 1| <= tolerance

    Values are looked at outside ``jit`` only: of an array that is being traced, the shape and the
    type are checked and nothing else. So call it on the data, before the jitted function.

    Args:
        p: probabilities, float [..., categories].
        name: what the message calls it.
        tolerance: how far a sum may be from 1; by default 1e-5, or the resolution of the type of
            ``p`` where that is coarser (0.0078 for bfloat16).

    Raises:
        TypeError: ``p`` is not a float array, or ``tolerance`` not a number.
        ValueError: ``p`` has no axis, a negative or missing (NaN) probability, or a sum other than
            1, or ``tolerance`` is negative.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.check_pmf(jnp.array([0.25, 0.75]))
        >>> losses.check_pmf(jnp.array([0.25, 0.5]), "q")
        Traceback (most recent call last):
        ...
        ValueError: q sums to 0.75 over its last axis: it must sum to 1 within 1e-05

    References:
        Cover and Thomas 2006, "Elements of information theory", section 2.1.
    """
    floats("[..., categories]", **{name: p})
    if tolerance is None:
        tolerance = max(1e-5, float(jnp.finfo(jnp.result_type(p)).eps))
    number("tolerance", tolerance, at_least=0)
    if isinstance(p, jax.core.Tracer):
        return
    values = np.asarray(p).astype(np.float64)
    if not np.all(values >= 0):
        raise ValueError(f"{name} holds {values[~(values >= 0)][0]}: probabilities must be 0 or more")
    sums = values.sum(axis=-1)
    off = np.abs(sums - 1)
    if not np.all(off <= tolerance):
        worst = sums.ravel()[np.argmax(off)]
        raise ValueError(
            f"{name} sums to {worst:.6g} over its last axis: it must sum to 1 within {tolerance:g}"
        )


def check_unit_interval(x: Array, name: str = "x") -> None:
    """Refuses an array with values outside [0, 1], such as a mask or a binary code must not hold.

        0 <= x_i <= 1

    As by `check_pmf`, values are looked at outside ``jit`` only: call it on the data.

    Args:
        x: a float array of any shape.
        name: what the message calls it.

    Raises:
        TypeError: ``x`` is not a float array.
        ValueError: ``x`` holds a value below 0, above 1 or missing (NaN).

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.check_unit_interval(jnp.array([0.0, 0.5, 1.0]))
        >>> losses.check_unit_interval(jnp.array([0.0, 255.0]), "target")
        Traceback (most recent call last):
        ...
        ValueError: target holds 255.0: it must be inside [0, 1]

    References:
        Bishop 2006, "Pattern recognition and machine learning", eq. 2.2: what a Bernoulli's values may be.
    """
    floats("[...]", **{name: x})
    if isinstance(x, jax.core.Tracer):
        return
    values = np.asarray(x).astype(np.float64)
    outside = ~((values >= 0) & (values <= 1))
    if outside.any():
        raise ValueError(f"{name} holds {values[outside][0]}: it must be inside [0, 1]")


def floats(shape: str, /, **arrays: Array | np.ndarray | float) -> list[Array]:
    """The arrays by name, of one shape and at least single precision.

    Half-precision arrays come back as float32; where one is float64, all of them do.

    Args:
        shape: the shape in the docstrings' notation, such as ``"[batch, categories]"``; ``...``
            stands for any number of axes. Those of an example must not be empty; those of a batch,
            ``batch`` and ``...`` in front, may.
        **arrays: the arguments by name. All must have one and the same shape.

    Returns:
        The arrays, in the order given.

    Raises:
        TypeError: one is not a float array.
        ValueError: one has another rank than ``shape``, an empty axis or another shape than the first.
    """
    for name, x in arrays.items():
        _check_array(name, x)
        if not jnp.issubdtype(jnp.result_type(x), jnp.floating):
            raise TypeError(f"{name} is {jnp.result_type(x)}: it must be float")
        check_rank(shape, **{name: x})
    check_same_shape(**arrays)
    converted = [jnp.asarray(x) for x in arrays.values()]
    dtype = jnp.float64 if any(x.dtype == jnp.float64 for x in converted) else jnp.float32
    return [x.astype(dtype) for x in converted]


def check_integers(shape: str, /, **arrays: Array) -> None:
    """Refuses arrays that aren't of integers and of this shape, as `floats` does for floats."""
    for name, x in arrays.items():
        _check_array(name, x)
        if not jnp.issubdtype(jnp.result_type(x), jnp.integer):
            raise TypeError(f"{name} is {jnp.result_type(x)}: it must be integer")
        check_rank(shape, **{name: x})


def check_rank(shape: str, /, **arrays: Array | np.ndarray | float) -> None:
    """Refuses arrays that don't have the axes of ``shape``, in the notation of `floats`."""
    axes = [axis for axis in shape.strip("[]").split(", ") if axis]
    named = len(axes) - axes.count("...")
    for name, x in arrays.items():
        if jnp.ndim(x) < named or (jnp.ndim(x) > named and "..." not in axes):
            raise ValueError(f"{name} has shape {jnp.shape(x)}: it must be {shape}")
        example = jnp.shape(x)[1:] if axes[:1] == ["batch"] else jnp.shape(x)[jnp.ndim(x) - named :]
        if 0 in example:
            raise ValueError(f"{name} has shape {jnp.shape(x)}: it must be {shape} with no empty axis")


def check_same_shape(**arrays: Array | np.ndarray | float) -> None:
    """Refuses arrays that differ in shape: nothing here relies on broadcasting."""
    first, *others = arrays or [""]
    for name in others:
        if jnp.shape(arrays[name]) != jnp.shape(arrays[first]):
            raise ValueError(
                f"{name} has shape {jnp.shape(arrays[name])}: "
                f"it must be that of {first}, {jnp.shape(arrays[first])}"
            )


def check_key(name: str, key: Array) -> None:
    """Refuses what isn't one typed key (`jax.random.key`)."""
    if not (isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)):
        what = f"{key.dtype} {list(key.shape)}" if isinstance(key, jax.Array) else type(key).__name__
        raise TypeError(f"{name} is {what}: it must be a typed key, as jax.random.key makes")
    if key.shape:
        raise ValueError(f"{name} has shape {key.shape}: it must be a single key")


def number(
    name: str,
    value: float,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> None:
    """Refuses a hyperparameter that isn't a finite Python number inside the bounds.

    Args:
        name: the argument's name.
        value: the argument.
        above: a lower bound that it must not touch.
        at_least: a lower bound that it may touch.
        below: an upper bound that it must not touch.
        at_most: an upper bound that it may touch.

    Raises:
        TypeError: it is not a real number (an array is none: it is a constant of the compiled program).
        ValueError: it is not finite, or outside the bounds.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {type(value).__name__}: it must be a Python number")
    bounds = [
        (above, "above", lambda bound: value > bound),
        (at_least, "at least", lambda bound: value >= bound),
        (below, "below", lambda bound: value < bound),
        (at_most, "at most", lambda bound: value <= bound),
    ]
    given = [(bound, words, holds) for bound, words, holds in bounds if bound is not None]
    if not (math.isfinite(value) and all(holds(bound) for bound, _, holds in given)):
        wanted = ["finite", *(f"{words} {bound:g}" for bound, words, _ in given)]
        raise ValueError(f"{name} is {value}: it must be {' and '.join(wanted)}")


def check_count(name: str, value: int, *, at_least: int) -> None:
    """Refuses a count that isn't a Python integer of at least so much."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} is {type(value).__name__}: it must be a Python integer")
    if value < at_least:
        raise ValueError(f"{name} is {value}: it must be at least {at_least}")


def check_mapping(name: str, mapping: Any) -> None:
    """Refuses what isn't a mapping from names."""
    if not isinstance(mapping, Mapping):
        raise TypeError(f"{name} is {type(mapping).__name__}: it must be a mapping from names")
    for key in mapping:
        if not isinstance(key, str):
            raise TypeError(f"{name} has the key {key!r}: its keys must be names")


def check_names(name: str, names: Iterable[str], of: str, expected: Iterable[str]) -> None:
    """Refuses names other than those of another argument, in whatever order."""
    if set(names) != set(expected):
        raise ValueError(f"{name} names {sorted(names)}: it must name those of {of}, {sorted(expected)}")


def check_function(name: str, function: Any) -> None:
    """Refuses what can't be called."""
    if not callable(function):
        raise TypeError(f"{name} is {type(function).__name__}: it must be a function")


def _check_array(name: str, x: Any) -> None:
    # A Python number counts: inside jit it is an array.
    if not isinstance(x, jax.Array | np.ndarray | np.generic | Real):
        raise TypeError(f"{name} is {type(x).__name__}: it must be an array")
