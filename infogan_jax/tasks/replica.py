"""What the steps of all tasks share: the mapped axis, and the one chain of keys."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from infogan_jax.config import Config

AXIS = "data"
"""The name of the pmapped axis."""

# What is folded into the base key: a step's number for training, and these, which no step (an
# int32) can reach, for the rest.
INIT_STREAM = 2**32 - 1
SAMPLE_STREAM = 2**32 - 2
EVALUATION_STREAM = 2**32 - 3

Metrics = dict[str, Array]


def sample_key(key: Array, picture: int) -> Array:
    """The key of a picture of samples: 0 is that of the training's samples, the rest are evaluation's."""
    return jax.random.fold_in(jax.random.fold_in(key, SAMPLE_STREAM), picture)


def this_replica(global_draw: Any, share: int) -> Any:
    """A replica's part of what was drawn for the whole batch, whatever the number of replicas.

    Args:
        global_draw: arrays of the whole batch, [batch, ...].
        share: examples a replica.
    """
    start = jax.lax.axis_index(AXIS) * share
    return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, start, share), global_draw)


def replica_mean(tree: Any) -> Any:
    """The mean over the replicas; XLA would copy even what only one of them has."""
    return jax.lax.pmean(tree, AXIS) if jax.lax.axis_size(AXIS) > 1 else tree


def norm(tree: Any) -> Array:
    """The Euclidean norm of all leaves together; `optax.tree.norm` writes their squares out first."""
    return jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(tree)))


def to_float(config: Config, images: Array) -> Array:
    """Images uint8 [n, h, w, c] as floats in the range of the networks' images."""
    low, high = config.networks.image_range
    return low + (high - low) / 255 * images.astype(jnp.float32)
