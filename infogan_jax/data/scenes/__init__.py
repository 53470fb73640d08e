"""Images that JAX renders from known factors, so that what a code has learned can be measured exactly.

Nothing here imports JAX before an image is drawn: names and shapes are looked up in no time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from infogan_jax.data.dataset import Dataset, Factor
from infogan_jax.data.scenes.scene import Scene
from infogan_jax.errors import UserError

if TYPE_CHECKING:
    from jax import Array


def _render_sprites(factors: Array) -> Array:
    from infogan_jax.data.scenes import sprites

    return sprites.render(factors)


def _render_heads(factors: Array) -> Array:
    from infogan_jax.data.scenes import heads

    return heads.render(factors)


def _render_seats(factors: Array) -> Array:
    from infogan_jax.data.scenes import seats

    return seats.render(factors)


_SCENES = (
    # After dSprites (Matthey et al. 2017), whose sprites turn all the way round. These turn by less than
    # the quarter that brings a square back to itself: one image has one rotation, whatever the shape.
    Scene(
        name="sprites",
        image_shape=(64, 64, 1),
        factors=(
            Factor("shape", "category"),
            Factor("scale"),
            Factor("rotation", unit="degrees"),
            Factor("x", unit="pixels"),
            Factor("y", unit="pixels"),
        ),
        ranges=((0, 3), (0.5, 1), (-40, 40), (-16, 16), (-16, 16)),
        render=_render_sprites,
    ),
    # For the faces of Paysan et al. 2009 that InfoGAN's Fig. 3 varies in the first four of these.
    Scene(
        name="heads",
        image_shape=(32, 32, 1),
        factors=(
            Factor("azimuth", unit="degrees"),
            Factor("elevation", unit="degrees"),
            Factor("lighting", unit="degrees"),
            Factor("width"),
            Factor("identity", "category"),
        ),
        ranges=((-60, 60), (-30, 30), (-75, 75), (0.8, 1.2), (0, 6)),
        render=_render_heads,
    ),
    # For the chairs of Aubry et al. 2014 that InfoGAN's Fig. 4 varies in rotation and width.
    Scene(
        name="seats",
        image_shape=(64, 64, 1),
        factors=(
            Factor("azimuth", "angle", "degrees", 360),
            Factor("leg width", unit="pixels"),
            Factor("back height", unit="pixels"),
            Factor("seat width", unit="pixels"),
            Factor("type", "category"),
        ),
        ranges=((0, 360), (1.5, 5), (13, 25), (19, 31), (0, 4)),
        render=_render_seats,
    ),
)

_TRAIN, _TEST = 0, 1

SCENES: dict[str, Scene] = {scene.name: scene for scene in _SCENES}


def image_shape(name: str) -> tuple[int, int, int]:
    """Height, width and channels of a scene's images.

    Args:
        name: one of `SCENES`.

    Raises:
        UserError: another name.
    """
    return _scene(name).image_shape


def load(name: str, train: int, test: int, seed: int = 0) -> Dataset:
    """Renders a data set whose factors are known.

    Image i of a split is drawn from fold_in(fold_in(key(seed), split), i), so it is the same however many
    images there are, and no image of one split is one of the other.

    Args:
        name: one of `SCENES`.
        train: training images, at least 1.
        test: test images, at least 1.
        seed: another seed draws other images.

    Returns:
        Images and their factors, without labels.

    Raises:
        UserError: another name, or no images in a split.
    """
    scene = _scene(name)
    if min(train, test) < 1:
        raise UserError(f"{name}: {train} training and {test} test images; each must be at least 1")
    import jax

    from infogan_jax.data.scenes.batches import render_split

    key = jax.random.key(seed)
    return Dataset(
        name=name,
        train=render_split(scene, jax.random.fold_in(key, _TRAIN), train),
        test=render_split(scene, jax.random.fold_in(key, _TEST), test),
        num_classes=None,
        factors=scene.factors,
    )


def endless(name: str, seed: int = 0) -> Callable[[Array], Array]:
    """The training images of `load`, had it no last one: that of any number, rendered when asked for.

    Args:
        name: one of `SCENES`.
        seed: as in `load`.

    Returns:
        A function of an image's number, int32 [] of 0 and above, that gives uint8 [H, W, C]. It can be jitted
        and vmapped; what it renders there may differ from `load`'s by a grey level, as XLA rounds.

    Raises:
        UserError: another name.
    """
    scene = _scene(name)

    def image(index: Array) -> Array:
        import jax
        import jax.numpy as jnp

        from infogan_jax.data.scenes.batches import render_batch

        train = jax.random.fold_in(jax.random.key(seed), _TRAIN)
        images: Array = render_batch(scene, train, index[jnp.newaxis])[0]
        return images[0]

    return image


def _scene(name: str) -> Scene:
    if name not in SCENES:
        raise UserError(f"there is no scene {name!r}; there are: {', '.join(SCENES)}")
    return SCENES[name]
