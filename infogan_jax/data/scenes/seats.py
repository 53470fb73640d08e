"""Chairs made of boxes on white, projected exactly and painted from the farthest to the nearest."""

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp
from jax import Array

from infogan_jax.data.scenes.screen import orthographic_camera, pixel_centres

SIZE = 64
ELEVATION = 25.0
"""Of the camera, in degrees."""
LIGHT = (-0.48, 0.64, 0.6)
"""The direction to the light, of length 1: to the picture's right, up, and to the camera."""
AMBIENT, DIFFUSE = 0.2, 0.65
"""A face's brightness: AMBIENT + DIFFUSE * max(0, cos(angle to the light)); the background is 1."""

_FLOOR = -22.0
_DEPTH = 23.0
_THICKNESS = 3.0
_INSET = 1.0
_LEG_LENGTH, _STOOL_LEG_LENGTH = 18.0, 25.0
_STOOL_BACK = 0.4
_RAIL = 4.5
_BAR_WIDTH = 2.5
_ARM_WIDTH, _ARM_HEIGHT = 3.0, 9.0

_STOOL, _ARMCHAIR, _BARRED = 1, 2, 3


def render(factors: Array) -> Array:
    """Draws one chair.

    Args:
        factors: the camera's azimuth (degrees, 0 before the chair), leg width, back height and seat width
            (pixels), and the type (0 plain, 1 stool with a low back, 2 armchair, 3 barred back); float [5].

    Returns:
        float32 [64, 64, 1] in [0, 1].
    """
    chex.assert_shape(factors, (5,))
    chex.assert_type(factors, float)
    camera = orthographic_camera(factors[0], ELEVATION)
    low, high = boxes(factors)
    order = _farthest_first(low, high, camera[2])
    return _paint(low[order], high[order], camera)[..., jnp.newaxis]


def boxes(factors: Array) -> tuple[Array, Array]:
    """The parts of a chair that looks along z, with y up, as boxes along the axes.

    Args:
        factors: as for `render`.

    Returns:
        The lowest and the highest corner of ten boxes, [10, 3] each: four legs, the seat, the back, and
        four arms or bars, which other types have as boxes of no size.
    """
    _, leg, back, width, kind = factors
    left, right = -width / 2, width / 2
    rear, front = -_DEPTH / 2, _DEPTH / 2
    seat = _FLOOR + jnp.where(kind == _STOOL, _STOOL_LEG_LENGTH, _LEG_LENGTH)
    seat_top = seat + _THICKNESS
    back_top = seat_top + jnp.where(kind == _STOOL, _STOOL_BACK, 1.0) * back
    # The back runs on down behind the seat: were it to stand on it, the edge between them would be blurred.
    back_bottom = jnp.where(kind == _BARRED, back_top - _RAIL, seat)
    back_front = rear + _THICKNESS

    legs = [
        ((x, _FLOOR, z), (x + leg, seat, z + leg))
        for x in (left + _INSET, right - _INSET - leg)
        for z in (rear + _INSET, front - _INSET - leg)
    ]
    rest = seat_top + _ARM_HEIGHT
    arms = [
        box
        for x in (left, right - _ARM_WIDTH)
        for box in (
            ((x, seat_top, front - 2 * _ARM_WIDTH), (x + _ARM_WIDTH, rest, front - _ARM_WIDTH)),
            ((x, rest, back_front), (x + _ARM_WIDTH, rest + _ARM_WIDTH, front - _ARM_WIDTH)),
        )
    ]
    bars = [
        ((x, seat, rear), (x + _BAR_WIDTH, back_bottom, back_front))
        for x in (left + share * (width - _BAR_WIDTH) for share in (0, 1 / 3, 2 / 3, 1))
    ]
    nothing = [((0.0, seat, 0.0), (0.0, seat, 0.0))] * 4
    extras = jnp.select(
        [kind == _ARMCHAIR, kind == _BARRED], [_corners(arms), _corners(bars)], _corners(nothing)
    )
    always = _corners(
        [
            *legs,
            ((left, seat, back_front), (right, seat_top, front)),
            ((left, back_bottom, rear), (right, back_top, back_front)),
        ]
    )
    low, high = jnp.concatenate([always, extras], axis=1)
    return low, high


_Point = tuple[Array | float, Array | float, Array | float]


def _corners(parts: Sequence[tuple[_Point, _Point]]) -> Array:
    """Boxes as [2, K, 3]."""
    return jnp.array(parts, jnp.float32).swapaxes(0, 1)


def _farthest_first(low: Array, high: Array, to_camera: Array) -> Array:
    """An order of the boxes, int [K], in which none is hidden by an earlier one.

    Where a plane lies between two boxes, the one on the camera's side of it cannot be hidden by the other;
    where each is on that side of a plane, they do not overlap in the picture and may come in any order.
    """
    rounding = 1e-3
    above = low[:, jnp.newaxis] >= high[jnp.newaxis] - rounding
    below = above.swapaxes(0, 1)
    free = jnp.any(jnp.where(to_camera[jnp.newaxis, jnp.newaxis] > 0, above, below), axis=-1)
    hides = free & ~free.T
    rank = jnp.zeros(len(low), jnp.int32)
    # A box's rank is the length of the longest chain of boxes, each hidden by the next, that it ends.
    for _ in range(len(low)):
        rank = jnp.max(jnp.where(hides, rank[jnp.newaxis] + 1, 0), axis=1)
    return jnp.argsort(rank)


def _paint(low: Array, high: Array, camera: Array) -> Array:
    """Paints boxes over each other, in their order.

    The picture of a box is a hexagon of three faces that meet in its nearest corner, and every line in it
    is parallel to the picture of one of the axes j. So each pixel needs its distance, along the normal of
    that axis' picture, to three lines: through the nearest corner and through its neighbours along the
    other two axes. The shares of pixels that lie between such lines need no supersampling; where the edges of
    two boxes fall together, as of legs seen end on, both shares count and the pixels come out too dark.
    """
    picture, to_camera = camera[:2], camera[2]
    # The camera's elevation keeps it from looking along an axis, whose picture would have no normal.
    normals = jnp.stack([-picture[1], picture[0]]) / jnp.linalg.norm(picture, axis=0, keepdims=True)
    across = jnp.sum(normals[:, :, jnp.newaxis] * picture[:, jnp.newaxis, :], axis=0)  # [j, axis]
    u, v = pixel_centres(SIZE)
    positions = [normals[0, j] * u + normals[1, j] * v for j in range(3)]

    toward = jnp.sign(to_camera)
    light = jnp.sum(camera * jnp.array(LIGHT)[:, jnp.newaxis], axis=0)
    brightness = AMBIENT + DIFFUSE * jnp.maximum(0, toward * light)

    facing = to_camera[jnp.newaxis] > 0
    near, far = jnp.where(facing, high, low), jnp.where(facing, low, high)
    middle = jnp.sum(across[jnp.newaxis] * near[:, jnp.newaxis], axis=-1)  # [box, j]
    outer = middle[..., jnp.newaxis] + across[jnp.newaxis] * (far - near)[:, jnp.newaxis]  # [box, j, axis]

    def paint(image: Array, lines: tuple[Array, Array]) -> tuple[Array, None]:
        middle, outer = lines
        inside = [_beyond(positions[j], middle[j]) for j in range(3)]
        edges = [[_beyond(positions[j], outer[j, axis]) for axis in range(3)] for j in range(3)]
        light: Array | float = 0.0
        total: Array | float = 1e-6
        hexagon: Array | float = 1.0
        for face in range(3):
            j, k = (face + 1) % 3, (face + 2) % 3
            share = jnp.abs(inside[j] - edges[j][k]) * jnp.abs(inside[k] - edges[k][j])
            light, total = light + brightness[face] * share, total + share
            hexagon = jnp.minimum(hexagon, jnp.abs(edges[face][j] - edges[face][k]))
        return image + hexagon * (light / total - image), None

    image, _ = jax.lax.scan(paint, jnp.ones((SIZE, SIZE), jnp.float32), (middle, outer))
    return image


def _beyond(position: Array, line: Array) -> Array:
    """The share of each pixel beyond a line across its way."""
    return jnp.clip(position - line + 0.5, 0, 1)
