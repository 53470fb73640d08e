"""The geometry of drawn ellipses and bars, whose measures are known."""

import jax.numpy as jnp
import numpy as np
import pytest

from infogan_jax.data.affine import affine_matrices, affine_warp
from infogan_jax.evaluation.moments import stroke_geometry

FINE = 8
"""Points that are drawn along each side of a pixel."""


def coordinates(size, centre):
    """Places down and to the right of the centre, FINE x FINE in each pixel."""
    places = (np.arange(size * FINE) + 0.5) / FINE - 0.5
    return places[:, None] - centre[0], places[None] - centre[1]


def drawn(inside):
    """A pixel's value is the share of it that is inside; [1, H, W, 1]."""
    size = len(inside) // FINE
    return inside.reshape(size, FINE, size, FINE).mean(axis=(1, 3))[None, :, :, None]


def turned(down, right, angle):
    """Places along and across an axis that is turned anticlockwise, as seen, from the vertical."""
    return down * np.cos(angle) + right * np.sin(angle), right * np.cos(angle) - down * np.sin(angle)


def ellipse(size, centre, along, across, angle):
    u, v = turned(*coordinates(size, centre), angle)
    return drawn((u / along) ** 2 + (v / across) ** 2 <= 1)


def bar(size, centre, length, thickness, angle):
    u, v = turned(*coordinates(size, centre), angle)
    return drawn((np.abs(u) <= length / 2) & (np.abs(v) <= thickness / 2))


def only(geometry):
    return {name: values.item() for name, values in geometry._asdict().items()}


@pytest.mark.parametrize("angle", [-1.2, -np.pi / 4, 0, 0.3, np.pi / 4, 1.5, np.pi / 2])
def test_an_ellipse(angle):
    along, across = 11.0, 6.0
    measured = only(stroke_geometry(ellipse(32, (15.3, 16.1), along, across, angle)))
    assert measured["mass"] == pytest.approx(np.pi * along * across, rel=0.01)
    assert measured["row"] == pytest.approx(15.3, abs=0.05)
    assert measured["column"] == pytest.approx(16.1, abs=0.05)
    assert measured["angle"] == pytest.approx(angle, abs=0.01)
    assert measured["anisotropy"] == pytest.approx((121 - 36) / (121 + 36), abs=0.01)
    sin, cos = np.sin(angle), np.cos(angle)
    assert measured["width"] == pytest.approx(2 * np.hypot(along * sin, across * cos), abs=0.2)
    assert measured["height"] == pytest.approx(2 * np.hypot(along * cos, across * sin), abs=0.2)


def test_italics_lean_below_zero():
    #   . . x
    #   . x .
    #   x . .
    leaning = np.fliplr(np.eye(3))[None, :, :, None]
    measured = only(stroke_geometry(leaning))
    assert measured["angle"] == pytest.approx(-np.pi / 4)
    assert measured["anisotropy"] == pytest.approx(1)


def test_the_angle_turns_with_the_affine_map_of_the_data():
    turns = np.array([-0.5, 0.4])
    images = np.repeat(ellipse(32, (15.5, 15.5), 11, 4, 0.2), 2, axis=0)
    matrices = affine_matrices(
        angle=jnp.asarray(turns), factor=jnp.ones(2), shear=jnp.zeros(2), shift=jnp.zeros((2, 2))
    )
    warped = np.asarray(affine_warp(jnp.asarray(images, jnp.float32), matrices))
    np.testing.assert_allclose(stroke_geometry(warped).angle, 0.2 + turns, atol=0.01)


def test_a_horizontal_bar_is_at_plus_a_quarter_turn():
    for image in (bar(16, (7.5, 7.5), 12, 2, np.pi / 2), bar(16, (7.5, 7.5), 12, 2, -np.pi / 2)):
        assert only(stroke_geometry(image))["angle"] == pytest.approx(np.pi / 2)
    # A covariance of -0 would put the arc tangent on the other side.
    image = np.zeros((1, 2, 2, 1))
    image[0, 0] = 1
    assert only(stroke_geometry(image))["angle"] == np.pi / 2


def test_moments_are_those_of_weighted_coordinates():
    x = np.random.default_rng(0).random((3, 6, 5, 1)) ** 4
    measured = stroke_geometry(x)
    for n in range(3):
        places = np.indices((6, 5)).reshape(2, -1)
        covariance = np.cov(places, aweights=x[n].ravel(), ddof=0)
        values, vectors = np.linalg.eigh(covariance)
        down, right = vectors[:, 1]
        assert np.tan(measured.angle[n]) == pytest.approx(right / down)
        assert measured.anisotropy[n] == pytest.approx((values[1] - values[0]) / values.sum())
        assert (measured.row[n], measured.column[n]) == pytest.approx(
            tuple(np.average(places, axis=1, weights=x[n].ravel()))
        )


def test_a_sharp_box_is_as_wide_as_its_pixels_also_at_the_border():
    image = np.zeros((2, 9, 12, 1), np.uint8)
    image[0, 2:5, 3:10] = 200
    image[1, 4:, :8] = 255
    measured = stroke_geometry(image)
    np.testing.assert_allclose(measured.width, [7, 8])
    np.testing.assert_allclose(measured.height, [3, 5])
    np.testing.assert_allclose(measured.mass, [21 * 200 / 255, 40])


@pytest.mark.parametrize("width", [5.0, 5.25, 5.5, 5.75, 6.0])
def test_width_is_finer_than_a_pixel(width):
    # Of an edge that covers a share f of a pixel, the interpolated place is off by f - 3/2 + 1/(2f) above
    # f = 1/2 and by the mirror of that below: at most 3/2 - 2^1/2 = 0.086 on each side.
    measured = only(stroke_geometry(bar(16, (7.5, 7.5), 8, width, 0)))["width"]
    assert measured == pytest.approx(width, abs=0.18)


def test_width_grows_with_the_image_and_falls_with_the_level():
    widths = [only(stroke_geometry(bar(24, (11.5, 11.5), 8, w, 0)))["width"] for w in np.arange(4, 9, 0.5)]
    assert (np.diff(widths) > 0.2).all()
    blurred = ellipse(24, (11.5, 11.5), 8, 6, 0) ** 0.5
    low, middle, high = (only(stroke_geometry(blurred, level=level))["width"] for level in (0.2, 0.5, 0.8))
    assert low > middle > high


@pytest.mark.parametrize("angle", [0, 0.4, np.pi / 4, np.pi / 2])
@pytest.mark.parametrize("thickness", [2.0, 3.0, 5.0])
def test_thickness_of_a_bar(thickness, angle):
    # Area over half of the perimeter, exactly; the corners and the pixels blur it a little.
    expected = 30 * thickness / (30 + thickness)
    image = bar(40, (19.5, 19.5), 30, thickness, angle)
    assert only(stroke_geometry(image))["thickness"] == pytest.approx(expected, rel=0.12)


def test_brightness_and_type_change_the_mass_alone():
    image = np.round(255 * ellipse(16, (7.5, 8), 6, 3, 0.5)).astype(np.uint8)
    as_bytes, as_floats = stroke_geometry(image), stroke_geometry(image.astype(np.float32) / 255)
    np.testing.assert_allclose(as_bytes, as_floats, rtol=1e-6)
    dim = stroke_geometry(image.astype(float) / 1000)
    np.testing.assert_allclose(dim.mass, as_bytes.mass * 255 / 1000)
    np.testing.assert_allclose(dim[1:], as_bytes[1:])


def test_a_batch_is_measured_image_by_image():
    x = np.random.default_rng(1).random((4, 7, 7, 1))
    x[2] = 0
    together = np.array(stroke_geometry(x))
    for n in range(4):
        np.testing.assert_allclose(together[:, n], np.array(stroke_geometry(x[n : n + 1]))[:, 0])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_blank_image_has_no_geometry(dtype):
    measured = only(stroke_geometry(np.zeros((1, 8, 8, 1), dtype)))
    assert measured.pop("mass") == 0
    assert len(measured) == 7
    assert all(np.isnan(value) for value in measured.values())


def test_a_lone_pixel_and_a_disc_have_no_direction():
    image = np.zeros((1, 8, 8, 1))
    image[0, 3, 5] = 0.3
    measured = only(stroke_geometry(image))
    assert np.isnan(measured.pop("angle"))
    assert measured.pop("thickness") == pytest.approx(2 / (4 / np.sqrt(2)))
    assert measured == pytest.approx(
        {"mass": 0.3, "row": 3, "column": 5, "anisotropy": 0, "width": 1, "height": 1}
    )
    assert only(stroke_geometry(ellipse(16, (7.5, 7.5), 5, 5, 0)))["anisotropy"] < 1e-12


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 4, 4, 3)), "images are float64"),
        (np.zeros((2, 4, 4)), "images are float64"),
        (np.zeros((2, 4, 4, 1), int), "images are int64"),
        (np.zeros((0, 4, 4, 1)), "nothing to measure"),
        (np.full((2, 4, 4, 1), -1.0), "at least 0"),
        (np.full((2, 4, 4, 1), np.nan), "finite"),
    ],
)
def test_wrong_images_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        stroke_geometry(images)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_level_that_is_no_share_is_refused(level):
    with pytest.raises(ValueError, match="level is"):
        stroke_geometry(np.ones((1, 4, 4, 1)), level=level)
