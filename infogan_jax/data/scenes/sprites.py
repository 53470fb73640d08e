"""A white square, ellipse or heart on black, all of one area and turning about their centroid."""

import math

import chex
import jax.numpy as jnp
from jax import Array

from infogan_jax.data.scenes.screen import coverage, distance_to_ellipse, pixel_centres

SIZE = 64
SIDE = 20.0
"""The square's side at scale 1, in pixels: every shape has an area of (SIDE * scale)^2."""
_ELONGATION = 1.6
# A heart is a square on its corner with a half disc on each upper side: of side s, its area is
# (1 + pi/4) s^2, and its centroid lies HEART_RISE s above the square's, as a half disc of diameter s has
# its own 2 s / (3 pi) beyond that diameter.
_HEART_SIDE = SIDE / math.sqrt(1 + math.pi / 4)
_HEART_RISE = math.pi / 4 * (1 / 2 + 2 / (3 * math.pi)) / math.sqrt(2) / (1 + math.pi / 4)


def render(factors: Array) -> Array:
    """Draws one sprite.

    Args:
        factors: shape (0 square, 1 ellipse, 2 heart), scale, rotation (degrees, anticlockwise), and the
            centroid's x (to the right) and y (up) from the image's middle in pixels; float [5].

    Returns:
        float32 [64, 64, 1] in [0, 1].

    References:
        Matthey, Higgins, Hassabis and Lerchner, dSprites: disentanglement testing sprites dataset, 2017.
    """
    chex.assert_shape(factors, (5,))
    chex.assert_type(factors, float)
    shape, scale, rotation, x, y = factors
    u, v = pixel_centres(SIZE)
    sin, cos = jnp.sin(jnp.deg2rad(rotation)), jnp.cos(jnp.deg2rad(rotation))
    # Pixels as seen from the sprite, where it is upright and of scale 1.
    right = (cos * (u - x) + sin * (v - y)) / scale
    up = (cos * (v - y) - sin * (u - x)) / scale
    distances = (_square(right, up, SIDE), _ellipse(right, up), _heart(right, up))
    distance = jnp.select([shape == 0, shape == 1], distances[:2], distances[2])
    return coverage(scale * distance)[..., jnp.newaxis]


def _square(right: Array, up: Array, side: float) -> Array:
    return jnp.maximum(jnp.abs(right), jnp.abs(up)) - side / 2


def _ellipse(right: Array, up: Array) -> Array:
    width = SIDE * math.sqrt(_ELONGATION / math.pi)
    height = width / _ELONGATION
    level = (right / width) ** 2 + (up / height) ** 2
    return distance_to_ellipse(level, (right / width**2, up / height**2))


def _heart(right: Array, up: Array) -> Array:
    up = up + _HEART_RISE * _HEART_SIDE
    # The axes of the square on its corner; the discs are on the sides that these point to.
    left_side, right_side = (up - right) / math.sqrt(2), (up + right) / math.sqrt(2)
    square = _square(left_side, right_side, _HEART_SIDE)
    discs = (
        _disc(left_side - _HEART_SIDE / 2, right_side, _HEART_SIDE / 2),
        _disc(left_side, right_side - _HEART_SIDE / 2, _HEART_SIDE / 2),
    )
    return jnp.minimum(square, jnp.minimum(*discs))


def _disc(right: Array, up: Array, radius: float) -> Array:
    # To first order at the edge, without a square root that has no derivative in the middle.
    return (right**2 + up**2 - radius**2) / (2 * radius)
