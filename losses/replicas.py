"""Means over the replicas of a pmapped axis, with the same bits however processes share out the devices.

An all-reduce adds in an order that its transport chooses: within one process another one than between
several. On CPU each replica is therefore told what all others have, and adds it up itself, in the order of
the replicas. Accelerators keep their own all-reduce, which is made for their links; its order is theirs.
The choice is made when a program is traced, by JAX's default backend.
"""

import jax
import jax.numpy as jnp
from jax import Array


def pmean(x: Array, axis_name: str) -> Array:
    """The mean over the replicas, each of which gets it.

        1/R sum_r x_r,   r = 0, ..., R - 1

    It can be differentiated, in that order too: it is its own transpose. Each replica gets R times the bytes
    of ``x``, so it is for what is small; `pmean_by_parts` is for the rest.

    Args:
        x: float, of one shape on all replicas.
        axis_name: the pmapped axis.

    Returns:
        Float, of that shape.
    """
    if jax.default_backend() != "cpu":
        mean: Array = jax.lax.pmean(x, axis_name)
        return mean
    replicas = jax.lax.axis_size(axis_name)
    told: Array = jax.lax.all_to_all(jnp.broadcast_to(x, (replicas, *x.shape)), axis_name, 0, 0)
    return told.mean(axis=0)


def pmean_by_parts(x: Array, axis_name: str) -> Array:
    """`pmean` of many numbers: each replica adds up a part of them, and tells it the others.

    It takes an all-reduce's bytes: each replica sends and gets 2 (R - 1) / R of those of ``x``.

    Args:
        x: float [numbers], as many on all replicas.
        axis_name: the pmapped axis.

    Returns:
        Float [numbers].
    """
    if jax.default_backend() != "cpu":
        mean: Array = jax.lax.pmean(x, axis_name)
        return mean
    replicas = jax.lax.axis_size(axis_name)
    parts = jnp.pad(x, (0, -x.size % replicas)).reshape(replicas, -1)
    told: Array = jax.lax.all_to_all(parts, axis_name, 0, 0)
    whole: Array = jax.lax.all_gather(told.mean(axis=0), axis_name, tiled=True)
    return whole[: x.size]
