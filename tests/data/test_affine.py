import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from jax.test_util import check_grads

from infogan_jax.data.affine import affine_matrices, affine_warp, draw_affine

RANGES = {"rotation": 0.3, "scale": 0.2, "shear": 0.1, "shift": 2.0}
NONE = {"rotation": 0.0, "scale": 0.0, "shear": 0.0, "shift": 0.0}


def _images(shape):
    return np.random.default_rng(0).uniform(size=shape).astype(np.float32)


def random_affine(key, images, **ranges):
    return affine_warp(images, draw_affine(key, len(images), **ranges))


def _matrices(count, *, angle=0.0, factor=1.0, shear=0.0, shift=(0.0, 0.0)):
    def fill(value):
        return jnp.full((count,), value)

    return affine_matrices(
        angle=fill(angle),
        factor=fill(factor),
        shear=fill(shear),
        shift=jnp.tile(jnp.array([shift]), (count, 1)),
    )


@pytest.mark.parametrize("shape", [(3, 9, 12, 1), (2, 8, 7, 3)])
def test_warp_agrees_with_scipy(shape):
    images = _images(shape)
    matrices = np.asarray(draw_affine(jax.random.key(1), shape[0], **RANGES))
    centre = (np.array(shape[1:3]) - 1) / 2
    expected = np.empty_like(images)
    for n, (linear, offset) in enumerate(zip(matrices[:, :, :2], matrices[:, :, 2], strict=True)):
        for c in range(shape[3]):
            expected[n, :, :, c] = scipy.ndimage.affine_transform(
                images[n, :, :, c], linear, centre + offset - linear @ centre, order=1, mode="nearest"
            )
    np.testing.assert_allclose(affine_warp(images, matrices), expected, atol=1e-5)


def test_no_change_is_exact():
    images = _images((2, 8, 7, 3))
    np.testing.assert_array_equal(random_affine(jax.random.key(0), images, **NONE), images)


@pytest.mark.parametrize("shift", [(0, 2), (3, 0), (-1, -2)])
def test_a_whole_pixel_shift_is_exact_and_repeats_the_edge(shift):
    images = _images((2, 8, 7, 1))
    rows = np.clip(np.arange(8) - shift[0], 0, 7)
    columns = np.clip(np.arange(7) - shift[1], 0, 6)
    warped = affine_warp(images, _matrices(2, shift=tuple(map(float, shift))))
    np.testing.assert_array_equal(warped, images[:, rows][:, :, columns])


def test_a_quarter_turn_is_anticlockwise():
    images = _images((2, 7, 7, 3))
    warped = affine_warp(images, _matrices(2, angle=np.pi / 2))
    np.testing.assert_allclose(warped, np.rot90(images, axes=(1, 2)), atol=1e-5)


def test_a_factor_of_two_enlarges_and_shear_moves_lower_rows_right():
    dot = np.zeros((1, 9, 9, 1), np.float32)
    dot[0, 6, 4] = 1.0  # two rows below the centre
    assert np.argmax(affine_warp(dot, _matrices(1, factor=2.0))) == 8 * 9 + 4
    assert np.argmax(affine_warp(dot, _matrices(1, shear=1.0))) == 6 * 9 + 6


def test_matrices_undo_shear_scale_rotation_and_shift():
    angle, factor, shear, shift = 0.4, 1.3, 0.2, np.array([1.5, -0.5])
    rotate = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    forward = np.eye(3)
    forward[:2, :2] = rotate @ (factor * np.array([[1.0, 0.0], [shear, 1.0]]))
    forward[:2, 2] = shift
    matrices = _matrices(1, angle=angle, factor=factor, shear=shear, shift=tuple(shift))
    np.testing.assert_allclose(matrices[0], np.linalg.inv(forward)[:2], atol=1e-6)


def test_draws_fill_their_ranges_and_are_independent():
    matrices = np.asarray(draw_affine(jax.random.key(2), 4000, **RANGES), np.float64)
    forward = np.linalg.inv(matrices[:, :, :2])
    # R * factor * [[1, 0], [shear, 1]]: the second column is the rotated row of no shear.
    angle = np.arctan2(-forward[:, 0, 1], forward[:, 1, 1])
    factor = np.hypot(forward[:, 0, 1], forward[:, 1, 1])
    shear = np.sum(forward[:, :, 0] * forward[:, :, 1], axis=1) / factor**2
    shift = -(forward @ matrices[:, :, 2:])[..., 0]
    draws = np.stack([angle, factor - 1, shear, *shift.T]) / np.array([[0.3], [0.2], [0.1], [2.0], [2.0]])
    assert np.all(np.abs(draws) < 1 + 1e-4)
    for draw in draws:  # uniform on (-1, 1)
        assert scipy.stats.kstest(draw, "uniform", (-1, 2)).pvalue > 1e-3
    correlations = np.corrcoef(draws)[np.triu_indices(5, 1)]
    assert np.all(np.abs(correlations) < 0.07)  # 4.4 standard deviations


def test_each_image_gets_its_own_map_from_the_key_alone():
    image = np.tile(_images((1, 8, 8, 1)), (3, 1, 1, 1))
    one, two, three = warped = random_affine(jax.random.key(0), image, **RANGES)
    assert not np.allclose(one, two) and not np.allclose(two, three)
    np.testing.assert_array_equal(random_affine(jax.random.key(0), image, **RANGES), warped)
    assert not np.allclose(random_affine(jax.random.key(1), image, **RANGES), warped)


def test_gradient_with_respect_to_the_images():
    matrices = draw_affine(jax.random.key(3), 2, **RANGES)
    check_grads(
        lambda images: affine_warp(images, matrices), (_images((2, 5, 4, 3)),), order=1, atol=2e-2, rtol=2e-2
    )


def test_half_precision_images_keep_their_dtype_and_their_coordinates():
    images = jnp.asarray(_images((2, 64, 64, 1)), jnp.bfloat16)
    matrices = draw_affine(jax.random.key(4), 2, **RANGES)
    warped = affine_warp(images, matrices)
    assert warped.dtype == jnp.bfloat16
    exact = affine_warp(images.astype(jnp.float32), matrices)
    np.testing.assert_array_equal(warped, exact.astype(jnp.bfloat16))


@pytest.mark.parametrize("wrong", [{"rotation": -0.1}, {"scale": 1.0}, {"shear": -1.0}, {"shift": -1.0}])
def test_ranges_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="none may be negative"):
        draw_affine(jax.random.key(0), 1, **(NONE | wrong))


@pytest.mark.parametrize(
    ("images", "matrices"),
    [
        (np.zeros((2, 4, 4, 1), np.uint8), np.zeros((2, 2, 3), np.float32)),
        (np.zeros((2, 4, 4), np.float32), np.zeros((2, 2, 3), np.float32)),
        (np.zeros((2, 4, 4, 1), np.float32), np.zeros((1, 2, 3), np.float32)),
    ],
)
def test_wrong_ranks_and_dtypes_are_refused(images, matrices):
    with pytest.raises(AssertionError):
        affine_warp(images, matrices)
