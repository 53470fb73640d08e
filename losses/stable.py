"""Functions that keep a finite gradient at the edge of their domain.

A derivative that is infinite there, or differs from side to side, is given as zero. Outside the domain the
value is NaN, as ever.
"""

import jax.numpy as jnp
from jax import Array


def absolute(x: Array) -> Array:
    """The absolute value, with a gradient of zero at 0 (that of `jnp.abs` is 1 there)."""
    return x * jnp.sign(x)


def sqrt(x: Array) -> Array:
    """The square root, with a gradient of zero at 0."""
    zero = x == 0
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, x)))


def x_log_x(x: Array) -> Array:
    """The product of x and log x, with 0 log 0 = 0 and a gradient of zero there."""
    zero = x == 0
    return jnp.where(zero, 0.0, x * jnp.log(jnp.where(zero, 1.0, x)))
