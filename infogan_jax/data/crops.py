"""Random crops of images, in one of the square's eight positions each."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Crops(NamedTuple):
    """Where each image is cut, and how the crop is turned.

    Attributes:
        top: the first row, int32 [batch].
        left: the first column, int32 [batch].
        position: a number from 0 to 7, int32 [batch]: 1 exchanges rows and columns, 2 turns the rows round, 4
            the columns, and sums of these do both or all.
    """

    top: Array
    left: Array
    position: Array


def draw_crops(key: Array, count: int, *, image: tuple[int, int], side: int) -> Crops:
    """Draws a crop for each of so many images, every place and position alike.

    Args:
        key: a typed key.
        count: the number of images.
        image: their height and width in pixels.
        side: of the crops, in pixels.

    Raises:
        ValueError: the images are smaller than a crop.
    """
    height, width = image
    if side > min(image):
        raise ValueError(f"images of {height} x {width} hold no crop of {side} x {side}")
    keys = jax.random.split(key, 3)
    ends = (height - side + 1, width - side + 1, 8)
    return Crops(*(jax.random.randint(k, (count,), 0, end) for k, end in zip(keys, ends, strict=True)))


def crop(images: Array, crops: Crops, *, side: int) -> Array:
    """Cuts and turns images.

    Args:
        images: [batch, height, width, channels], of any dtype.
        crops: as `draw_crops` draws them.
        side: of the crops, in pixels.

    Returns:
        [batch, side, side, channels], of that dtype.
    """

    def one(image: Array, top: Array, left: Array, position: Array) -> Array:
        x = jax.lax.dynamic_slice(image, (top, left, 0), (side, side, image.shape[2]))
        x = jnp.where(position & 1, x.swapaxes(0, 1), x)
        x = jnp.where(position & 2, x[::-1], x)
        return jnp.where(position & 4, x[:, ::-1], x)

    return jax.vmap(one)(images, *crops)
