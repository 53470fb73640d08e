"""Errors for two-valued images, against scipy, numpy and optax, and by what their names promise."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads
from scipy.ndimage import uniform_filter

from losses import masks

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 2, (3, 6, 5, 1)).astype(np.float32)
TARGET = (RNG.random((3, 6, 5, 1)) > 0.6).astype(np.float32)
ERRORS = [
    masks.binary_cross_entropy_from_logits,
    masks.dice_error_from_logits,
    masks.iou_error_from_logits,
    masks.edge_error_from_logits,
]
every_error = pytest.mark.parametrize("error", ERRORS, ids=lambda f: f.__name__)


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def test_cross_entropy_is_optaxs():
    expected = optax.sigmoid_binary_cross_entropy(LOGITS, TARGET).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(masks.binary_cross_entropy_from_logits(LOGITS, TARGET), expected, rtol=1e-5)


@pytest.mark.parametrize("size", [0.0, 1.0, 12.0, 20.0, 30.0, 80.0, np.inf])
def test_a_pixel_that_is_right_keeps_all_digits_of_its_cross_entropy(size):
    z, x = np.array([[size], [-size]], np.float32), np.array([[1.0], [0.0]], np.float32)
    right, slope = np.log1p(np.exp(-size)), 1 / (1 + np.exp(size))
    values, pull_back = jax.vjp(lambda z: masks.binary_cross_entropy_from_logits(z, x), z)
    np.testing.assert_allclose(values, [right, right], rtol=1e-5)
    np.testing.assert_allclose(pull_back(jnp.ones(2))[0], [[-slope], [slope]], rtol=1e-5)
    # On the wrong side it is more by the logit.
    np.testing.assert_allclose(masks.binary_cross_entropy_from_logits(-z, x), [right + size] * 2, rtol=1e-5)


@every_error
def test_infinite_logits_on_the_right_side_are_no_error(error):
    z = np.where(TARGET == 1, np.inf, -np.inf).astype(np.float32)
    value, slope = jax.value_and_grad(lambda z: error(z, TARGET).sum())(z)
    assert value == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(slope, np.zeros_like(TARGET), atol=1e-6)


def test_targets_between_the_two_values_are_a_mean():
    grey = RNG.random(LOGITS.shape).astype(np.float32)
    p = sigmoid(LOGITS)
    expected = -(grey * np.log(p) + (1 - grey) * np.log(1 - p)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(masks.binary_cross_entropy_from_logits(LOGITS, grey), expected, rtol=1e-5)


def test_dice_and_iou_are_their_ratios():
    p, x = sigmoid(LOGITS), TARGET
    both, sizes = (p * x).sum(axis=(1, 2, 3)), p.sum(axis=(1, 2, 3)) + x.sum(axis=(1, 2, 3))
    np.testing.assert_allclose(masks.dice_error_from_logits(LOGITS, x), 1 - 2 * both / sizes, rtol=1e-5)
    np.testing.assert_allclose(masks.iou_error_from_logits(LOGITS, x), 1 - both / (sizes - both), rtol=1e-5)


def test_edge_weights_are_a_local_variance():
    mean = uniform_filter(TARGET.astype(np.float64), size=(1, 3, 3, 1), mode="nearest")
    weights = masks.edge_weights(TARGET, radius=1, strength=2.5)
    np.testing.assert_allclose(weights, 1 + 10 * mean * (1 - mean), rtol=1e-5)


def test_edge_weights_single_out_edges():
    image = np.zeros((1, 20, 20, 1), np.float32)
    image[:, :, 10:] = 1
    weights = np.asarray(masks.edge_weights(image, radius=2, strength=4.0))[0, :, :, 0]
    np.testing.assert_array_equal(weights[:, [0, 7, 12, 19]], np.ones((20, 4)))
    assert np.all(weights[:, [8, 9, 10, 11]] > 2)
    np.testing.assert_allclose(weights[:, 9], 1 + 4 * 4 * 0.4 * 0.6, rtol=1e-5)


@pytest.mark.parametrize("radius", [1, 2, 3, 6])
def test_edge_weights_are_one_in_the_plain_and_as_documented_beside_a_straight_edge(radius):
    image = np.zeros((1, 40, 40, 1), np.float32)
    image[:, :, 20:] = 1
    weights = np.asarray(masks.edge_weights(image, radius=radius, strength=4.0))[0, :, :, 0]
    assert weights.min() == 1
    beside = 1 + 4 * (1 - 1 / (2 * radius + 1) ** 2)
    np.testing.assert_allclose(weights[:, 19:21], np.full((40, 2), beside), rtol=1e-5)
    assert beside == pytest.approx(4.84) or radius != 2


def test_edge_error_is_its_two_terms():
    w = np.asarray(masks.edge_weights(TARGET, radius=2, strength=4.0))
    h = np.asarray(optax.sigmoid_binary_cross_entropy(LOGITS, TARGET))
    expected = (w * h).sum(axis=(1, 2, 3)) / w.sum(axis=(1, 2, 3))
    expected += np.asarray(masks.dice_error_from_logits(LOGITS, TARGET))
    np.testing.assert_allclose(masks.edge_error_from_logits(LOGITS, TARGET), expected, rtol=1e-5)


def test_an_edge_out_of_place_costs_more_than_a_wrong_pixel_in_the_open():
    target = np.zeros((1, 20, 20, 1), np.float32)
    target[:, :, 10:] = 1
    at_the_edge, in_the_open = (8 * (target - 0.5) for _ in range(2))
    at_the_edge[0, 10, 9] *= -1
    in_the_open[0, 10, 2] *= -1
    moved, lone = (float(masks.edge_error_from_logits(z, target)[0]) for z in (at_the_edge, in_the_open))
    assert moved > 1.5 * lone
    plain = [float(masks.binary_cross_entropy_from_logits(z, target)[0]) for z in (at_the_edge, in_the_open)]
    assert plain[0] == pytest.approx(plain[1], rel=1e-5)


@every_error
def test_gradients(error):
    check_grads(lambda z: error(z, TARGET), (LOGITS,), order=1, modes=("rev",), atol=1e-2, rtol=1e-2)


@every_error
def test_sure_pixels(error):
    """Right and sure: no error. Wrong and sure: finite, and where a likelihood is in it, a slope."""
    right = np.asarray(error(2e4 * (TARGET - 0.5), TARGET))
    np.testing.assert_allclose(right, np.zeros(3), atol=1e-6)
    value, slope = jax.value_and_grad(lambda z: error(z, TARGET).sum())(-2e4 * (TARGET - 0.5))
    assert np.isfinite(value) and np.isfinite(slope).all() and value > 0.5
    has_slope = error in (masks.binary_cross_entropy_from_logits, masks.edge_error_from_logits)
    assert bool(np.all(slope != 0)) == has_slope


@every_error
def test_two_empty_images_agree(error):
    empty = jnp.zeros((2, 4, 4, 1))
    np.testing.assert_array_equal(error(jnp.full((2, 4, 4, 1), -1e4), empty), np.zeros(2))


@every_error
def test_half_precision_is_computed_in_float32(error):
    z, x = jnp.asarray(LOGITS, jnp.bfloat16), jnp.asarray(TARGET, jnp.bfloat16)
    value = error(z, x)
    assert value.dtype == jnp.float32
    np.testing.assert_array_equal(value, error(z.astype(jnp.float32), TARGET))


@every_error
@pytest.mark.parametrize(
    ("logits", "target", "kind", "message"),
    [
        (LOGITS, TARGET[:, :4], ValueError, "target has shape"),
        (LOGITS, TARGET.astype(np.int32), TypeError, "target is int32"),
        (np.float32(1), np.float32(1), ValueError, "logits has shape"),
    ],
    ids=["shapes", "type", "rank"],
)
def test_wrong_arguments_are_named(error, logits, target, kind, message):
    with pytest.raises(kind, match=message):
        error(logits, target)


def test_wrong_weights_are_named():
    with pytest.raises(ValueError, match="radius is 0"):
        masks.edge_weights(TARGET, radius=0, strength=1.0)
    with pytest.raises(ValueError, match="strength is -1"):
        masks.edge_error_from_logits(LOGITS, TARGET, strength=-1.0)
