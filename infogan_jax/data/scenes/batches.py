"""Many images of a scene, rendered a batch at a time: image i has the factors that fold_in(key, i) draws."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from infogan_jax.data.dataset import Split
from infogan_jax.data.scenes.scene import Scene

BATCH = 128


def render_split(scene: Scene, key: Array, count: int) -> Split:
    """Renders the images 0 to N - 1.

    Args:
        scene: what to draw.
        key: a typed key.
        count: N, at least 1.

    Returns:
        Images uint8 [N, H, W, C] and their factors float32 [N, F].
    """
    images = np.empty((count, *scene.image_shape), np.uint8)
    factors = np.empty((count, len(scene.factors)), np.float32)
    for start in range(0, count, BATCH):
        here = slice(start, min(start + BATCH, count))
        # The last batch is rendered whole and cut, so that one program makes every image and none depends,
        # even in its last bit, on how many there are.
        batch = map(np.asarray, render_batch(scene, key, start + jnp.arange(BATCH)))
        images[here], factors[here] = (values[: here.stop - start] for values in batch)
    return Split(images, None, factors)


@functools.partial(jax.jit, static_argnums=0)
def render_batch(scene: Scene, key: Array, indices: Array) -> tuple[Array, Array]:
    """Renders the images of given numbers.

    Args:
        scene: what to draw.
        key: a typed key.
        indices: which images, int32 [N] of 0 and above.

    Returns:
        Images uint8 [N, H, W, C] and their factors float32 [N, F].
    """
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, indices)
    factors = jax.vmap(scene.draw)(keys)
    # As `to_uint8`, which isn't for traced arrays.
    levels = jnp.rint(255 * jax.vmap(scene.render)(factors).clip(0, 1))
    return levels.astype(jnp.uint8), factors
