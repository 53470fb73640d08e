import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from infogan_jax.networks.layers import conv, conv_transpose, for_every_platform, pixel_shuffle

pytestmark = pytest.mark.usefixtures("quick_compilation")

NUMBERS = ("NHWC", "HWIO", "NHWC")


def lax_conv(x, kernel, *, stride):
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=NUMBERS)


def lax_conv_transpose(x, kernel, *, stride):
    return jax.lax.conv_transpose(x, kernel, (stride, stride), "SAME", dimension_numbers=NUMBERS)


PAIRS = [(conv, lax_conv), (conv_transpose, lax_conv_transpose)]
both = pytest.mark.parametrize(("function", "reference"), PAIRS, ids=["conv", "conv_transpose"])


def arrays(shape, *, features=5, size=4, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape).astype(np.float32)
    return x, rng.normal(size=(size, size, shape[-1], features)).astype(np.float32)


def assert_close(actual, expected):
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert a.shape == e.shape
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-5 * np.abs(e).max())


def assert_values_agree(function, reference, x, kernel, stride):
    @jax.jit
    def values(x, kernel):
        return function(x, kernel, stride=stride), reference(x, kernel, stride=stride)

    assert_close(*values(x, kernel))


def assert_values_and_gradients_agree(function, reference, x, kernel, stride):
    """Compares outputs, and gradients of their product with fixed weights of both signs."""

    def with_gradients(f, x, kernel):
        y, vjp = jax.vjp(lambda x, kernel: f(x, kernel, stride=stride), x, kernel)
        return y, *vjp(jax.random.normal(jax.random.key(7), y.shape, y.dtype))

    @jax.jit
    def both(x, kernel):
        return with_gradients(function, x, kernel), with_gradients(reference, x, kernel)

    assert_close(*both(x, kernel))


# Odd and even heights and widths, one image and several, few channels and many.
SHAPES = [(1, 7, 5, 1), (3, 8, 6, 3), (2, 5, 6, 16), (1, 4, 7, 64)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("stride", [1, 2])
@both
def test_value_and_both_gradients_are_laxs(function, reference, stride, shape):
    assert_values_and_gradients_agree(function, reference, *arrays(shape), stride)


@pytest.mark.parametrize(
    ("size", "stride"), [(3, 1), (2, 2), (6, 3), (4, 4), (1, 1), (3, 2), (5, 3), (1, 2), (2, 3)]
)
@both
def test_other_kernels_agree_too(function, reference, size, stride):
    assert_values_agree(function, reference, *arrays((2, 7, 6, 3), size=size), stride)


# SRGAN's kernels: strided by no divisor of their size, as wide as the images, 9x9 to fewer and to more.
@pytest.mark.parametrize(
    ("shape", "features", "size", "stride"),
    [
        ((2, 6, 7, 3), 5, 3, 2),
        ((1, 7, 6, 16), 5, 3, 2),
        ((2, 6, 7, 5), 5, 3, 1),
        ((1, 5, 6, 20), 20, 3, 1),
        ((1, 6, 5, 4), 3, 9, 1),
        ((1, 6, 5, 3), 4, 9, 1),
    ],
)
@both
def test_gradients_of_other_kernels_agree_too(function, reference, shape, features, size, stride):
    assert_values_and_gradients_agree(
        function, reference, *arrays(shape, features=features, size=size), stride
    )


# Enough channels for Toom and Cook's products: one tile and several, some of them cut off, 2 to 4 taps.
@pytest.mark.parametrize(
    ("shape", "features", "size", "stride"),
    [
        ((2, 9, 5, 8), 33, 4, 2),
        ((1, 3, 5, 32), 40, 3, 1),
        ((2, 5, 6, 32), 32, 4, 1),
        ((1, 9, 8, 8), 32, 3, 2),
    ],
)
@both
def test_gradients_of_many_channels_agree_too(function, reference, shape, features, size, stride):
    x, kernel = arrays(shape, features=features, size=size)
    if function is conv_transpose:
        x = arrays((*shape[:-1], features))[0]
        kernel = kernel.swapaxes(2, 3)
    assert_values_and_gradients_agree(function, reference, x, kernel, stride)


@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
@both
def test_images_smaller_than_the_kernel_agree_too(function, reference, stride, length):
    assert_values_agree(function, reference, *arrays((1, length, length, 2)), stride)


def test_output_sizes_are_the_documented_ones():
    x, kernel = arrays((2, 7, 8, 3))
    assert conv(x, kernel, stride=2).shape == (2, 4, 4, 5)
    assert conv(x, kernel, stride=1).shape == (2, 7, 8, 5)
    assert conv_transpose(x, kernel, stride=2).shape == (2, 14, 16, 5)


@both
def test_an_impulse_leaves_the_kernel_itself(function, reference):
    impulse = np.zeros((1, 8, 8, 1), np.float32)
    impulse[0, 4, 4, 0] = 1
    _, kernel = arrays((1, 8, 8, 1), features=1)
    patch = np.asarray(function(impulse, kernel, stride=1))[0, :, :, 0]
    # A cross-correlation spreads a point into the kernel turned by 180 degrees.
    turned = kernel[::-1, ::-1, 0, 0]
    found = [
        (r, c)
        for r in range(5)
        for c in range(5)
        if np.allclose(patch[r : r + 4, c : c + 4], turned, atol=1e-6)
    ]
    assert len(found) == 1
    assert np.count_nonzero(np.abs(patch) > 1e-6) == 16
    np.testing.assert_allclose(patch, reference(impulse, kernel, stride=1)[0, :, :, 0], atol=1e-6)


@both
def test_gradients_inside_a_scan_are_those_outside(function, reference):
    xs, kernel = arrays((3, 2, 6, 6, 4))[0], arrays((1, 1, 1, 4))[1]

    def total(x, kernel, f):
        return jnp.sum(jnp.sin(f(x, kernel, stride=2)))

    @jax.jit
    def scanned(kernel, xs):
        def body(kernel, x):
            return kernel - 0.01 * jax.grad(total, 1)(x, kernel, function), kernel

        return jax.lax.scan(body, kernel, xs)[0]

    expected = kernel
    for x in xs:
        expected = expected - 0.01 * jax.jit(jax.grad(total, 1), static_argnums=2)(x, expected, reference)
    assert_close(scanned(kernel, xs), expected)


@pytest.mark.parametrize(("channels", "features"), [(3, 5), (20, 5), (32, 32)])
@both
def test_vmap_over_images_and_over_kernels(function, reference, channels, features):
    x, kernel = arrays((2, 3, 5, 6, channels))[0], arrays((1, 1, 1, channels), features=features)[1]
    kernels = np.stack([kernel, 2 * kernel[::-1]])
    mapped = jax.vmap(lambda x, kernel: function(x, kernel, stride=2))(x, kernels)
    expected = np.stack([reference(a, b, stride=2) for a, b in zip(x, kernels, strict=True)])
    assert_close(mapped, expected)


@pytest.mark.parametrize(
    ("x_shape", "kernel_shape", "stride"),
    [
        ((1, 8, 8, 3), (4, 3, 3, 2), 1),  # not square
        ((1, 8, 8, 3), (4, 4, 1, 2), 2),  # other channels
        ((1, 8, 8, 3), (4, 4, 3), 2),
        ((1, 8, 8, 3), (1, 4, 4, 3, 2), 1),
    ],
)
@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("function", [conv, conv_transpose])
def test_kernels_that_do_not_fit_are_refused(monkeypatch, function, backend, x_shape, kernel_shape, stride):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    with pytest.raises(ValueError, match="does not fit images"):
        function(jnp.zeros(x_shape), jnp.zeros(kernel_shape), stride=stride)


@pytest.mark.parametrize(("channels", "features"), [(6, 5), (32, 32)])
@both
def test_a_gradient_of_a_gradient_is_laxs(function, reference, channels, features):
    x, kernel = arrays((2, 6, 5, channels), features=features)
    # Sines of large sums would say nothing but how these were rounded.
    kernel /= np.sqrt(kernel[..., 0].size)

    def penalty(f):
        """The squared norm of a slope in the images, as a gradient penalty has it."""

        def slope(x, kernel):
            return jax.grad(lambda x: jnp.sum(jnp.sin(f(x, kernel, stride=2))))(x)

        return lambda x, kernel: jnp.sum(slope(x, kernel) ** 2)

    @jax.jit
    def both(x, kernel):
        return [jax.grad(penalty(f), (0, 1))(x, kernel) for f in (function, reference)]

    assert_close(*both(x, kernel))


# Shapes of both forms: a block of few numbers, and of many.
@pytest.mark.parametrize("channels", [1, 16])
@pytest.mark.parametrize(("size", "stride"), [(4, 1), (4, 2), (3, 2)])
@both
def test_on_cpu_no_derivative_has_a_dilated_convolution(function, reference, size, stride, channels):
    x, kernel = arrays((2, 6, 7, channels), size=size)

    def dilations(f):
        def slopes(x, kernel):
            return jax.grad(lambda *args: f(*args, stride=stride).sum(), (0, 1))(x, kernel)

        text = str(jax.make_jaxpr(slopes)(x, kernel))
        return set(re.findall(r"[lr]hs_dilation=(\(.*?\))", text)) - {"(1, 1)"}

    assert not dilations(function)
    assert bool(dilations(reference)) == (stride == 2)


@pytest.mark.parametrize(("channels", "size", "stride"), [(3, 4, 1), (3, 4, 2), (5, 3, 1)])
@both
def test_accelerators_take_laxs_own_convolution(monkeypatch, function, reference, channels, size, stride):
    x, kernel = arrays((2, 6, 7, channels), size=size)

    def primitives(f):
        return str(jax.make_jaxpr(lambda x, kernel: f(x, kernel, stride=stride))(x, kernel))

    assert "custom_vjp_call" in primitives(function)
    on_cpu = function(x, kernel, stride=stride)
    for backend in ("gpu", "tpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        assert primitives(function) == primitives(reference)
        assert_close(function(x, kernel, stride=stride), on_cpu)
        np.testing.assert_array_equal(function(x, kernel, stride=stride), reference(x, kernel, stride=stride))


@pytest.mark.parametrize(("features", "patches"), [(64, True), (16, False), (3, False)])
def test_the_patches_are_kept_where_the_output_is_wider_than_the_image(features, patches):
    """Between the passes a wide image's patches would take nine times its own memory."""
    x, kernel = arrays((1, 6, 7, 16), features=features, size=3)
    _, vjp = jax.vjp(lambda x, kernel: conv(x, kernel, stride=1), x, kernel)
    assert any(saved.size == 9 * x.size for saved in jax.tree.leaves(vjp)) == patches


# The pixel shuffle


def looped_shuffle(x, factor):
    batch, height, width, channels = x.shape
    y = np.full((batch, height * factor, width * factor, channels // factor**2), np.nan, x.dtype)
    for n, h, w, c in np.ndindex(batch, height, width, channels // factor**2):
        for i in range(factor):
            for j in range(factor):
                source = c * factor**2 + i * factor + j
                y[n, h * factor + i, w * factor + j, c] = x[n, h, w, source]
    return y


@pytest.mark.parametrize(
    ("shape", "factor"), [((2, 3, 4, 8), 2), ((1, 2, 1, 27), 3), ((2, 3, 2, 5), 1), ((1, 1, 1, 16), 4)]
)
def test_pixel_shuffle_moves_each_number_to_its_place(shape, factor):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.testing.assert_array_equal(pixel_shuffle(jnp.array(x), factor), looped_shuffle(x, factor))


@pytest.mark.parametrize("factor", [2, 3])
def test_pixel_shuffle_is_pytorchs(factor):
    torch = pytest.importorskip("torch")
    x = np.arange(2 * 3 * 4 * 36, dtype=np.float32).reshape(2, 3, 4, 36)
    expected = torch.nn.functional.pixel_shuffle(torch.tensor(x.transpose(0, 3, 1, 2)), factor)
    np.testing.assert_array_equal(pixel_shuffle(jnp.array(x), factor), expected.numpy().transpose(0, 2, 3, 1))


@pytest.mark.parametrize(
    ("shape", "factor", "error", "message"),
    [
        ((1, 2, 2, 6), 2, ValueError, "x has 6 channels: for factor 2 it needs a multiple of 4"),
        ((2, 2, 4), 2, ValueError, r"x has shape \(2, 2, 4\)"),
        ((1, 2, 2, 4), 0, ValueError, "factor is 0"),
        ((1, 2, 2, 4), 2.0, TypeError, "factor is float"),
    ],
)
def test_what_cannot_be_shuffled_is_refused(shape, factor, error, message):
    with pytest.raises(error, match=message):
        pixel_shuffle(jnp.zeros(shape), factor)


@both
@pytest.mark.parametrize(("platform", "of_lax"), [("cpu", False), ("cuda", True), ("tpu", True)])
def test_what_is_traced_for_every_platform_takes_each_ones_form(platform, of_lax, function, reference):
    x, kernel = arrays((2, 8, 8, 3))

    def convolutions(call):
        program = export.export(jax.jit(partial(call, stride=2)), platforms=[platform])(x, kernel)
        lines = program.mlir_module().splitlines()
        return [
            re.sub(r"%\w+|loc\(.*\)", "", line).strip() for line in lines if "stablehlo.convolution" in line
        ]

    with for_every_platform():
        assert (convolutions(function) == convolutions(reference)) == of_lax
        inside = jax.jit(partial(function, stride=2))(x, kernel)
    np.testing.assert_array_equal(inside, jax.jit(partial(function, stride=2))(x, kernel))
