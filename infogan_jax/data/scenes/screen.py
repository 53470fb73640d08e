"""What the renderers share: pixels, how much of one a shape covers, and the camera. Lengths are in pixels."""

import jax.numpy as jnp
from jax import Array


def pixel_centres(size: int) -> tuple[Array, Array]:
    """Where the pixels of a square image lie: to the right and up from its middle.

    Args:
        size: of a side.

    Returns:
        u and v, float32 [size, size] each; the first row of an image is its highest.
    """
    line = jnp.arange(size, dtype=jnp.float32) - (size - 1) / 2
    u, v = jnp.meshgrid(line, -line)
    return u, v


def coverage(distance: Array) -> Array:
    """The share of a pixel that lies within a shape, as if the edge ran square to the distance.

        clip(1/2 - distance, 0, 1)

    Args:
        distance: from the pixel's centre to the shape's edge, negative inside, of any shape.

    Returns:
        In [0, 1], of the shape of `distance`.
    """
    return jnp.clip(0.5 - distance, 0, 1)


def distance_to_ellipse(level: Array, half_gradient: tuple[Array, Array]) -> Array:
    """The distance to the ellipse where a quadratic form is 1, to first order in it.

        (level - 1) / |gradient of level|

    Args:
        level: the quadratic form at each pixel: 0 in the ellipse's middle, 1 on it, of any shape.
        half_gradient: half of its derivatives to the right and up, each of the shape of `level`.

    Returns:
        Of the shape of `level`, negative inside.
    """
    right, up = half_gradient
    # In the middle the gradient is 0, where any large distance will do; the square root needs more than 0.
    return (level - 1) / (2 * jnp.sqrt(right**2 + up**2 + 1e-8))


def orthographic_camera(azimuth: Array, elevation: Array | float) -> Array:
    """The directions of a picture in an object's coordinates: x to its left, y up, z to its front.

    Args:
        azimuth: the camera's, in degrees: 0 before the object, 90 on the side of x.
        elevation: the camera's, in degrees above the horizon.

    Returns:
        Unit vectors to the picture's right, up, and to the camera: the rows of a matrix [3, 3].
    """
    azimuth, elevation = jnp.deg2rad(azimuth), jnp.deg2rad(elevation)
    sin, cos = jnp.sin(azimuth), jnp.cos(azimuth)
    sin_up, cos_up = jnp.sin(elevation), jnp.cos(elevation)
    return jnp.array(
        [
            [cos, 0, -sin],
            [-sin * sin_up, cos_up, -cos * sin_up],
            [sin * cos_up, sin_up, cos * cos_up],
        ]
    )
