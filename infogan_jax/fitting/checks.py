"""What a fit is given, looked at before any work: each refusal names the argument.

Numbers, counts and keys are looked at by `losses.checks`; here is what only fits ask for.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from losses.checks import check_count


def rows(x: Any) -> Array:
    """A data set with an example in each row, as floats [rows, columns] of at least single precision.

    Values are looked at outside of ``jit`` only: of an array that is being traced, the shape and the
    type are checked and nothing else.

    Raises:
        TypeError: the entries aren't real numbers.
        ValueError: it isn't a matrix with at least one row and one column, or an entry isn't finite.
    """
    data = jnp.asarray(x)
    if not any(jnp.issubdtype(data.dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_)):
        raise TypeError(f"x is {data.dtype}: it must hold real numbers")
    if data.ndim != 2 or 0 in data.shape:
        raise ValueError(f"x has shape {data.shape}: it must be [rows, columns], both above zero")
    if not jnp.issubdtype(data.dtype, jnp.floating) or jnp.finfo(data.dtype).bits < 32:
        data = data.astype(jnp.float32)
    if not holds(data, jnp.isfinite):
        raise ValueError("x holds a value that is not finite: all must be finite")
    return data


def holds(x: Array, property_of: Callable[[Array], Array]) -> bool:
    """Whether every entry has a property; of an array that is being traced, nobody knows: it passes."""
    if isinstance(x, jax.core.Tracer):
        return True
    # A constant inside of a traced function is known, but what is computed of it would be traced.
    with jax.ensure_compile_time_eval():
        return bool(property_of(x).all())


def components_for(x: Array, components: int) -> None:
    """Refuses a number of components that the rows of `x` aren't enough for.

    Raises:
        TypeError: it isn't a whole number.
        ValueError: it is below one or above the number of rows.
    """
    check_count("components", components, at_least=1)
    if components > len(x):
        raise ValueError(f"components is {components}: it must be at most the number of rows, {len(x)}")


def choice(name: str, value: Any, allowed: Sequence[str]) -> None:
    """Refuses what isn't one of the allowed words.

    Raises:
        ValueError: it is none of them.
    """
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} is {value!r}: it must be one of {', '.join(allowed)}")


def responsibilities(start: Any, x: Array, components: int) -> Array:
    """A start given by the rows' components, for one run or for several, as what the M-step reads.

    Args:
        start: whole numbers, labels [rows] or [restarts, rows]; or floats, responsibilities
            [rows, components] or [restarts, rows, components].
        x: the data, [rows, columns].
        components: how many.

    Returns:
        As given, with the restarts' axis: int [restarts, rows] or float [restarts, rows, components].

    Raises:
        TypeError: it is neither whole numbers nor floats.
        ValueError: the shape is another, a label is out of range, or a row doesn't sum to one.
    """
    given = jnp.asarray(start)
    if jnp.issubdtype(given.dtype, jnp.integer):
        if given.ndim not in (1, 2) or given.shape[-1] != len(x) or 0 in given.shape:
            raise ValueError(f"start has shape {given.shape}: labels must be [rows] or [restarts, rows]")
        if not ((given >= 0) & (given < components)).all():
            raise ValueError(f"start holds a label outside of 0 to {components - 1}")
        return given.reshape(-1, len(x))
    if not jnp.issubdtype(given.dtype, jnp.floating):
        raise TypeError(f"start is {given.dtype}: labels must be integers, responsibilities floats")
    if given.ndim not in (2, 3) or given.shape[-2:] != (len(x), components) or 0 in given.shape:
        raise ValueError(
            f"start has shape {given.shape}: responsibilities must be [rows, components] or "
            f"[restarts, rows, components], with {len(x)} rows and {components} components"
        )
    if not ((given >= 0).all() and (jnp.abs(given.sum(-1) - 1) < 1e-3).all()):
        raise ValueError("start: responsibilities must be 0 or more, and sum to one in every row")
    return given.reshape(-1, len(x), components).astype(x.dtype)
