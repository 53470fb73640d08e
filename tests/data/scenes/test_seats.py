"""Chairs against boxes and cylinders cast ray by ray in numpy, and measured as pictures."""

import jax
import numpy as np
import pytest

from infogan_jax.data.scenes import seats

PLAIN, STOOL, ARMCHAIR, BARRED = range(4)
RISE = np.cos(np.deg2rad(seats.ELEVATION))
"""How high a vertical pixel looks."""


@pytest.fixture(scope="module")
def draw():
    render = jax.jit(seats.render)

    def one(azimuth=0, leg=3, back=18, width=25, kind=PLAIN):
        return np.asarray(render(np.array([azimuth, leg, back, width, kind], np.float32)), np.float64)[..., 0]

    return one


def cast(rays, pixels, factors, parts):
    """The image ray by ray, by the slab method: coming from the camera, a ray is in a box from the last plane
    that it enters by to the first that it leaves by. A cylinder has its side in the place of four planes."""
    origins, camera = rays(seats.SIZE, parts, factors[0], seats.ELEVATION)
    corners, _ = rays(2, 1, factors[0], seats.ELEVATION)
    right, up = corners[0, 1] - corners[0, 0], corners[0, 0] - corners[1, 0]
    light = np.stack([right, up, camera]).T @ np.array(seats.LIGHT)
    camera = np.where(abs(camera) < 1e-9, 1e-9, camera)
    starts = np.ascontiguousarray(np.moveaxis(origins, -1, 0))

    def shade(cosine):
        return seats.AMBIENT + seats.DIFFUSE * np.maximum(0, cosine)

    def box(low, high):
        enters, leaves = (
            (corner[:, np.newaxis, np.newaxis] - starts) / camera[:, np.newaxis, np.newaxis]
            for corner in (np.where(camera > 0, high, low), np.where(camera > 0, low, high))
        )
        return enters.min(axis=0), leaves.max(axis=0), shade(np.sign(camera) * light)[enters.argmin(axis=0)]

    def cylinder(low, high):
        top, bottom = ((end[1] - starts[1]) / camera[1] for end in (high, low))
        x, z = (starts[i] - (low[i] + high[i]) / 2 for i in (0, 2))
        level = camera[0] ** 2 + camera[2] ** 2
        half, radius = (x * camera[0] + z * camera[2]) / level, (high[0] - low[0]) / 2
        root = half**2 - (x**2 + z**2 - radius**2) / level
        # Where there is no root, the ray misses: it leaves before it enters.
        reach = np.sqrt(np.maximum(root, 0))
        enters, leaves = np.where(root > 0, [reach - half, -reach - half], [[[-1e6]], [[1e6]]])
        side = ((x + enters * camera[0]) * light[0] + (z + enters * camera[2]) * light[2]) / radius
        brightness = np.where(top < enters, shade(light[1]), shade(side))
        return np.minimum(top, enters), np.maximum(bottom, leaves), brightness

    image, nearest = np.ones(starts.shape[1:]), np.full(starts.shape[1:], -np.inf)
    for low, high, is_round in zip(*map(np.asarray, seats.parts(np.array(factors, np.float32))), strict=True):
        if np.all(low == high):
            continue
        depth, end, brightness = (cylinder if is_round else box)(*np.float64([low, high]))
        shown = (depth > end) & (depth > nearest)
        image, nearest = np.where(shown, brightness, image), np.where(shown, depth, nearest)
    return pixels(image, parts)


def compare(draw, rays, pixels, azimuth, kind):
    """How far off pixels are, of another leg, back and width for every view."""
    share = ((azimuth + 90 * kind) * 0.618) % 1
    leg, back, width = 1.5 + 3.5 * share, 13 + 12 * (1 - share), 19 + 12 * (share * 7 % 1)
    expected = cast(rays, pixels, (azimuth, leg, back, width, kind), 4)
    return abs(draw(azimuth, leg, back, width, kind) - expected)


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("azimuth", [40, 135, 205, 320])
def test_chairs_are_those_that_rays_see(draw, rays, pixels, azimuth, kind):
    # Edges differ by what a pixel's corner holds; a part before another that should be behind it, by more.
    difference = compare(draw, rays, pixels, azimuth, kind)
    assert difference.mean() < 0.004
    assert difference.max() < 0.15


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("azimuth", [0, 2, 91, 180, 270])
def test_edges_that_fall_together_are_a_little_too_dark(draw, rays, pixels, azimuth, kind):
    # Of a pixel cut in two, half of a half of a front leg over half of a half of a rear one is 3/8, not 1/4.
    difference = compare(draw, rays, pixels, azimuth, kind)
    assert difference.mean() < 0.004
    assert difference.max() < 0.2


def outline(image):
    return 1 - (image > 0.999)


@pytest.mark.parametrize("kind", range(4))
def test_azimuth_turns_the_chair_all_the_way_round(draw, kind):
    images = [draw(azimuth, kind=kind) for azimuth in range(0, 360, 30)]
    apart = [abs(a - b).mean() for k, a in enumerate(images) for b in images[:k]]
    assert min(apart) > (0.003 if kind == STOOL else 0.01)  # all of a stool but its back is round
    np.testing.assert_allclose(draw(360, kind=kind), draw(0, kind=kind), atol=1e-3)


def test_the_other_way_round_is_the_mirror_image(draw):
    for kind in range(4):
        one, other = (outline(draw(azimuth, kind=kind)) for azimuth in (25, -25))
        assert (one != other[:, ::-1]).mean() < 0.002


def columns(image):
    """Of how many columns a picture takes up a part."""
    return np.count_nonzero(outline(image).any(axis=0))


def rows(image):
    return np.nonzero(outline(image).any(axis=1))[0]


def extents(azimuth, leg, back, width, kind):
    """How far a chair reaches from the middle of the picture: aside, up and down.

    The corner of a rectangle of half sides a and b, turned, that is farthest along a direction is so by
    a |sin| + b |cos|; a disc is by its radius. Of the renderer, this knows the camera's height alone.
    """
    sin, cos = np.sin(np.deg2rad(azimuth)), np.cos(np.deg2rad(azimuth))
    tilt = np.sqrt(1 - RISE**2)

    def away(half, rear, front):
        return half * abs(sin) + max(-rear * cos, -front * cos)

    def high(height, distance):
        return height * RISE + tilt * distance

    if kind == STOOL:
        rear = -np.sqrt(1 - 0.7**2) * width / 2
        top = max(high(6, width / 2), high(6 + 0.4 * back, away(0.35 * width, rear, rear + 3)))
        return width / 2, top, high(22, 7.5)
    half = width / 2 * abs(cos) + 23 / 2 * abs(sin)
    top = max(high(-1 + back, away(width / 2, -11.5, -8.5)), high(-1, away(width / 2, -11.5, 11.5)))
    if kind == ARMCHAIR:
        top = max(top, high(11, away(width / 2, -8.5, 8.5)))
    near, inset = (0, 1) if kind == PLAIN else (leg / 2, 1 + leg / 2)
    foot = near + (width / 2 - inset) * abs(sin) + (23 / 2 - inset) * abs(cos)
    return half, top, high(22, foot)


@pytest.mark.parametrize("kind", range(4))
def test_chairs_reach_as_far_as_their_factors_say(draw, kind):
    rng = np.random.default_rng(kind)
    for azimuth, leg, back, width in rng.uniform((0, 1.5, 13, 19), (360, 5, 25, 31), (40, 4)):
        image = draw(azimuth, leg, back, width, kind)
        half, top, bottom = extents(azimuth, leg, back, width, kind)
        # The first and last pixels with any ink hold the edges, or their neighbours a touch of them.
        across, along = (np.nonzero(outline(image).any(axis=k))[0] for k in (0, 1))
        for found, expected in (
            (32 - across[0], half),
            (across[-1] - 31, half),
            (32 - along[0], top),
            (along[-1] - 31, bottom),
        ):
            assert expected - 0.2 <= found <= expected + 1.3


@pytest.mark.parametrize("azimuth", [0, 30, 60, 90, 200])
@pytest.mark.parametrize("kind", range(4))
def test_the_seat_is_as_wide_as_it_should_look(draw, azimuth, kind):
    # A box of width by depth, turned, or a disc.
    cos, sin = np.cos(np.deg2rad(azimuth)), np.sin(np.deg2rad(azimuth))
    for width in (19, 25, 31):
        looks = width if kind == STOOL else width * abs(cos) + 23 * abs(sin)
        assert looks - 0.1 <= columns(draw(azimuth, width=width, kind=kind)) <= looks + 2


@pytest.mark.parametrize("kind", range(4))
def test_seat_width_changes_no_height_nor_leg(draw, kind):
    narrow, wide = draw(width=19, kind=kind), draw(width=31, kind=kind)
    assert leg_width(narrow, kind) == pytest.approx(leg_width(wide, kind), abs=0.05)
    assert rows(narrow)[-1] == rows(wide)[-1]
    if kind != STOOL:  # whose seat is as deep as wide, so that it reaches higher in the picture
        np.testing.assert_array_equal(rows(narrow), rows(wide))
        # In the middle column there are, from the top, the back, the seat and what is below it.
        middle = (31, 32)
        if kind != BARRED:
            np.testing.assert_allclose(narrow[:, middle], wide[:, middle], atol=0.02)


@pytest.mark.parametrize("kind", range(4))
def test_back_height_raises_the_top_and_nothing_below_the_seat(draw, kind):
    lowest, highest = draw(0, back=13, kind=kind), draw(0, back=25, kind=kind)
    raised = (0.4 if kind == STOOL else 1) * 12 * RISE
    assert rows(lowest)[0] - rows(highest)[0] == pytest.approx(raised, abs=1)
    assert rows(lowest)[-1] == rows(highest)[-1]
    # From the seat's rear edge on down, seen from the front; a stool's seat is higher and ends in a curve.
    edge = 26 if kind == STOOL else 30
    np.testing.assert_allclose(lowest[edge:], highest[edge:], atol=1e-5)
    if kind == ARMCHAIR:  # whose arms hide what is behind them from their rear ends on
        arms = [20, 21, 42, 43]
        np.testing.assert_allclose(lowest[19:, arms], highest[19:, arms], atol=1e-5)


@pytest.mark.parametrize("kind", range(4))
def test_leg_width_widens_the_legs_alone(draw, kind):
    for leg in (1.5, 3.0, 4.5):
        assert leg_width(draw(leg=leg, kind=kind), kind) == pytest.approx(leg, abs=0.07)
    thin, thick = draw(leg=1.5, kind=kind), draw(leg=5, kind=kind)
    changed = rows(1 - (thin != thick))
    seat = 64 / 2 - (-22 + (25 if kind == STOOL else 18)) * RISE  # the seat's underside, at its middle
    assert changed[0] >= seat - 1
    assert changed.size > 10
    if kind == STOOL:  # whose leg ends before the foot's rim does
        assert changed[-1] <= 64 / 2 + 20.5 * RISE + 5 / 2 * np.sqrt(1 - RISE**2) + 1


def leg_width(image, kind):
    """By the ink of a row that two front legs, or a stool's one, cross and nothing else, from the front."""
    tilt, light = np.sqrt(1 - RISE**2), seats.LIGHT
    level = light[2] * RISE - light[1] * tilt
    # The normal of a flat leg points to the camera; those of a round one all ways on its side.
    aside = np.zeros(1) if kind == PLAIN else np.linspace(-1, 1, 2001)
    cosine = light[0] * aside + level * np.sqrt(1 - aside**2)
    ink = np.mean(1 - seats.AMBIENT - seats.DIFFUSE * np.maximum(0, cosine))
    row, legs = (40, 1) if kind == STOOL else (rows(image)[-1] - 4, 2)
    return (1 - image[row]).sum() / ink / legs


def test_types_differ_where_they_should(draw):
    plain, stool, armchair = (draw(150, kind=kind) for kind in (PLAIN, STOOL, ARMCHAIR))
    # A stool's back is lower.
    assert rows(stool)[0] > rows(plain)[0]
    # Arms add to the chair, bars take away from its back: one shows less of the background, one more.
    above = slice(32)  # the legs
    assert outline(armchair)[above].sum() > outline(plain)[above].sum() + 10
    assert np.all(outline(armchair)[above] >= outline(plain)[above])
    back = slice(rows(plain)[0], rows(plain)[0] + 16)
    white = [(draw(0, kind=kind)[back] > 0.9).sum() for kind in (PLAIN, BARRED)]
    assert white[1] > white[0] + 40


@pytest.mark.parametrize("kind", range(4))
def test_no_chair_leaves_the_image(draw, kind):
    for azimuth in range(0, 360, 45):
        image = draw(azimuth, 5, 25, 31, kind)
        assert min(image[0].min(), image[-1].min(), image[:, 0].min(), image[:, -1].min()) == 1


@pytest.mark.parametrize(
    "wrong", [np.zeros(4, np.float32), np.zeros((2, 5), np.float32), np.zeros(5, np.int32)]
)
def test_factors_of_another_shape_or_type_are_refused(wrong):
    with pytest.raises(AssertionError):
        seats.render(wrong)
