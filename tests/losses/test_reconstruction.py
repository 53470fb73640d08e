from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from scipy.spatial import distance
from scipy.special import expit, logit
from sklearn.metrics import mean_absolute_error, mean_squared_error

from losses.reconstruction import (
    charbonnier_error,
    expected_l0,
    gaussian_l0_error,
    geman_mcclure_error,
    hard_concrete_deterministic,
    hard_concrete_sample,
    huber_error,
    l0_error,
    l0_mean,
    l1_error,
    l1_mean,
    l2_error,
    l2_mean,
    l2_norm,
)

pytestmark = pytest.mark.usefixtures("quick_compilation")

# Quarters from -2 to 2, so that sums are exact and a third of the residuals is exactly zero.
RNG = np.random.default_rng(0)
X = RNG.integers(-4, 5, size=(3, 4, 5)).astype(np.float32) / 4
Y = np.where(RNG.uniform(size=X.shape) < 0.3, X, RNG.integers(-4, 5, size=X.shape).astype(np.float32) / 4)
RESIDUAL = (X - Y).astype(np.float64).reshape(3, -1)
WRONG = np.count_nonzero(RESIDUAL, axis=1)


def by_example(reference):
    return [reference(x.ravel(), y.ravel()) for x, y in zip(X, Y, strict=True)]


@pytest.mark.parametrize(
    ("function", "reference"),
    [
        (l1_error, distance.cityblock),
        (l1_mean, mean_absolute_error),
        (l2_error, distance.sqeuclidean),
        (l2_mean, mean_squared_error),
        (l2_norm, distance.euclidean),
    ],
)
def test_agrees_with_scipy_and_scikit_learn(function, reference):
    np.testing.assert_allclose(function(X, Y), by_example(reference), rtol=1e-6)
    np.testing.assert_array_equal(function(X, X), np.zeros(3))


@pytest.mark.parametrize("function", [l1_error, l2_error, l1_mean, l2_mean, l2_norm])
def test_a_vector_has_one_number_for_each_example(function):
    residuals = np.array([0.0, -3.0, 3.0], np.float32)
    expected = residuals**2 if function in (l2_error, l2_mean) else np.abs(residuals)
    np.testing.assert_allclose(function(residuals, np.zeros(3, np.float32)), expected)


# L0


def test_l0_agrees_with_the_hamming_distance():
    np.testing.assert_array_equal(l0_error(X, Y, tolerance=0.0), WRONG)
    np.testing.assert_allclose(l0_mean(X, Y, tolerance=0.0), by_example(distance.hamming), rtol=1e-6)


def test_l0_allows_exactly_the_tolerance_and_nothing_that_is_not_a_number():
    x = np.array([[0.5, 0.50001, -0.5, -0.6, np.nan, np.inf]], np.float32)
    assert l0_error(x, np.zeros_like(x), tolerance=0.5).tolist() == [4]
    np.testing.assert_allclose(l0_mean(x, np.zeros_like(x), tolerance=0.5), [4 / 6], rtol=1e-6)


def test_l0_has_no_gradient():
    slopes = jax.grad(lambda x: l0_error(x, Y, tolerance=0.5).sum())(X)
    np.testing.assert_array_equal(slopes, np.zeros_like(X))


@pytest.mark.parametrize("smooth", [geman_mcclure_error, gaussian_l0_error])
def test_smooth_l0_goes_to_the_count_as_the_scale_goes_to_zero(smooth):
    distances = [np.abs(smooth(X, Y, scale=scale) - WRONG).max() for scale in (0.5, 0.1, 1e-4)]
    assert distances[0] > distances[1] > distances[2]
    assert WRONG.min() > 0 and distances[2] < 1e-5


@pytest.mark.parametrize(("smooth", "factor"), [(geman_mcclure_error, 1.0), (gaussian_l0_error, 2.0)])
def test_smooth_l0_goes_to_l2_as_the_scale_grows(smooth, factor):
    error = factor * 1e6 * smooth(X, Y, scale=1e3)
    np.testing.assert_allclose(error, l2_error(X, Y), rtol=1e-4)


def test_smooth_l0_agrees_with_its_definition():
    square = RESIDUAL**2
    expected = np.sum(square / (square + 0.49), axis=1)
    np.testing.assert_allclose(geman_mcclure_error(X, Y, scale=0.7), expected, rtol=1e-6)
    kernel = scipy.stats.norm(0, 0.7).pdf(RESIDUAL) / scipy.stats.norm(0, 0.7).pdf(0)
    np.testing.assert_allclose(gaussian_l0_error(X, Y, scale=0.7), np.sum(1 - kernel, axis=1), rtol=1e-6)


@pytest.mark.parametrize("smooth", [geman_mcclure_error, gaussian_l0_error])
def test_smooth_l0_lets_go_of_what_is_far_off(smooth):
    residuals = jnp.array([[0.0, 1e-3, 0.3, 1e4]])

    def error(x):
        return smooth(x, jnp.zeros((1, 4)), scale=0.3)[0]

    slopes = jax.grad(error)(residuals)[0]
    assert slopes[0] == 0 and slopes[2] > 50 * slopes[1] > 0
    assert abs(slopes[3]) < 1e-8
    assert abs(error(jnp.array([[1e4, 1e4, 1e4, 1e4]])) - 4) < 1e-6


# Between L1 and L2


def test_huber_agrees_with_optax_and_scipy():
    expected = np.sum(scipy.special.huber(0.8, RESIDUAL), axis=1)
    np.testing.assert_allclose(huber_error(X, Y, delta=0.8), expected, rtol=1e-6)
    by_optax = optax.huber_loss(X, Y, delta=0.8).sum(axis=(1, 2))
    np.testing.assert_allclose(huber_error(X, Y, delta=0.8), by_optax, rtol=1e-6)


def test_huber_goes_to_l1_and_to_l2():
    np.testing.assert_allclose(huber_error(X, Y, delta=1e-4) / 1e-4, l1_error(X, Y), rtol=1e-3)
    np.testing.assert_allclose(2 * huber_error(X, Y, delta=1e3), l2_error(X, Y), rtol=1e-6)


def test_charbonnier_agrees_with_its_definition_and_goes_to_l1():
    expected = np.sum(np.hypot(RESIDUAL, 0.3), axis=1)
    np.testing.assert_allclose(charbonnier_error(X, Y, epsilon=0.3), expected, rtol=1e-6)
    np.testing.assert_allclose(charbonnier_error(X, Y, epsilon=1e-5), l1_error(X, Y), rtol=1e-4)


def test_gradients_are_finite_where_there_is_no_error():
    x = jnp.zeros((1, 3))
    for function in (l1_error, l1_mean, l2_norm):
        np.testing.assert_array_equal(jax.grad(lambda x, f=function: f(x, jnp.zeros((1, 3))).sum())(x), x)
    unit = jax.grad(lambda x: l2_norm(x, jnp.zeros((1, 2))).sum())(jnp.array([[3.0, -4.0]]))
    np.testing.assert_allclose(unit, [[0.6, -0.8]], rtol=1e-6)


SIZES = [0.0, 1e-30, 1e-23, 1e-10, 1e-3, 1.0, 1e5, 1e20, 1e30]


def value_and_slope(function, residual, **scale):
    return jax.value_and_grad(lambda x: function(x, jnp.zeros((1, 1)), **scale)[0])(
        jnp.full((1, 1), residual, jnp.float32)
    )


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e-10, 1.0, 1e20])
def test_values_and_gradients_are_exact_whatever_the_sizes(scale):
    """Against double precision, in which none of these overflows; slopes as shares of the scale."""
    for r in SIZES:
        length = np.hypot(r, scale)
        least = 1e-37 * max(length, 1)  # what becomes of a slope that the type can't hold
        check = partial(np.testing.assert_allclose, rtol=1e-5, atol=least, err_msg=f"residual {r}")
        value, slope = value_and_slope(charbonnier_error, r, epsilon=scale)
        check((value, slope[0, 0]), (length, r / length))
        value, slope = value_and_slope(geman_mcclure_error, r, scale=scale)
        pull = 2 * (r / length) * (scale / length) ** 2
        check((value, np.float64(slope[0, 0]) * length), ((r / length) ** 2, pull))
        value, slope = value_and_slope(gaussian_l0_error, r, scale=scale)
        u = r / scale
        expected = -np.expm1(-(u**2) / 2), u * np.exp(-(u**2) / 2)
        check((value, np.float64(slope[0, 0]) * scale), expected)


@pytest.mark.parametrize("function", [geman_mcclure_error, gaussian_l0_error])
def test_a_scale_that_single_precision_does_not_hold(function):
    for scale, residual, expected in [(1e-300, 0.0, 0), (1e-300, 1.0, 1), (1e300, 1.0, 0)]:
        value, slope = value_and_slope(function, residual, scale=scale)
        assert value == expected and slope == 0


@pytest.mark.parametrize("size", SIZES)
def test_l2_norm_neither_overflows_nor_vanishes(size):
    value, slope = jax.value_and_grad(lambda x: l2_norm(x, jnp.zeros((1, 2)))[0])(
        size * jnp.array([[3.0, -4.0]])
    )
    np.testing.assert_allclose(value, 5 * size, rtol=1e-6)
    np.testing.assert_allclose(slope, [[0.6, -0.8]] if size else [[0, 0]], rtol=1e-6)


def test_what_is_no_number_stays_none():
    for function in (
        l2_norm,
        partial(charbonnier_error, epsilon=1.0),
        partial(geman_mcclure_error, scale=1.0),
    ):
        assert np.isnan(function(jnp.array([[np.nan, 1.0]]), jnp.zeros((1, 2))))
    assert l2_norm(jnp.array([[np.inf, 1.0]]), jnp.zeros((1, 2))) == np.inf


# What each error favours


def test_a_constant_fitted_to_samples_is_their_mode_median_or_mean():
    samples = np.array([0.5, 0.5, 0.5, 1.0, 1.5, 2.0, 9.0], np.float32)
    constants = np.linspace(0, 10, 2001, dtype=np.float32)
    x, y = (np.broadcast_to(a, (2001, 7)).copy() for a in (constants[:, None], samples))

    def best(errors):
        return constants[np.argmin(errors)]

    np.testing.assert_allclose(best(l2_error(x, y)), np.mean(samples), atol=3e-3)
    np.testing.assert_allclose(best(l1_error(x, y)), np.median(samples), atol=3e-3)
    mode = scipy.stats.mode(samples).mode
    np.testing.assert_allclose(best(l0_error(x, y, tolerance=1e-3)), mode, atol=3e-3)
    np.testing.assert_allclose(best(geman_mcclure_error(x, y, scale=0.05)), mode, atol=3e-3)
    np.testing.assert_allclose(best(gaussian_l0_error(x, y, scale=0.05)), mode, atol=3e-3)
    # Between them: a Huber location lies between the median and the mean.
    assert np.median(samples) < best(huber_error(x, y, delta=1.0)) < np.mean(samples)


# Hard-concrete gates

PAPER = {"temperature": 2 / 3, "low": -0.1, "high": 1.1}


def test_expected_l0_is_the_chance_of_an_open_gate():
    log_alpha = np.array([-2.0, 0.0, 1.5], np.float32)
    gates = hard_concrete_sample(jax.random.key(0), np.tile(log_alpha, (40_000, 1)), **PAPER)
    assert np.min(gates) == 0 and np.max(gates) == 1
    expected = np.asarray(expected_l0(log_alpha, **PAPER), np.float64)
    error = np.sqrt(expected * (1 - expected) / 40_000)
    assert np.all(np.abs(np.mean(gates > 0, axis=0) - expected) < 4 * error)


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.7, 0.999])
def test_gates_have_the_papers_distribution(threshold):
    # Louizos et al. 2018, eq. 24 and what follows: P(z <= t) = Q(s <= (t - low) / (high - low)).
    gates = np.asarray(hard_concrete_sample(jax.random.key(1), jnp.full(40_000, 0.4), **PAPER))
    expected = expit(2 / 3 * logit((threshold + 0.1) / 1.2) - 0.4)
    error = np.sqrt(expected * (1 - expected) / 40_000)
    assert abs(np.mean(gates <= threshold) - expected) < 4 * error


def test_cold_gates_are_coins():
    log_alpha = np.array([-2.0, 0.0, 1.5], np.float32)
    cold = PAPER | {"temperature": 1e-6}
    np.testing.assert_allclose(expected_l0(log_alpha, **cold), expit(log_alpha), rtol=1e-5)
    gates = np.asarray(hard_concrete_sample(jax.random.key(2), np.tile(log_alpha, (40_000, 1)), **cold))
    assert set(np.unique(gates)) == {0, 1}
    error = np.sqrt(expit(log_alpha) * expit(-log_alpha) / 40_000)
    assert np.all(np.abs(gates.mean(axis=0) - expit(log_alpha)) < 4 * error)


def test_the_deterministic_gate_is_that_of_the_paper_and_goes_to_a_sigmoid():
    log_alpha = np.array([-1e4, -2.4, -2.3, 0.3, 2.3, 2.4, 1e4], np.float32)
    expected = np.clip(1.2 * expit(log_alpha.astype(np.float64)) - 0.1, 0, 1)
    gates = hard_concrete_deterministic(log_alpha)
    np.testing.assert_allclose(gates, expected, rtol=1e-5, atol=1e-7)
    assert (gates[1], gates[-2]) == (0, 1) and 0 < gates[2] < gates[4] < 1
    unstretched = hard_concrete_deterministic(log_alpha, low=-1e-7, high=1 + 1e-7)
    np.testing.assert_allclose(unstretched, expit(log_alpha), atol=1e-6)


def test_gates_pass_a_gradient_where_they_are_between_closed_and_open():
    log_alpha = jnp.concatenate([jnp.zeros(100), jnp.array([-1e4, 1e4])])

    def draw(log_alpha):
        return hard_concrete_sample(jax.random.key(0), log_alpha, **PAPER)

    gates, slopes = draw(log_alpha), jax.grad(lambda a: draw(a).sum())(log_alpha)
    between = (gates > 0) & (gates < 1)
    np.testing.assert_array_equal(slopes > 0, between)
    assert 30 < np.sum(between) < 90 and np.isfinite(slopes).all()
    opens = jax.grad(lambda a: expected_l0(a).sum())(log_alpha)
    assert np.all(opens[:100] > 0) and np.all(opens[100:] == 0)
