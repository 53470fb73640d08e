"""k-means++ and Lloyd's iterations: where EM starts."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from infogan_jax.fitting import checks
from losses.checks import check_count, check_key


def _squared_distances(x: Array, centres: Array) -> Array:
    """Squared distances of rows to centres, float [rows, centres], not below zero."""
    products = jnp.matmul(x, centres.T, precision="highest")
    squares = (x**2).sum(1)[:, None] + (centres**2).sum(1)[None]
    return jnp.maximum(squares - 2 * products, 0)


def kmeans_plus_plus(key: Array, x: Array, components: int) -> Array:
    """Centres that are rows far from each other.

        P(row n is next) ~ min_k |x_n - c_k|^2

    Of the 2 + log(components) rows drawn for each centre, the one that lowers the sum of squared
    distances most is taken. Where all rows lie on centres already, a centre is repeated.

    Args:
        key: a typed key.
        x: float [rows, columns].
        components: how many.

    Returns:
        float [components, columns].

    References:
        Arthur and Vassilvitskii 2007, "k-means++: the advantages of careful seeding".
    """
    trials = 2 + int(math.log(components))
    first_key, key = jax.random.split(key)
    first = x[jax.random.randint(first_key, (), 0, len(x))]
    centres = jnp.zeros((components, x.shape[1]), x.dtype).at[0].set(first)
    nearest = _squared_distances(x, first[None])[:, 0]

    def add(k: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        centres, nearest = carry
        drawn = jax.random.categorical(jax.random.fold_in(key, k), jnp.log(nearest), shape=(trials,))
        candidates = x[drawn]
        after = jnp.minimum(nearest[:, None], _squared_distances(x, candidates))
        best = after.sum(0).argmin()
        return centres.at[k].set(candidates[best]), after[:, best]

    chosen: Array = jax.lax.fori_loop(1, components, add, (centres, nearest))[0]
    return chosen


def kmeans(key: Array, x: Any, components: int, *, max_iterations: int = 30) -> Array:
    """Labels by Lloyd's iterations from a k-means++ start.

        label_n = argmin_k |x_n - c_k|^2,   c_k = mean of the rows with label k

    It ends when no label changes. A centre without rows stays where it is.

    Args:
        key: a typed key.
        x: real [rows, columns]; its units say what is near, as in any k-means.
        components: how many centres, at most the number of rows.
        max_iterations: the most iterations; a start needs no exact optimum.

    Returns:
        int32 [rows], in [0, components).

    Raises:
        TypeError: an argument is of a wrong type.
        ValueError: a shape or a value is outside of the above; the message names the argument.

    References:
        Lloyd 1982, "Least squares quantization in PCM".
    """
    check_key("key", key)
    x = checks.rows(x)
    checks.components_for(x, components)
    check_count("max_iterations", max_iterations, at_least=0)
    labels: Array = _lloyd(key, x, components, max_iterations)
    return labels


@partial(jax.jit, static_argnames=("components", "max_iterations"))
def _lloyd(key: Array, x: Array, components: int, max_iterations: int) -> Array:
    x = x - x.mean(0)[None]  # Small numbers: |x|^2 - 2xc + |c|^2 then loses little.

    def nearest(centres: Array) -> Array:
        return _squared_distances(x, centres).argmin(1).astype(jnp.int32)

    def iterate(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        centres, labels, _, i = carry
        members = jax.nn.one_hot(labels, components, dtype=x.dtype)
        sizes = members.sum(0)[:, None]
        sums = jnp.matmul(members.T, x, precision="highest")
        centres = jnp.where(sizes > 0, sums / jnp.maximum(sizes, 1), centres)
        new = nearest(centres)
        return centres, new, (new != labels).any(), i + 1

    centres = kmeans_plus_plus(key, x, components)
    start = (centres, nearest(centres), jnp.bool(True), 0)
    return jax.lax.while_loop(lambda c: c[2] & (c[3] < max_iterations), iterate, start)[1]
