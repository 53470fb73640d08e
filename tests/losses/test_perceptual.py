import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_expit
from sklearn.metrics import mean_squared_error

from losses.adversarial import generator_non_saturating
from losses.perceptual import (
    crops_adversarial_error,
    feature_content_error,
    perceptual_error,
    pixel_content_error,
)

pytestmark = pytest.mark.usefixtures("quick_compilation")

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(2, 3, 4, 6, 2)).astype(np.float32)
LOGITS = np.array([0.0, -3.0, 1e4, -1e4], np.float32)


def test_pixel_content_error_is_equation_4():
    # With r = 2: the low-resolution images are 2 high and 3 wide.
    r, width, height = 2, 3, 2
    expected = np.zeros(3)
    for row in range(r * height):
        for column in range(r * width):
            expected += np.sum((Y[:, row, column] - X[:, row, column]).astype(np.float64) ** 2, axis=-1)
    np.testing.assert_allclose(pixel_content_error(X, Y), expected / (r**2 * width * height), rtol=1e-5)


def test_of_one_channel_the_pixel_content_error_is_the_mean_squared_error():
    expected = [mean_squared_error(x.ravel(), y.ravel()) for x, y in zip(X[..., 0], Y[..., 0], strict=True)]
    np.testing.assert_allclose(pixel_content_error(X[..., :1], Y[..., :1]), expected, rtol=1e-5)


@pytest.mark.parametrize("rescale", [1.0, 1 / 12.75])
def test_feature_content_error_is_equation_5(rescale):
    kernel = RNG.normal(size=(2, 7)).astype(np.float32)

    def features(images):  # 2 x 3 places, 7 channels
        return jnp.tanh(images[:, ::2, ::2] @ kernel)

    difference = np.tanh(X[:, ::2, ::2].astype(np.float64) @ kernel) - np.tanh(
        Y[:, ::2, ::2].astype(np.float64) @ kernel
    )
    expected = rescale**2 * np.sum(difference**2, axis=(1, 2, 3)) / (2 * 3)
    np.testing.assert_allclose(feature_content_error(features, X, Y, rescale=rescale), expected, rtol=1e-5)


def test_of_the_pixels_themselves_the_two_content_errors_are_one():
    error = feature_content_error(lambda images: images, X, Y, rescale=1.0)
    np.testing.assert_allclose(error, pixel_content_error(X, Y), rtol=1e-6)


def test_the_gradient_reaches_the_first_image_through_the_features():
    def error(x):
        return feature_content_error(lambda images: images[:, :2] ** 2, x, Y, rescale=0.5).sum()

    expected = np.zeros_like(X)
    # d/dx (x^2 - y^2)^2 / 4 over 2 x 6 places
    expected[:, :2] = (X**2 - Y**2)[:, :2] * X[:, :2] / 12
    np.testing.assert_allclose(jax.grad(error)(X), expected, rtol=1e-4, atol=1e-6)


def test_the_adversarial_term_is_summed_over_crops():
    expected = -log_expit(LOGITS.astype(np.float64))
    np.testing.assert_allclose(crops_adversarial_error(LOGITS), expected.sum(), rtol=1e-6)
    np.testing.assert_allclose(
        crops_adversarial_error(LOGITS.reshape(2, 2)), expected.reshape(2, 2).sum(axis=1), rtol=1e-6
    )
    np.testing.assert_allclose(
        crops_adversarial_error(LOGITS), generator_non_saturating(LOGITS).sum(), rtol=1e-6
    )


def test_the_perceptual_error_is_equation_3():
    content = np.array([0.5, 1.0, 2.0, 3.0], np.float32)
    adversarial = -log_expit(LOGITS.astype(np.float64))
    np.testing.assert_allclose(perceptual_error(content, LOGITS), content + 1e-3 * adversarial, rtol=1e-6)
    np.testing.assert_allclose(
        perceptual_error(content, LOGITS, adversarial_weight=0.25), content + 0.25 * adversarial, rtol=1e-6
    )
    np.testing.assert_array_equal(perceptual_error(content, LOGITS, adversarial_weight=0.0), content)
