"""Chairs made of boxes and upright cylinders on white, painted from the farthest part to the nearest."""

from collections.abc import Sequence
from typing import NamedTuple

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
"""A surface's brightness: AMBIENT + DIFFUSE * max(0, cos(angle to the light)); the background is 1."""

_SAMPLES = 2
_FLOOR = -22.0
_DEPTH = 23.0
_THICKNESS = 3.0
_INSET = 1.0
_LEG_LENGTH, _STOOL_LEG_LENGTH = 18.0, 25.0
_FOOT_WIDTH, _FOOT_HEIGHT = 15.0, 1.5
_STOOL_BACK, _STOOL_BACK_WIDTH = 0.4, 0.7
_RAIL = 4.5
_BAR_WIDTH = 2.5
_ARM_WIDTH, _ARM_HEIGHT = 3.0, 9.0

# By type, of four legs, the seat, the back, and four arms or bars.
_ROUND = (
    (0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    (1, 1, 0, 0, 1, 0, 0, 0, 0, 0),
    (1, 1, 1, 1, 0, 0, 1, 0, 1, 0),
    (1, 1, 1, 1, 0, 0, 1, 1, 1, 1),
)

_Point = tuple[Array | float, Array | float, Array | float]
_Box = tuple[_Point, _Point]


def render(factors: Array) -> Array:
    """Draws one chair.

    Args:
        factors: the camera's azimuth (degrees, 0 before the chair), leg width, back height and seat width
            (pixels), and the type: 0 plain, 1 stool with a round seat on one round leg and a low back,
            2 armchair on round legs, 3 on round legs with round bars for a back; float [5].

    Returns:
        float32 [64, 64, 1] in [0, 1].
    """
    chex.assert_shape(factors, (5,))
    chex.assert_type(factors, float)
    camera = orthographic_camera(factors[0], ELEVATION)
    low, high, is_round = parts(factors)
    order = _farthest_first(low, high, camera[2])
    return _paint(low[order], high[order], is_round[order], camera)[..., jnp.newaxis]


def parts(factors: Array) -> tuple[Array, Array, Array]:
    """The parts of a chair that looks along z, with y up, each in a box along the axes.

    Args:
        factors: as for `render`.

    Returns:
        The lowest and the highest corner of ten boxes, [10, 3] each, and whether the part is the upright
        cylinder that the box holds, bool [10]: four legs, the seat, the back, and four arms or bars. What a
        type lacks has no size; a stool has its leg and its foot for the first two legs.
    """
    _, leg, back, width, kind = factors
    left, right = -width / 2, width / 2
    rear, front = -_DEPTH / 2, _DEPTH / 2
    seat = _FLOOR + _LEG_LENGTH
    seat_top = seat + _THICKNESS
    back_top = seat_top + back
    back_front = rear + _THICKNESS

    legs = [
        ((x, _FLOOR, z), (x + leg, seat, z + leg))
        for x in (left + _INSET, right - _INSET - leg)
        for z in (rear + _INSET, front - _INSET - leg)
    ]
    bench = ((left, seat, back_front), (right, seat_top, front))
    # The back runs on down behind the seat: were it to stand on it, the edge between them would be blurred.
    panel = ((left, seat, rear), (right, back_top, back_front))
    rail_bottom = back_top - _RAIL
    rail = ((left, rail_bottom, rear), (right, back_top, back_front))
    rest, post = seat_top + _ARM_HEIGHT, front - 2 * _ARM_WIDTH
    arms = [
        box
        for x in (left, right - _ARM_WIDTH)
        for box in (
            ((x, seat_top, post), (x + _ARM_WIDTH, rest, post + _ARM_WIDTH)),
            ((x, rest, back_front), (x + _ARM_WIDTH, rest + _ARM_WIDTH, post + _ARM_WIDTH)),
        )
    ]
    bars = [
        ((x, seat, back_front - _BAR_WIDTH), (x + _BAR_WIDTH, rail_bottom, back_front))
        for x in (left + share * (width - _BAR_WIDTH) for share in (0, 1 / 3, 2 / 3, 1))
    ]
    nothing = [((0.0, seat, 0.0), (0.0, seat, 0.0))]
    chairs: list[list[_Box]] = [
        [*legs, bench, panel, *nothing * 4],
        [*_stool(leg, back, width), *nothing * 4],
        [*legs, bench, panel, *arms],
        [*legs, bench, rail, *bars],
    ]
    is_kind = [kind == k for k in range(len(chairs))]
    low, high = jnp.select(is_kind, [_corners(boxes) for boxes in chairs])
    return low, high, jnp.select(is_kind, list(jnp.array(_ROUND, bool)))


def _stool(leg: Array, back: Array, width: Array) -> list[_Box]:
    """A round stool's leg, foot, two parts of no size, seat, and the back, which stands on the seat."""
    floor, seat = _FLOOR + _FOOT_HEIGHT, _FLOOR + _STOOL_LEG_LENGTH
    seat_top = seat + _THICKNESS
    foot, radius, half = _FOOT_WIDTH / 2, width / 2, _STOOL_BACK_WIDTH * width / 2
    # The back's rear corners lie on the seat's edge.
    rear = -((1 - _STOOL_BACK_WIDTH**2) ** 0.5) * radius
    nothing = ((0.0, seat, 0.0), (0.0, seat, 0.0))
    return [
        ((-leg / 2, floor, -leg / 2), (leg / 2, seat, leg / 2)),
        ((-foot, _FLOOR, -foot), (foot, floor, foot)),
        nothing,
        nothing,
        ((-radius, seat, -radius), (radius, seat_top, radius)),
        ((-half, seat_top, rear), (half, seat_top + _STOOL_BACK * back, rear + _THICKNESS)),
    ]


def _corners(boxes: Sequence[_Box]) -> Array:
    """Boxes as [2, K, 3]."""
    return jnp.array(boxes, jnp.float32).swapaxes(0, 1)


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


def _paint(low: Array, high: Array, is_round: Array, camera: Array) -> Array:
    """Paints boxes and the cylinders in them over each other, in their order.

    The shares of pixels that lie beyond lines need no supersampling. But where edges of two parts fall
    together, as of legs seen end on, both shares count and the pixels come out too dark. Such edges are
    upright, so the picture is painted twice as wide, which halves what they cross, and then averaged.
    """
    u, v = pixel_centres(_SAMPLES * SIZE)[0][:1], pixel_centres(SIZE)[1][:, :1]
    picture, to_camera = camera[:2] * jnp.array([[_SAMPLES], [1]]), camera[2]
    # The camera's elevation keeps it from looking along an axis, whose picture would have no normal.
    normals = jnp.stack([-picture[1], picture[0]]) / jnp.linalg.norm(picture, axis=0, keepdims=True)
    across = jnp.sum(normals[:, :, jnp.newaxis] * picture[:, jnp.newaxis, :], axis=0)  # [j, axis]
    positions = [normals[0, j] * u + normals[1, j] * v for j in range(3)]
    light = jnp.sum(camera * jnp.array(LIGHT)[:, jnp.newaxis], axis=0)
    brightness = _brightness(jnp.sign(to_camera) * light)

    facing = to_camera[jnp.newaxis] > 0
    near, far = jnp.where(facing, high, low), jnp.where(facing, low, high)
    middle = jnp.sum(across[jnp.newaxis] * near[:, jnp.newaxis], axis=-1)  # [box, j]
    outer = middle[..., jnp.newaxis] + across[jnp.newaxis] * (far - near)[:, jnp.newaxis]  # [box, j, axis]
    columns = jax.vmap(_columns, in_axes=(None, 0, 0, None))(u, low, high, camera)

    def paint(image: Array, part: tuple[Array, Array, Array, _Columns]) -> tuple[Array, None]:
        is_round, middle, outer, columns = part
        box, box_light = _box(positions, middle, outer, brightness)
        cylinder, cylinder_light = _cylinder(v, columns, brightness[1])
        cover = jnp.where(is_round, cylinder, box)
        return image * (1 - cover) + jnp.where(is_round, cylinder_light, box_light), None

    blank = jnp.ones((SIZE, _SAMPLES * SIZE), jnp.float32)
    image, _ = jax.lax.scan(paint, blank, (is_round, middle, outer, columns))
    return jnp.mean(image.reshape(SIZE, SIZE, _SAMPLES), axis=-1)


def _box(positions: Sequence[Array], middle: Array, outer: Array, brightness: Array) -> tuple[Array, Array]:
    """A box's share of each pixel, and the light from there.

    The picture of a box is a hexagon of three faces that meet in its nearest corner, and every line in it
    is parallel to the picture of one of the axes j. So each pixel needs its distance, along the normal of
    that axis' picture, to three lines: through the nearest corner and through its neighbours along the
    other two axes.
    """
    inside = [_beyond(positions[j], middle[j]) for j in range(3)]
    edges = [[_beyond(positions[j], outer[j, axis]) for axis in range(3)] for j in range(3)]
    light: Array | float = 0.0
    total: Array | float = 1e-6
    hexagon = jnp.ones((), jnp.float32)
    for face in range(3):
        j, k = (face + 1) % 3, (face + 2) % 3
        share = jnp.abs(inside[j] - edges[j][k]) * jnp.abs(inside[k] - edges[k][j])
        light, total = light + brightness[face] * share, total + share
        hexagon = jnp.minimum(hexagon, jnp.abs(edges[face][j] - edges[face][k]))
    return hexagon, hexagon * light / total


class _Columns(NamedTuple):
    """What of an upright cylinder's picture depends on the column alone, [1, W] each."""

    strip: Array
    """The share between the sides."""
    cosine: Array
    """Of the arcs' slope: times the way straight up to an arc, it is the distance to it."""
    bottom: Array
    middle: Array
    top: Array
    """How high the lower arc is, and those around the top."""
    side: Array
    """The side's brightness."""


def _columns(u: Array, low: Array, high: Array, camera: Array) -> _Columns:
    """The cylinder in a box.

    Its picture is a strip between arcs of ellipses. Where that is s radii aside of the axis, an arc is
    r sin(elevation) sqrt(1 - s^2) above or below its ellipse's middle, and the side's normal points s to
    the right and, level, sqrt(1 - s^2) to the camera.
    """
    right, up, to_camera = camera
    centre, radius = (low + high) / 2, (high[0] - low[0]) / 2
    axis = right[0] * centre[0] + right[2] * centre[2]
    foot = up[0] * centre[0] + up[2] * centre[2]
    low_end, high_end = foot + up[1] * low[1], foot + up[1] * high[1]

    aside, reach = u - _SAMPLES * axis, _SAMPLES * radius
    # A part of no size has no strip, whatever s is; and the square root has no derivative at 0.
    s = jnp.clip(aside / jnp.maximum(reach, 1e-3), -1, 1)
    rise = jnp.sqrt(jnp.maximum(1 - s**2, 1e-2))
    arc = radius * to_camera[1] * rise
    level = LIGHT[2] * up[1] - LIGHT[1] * to_camera[1]
    return _Columns(
        strip=_beyond(aside, -reach) - _beyond(aside, reach),
        cosine=1 / jnp.sqrt(1 + (to_camera[1] / _SAMPLES * s / rise) ** 2),
        bottom=low_end - arc,
        middle=high_end - arc,
        top=high_end + arc,
        side=_brightness(LIGHT[0] * s + level * rise),
    )


def _cylinder(v: Array, columns: _Columns, brightness: Array) -> tuple[Array, Array]:
    """A cylinder's share of each pixel, and the light from there where its top has a brightness."""
    bottom, middle, top = (
        _beyond(columns.cosine * (v - edge), 0.0) for edge in (columns.bottom, columns.middle, columns.top)
    )
    light = brightness * (middle - top) + columns.side * (bottom - middle)
    return columns.strip * (bottom - top), columns.strip * light


def _brightness(cosine: Array) -> Array:
    return AMBIENT + DIFFUSE * jnp.maximum(0, cosine)


def _beyond(position: Array, line: Array | float) -> Array:
    """The share of each pixel beyond a line across its way."""
    return jnp.clip(position - line + 0.5, 0, 1)
