import math

import numpy as np
import pytest

from infogan_jax.data.resize import centre_square


def lanczos(size, side):
    """The matrix [size, side] that filters a row of pixels, from the definition of the kernel."""
    scale = side / size
    width = max(scale, 1.0)
    centres = (np.arange(size) + 0.5) * scale
    x = (np.arange(side) + 0.5 - centres[:, np.newaxis]) / width
    weights = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("side", "size"), [(17, 5), (12, 4), (9, 9), (5, 8)])
@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_lanczos_filtering_along_both_axes(side, size, channels):
    # Smooth enough that nothing overshoots 0..255, where the values between the two passes are cut off.
    y, x, c = np.meshgrid(np.arange(side), np.arange(side), np.arange(channels), indexing="ij")
    pixels = np.rint(128 + 60 * np.sin(0.7 * x + c) * np.cos(0.5 * y)).astype(np.uint8)
    matrix = lanczos(size, side)
    expected = np.einsum("ay,bx,yxc->abc", matrix, matrix, pixels.astype(float))
    found = centre_square(pixels, size)
    assert found.dtype == np.uint8 and found.shape == (size, size, channels)
    np.testing.assert_allclose(found, expected, atol=1.01)  # it rounds after each of the two passes


@pytest.mark.parametrize(("height", "width", "top", "left"), [(6, 6, 0, 0), (11, 6, 2, 0), (6, 9, 0, 1)])
def test_a_square_of_the_size_itself_is_cut_from_the_centre_untouched(height, width, top, left):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    np.testing.assert_array_equal(centre_square(pixels, 6), pixels[top : top + 6, left : left + 6])


def test_fine_stripes_become_grey_and_do_not_alias():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))[..., np.newaxis]
    inside = centre_square(stripes, 24)[4:-4, 4:-4]
    assert np.all(np.abs(inside.astype(float) - 127.5) < 4)


@pytest.mark.parametrize(
    ("pixels", "size", "message"),
    [
        (np.zeros((4, 4, 1), np.float32), 2, "pixels are float32"),
        (np.zeros((4, 4), np.uint8), 2, r"\(4, 4\); they must be uint8 \[H, W, 1 or 3\]"),
        (np.zeros((4, 4, 4), np.uint8), 2, "they must be"),
        (np.zeros((0, 4, 1), np.uint8), 2, "they must be"),
        (np.zeros((4, 4, 1), np.uint8), 0, "size is 0; it must be 1 or more"),
    ],
)
def test_what_is_no_image_or_size_is_refused(pixels, size, message):
    with pytest.raises(ValueError, match=message):
        centre_square(pixels, size)


def test_the_side_of_the_square_is_the_shorter_one():
    wide = np.zeros((30, 50, 1), np.uint8)
    wide[:, 10:40] = 200  # exactly the square in the centre
    assert math.isclose(centre_square(wide, 10).mean(), 200)
