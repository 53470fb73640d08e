"""The closed forms of Gaussians against integrals, and by what relates them."""

import jax
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from losses.divergences import gaussian_entropy, gaussian_kl
from losses.gaussians import (
    gaussian_chi_square,
    gaussian_cross_entropy,
    gaussian_hellinger,
    gaussian_jeffreys,
)

pytestmark = pytest.mark.usefixtures("quick_compilation")

# mean_p, log_scale_p, mean_q, log_scale_q
CASES = np.array(
    [[0.3, 0.1, -0.4, 0.5], [0.0, -1.0, 1.0, -0.7], [2.0, 0.4, 2.0, 0.1], [1.0, 0.2, 1.1, 0.2]], np.float32
)


def integral(integrand, case):
    """Of a function of log p(x) and log q(x), over all of the line where either is."""
    mean_p, log_scale_p, mean_q, log_scale_q = case.astype(np.float64)
    p, q = scipy.stats.norm(mean_p, np.exp(log_scale_p)), scipy.stats.norm(mean_q, np.exp(log_scale_q))
    return scipy.integrate.quad(
        lambda x: integrand(p.logpdf(x), q.logpdf(x)), -40, 40, points=[mean_p, mean_q]
    )[0]


@pytest.mark.parametrize("base", [None, 2])
@pytest.mark.parametrize(
    ("function", "integrand"),
    [
        (gaussian_cross_entropy, lambda log_p, log_q: -np.exp(log_p) * log_q),
        (gaussian_jeffreys, lambda log_p, log_q: (np.exp(log_p) - np.exp(log_q)) * (log_p - log_q)),
    ],
)
def test_sums_over_dimensions_agree_with_the_integral(function, integrand, base):
    expected = np.array([integral(integrand, case) for case in CASES]) / np.log(base or np.e)
    np.testing.assert_allclose(function(*CASES.T[..., None], base=base), expected, rtol=2e-5)
    np.testing.assert_allclose(function(*CASES.T, base=base), expected.sum(), rtol=2e-5)


def test_hellinger_agrees_with_the_integral():
    affinity = np.array([integral(lambda log_p, log_q: np.exp((log_p + log_q) / 2), case) for case in CASES])
    np.testing.assert_allclose(gaussian_hellinger(*CASES.T[..., None]), np.sqrt(1 - affinity), rtol=2e-5)
    np.testing.assert_allclose(gaussian_hellinger(*CASES.T), np.sqrt(1 - affinity.prod()), rtol=2e-5)


def test_chi_square_agrees_with_the_integral():
    ratio = np.array([integral(lambda log_p, log_q: np.exp(2 * log_p - log_q), case) for case in CASES])
    np.testing.assert_allclose(gaussian_chi_square(*CASES.T[..., None]), ratio - 1, rtol=2e-5)
    np.testing.assert_allclose(gaussian_chi_square(*CASES.T), ratio.prod() - 1, rtol=2e-5)


@pytest.mark.parametrize(("variance", "finite"), [(0.01, True), (1.99, True), (2.01, False), (1e30, False)])
def test_chi_square_is_infinite_where_p_has_the_heavier_tail(variance, finite):
    zero, log_scale = np.zeros(2, np.float32), np.array([-0.1, np.log(variance) / 2], np.float32)
    assert np.isfinite(gaussian_chi_square(zero, log_scale, zero, zero)) == finite
    assert np.isinf(gaussian_chi_square(zero, log_scale, zero, zero)) == (not finite)


def test_identities_and_inequalities():
    rng = np.random.default_rng(0)
    arguments = rng.normal(size=(4, 500, 3)).astype(np.float32) * np.float32(0.4)
    kl, hellinger = np.asarray(gaussian_kl(*arguments)), np.asarray(gaussian_hellinger(*arguments))
    swapped = [arguments[i] for i in (2, 3, 0, 1)]
    entropy = np.asarray(gaussian_entropy(arguments[1]))
    np.testing.assert_allclose(gaussian_cross_entropy(*arguments), entropy + kl, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gaussian_jeffreys(*arguments), kl + gaussian_kl(*swapped), rtol=1e-4)
    for symmetric in (gaussian_jeffreys, gaussian_hellinger):
        np.testing.assert_allclose(symmetric(*arguments), symmetric(*swapped), rtol=1e-5)
    chi_square = np.asarray(gaussian_chi_square(*arguments))
    assert 10 < np.isfinite(chi_square).sum() < 500
    assert np.all(2 * hellinger**2 <= kl + 1e-5) and np.all(kl <= np.log1p(chi_square) + 1e-5)


@pytest.mark.parametrize("log_scale", [0.0, -20.0, -100.0, -500.0, 100.0])
def test_of_a_gaussian_and_itself_they_are_zero_with_finite_gradients_at_every_scale(log_scale):
    same = (np.full(2, 0.3, np.float32), np.full(2, log_scale, np.float32))
    for function in (gaussian_kl, gaussian_jeffreys, gaussian_hellinger, gaussian_chi_square):
        value, slopes = jax.value_and_grad(function, (0, 1, 2, 3))(*same, *same)
        assert value == 0, function
        np.testing.assert_array_equal(slopes, np.zeros((4, 2)))


def test_of_gaussians_that_have_nothing_in_common_hellinger_is_one_with_finite_gradients():
    for case in (
        [0, 0, 1e10, 0],
        [0, -50, 1, -50],
        [0, -300, 0, 300],
        [0, 200, 0, -200],
        [0, -200, 1e-3, -200],
    ):
        case = [np.array([x], np.float32) for x in case]
        value, slopes = jax.value_and_grad(gaussian_hellinger, (0, 1, 2, 3))(*case)
        assert value == 1 and np.isfinite(slopes).all(), case


def test_digits_are_kept_where_the_two_are_nearly_equal():
    zero, near = np.zeros(1, np.float32), np.full(1, 1e-3, np.float32)
    d = float(near[0])
    # To first order, with a difference d of means in units of the scale, or of log-scales.
    for function, of_means, of_scales in [
        (gaussian_jeffreys, d**2, 2 * d**2),
        (gaussian_chi_square, d**2, 2 * d**2),
        (gaussian_hellinger, d / 8**0.5, d / 2),
    ]:
        np.testing.assert_allclose(function(near, zero, zero, zero), of_means, rtol=3e-3)
        np.testing.assert_allclose(function(zero, near, zero, zero), of_scales, rtol=3e-3)
