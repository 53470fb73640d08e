"""The closed forms of Gaussians against integrals, and by what relates them."""

import jax
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from losses.gaussians import (
    gaussian_chi_square,
    gaussian_cross_entropy,
    gaussian_entropy,
    gaussian_entropy_full_covariance,
    gaussian_hellinger,
    gaussian_jeffreys,
    gaussian_kl,
    gaussian_kl_full_covariance,
)

pytestmark = pytest.mark.usefixtures("quick_compilation")

RNG = np.random.default_rng(0)

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


def test_gaussian_kl_agrees_with_the_integral():
    cases = np.array([[0.3, 0.1, -0.4, 0.5], [0.0, -1.0, 1.0, -0.7], [2.0, 0.4, 2.0, 0.0]], np.float32)

    def integral(mean_p, log_scale_p, mean_q, log_scale_q):
        p, q = scipy.stats.norm(mean_p, np.exp(log_scale_p)), scipy.stats.norm(mean_q, np.exp(log_scale_q))
        low, high = mean_p - 12 * np.exp(log_scale_p), mean_p + 12 * np.exp(log_scale_p)
        return scipy.integrate.quad(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), low, high)[0]

    expected = [integral(*case) for case in cases.astype(np.float64)]
    divergence = gaussian_kl(*cases.T[..., None])
    np.testing.assert_allclose(divergence, expected, rtol=1e-5)
    np.testing.assert_allclose(gaussian_kl(*cases.T), np.sum(expected), rtol=1e-5)  # a sum over dimensions
    np.testing.assert_allclose(gaussian_kl(*cases.T[..., None], base=2), expected / np.log(2), rtol=1e-5)


def test_gaussian_kl_keeps_its_digits_where_the_two_are_nearly_equal():
    zero, near = np.zeros(1, np.float32), np.full(1, 1e-3, np.float32)
    # KL = d^2 for a difference d of log-scales, d^2 / 2 of means in units of the scale.
    np.testing.assert_allclose(gaussian_kl(zero, near, zero, zero), 1e-6, rtol=2e-3)
    np.testing.assert_allclose(gaussian_kl(near, zero, zero, zero), 5e-7, rtol=1e-5)
    assert gaussian_kl(near, near, near, near) == 0


@pytest.mark.parametrize("log_scale", [-80.0, -89.0, -120.0, -500.0])
def test_gaussian_kl_is_finite_where_the_inverse_of_the_scale_is_not(log_scale):
    scale, mean = np.full(1, log_scale, np.float32), np.full(1, 0.3, np.float32)
    value, slopes = jax.value_and_grad(gaussian_kl, (0, 1, 2, 3))(mean, scale, mean, scale)
    assert value == 0
    np.testing.assert_array_equal(slopes, np.zeros((4, 1)))
    # Means that differ by what is little even for such a scale.
    near, far = np.full(1, 1e-37, np.float32), np.zeros(1, np.float32)
    with np.errstate(over="ignore"):
        expected = np.float32(np.exp(2 * (np.log(np.float64(near[0])) - log_scale)) / 2)
    np.testing.assert_allclose(gaussian_kl(near, scale, far, scale), expected, rtol=1e-4)


def spd(count, size):
    root = RNG.normal(size=(count, size, size))
    return root @ np.swapaxes(root, 1, 2) + 0.3 * np.eye(size)


def test_full_covariances_agree_with_the_textbook_by_inverse_and_determinant():
    mean_p, mean_q = RNG.normal(size=(2, 4, 3))
    cov_p, cov_q = spd(4, 3), spd(4, 3)
    inverse, difference = np.linalg.inv(cov_q), mean_q - mean_p
    expected = 0.5 * (
        np.trace(inverse @ cov_p, axis1=1, axis2=2)
        + np.einsum("ni,nij,nj->n", difference, inverse, difference)
        - 3
        + np.linalg.slogdet(cov_q)[1]
        - np.linalg.slogdet(cov_p)[1]
    )
    arguments = [x.astype(np.float32) for x in (mean_p, cov_p, mean_q, cov_q)]
    np.testing.assert_allclose(gaussian_kl_full_covariance(*arguments), expected, rtol=1e-3)
    in_bits = gaussian_kl_full_covariance(*arguments, base=2)
    np.testing.assert_allclose(in_bits, expected / np.log(2), rtol=1e-3)


def test_full_and_diagonal_covariances_agree():
    mean_p, log_p, mean_q, log_q = RNG.normal(size=(4, 4, 3)).astype(np.float32)
    cov_p, cov_q = (np.exp(2 * x)[..., None] * np.eye(3, dtype=np.float32) for x in (log_p, log_q))
    np.testing.assert_allclose(
        gaussian_kl_full_covariance(mean_p, cov_p, mean_q, cov_q),
        gaussian_kl(mean_p, log_p, mean_q, log_q),
        rtol=1e-4,
    )
    np.testing.assert_allclose(
        gaussian_entropy_full_covariance(cov_p), gaussian_entropy(log_p), rtol=1e-5, atol=1e-5
    )


def test_gaussian_entropies_agree_with_scipy():
    covariances = spd(4, 3)
    expected = [scipy.stats.multivariate_normal(cov=cov).entropy() for cov in covariances]
    np.testing.assert_allclose(
        gaussian_entropy_full_covariance(covariances.astype(np.float32)), expected, rtol=1e-4
    )
    log_scale = RNG.normal(size=(4, 3)).astype(np.float32)
    expected = scipy.stats.norm.entropy(0, np.exp(log_scale.astype(np.float64))).sum(axis=-1)
    np.testing.assert_allclose(gaussian_entropy(log_scale), expected, rtol=1e-5, atol=1e-5)


def test_a_matrix_that_is_no_covariance_gives_no_number():
    bad = np.array([[[1.0, 2.0], [2.0, 1.0]]], np.float32)
    good, mean = np.eye(2, dtype=np.float32)[None], np.zeros((1, 2), np.float32)
    assert np.isnan(gaussian_entropy_full_covariance(bad)).all()
    assert np.isnan(gaussian_kl_full_covariance(mean, bad, mean, good)).all()
    assert np.isnan(gaussian_kl_full_covariance(mean, good, mean, bad)).all()
