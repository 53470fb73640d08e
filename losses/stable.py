"""Functions that keep a finite value and gradient at the edge of their domain and of their type's range.

A derivative that is infinite at the edge, or differs from side to side, is given as zero. Outside the domain
the value is NaN, as ever.
"""

import math

import jax
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


@jax.custom_jvp
def ratio(x: Array, y: Array) -> Array:
    """The quotient x / y, whose gradient is right as long as it fits the type."""
    # By JAX's own rule it goes through 1 / y^2, which is infinite in float32 from y = 1e-19 downwards.
    return x / y


@ratio.defjvp
def _(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (x, y), (dx, dy) = primals, tangents
    return x / y, (dx - x / y * dy) / y


def magnitude(size: Array) -> Array:
    """A divisor that brings numbers of at most this size into [-1, 1]: a constant, never 0 or infinite."""
    return jax.lax.stop_gradient(jnp.where((size > 0) & (size < jnp.inf), size, 1.0))


def over_exp(x: Array, log_scale: Array) -> Array:
    """The product x exp(-log_scale), 0 where x is 0 however small the scale."""
    # exp(-log_scale) overflows in float32 below a log-scale of -88, its root not before -177. There every
    # product but 0 is infinite or has an infinite square, so that the root may stop growing.
    limit = math.floor(math.log(jnp.finfo(x.dtype).max))
    root = jnp.exp(jnp.minimum(-log_scale / 2, limit))
    return x * root * root


def binary_cross_entropy(logits: Array, x: Array) -> Array:
    """The nats -x log p - (1 - x) log(1 - p), p = sigmoid(logits), with 0 log 0 = 0."""
    # All terms are positive: nothing cancels where p is nearly x.
    size = jnp.where(logits > 0, logits, -logits)
    wrong = jnp.where(logits > 0, 1 - x, x)
    return wrong * jnp.where((wrong == 0) & (size == jnp.inf), 0.0, size) + jax.nn.softplus(-size)
