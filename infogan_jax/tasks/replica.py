"""What the steps of all tasks share: the mapped axis, and the one chain of keys."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree

from infogan_jax.config import AutoencoderConfig, InfoGANConfig, SuperResolutionConfig
from losses.replicas import pmean_by_parts

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


class Part(NamedTuple):
    """Where a microbatch lies in a replica's share of the batch.

    Attributes:
        share: examples a replica.
        start: the place of the first one in the share.
        size: examples in the microbatch.
    """

    share: int
    start: Array | int
    size: int


def this_replica(global_draw: Any, part: Part) -> Any:
    """A replica's part of what was drawn for the whole batch, whatever the number of replicas.

    Args:
        global_draw: arrays of the whole batch, [batch, ...].
        part: which of the replica's examples.
    """
    start = jax.lax.axis_index(AXIS) * part.share + part.start
    return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, start, part.size), global_draw)


def accumulated(gradients: Callable[[Array, Part], Any], images: Array, microbatch: int) -> Any:
    """What a function gives for a replica's share of the batch, as the mean over microbatches of equal size.

        1/k sum_j f(images_j)

    That is the value for the whole share of whatever is a mean over examples: losses, and their gradients.
    What looks at many examples at once sees those of a microbatch: batch norm's statistics, whose running
    values are then the mean of what each microbatch would make of them, and the mutual information of pairs.

    Args:
        gradients: a function of images and their place, that returns a pytree of floats.
        images: the share, [share, ...].
        microbatch: images at a time, over all replicas; 0: all at once.
    """
    share = len(images)
    size = microbatch // jax.lax.axis_size(AXIS) or share
    if size == share:
        return gradients(images, Part(share, 0, share))
    count = share // size
    parts = images.reshape(count, size, *images.shape[1:])
    starts = size * jnp.arange(count)

    def of_part(images: Array, start: Array) -> Any:
        return gradients(images, Part(share, start, size))

    def add(total: Any, part: tuple[Array, Array]) -> tuple[Any, None]:
        return jax.tree.map(lambda t, x: t + x / count, total, of_part(*part)), None

    shapes = jax.eval_shape(of_part, parts[0], starts[0])
    zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return jax.lax.scan(add, zero, (parts, starts))[0]


def replica_mean(tree: Any) -> Any:
    """The mean over the replicas, of all leaves in one reduction.

    A link takes a message's start and then its bytes: a reduction a leaf would wait for many starts. Of one
    replica there is nothing to do, and XLA would copy what it has.
    """
    if jax.lax.axis_size(AXIS) == 1:
        return tree
    flat, unflatten = ravel_pytree(tree)
    return unflatten(pmean_by_parts(flat, AXIS))


def norm(tree: Any) -> Array:
    """The Euclidean norm of all leaves together; `optax.tree.norm` writes their squares out first."""
    return jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(tree)))


def to_float(config: InfoGANConfig | AutoencoderConfig | SuperResolutionConfig, images: Array) -> Array:
    """Images uint8 [n, h, w, c] as floats in the range of the networks' images."""
    low, high = config.networks.image_range
    return low + (high - low) / 255 * images.astype(jnp.float32)
