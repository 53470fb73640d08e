"""Many images of a scene, rendered a batch at a time."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from infogan_jax.data.dataset import Split
from infogan_jax.data.scenes.scene import Scene
from infogan_jax.images import to_uint8

BATCH = 128


def render_split(scene: Scene, key: Array, count: int) -> Split:
    """Renders images with factors drawn from a key each: image i from fold_in(key, i).

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
        batch = map(np.asarray, _render_batch(scene, key, start + jnp.arange(BATCH)))
        rendered, drawn = (values[: here.stop - start] for values in batch)
        images[here], factors[here] = to_uint8(rendered, 0, 1), drawn
    return Split(images, None, factors)


@functools.partial(jax.jit, static_argnums=0)
def _render_batch(scene: Scene, key: Array, indices: Array) -> tuple[Array, Array]:
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, indices)
    factors = jax.vmap(scene.draw)(keys)
    return jax.vmap(scene.render)(factors), factors
