import jax
import numpy as np
import pytest
from PIL import Image

from infogan_jax.data.bicubic import enlarge, low_resolution

# One compilation for a size, not one for each operation.
shrunk = jax.jit(low_resolution, static_argnums=1)
enlarged = jax.jit(enlarge, static_argnums=1)

# Height, width, factor: 20 sizes, among them the smallest, and odd and uneven ones.
SHRUNK = [
    *((4, 4, 4), (8, 4, 4), (4, 20, 4), (12, 16, 4), (36, 28, 4), (2, 2, 2), (10, 14, 2), (33, 21, 3)),
    *((64, 48, 8), (8, 8, 8)),
]
ENLARGED = [
    *((1, 1, 4), (1, 5, 4), (2, 3, 4), (3, 2, 2), (7, 9, 4), (16, 16, 2), (5, 4, 3), (6, 11, 8), (9, 1, 8)),
    (12, 5, 1),
]


def by_pillow(plane, width, height):
    """Floats, which Pillow doesn't round, or bytes."""
    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize(("height", "width", "factor"), SHRUNK)
def test_shrinks_as_pillow_does(height, width, factor):
    images = np.random.default_rng(height).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    made = np.asarray(shrunk(images, factor))
    assert made.dtype == np.uint8 and made.shape == (2, height // factor, width // factor, 3)
    for n, channel in np.ndindex(2, 3):
        plane = images[n, :, :, channel].astype(np.float32)
        exact = by_pillow(plane, width // factor, height // factor).clip(0, 255)
        # Rounded; a half may go either way.
        np.testing.assert_allclose(made[n, :, :, channel], exact, atol=0.5 + 1e-3)
        in_bytes = by_pillow(images[n, :, :, channel], width // factor, height // factor)
        assert np.abs(made[n, :, :, channel].astype(int) - in_bytes).max() <= 1


@pytest.mark.parametrize(("height", "width", "factor"), ENLARGED)
def test_enlarges_as_pillow_does(height, width, factor):
    images = np.random.default_rng(width).normal(size=(2, height, width, 1)).astype(np.float32)
    made = enlarged(images, factor)
    assert made.shape == (2, factor * height, factor * width, 1)
    for image, large in zip(images, np.asarray(made), strict=True):
        expected = by_pillow(image[..., 0], factor * width, factor * height)
        np.testing.assert_allclose(large[..., 0], expected, rtol=1e-4, atol=1e-4)


def test_what_overshoots_is_clipped_before_it_becomes_a_byte():
    step = np.zeros((1, 8, 64, 1), np.uint8)
    step[:, :, 32:] = 255
    made = np.asarray(shrunk(step, 4))[0, 0, :, 0]
    assert made[0] == 0 and made[-1] == 255 and (np.diff(made.astype(int)) >= 0).all()
    large = enlarged(step.astype(np.float32), 4)
    assert large.min() < -5 and large.max() > 260


def test_what_cannot_be_shrunk_is_refused():
    with pytest.raises(ValueError, match="images is 6 x 8: both must be multiples of the factor 4"):
        low_resolution(np.zeros((1, 6, 8, 3), np.uint8), 4)
    with pytest.raises(TypeError, match="images is uint8: it must be float"):
        enlarge(np.zeros((1, 6, 8, 3), np.uint8), 4)
