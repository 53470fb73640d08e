import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infogan_jax.networks.layers import conv, conv_transpose

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
        return y, *vjp(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))

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


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (2, 2), (6, 3), (4, 4), (1, 1)])
@both
def test_other_kernels_agree_too(function, reference, size, stride):
    assert_values_agree(function, reference, *arrays((2, 7, 6, 3), size=size), stride)


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


@pytest.mark.parametrize("channels", [3, 20])
@both
def test_vmap_over_images_and_over_kernels(function, reference, channels):
    x, kernel = arrays((2, 3, 5, 6, channels))[0], arrays((1, 1, 1, channels))[1]
    kernels = np.stack([kernel, 2 * kernel[::-1]])
    mapped = jax.vmap(lambda x, kernel: function(x, kernel, stride=2))(x, kernels)
    expected = np.stack([reference(a, b, stride=2) for a, b in zip(x, kernels, strict=True)])
    assert_close(mapped, expected)


@pytest.mark.parametrize(
    ("x_shape", "kernel_shape", "stride"),
    [
        ((1, 8, 8, 3), (4, 3, 3, 2), 1),  # not square
        ((1, 8, 8, 3), (3, 3, 3, 2), 2),  # not a multiple of the stride
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


@both
def test_a_gradient_of_a_gradient_is_laxs(function, reference):
    x, kernel = arrays((2, 6, 5, 6))

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
@pytest.mark.parametrize("stride", [1, 2])
@both
def test_on_cpu_no_derivative_has_a_dilated_convolution(function, reference, stride, channels):
    x, kernel = arrays((2, 6, 7, channels))

    def dilations(f):
        def slopes(x, kernel):
            return jax.grad(lambda *args: f(*args, stride=stride).sum(), (0, 1))(x, kernel)

        text = str(jax.make_jaxpr(slopes)(x, kernel))
        return set(re.findall(r"[lr]hs_dilation=(\(.*?\))", text)) - {"(1, 1)"}

    assert not dilations(function)
    assert bool(dilations(reference)) == (stride == 2)


@pytest.mark.parametrize("stride", [1, 2])
@both
def test_accelerators_take_laxs_own_convolution(monkeypatch, function, reference, stride):
    x, kernel = arrays((2, 6, 7, 3))

    def primitives(f):
        return str(jax.make_jaxpr(lambda x, kernel: f(x, kernel, stride=stride))(x, kernel))

    assert "custom_vjp_call" in primitives(function)
    on_cpu = function(x, kernel, stride=stride)
    for backend in ("gpu", "tpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        assert primitives(function) == primitives(reference)
        assert_close(function(x, kernel, stride=stride), on_cpu)
        np.testing.assert_array_equal(function(x, kernel, stride=stride), reference(x, kernel, stride=stride))
