"""Small random affine maps of images: the transform that code invariance is measured under."""

import chex
import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates


def draw_affine(
    key: chex.PRNGKey, count: int, *, rotation: float, scale: float, shear: float, shift: float
) -> chex.Array:
    """Draws a random rotation, scale, shear and shift for each image, every parameter uniform in its range.

    Args:
        key: a typed key.
        count: N, the number of maps.
        rotation: largest angle either way, in radians.
        scale: factors lie in 1 ± scale, 0 <= scale < 1.
        shear: largest horizontal displacement per row, as a share of the row's distance from the centre.
        shift: largest displacement in each direction, in pixels.

    Returns:
        Matrices for `affine_warp`, float32 [N, 2, 3].

    Raises:
        ValueError: a range is negative, or scale is 1 or more.
    """
    if min(rotation, scale, shear, shift) < 0 or scale >= 1:
        raise ValueError(
            f"rotation {rotation}, scale {scale}, shear {shear}, shift {shift}: none may be negative, "
            "and scale must be below 1"
        )
    rotation_key, scale_key, shear_key, shift_key = jax.random.split(key, 4)

    def uniform(key: chex.PRNGKey, shape: tuple[int, ...], bound: float) -> chex.Array:
        return jax.random.uniform(key, shape, jnp.float32, minval=-bound, maxval=bound)

    return affine_matrices(
        angle=uniform(rotation_key, (count,), rotation),
        factor=1 + uniform(scale_key, (count,), scale),
        shear=uniform(shear_key, (count,), shear),
        shift=uniform(shift_key, (count, 2), shift),
    )


def affine_matrices(
    *, angle: chex.Array, factor: chex.Array, shear: chex.Array, shift: chex.Array
) -> chex.Array:
    """The matrices with which `affine_warp` shears, then enlarges, then rotates, then shifts an image.

    A point (row, column) of the image, measured from its centre, moves to
    R(angle) * factor * [[1, 0], [shear, 1]] (row, column) + shift; the warp reads in the other
    direction, so what is returned is the inverse of that map.

    Args:
        angle: anticlockwise as the image is seen, in radians, [N].
        factor: above 1 enlarges, [N].
        shear: columns moved per row below the centre, [N].
        shift: rows down and columns to the right, in pixels, [N, 2].

    Returns:
        Matrices [N, 2, 3].
    """
    chex.assert_rank([angle, factor, shear, shift], [1, 1, 1, 2])
    chex.assert_equal_shape_prefix([angle, factor, shear, shift], 1)
    cos, sin = jnp.cos(angle) / factor, jnp.sin(angle) / factor
    # inverse(shear) @ inverse(rotation) / factor; rows point down, so anticlockwise as seen
    # is R = [[cos, -sin], [sin, cos]] on (row, column).
    row = jnp.stack([cos, sin], axis=-1)
    column = jnp.stack([-sin - shear * cos, cos - shear * sin], axis=-1)
    linear = jnp.stack([row, column], axis=-2)
    offset = -jnp.sum(linear * shift[:, jnp.newaxis, :], axis=-1, keepdims=True)
    return jnp.concatenate([linear, offset], axis=-1)


def affine_warp(images: chex.Array, matrices: chex.Array) -> chex.Array:
    """Warps each image by its own affine map, reading it bilinearly.

    The new value at p, in pixels (row, column) from the image's centre, is the old one at
    matrices[n, :, :2] @ p + matrices[n, :, 2]; beyond the border the nearest pixel of the edge counts.

    Args:
        images: floating point [N, H, W, C].
        matrices: [N, 2, 3], in pixels.

    Returns:
        The warped images, of the shape and dtype of `images`.
    """
    chex.assert_rank([images, matrices], [4, 3])
    chex.assert_type(images, float)
    chex.assert_shape(matrices, (images.shape[0], 2, 3))
    height, width = images.shape[1:3]
    middle_row, middle_column = (height - 1) / 2, (width - 1) / 2
    # Coordinates need float32 whatever the images are, and no matrix product: accelerators
    # round its inputs to fewer bits, which would move pixels.
    row, column = jnp.meshgrid(
        jnp.arange(height, dtype=jnp.float32) - middle_row,
        jnp.arange(width, dtype=jnp.float32) - middle_column,
        indexing="ij",
    )

    def warp(channel: chex.Array, matrix: chex.Array) -> chex.Array:
        source_row = matrix[0, 0] * row + matrix[0, 1] * column + matrix[0, 2] + middle_row
        source_column = matrix[1, 0] * row + matrix[1, 1] * column + matrix[1, 2] + middle_column
        return map_coordinates(channel, [source_row, source_column], order=1, mode="nearest")

    over_channels = jax.vmap(warp, in_axes=(-1, None), out_axes=-1)
    pixels = images.astype(jnp.promote_types(images.dtype, jnp.float32))
    return jax.vmap(over_channels)(pixels, matrices).astype(images.dtype)
