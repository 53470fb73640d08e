"""Chairs against boxes cast ray by ray in numpy, and measured as pictures."""

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
    """The image ray by ray, by the slab method: coming from the camera, a ray is in a box from the last
    plane that it enters by to the first that it leaves by."""
    origins, camera = rays(seats.SIZE, parts, factors[0], seats.ELEVATION)
    corners, _ = rays(2, 1, factors[0], seats.ELEVATION)
    right, up = corners[0, 1] - corners[0, 0], corners[0, 0] - corners[1, 0]
    light = np.stack([right, up, camera]).T @ np.array(seats.LIGHT)
    camera = np.where(abs(camera) < 1e-9, 1e-9, camera)
    shade = seats.AMBIENT + seats.DIFFUSE * np.maximum(0, np.sign(camera) * light)
    starts = np.ascontiguousarray(np.moveaxis(origins, -1, 0))

    def reached(corner):
        return (corner[:, np.newaxis, np.newaxis] - starts) / camera[:, np.newaxis, np.newaxis]

    image, nearest = np.ones(starts.shape[1:]), np.full(starts.shape[1:], -np.inf)
    for low, high in zip(*map(np.asarray, seats.boxes(np.array(factors, np.float32))), strict=True):
        if np.all(low == high):
            continue
        enters, leaves = reached(np.where(camera > 0, high, low)), reached(np.where(camera > 0, low, high))
        depth = enters.min(axis=0)
        shown = (depth > leaves.max(axis=0)) & (depth > nearest)
        image = np.where(shown, shade[enters.argmin(axis=0)], image)
        nearest = np.where(shown, depth, nearest)
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
    # Edges differ by what a pixel's corner holds; a box before another that should be behind it, by more.
    difference = compare(draw, rays, pixels, azimuth, kind)
    assert difference.mean() < 0.004
    assert (difference > 0.2).mean() < 0.002
    assert difference.max() < 0.3


@pytest.mark.parametrize(("azimuth", "kind"), [(0, ARMCHAIR), (90, BARRED), (180, STOOL), (270, PLAIN)])
def test_chairs_seen_along_an_axis_differ_at_edges_that_fall_together(draw, rays, pixels, azimuth, kind):
    # Half a pixel of a front leg over half a pixel of a rear one is painted as three quarters.
    difference = compare(draw, rays, pixels, azimuth, kind)
    assert difference.mean() < 0.005
    assert (difference > 0.2).mean() < 0.01
    assert difference.max() < 0.3


def outline(image):
    return 1 - (image > 0.999)


def test_azimuth_turns_the_chair_all_the_way_round(draw):
    images = [draw(azimuth) for azimuth in range(0, 360, 30)]
    apart = [abs(a - b).mean() for k, a in enumerate(images) for b in images[:k]]
    assert min(apart) > 0.01
    np.testing.assert_allclose(draw(360), draw(0), atol=1e-3)


def test_the_other_way_round_is_the_mirror_image(draw):
    for kind in range(4):
        one, other = (outline(draw(azimuth, kind=kind)) for azimuth in (25, -25))
        assert (one != other[:, ::-1]).mean() < 0.002


def columns(image):
    """Of how many columns a picture takes up a part."""
    return np.count_nonzero(outline(image).any(axis=0))


def rows(image):
    return np.nonzero(outline(image).any(axis=1))[0]


@pytest.mark.parametrize("azimuth", [0, 30, 60, 90, 200])
def test_the_seat_is_as_wide_as_it_should_look(draw, azimuth):
    # A box of width by depth, turned.
    cos, sin = np.cos(np.deg2rad(azimuth)), np.sin(np.deg2rad(azimuth))
    for width in (19, 25, 31):
        looks = width * abs(cos) + 23 * abs(sin)
        assert looks - 0.1 <= columns(draw(azimuth, width=width)) <= looks + 2


@pytest.mark.parametrize("kind", range(4))
def test_back_height_raises_the_top_and_nothing_below_the_seat(draw, kind):
    lowest, highest = draw(0, back=13, kind=kind), draw(0, back=25, kind=kind)
    raised = (0.4 if kind == STOOL else 1) * 12 * RISE
    assert rows(lowest)[0] - rows(highest)[0] == pytest.approx(raised, abs=1)
    assert rows(lowest)[-1] == rows(highest)[-1]
    np.testing.assert_allclose(lowest[-20:], highest[-20:], atol=1e-5)


@pytest.mark.parametrize("kind", range(4))
def test_leg_width_widens_the_legs_alone(draw, kind):
    # Seen from the front, each foot in the lowest rows is as wide as its leg.
    for leg in (1.5, 3.0, 4.5):
        image = draw(leg=leg, kind=kind)
        foot = outline_ink(image)[rows(image)[-1] - 2]
        assert foot == pytest.approx(2 * leg, abs=0.1)
    thin, thick = draw(leg=1.5, kind=kind), draw(leg=5, kind=kind)
    changed = rows(1 - (thin != thick))
    seat = 64 / 2 - (-22 + (25 if kind == STOOL else 18)) * RISE  # the seat's underside, at its middle
    assert changed[0] >= seat - 1
    assert changed.size > 10


def outline_ink(image):
    """The ink of each row in pixels of the brightness of its front faces."""
    front = seats.AMBIENT + seats.DIFFUSE * (seats.LIGHT[2] * RISE - seats.LIGHT[1] * np.sqrt(1 - RISE**2))
    return (1 - image).sum(axis=1) / (1 - front)


def test_types_differ_where_they_should(draw):
    plain, stool, armchair = (draw(150, kind=kind) for kind in (PLAIN, STOOL, ARMCHAIR))
    # A stool's seat is higher and its back lower; the feet stand where they stood.
    assert rows(stool)[0] > rows(plain)[0] and rows(stool)[-1] == rows(plain)[-1]
    # Arms add to the chair, bars take away from its back: one shows less of the background, one more.
    assert outline(armchair).sum() > outline(plain).sum() + 10
    assert np.all(outline(armchair) >= outline(plain))
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
