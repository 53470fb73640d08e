"""Heads made of ellipsoids, with eyes, brows, mouth and hair painted on, lit from the side, on black."""

from collections.abc import Iterable
from typing import NamedTuple, cast

import chex
import jax
import jax.numpy as jnp
from jax import Array

from infogan_jax.data.scenes.screen import coverage, distance_to_ellipse, orthographic_camera, pixel_centres

SIZE = 32
LIGHT_ELEVATION = 25.0
"""Degrees above the camera's line of sight."""
AMBIENT, DIFFUSE = 0.18, 0.82
"""Brightness: albedo * (AMBIENT + DIFFUSE * max(0, cos(angle to the light)))."""
BLEND = 2.5
"""Pixels of depth over which one surface gives way to another where they cross."""


class _Identity(NamedTuple):
    """What makes a person, in pixels and in shares of the light that is given back."""

    jaw_width: Array | float
    chin: Array | float
    nose_length: Array | float
    nose_width: Array | float
    ears: Array | float
    eye_gap: Array | float
    brows: Array | float
    mouth_width: Array | float
    hairline: Array | float
    hair: Array | float
    skin: Array | float


_IDENTITIES = (
    _Identity(7.4, 10.2, 3.6, 1.6, 2.5, 3.6, 0.6, 3.0, 1.8, 0.30, 0.90),
    _Identity(8.4, 9.2, 4.2, 2.3, 3.3, 3.8, 0.9, 3.8, 12.0, 0.90, 0.85),
    _Identity(6.5, 11.2, 4.6, 1.4, 2.0, 3.1, 0.4, 2.3, 0.0, 0.75, 0.95),
    _Identity(8.0, 9.8, 3.0, 2.6, 2.2, 4.1, 0.7, 4.1, 3.0, 0.15, 0.60),
    _Identity(6.9, 9.4, 3.1, 1.3, 3.7, 3.9, 0.3, 2.5, -1.2, 0.50, 0.98),
    _Identity(8.1, 11.0, 4.8, 2.0, 2.8, 3.2, 0.9, 3.4, 5.2, 0.20, 0.78),
)


def render(factors: Array) -> Array:
    """Draws one head.

    Args:
        factors: the camera's azimuth and elevation (degrees; 0 is face to face, positive from the picture's
            right and from above), the light's azimuth (degrees, positive from the picture's right), the
            head's width relative to a normal one, and whose head it is (0 to 5); float [5].

    Returns:
        float32 [32, 32, 1] in [0, 1].

    References:
        Stands in for Paysan, Knothe, Amberg, Romdhani and Vetter, A 3D face model for pose and illumination
        invariant face recognition, 2009.
    """
    chex.assert_shape(factors, (5,))
    chex.assert_type(factors, float)
    azimuth, elevation, lighting, width, identity = factors
    person = _person(identity)
    camera = orthographic_camera(azimuth, elevation)
    # The light belongs to the picture: it does not turn with the head.
    light = jnp.sum(orthographic_camera(lighting, LIGHT_ELEVATION)[2][:, jnp.newaxis] * camera, axis=0)
    u, v = pixel_centres(SIZE)
    cast = jax.vmap(_cast, in_axes=(None, None, None, 0, 0))
    covers, depths, normals = cast(u, v, camera, *ellipsoids(width, identity))
    visible = _visible(covers, depths)
    depth = jnp.sum(visible * depths, axis=0) / (jnp.sum(visible, axis=0) + 1e-6)
    normal = [jnp.sum(visible * along, axis=0) for along in normals]
    # Where nothing is shown the normal is 0; a square root has no derivative there.
    cosine = _dot(normal, light) / jnp.sqrt(_dot(normal, normal) + 1e-12)
    x, y, z = (camera[0, i] * u + camera[1, i] * v + camera[2, i] * depth for i in range(3))
    brightness = _albedo(x / width, y, z, person) * (AMBIENT + DIFFUSE * jnp.maximum(0, cosine))
    covered = 1 - jnp.prod(1 - covers, axis=0)
    return (covered * brightness)[..., jnp.newaxis]


def ellipsoids(width: Array, identity: Array) -> tuple[Array, Array]:
    """The parts of a head that looks along z, with x to its left and y up.

    Args:
        width: relative to a normal head.
        identity: whose head it is, 0 to 5.

    Returns:
        The centres and the radii along the axes, in pixels, of skull, jaw, nose, ears and neck, [6, 3] each.
    """
    person = _person(identity)
    jaw, chin, nose, ear = person.jaw_width, person.chin, person.nose_length, person.ears
    parts = (
        ((0, 3.0, -1.2), (8.7, 10.2, 10.4)),
        ((0, -2.8, 0.6), (jaw, chin, 9.4)),
        ((0, -1.4, 8.4), (person.nose_width, 3.0, nose)),
        ((8.6, 0.2, -1.2), (1.2, ear, ear * 0.75)),
        ((-8.6, 0.2, -1.2), (1.2, ear, ear * 0.75)),
        ((0, -15.0, -2.5), (4.2, 10.0, 4.2)),
    )
    centres, radii = jnp.array(parts, jnp.float32).swapaxes(0, 1)
    stretch = jnp.array([[width, 1, 1]])
    return centres * stretch, radii * stretch


def _person(identity: Array) -> _Identity:
    # Compared, not indexed: an identity is a float, like every factor.
    chosen = jnp.arange(len(_IDENTITIES)) == identity
    return _Identity(*jnp.sum(jnp.where(chosen[:, jnp.newaxis], jnp.array(_IDENTITIES), 0), axis=0))


def _cast(u: Array, v: Array, camera: Array, centre: Array, radii: Array) -> tuple[Array, Array, list[Array]]:
    """An ellipsoid's coverage of each pixel, its depth towards the camera there and its unit normal."""
    # In radii from the centre the ellipsoid is the unit sphere, and rays are still straight.
    right, up, step = camera / radii[jnp.newaxis]
    start = [right[i] * u + up[i] * v - centre[i] / radii[i] for i in range(3)]
    length = _dot(step, step)
    nearest = _dot(start, step) / length
    miss = [start[i] - step[i] * nearest for i in range(3)]
    level = _dot(miss, miss)
    cover = coverage(distance_to_ellipse(level, (_dot(miss, right), _dot(miss, up))))
    # Pixels that the outline crosses have their centre beyond it or all but: there the surface goes on as a
    # steep brim, as the square root has no derivative at 0.
    rise = jnp.sqrt(jnp.maximum(1 - level, 1e-2) / length)
    normal = [(miss[i] + step[i] * rise) / radii[i] for i in range(3)]
    size = jnp.sqrt(_dot(normal, normal))
    return cover, rise - nearest, [along / size for along in normal]


def _visible(covers: Array, depths: Array) -> Array:
    """How much of each pixel shows each surface, [K, H, W]: the nearest, or a blend of those as near."""
    visible, parts = covers, jnp.arange(len(covers))[:, jnp.newaxis, jnp.newaxis]
    for k, (cover, depth) in enumerate(zip(covers, depths, strict=True)):
        nearer = jnp.clip(0.5 + (depth[jnp.newaxis] - depths) / BLEND, 0, 1)
        visible = visible * (1 - cover[jnp.newaxis] * jnp.where(parts == k, 0, nearer))
    return visible


def _dot(a: Iterable[Array], b: Iterable[Array]) -> Array:
    return cast(Array, sum(x * y for x, y in zip(a, b, strict=True)))


def _albedo(x: Array, y: Array, z: Array, person: _Identity) -> Array:
    """The share of light given back at points of the head."""

    def spot(x0: Array | float, y0: float, rx: Array | float, ry: float) -> Array:
        return jnp.exp(-((((x - x0) / rx) ** 2 + ((y - y0) / ry) ** 2) ** 2))

    skin = person.skin
    for side in (-person.eye_gap, person.eye_gap):
        skin = skin * (1 - 0.85 * spot(side, 1.6, 1.5, 1.0))
        skin = skin * (1 - person.brows * spot(side, 4.5, 2.3, 0.8))
    skin = skin * (1 - 0.65 * spot(0, -7.0, person.mouth_width, 0.9))
    hair = jax.nn.sigmoid(3 * (0.75 * y - 0.66 * z - person.hairline))
    return skin + (person.hair - skin) * hair
