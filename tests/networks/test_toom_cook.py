import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infogan_jax.networks import layers, patches, toom_cook

pytestmark = pytest.mark.usefixtures("quick_compilation")

NUMBERS = ("NHWC", "HWIO", "NHWC")


@pytest.mark.parametrize("taps", [2, 3, 4])
def test_five_products_make_the_trilinear_form(taps):
    outputs, kernel, blocks = toom_cook._algorithm(taps)
    rng = np.random.default_rng(taps)
    m = 6 - taps
    y, k, x = rng.normal(size=m), rng.normal(size=taps), rng.normal(size=m + taps - 1)
    direct = sum(y[i] * k[j] * x[i + j] for i in range(m) for j in range(taps))
    products = (outputs @ y) * (kernel @ k) * (blocks @ x)
    assert len(products) == 5
    np.testing.assert_allclose(products.sum(), direct, rtol=1e-12)


@pytest.mark.parametrize(
    ("shape", "features", "size", "stride"),
    [((2, 14, 14, 64), 128, 4, 2), ((2, 9, 12, 32), 64, 3, 1), ((2, 8, 8, 64), 32, 4, 1)],
)
def test_errors_are_those_of_float32(shape, features, size, stride):
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape)
    kernel = rng.normal(size=(size, size, shape[-1], features))
    assert toom_cook.suits(shape, jnp.float32(kernel), stride)
    y = layers.conv(jnp.float32(x), jnp.float32(kernel), stride=stride)
    with jax.enable_x64(True):
        exact = jax.lax.conv_general_dilated(
            jnp.float64(np.float32(x)),
            jnp.float64(np.float32(kernel)),
            (stride, stride),
            "SAME",
            dimension_numbers=NUMBERS,
        )
    error, exact = np.asarray(y) - np.asarray(exact), np.asarray(exact)
    assert np.abs(error).max() < 1e-5 * np.abs(exact).max()
    assert np.sqrt(np.mean(error**2) / np.mean(exact**2)) < 3e-6


@pytest.mark.parametrize(("size", "stride", "fewer"), [(4, 2, 2.56), (3, 1, 3.24), (4, 1, 2.56)])
def test_it_multiplies_so_many_times_less(size, stride, fewer):
    """Of images that whole tiles cover, by the program's own count; the rest is what moving tiles adds."""
    length = 12 * stride
    x = jnp.zeros((8, length, length, 128 // stride**2))
    kernel = jnp.zeros((size, size, x.shape[-1], 256))

    def operations(way):
        def function(x, kernel):
            blocks = way.of_image(x, size, stride)
            return way.convolve(blocks, kernel, stride, x.shape)

        return jax.jit(function).lower(x, kernel).cost_analysis()["flops"]

    assert fewer / 1.5 < operations(patches) / operations(toom_cook) < fewer


def test_few_channels_short_numbers_and_small_images_are_left_to_patches():
    x, kernel = (1, 8, 8, 64), jnp.zeros((4, 4, 64, 64))
    assert toom_cook.suits(x, kernel, 2)
    assert not toom_cook.suits(x, kernel[..., :16], 2)
    assert not toom_cook.suits((1, 8, 8, 16), kernel[:, :, :16], 1)
    assert not toom_cook.suits(x, kernel.astype(jnp.bfloat16), 2)
    # One tap, and nine.
    assert not toom_cook.suits(x, kernel, 4)
    assert not toom_cook.suits(x, jnp.zeros((9, 9, 64, 64)), 1)
    # 25 products where patches have 16; 100 where they have 196, on a border of one in seven.
    assert not toom_cook.suits((1, 4, 4, 64), kernel, 2)
    assert toom_cook.suits((1, 14, 14, 64), kernel, 2)
