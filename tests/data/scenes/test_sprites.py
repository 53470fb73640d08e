"""Sprites against the shapes themselves, counted point by point, and against their moments."""

import jax
import numpy as np
import pytest

from infogan_jax.data.scenes import sprites

SQUARE, ELLIPSE, HEART = range(3)


@pytest.fixture(scope="module")
def draw():
    render = jax.jit(sprites.render)
    return lambda *factors: np.asarray(render(np.array(factors, np.float32)), np.float64)[..., 0]


def random_factors(shape):
    rng = np.random.default_rng(shape)
    return rng.uniform((0.5, -40, -16, -16), (1, 40, 16, 16), (12, 4))


def inside(shape, x, y):
    """Whether points of an upright sprite of area 400, with its centroid at 0, lie in it."""
    if shape == SQUARE:
        return (abs(x) <= 10) & (abs(y) <= 10)
    if shape == ELLIPSE:
        short = np.sqrt(400 / (1.6 * np.pi))
        return (x / 1.6) ** 2 + y**2 <= short**2
    side = np.sqrt(400 / (1 + np.pi / 4))
    # The height at which a heart balances, found by putting the same heart's points on the scale.
    y = y + np.mean(HEART_POINTS[1]) * side
    return heart(x / side, y / side)


def heart(x, y):
    """A unit square on its corner with half discs on its upper sides."""
    square = abs(x) + abs(y) <= np.sqrt(1 / 2)
    discs = (abs(x) - np.sqrt(1 / 8)) ** 2 + (y - np.sqrt(1 / 8)) ** 2 <= 1 / 4
    return square | discs


GRID = np.meshgrid(*2 * [np.linspace(-1, 1, 1001)])
HEART_POINTS = [line[heart(*GRID)] for line in GRID]


@pytest.mark.parametrize("shape", range(3))
def test_pixels_are_covered_as_a_count_of_points_says(draw, centres, pixels, shape):
    u, v = centres(sprites.SIZE, 8)
    for scale, rotation, x, y in random_factors(shape)[:4]:
        turn = np.exp(-1j * np.deg2rad(rotation)) * (u - x + 1j * (v - y)) / scale
        counted = pixels(inside(shape, turn.real, turn.imag), 8)
        difference = abs(draw(shape, scale, rotation, x, y) - counted)
        assert difference.max() < 0.3  # at corners, which a distance to the edge rounds or sharpens
        assert difference[(counted > 0) & (counted < 1)].mean() < 0.05
        assert difference[(counted == 0) | (counted == 1)].max() < 0.25


@pytest.mark.parametrize("shape", range(3))
def test_area_is_set_by_the_scale_alone_and_the_centroid_by_x_and_y(draw, centres, shape):
    u, v = centres(sprites.SIZE, 1)
    for scale, rotation, x, y in random_factors(shape):
        image = draw(shape, scale, rotation, x, y)
        assert image.sum() == pytest.approx(400 * scale**2, rel=0.01)
        assert np.sum(image * u) / image.sum() == pytest.approx(x, abs=0.06)
        assert np.sum(image * v) / image.sum() == pytest.approx(y, abs=0.06)


@pytest.mark.parametrize(("shape", "order"), [(SQUARE, 4), (ELLIPSE, 2), (HEART, 3)])
def test_rotation_turns_the_shape_anticlockwise(draw, centres, shape, order):
    # The mean of (u + iv)^n about the centroid turns n times as fast as the sprite. Order n is the lowest
    # that its symmetry leaves: an ellipse has a direction, a square four sides, a heart three lobes.
    u, v = centres(sprites.SIZE, 1)

    def moment(image, x, y):
        return np.sum(image * (u - x + 1j * (v - y)) ** order)

    upright = moment(draw(shape, 1, 0, 0, 0), 0, 0)
    for scale, rotation, x, y in random_factors(shape):
        turned = moment(draw(shape, scale, rotation, x, y), x, y) / upright
        period = 360 / order
        error = np.rad2deg(np.angle(turned)) / order - rotation
        assert abs((error + period / 2) % period - period / 2) < 1.5


def test_shapes_are_elongated_as_they_should_be(draw, centres):
    u, v = centres(sprites.SIZE, 1)
    widths = [
        np.sqrt(np.sum(image * u**2) / np.sum(image * v**2))
        for image in (draw(k, 1, 0, 0, 0) for k in range(3))
    ]
    assert widths[SQUARE] == pytest.approx(1, abs=0.01)
    assert widths[ELLIPSE] == pytest.approx(1.6, abs=0.02)


@pytest.mark.parametrize("shape", range(3))
def test_no_sprite_leaves_the_image(draw, shape):
    for rotation in (-40, 0, 40):
        for x, y in ((-16, -16), (16, 16), (16, -16), (-16, 16)):
            image = draw(shape, 1, rotation, x, y)
            assert max(image[0].max(), image[-1].max(), image[:, 0].max(), image[:, -1].max()) == 0


@pytest.mark.parametrize(
    "wrong", [np.zeros(4, np.float32), np.zeros((2, 5), np.float32), np.zeros(5, np.int32)]
)
def test_factors_of_another_shape_or_type_are_refused(wrong):
    with pytest.raises(AssertionError):
        sprites.render(wrong)
