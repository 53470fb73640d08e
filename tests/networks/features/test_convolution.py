from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infogan_jax.networks.features.convolution import convolution, convolve_depthwise, max_pool, normalised

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("size", "stride", "sides"), [(3, 1, (8, 7)), (3, 2, (8, 7)), (5, 2, (7, 8)), (5, 2, (1, 2))]
)
def test_depthwise_is_the_grouped_convolution(size, stride, sides):
    x = RANDOM.normal(size=(2, *sides, 4)).astype(np.float32)
    layer = convolution(RANDOM.normal(size=(size, size, 1, 4)), RANDOM.normal(size=4))

    def grouped(x):
        return (
            jax.lax.conv_general_dilated(
                x,
                layer["kernel"],
                (stride, stride),
                "SAME",
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
                feature_group_count=4,
            )
            + layer["bias"][None, None, None]
        )

    @partial(jax.jit, static_argnums=0)
    def value_and_gradient(convolve, x, cotangent):
        y, pull_back = jax.vjp(convolve, x)
        return y, pull_back(cotangent)[0]

    shape = jax.eval_shape(grouped, x).shape
    cotangent = RANDOM.normal(size=shape).astype(np.float32)
    found = value_and_gradient(partial(convolve_depthwise, layer, stride=stride), x, cotangent)
    for value, expected in zip(found, value_and_gradient(grouped, x, cotangent), strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-5)


def test_max_pool_by_hand():
    x = jnp.array([[1.0, 2, 9], [4, 3, 9], [5, 7, 9], [6, -8, 9], [9, 9, 9]])[None, :, :, None]
    np.testing.assert_array_equal(max_pool(x)[0, :, :, 0], [[4], [7]])
    gradient = jax.jit(jax.grad(lambda x: max_pool(x).sum()))(x)[0, :, :, 0]
    np.testing.assert_array_equal(gradient, [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]])


def test_normalised_is_per_channel():
    images = RANDOM.uniform(size=(2, 3, 4, 3)).astype(np.float32)
    mean, std = np.float32([0.1, 0.2, 0.3]), np.float32([1, 2, 4])
    found = normalised(images, jnp.asarray(mean), jnp.asarray(std))
    np.testing.assert_allclose(found, (images - mean) / std, rtol=1e-6)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((1, 4, 4, 3), np.uint8), TypeError, "images is uint8"),
        (np.zeros((4, 4, 3), np.float32), ValueError, r"images has shape \(4, 4, 3\)"),
        (np.zeros((1, 4, 4, 1), np.float32), ValueError, "images has 1 channels"),
    ],
)
def test_what_is_no_colour_image_is_refused(images, error, message):
    with pytest.raises(error, match=message):
        normalised(images, jnp.zeros(3), jnp.ones(3))
