from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from jax.scipy.special import xlogy
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr, softmax

from losses.divergences import (
    categorical_cross_entropy_from_logits,
    categorical_entropy_from_logits,
    categorical_js_from_logits,
    categorical_kl_from_logits,
    chi_square_divergence,
    cross_entropy,
    entropy,
    f_divergence,
    hellinger_distance,
    jeffreys_divergence,
    js_divergence,
    kl_divergence,
    kl_from_samples_k1,
    kl_from_samples_k3,
    reverse_kl_divergence,
    total_variation_distance,
)

pytestmark = pytest.mark.usefixtures("quick_compilation")

RNG = np.random.default_rng(0)


def sparse_pmfs(count, categories, rng):
    """Pmfs of all kinds: even, peaked, and with zeros."""
    pmfs = rng.dirichlet(np.full(categories, 0.7), size=count)
    pmfs[rng.uniform(size=pmfs.shape) < 0.2] = 0
    pmfs[:, 0] += pmfs.sum(axis=1) == 0
    return (pmfs / pmfs.sum(axis=1, keepdims=True)).astype(np.float32)


P, Q = RNG.dirichlet(np.ones(5), size=(2, 2, 3)).astype(np.float32)
P64, Q64 = P.astype(np.float64), Q.astype(np.float64)


# Pmfs


@pytest.mark.parametrize("base", [None, 2.0])
def test_pmfs_agree_with_scipy(base):
    unit = 1 if base is None else np.log(base)
    scipy_entropy = partial(scipy.stats.entropy, axis=-1, base=base)
    # scipy's entropies make their arguments sum to one, which these sums already do to 1e-7.
    check = partial(np.testing.assert_allclose, rtol=2e-6, atol=1e-6)
    check(entropy(P, base=base), scipy_entropy(P64))
    check(kl_divergence(P, Q, base=base), scipy_entropy(P64, Q64))
    check(reverse_kl_divergence(P, Q, base=base), scipy_entropy(Q64, P64))
    check(jeffreys_divergence(P, Q, base=base), (rel_entr(P64, Q64) + rel_entr(Q64, P64)).sum(-1) / unit)
    check(js_divergence(P, Q, base=base), jensenshannon(P64, Q64, axis=-1, base=base) ** 2)
    check(cross_entropy(P, Q, base=base), -np.sum(P64 * np.log(Q64), axis=-1) / unit)


def test_distances_agree_with_numpy():
    events = np.array([[(k >> i) & 1 for i in range(5)] for k in range(32)])
    largest = np.abs((P64 - Q64) @ events.T).max(axis=-1)  # over all events
    np.testing.assert_allclose(total_variation_distance(P, Q), largest, rtol=1e-5)
    affinity = np.sum(np.sqrt(P64 * Q64), axis=-1)
    np.testing.assert_allclose(hellinger_distance(P, Q), np.sqrt(1 - affinity), rtol=1e-5)
    np.testing.assert_allclose(chi_square_divergence(P, Q), np.sum(P64**2 / Q64, axis=-1) - 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("f", "slope", "divergence"),
    [
        (lambda t: xlogy(t, t), None, kl_divergence),
        (lambda t: -jnp.log(t), 0.0, reverse_kl_divergence),
        (lambda t: jnp.abs(t - 1) / 2, 0.5, total_variation_distance),
        (lambda t: (t - 1) ** 2, None, chi_square_divergence),
        (lambda t: (jnp.sqrt(t) - 1) ** 2 / 2, 0.5, lambda p, q: hellinger_distance(p, q) ** 2),
        (
            lambda t: (xlogy(t, t) - (t + 1) * jnp.log((t + 1) / 2)) / 2,
            np.log(2.0) / 2,
            js_divergence,
        ),
    ],
)
def test_a_generator_gives_its_divergence_zeros_and_all(f, slope, divergence):
    rng = np.random.default_rng(1)
    p, q = sparse_pmfs(200, 4, rng), sparse_pmfs(200, 4, rng)
    expected = np.asarray(divergence(p, q))
    assert 0.1 < np.mean((p == 0) | (q == 0)) < 0.9
    np.testing.assert_allclose(f_divergence(f, p, q, slope_at_infinity=slope), expected, rtol=1e-4, atol=1e-6)


# One row for each pair, one column for each function.
ZEROS_P = np.array([[1, 0], [1, 0], [0.5, 0.5], [1, 0], [0.5, 0.5]], np.float32)
ZEROS_Q = np.array([[1, 0], [0, 1], [1, 0], [0.5, 0.5], [0.5, 0.5]], np.float32)
LOG2, INF = np.log(2), np.inf
# JS of [1/2, 1/2] and [1, 0], halfway between which is [3/4, 1/4].
JS = (rel_entr([0.5, 0.5], [0.75, 0.25]).sum() + rel_entr(1, 0.75)) / 2


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda p, q: entropy(p), [0, 0, LOG2, 0, LOG2]),
        (cross_entropy, [0, INF, INF, LOG2, LOG2]),
        (kl_divergence, [0, INF, INF, LOG2, 0]),
        (reverse_kl_divergence, [0, INF, LOG2, INF, 0]),
        (jeffreys_divergence, [0, INF, INF, INF, 0]),
        (js_divergence, [0, LOG2, JS, JS, 0]),
        (total_variation_distance, [0, 1, 0.5, 0.5, 0]),
        (hellinger_distance, [0, 1, np.sqrt(1 - 0.5**0.5), np.sqrt(1 - 0.5**0.5), 0]),
        (chi_square_divergence, [0, INF, INF, 1, 0]),
    ],
)
def test_zero_probabilities_follow_the_textbook_and_gradients_are_finite_where_the_value_is(
    function, expected
):
    values, pull_back = jax.vjp(function, ZEROS_P, ZEROS_Q)
    np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-7)
    finite = np.isfinite(expected)
    for slope in pull_back(jnp.ones(5)):
        assert np.isfinite(slope[finite]).all()


def test_gradients_at_a_zero_probability():
    p, q = jnp.array([0.0, 1.0]), jnp.array([0.25, 0.75])
    # The derivative of the cross-entropy exists there; that of p log p is infinite and given as zero.
    np.testing.assert_allclose(jax.grad(cross_entropy)(p, q), -np.log(q), rtol=1e-6)
    np.testing.assert_allclose(jax.grad(cross_entropy, 1)(p, q), -p / q, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(entropy)(p), [0, -1], rtol=1e-6)
    np.testing.assert_allclose(jax.grad(kl_divergence)(p, q), [0, 1 - np.log(0.75)], rtol=1e-6)
    np.testing.assert_allclose(jax.grad(kl_divergence, 1)(p, q), -p / q, rtol=1e-6)
    same = jnp.array([0.5, 0.5, 0.0])
    for distance in (total_variation_distance, hellinger_distance):
        np.testing.assert_array_equal(jax.grad(distance)(same, same), [0, 0, 0])


# Of squares and products of the least of these, nothing is left in single precision. Where p is 1e22 times
# q the derivative, its square, doesn't fit the type.
SMALL = [
    (p, q) for p in (0.0, 1e-30, 4e-21, 1e-18, 1e-3) for q in (1e-25, 1e-20, 1e-19, 1e-3) if p / q < 1e19
]


@pytest.mark.parametrize(("small_p", "small_q"), SMALL)
def test_chi_square_and_its_gradient_are_exact_for_small_probabilities(small_p, small_q):
    p, q = np.array([0.5, small_p], np.float32), np.array([0.5, small_q], np.float32)
    exact_p, exact_q = p.astype(np.float64), q.astype(np.float64)
    ratio = exact_p / exact_q
    expected = np.sum((exact_p - exact_q) * (ratio - 1))
    slopes = 2 * (ratio - 1), 1 - ratio**2
    for function in (chi_square_divergence, partial(f_divergence, lambda t: (t - 1) ** 2)):
        value, (by_p, by_q) = jax.value_and_grad(function, (0, 1))(p, q)
        np.testing.assert_allclose(value, expected, rtol=1e-5)
        np.testing.assert_allclose(by_p, slopes[0], rtol=1e-5)
        # By its generator the slope is f(t) - t f'(t), a small difference of large terms.
        np.testing.assert_allclose(by_q, slopes[1], rtol=1e-5)


def test_chi_square_of_softmaxes_far_apart_can_be_trained():
    def divergence(x, y):
        return chi_square_divergence(jax.nn.softmax(jnp.stack([0.0, x])), jax.nn.softmax(jnp.stack([0.0, y])))

    # p_2 = exp(x) and q_2 = exp(y), so that chi^2 is (p_2 - q_2)^2 / q_2 to 20 digits.
    p, q = np.exp(-47.0), np.exp(-46.0)
    value, slopes = jax.value_and_grad(divergence, (0, 1))(jnp.float32(-47), jnp.float32(-46))
    np.testing.assert_allclose(value, (p - q) ** 2 / q, rtol=1e-4)
    np.testing.assert_allclose(slopes, [2 * (p - q) / q * p, q - p**2 / q], rtol=1e-4)


def test_what_is_no_probability_gives_no_number():
    bad = np.array([1.5, -0.5], np.float32)
    for function in (kl_divergence, cross_entropy, js_divergence, hellinger_distance):
        assert np.isnan(function(P[0, 0, :2], bad)), function
    assert np.isnan(entropy(bad)) and np.isnan(entropy(np.array([np.nan, 1], np.float32)))


def test_identities_and_inequalities_hold_on_pmfs_of_all_kinds():
    rng = np.random.default_rng(2)
    p, q = sparse_pmfs(2000, 4, rng), sparse_pmfs(2000, 4, rng)
    h, kl, tv = (np.asarray(x) for x in (entropy(p), kl_divergence(p, q), total_variation_distance(p, q)))
    hellinger, js = np.asarray(hellinger_distance(p, q)), np.asarray(js_divergence(p, q))
    finite = np.isfinite(kl)
    assert 0.1 < finite.mean() < 0.9
    slack = 1e-6
    np.testing.assert_allclose(cross_entropy(p, q), h + kl, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(finite, np.all((q > 0) | (p == 0), axis=1))
    assert np.all(h >= 0) and np.all(h <= np.log(4) + slack)
    assert np.all(kl >= -slack)
    assert np.all(js >= -slack) and np.all(js <= np.log(2) + slack)
    assert np.all(tv <= np.sqrt(np.maximum(kl, 0) / 2) + slack)  # Pinsker
    assert np.all(hellinger**2 <= tv + slack) and np.all(tv <= np.sqrt(2) * hellinger + slack)
    assert np.all(kl <= np.log1p(chi_square_divergence(p, q)) + slack)
    disjoint = ~np.any((p > 0) & (q > 0), axis=1)
    assert disjoint.sum() > 10
    np.testing.assert_allclose(js[disjoint], np.log(2), rtol=1e-5)
    np.testing.assert_array_equal(tv[disjoint].round(5), 1)
    for symmetric in (js_divergence, jeffreys_divergence, total_variation_distance, hellinger_distance):
        np.testing.assert_allclose(symmetric(p, q), symmetric(q, p), rtol=1e-5, atol=1e-6)


# Logits


def test_logits_agree_with_pmfs():
    p_logits, q_logits = 3 * RNG.normal(size=(2, 6, 5)).astype(np.float32)
    p, q = softmax(p_logits.astype(np.float64), -1), softmax(q_logits.astype(np.float64), -1)
    for base in (None, 2):
        unit = 1 if base is None else np.log(base)
        check = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
        check(categorical_kl_from_logits(p_logits, q_logits, base=base), rel_entr(p, q).sum(-1) / unit)
        check(categorical_entropy_from_logits(p_logits, base=base), -np.sum(p * np.log(p), -1) / unit)
        check(
            categorical_cross_entropy_from_logits(p_logits, q_logits, base=base),
            -np.sum(p * np.log(q), -1) / unit,
        )
        expected = jensenshannon(p, q, axis=-1, base=base) ** 2
        check(categorical_js_from_logits(p_logits, q_logits, base=base), expected)
    shifted = categorical_kl_from_logits(p_logits + 100, q_logits - 50)
    np.testing.assert_allclose(shifted, categorical_kl_from_logits(p_logits, q_logits), rtol=1e-3, atol=1e-5)


BIG = np.float32(1e4)
SURE = np.array([[BIG, -BIG, -BIG], [BIG, BIG, -BIG], [-INF, 0, 0], [0, 0, 0]], np.float32)
OTHER = np.array([[-BIG, BIG, -BIG], [BIG, BIG, -BIG], [-INF, BIG, -BIG], [-INF, 0, 0]], np.float32)


def test_extreme_and_infinite_logits_have_exact_values_and_finite_gradients():
    np.testing.assert_allclose(
        categorical_kl_from_logits(SURE, OTHER), [2e4, 0, 1e4 - np.log(2), INF], rtol=1e-6
    )
    np.testing.assert_allclose(
        categorical_entropy_from_logits(SURE), [0, np.log(2), np.log(2), np.log(3)], rtol=1e-6
    )
    np.testing.assert_allclose(
        categorical_cross_entropy_from_logits(SURE, OTHER), [2e4, np.log(2), 1e4, INF], rtol=1e-6
    )
    p, q = (softmax(x.astype(np.float64), axis=-1) for x in (SURE, OTHER))
    expected = jensenshannon(p, q, axis=-1) ** 2
    np.testing.assert_allclose(categorical_js_from_logits(SURE, OTHER), expected, rtol=1e-6, atol=1e-7)
    slopes = jax.grad(lambda p, q: categorical_js_from_logits(p, q).sum(), (0, 1))(SURE, OTHER)
    # d/dp_k is log(p_k / m_k) / 2, and through the softmax it is p_k times what that is above its mean.
    for slope, a, b in [(slopes[0], p, q), (slopes[1], q, p)]:
        by_a = np.log(2 * np.where(a > 0, a, 1) / np.where(a > 0, a + b, 2)) / 2
        np.testing.assert_allclose(slope, a * (by_a - np.sum(a * by_a, -1, keepdims=True)), atol=1e-6)
    for function in (categorical_kl_from_logits, categorical_cross_entropy_from_logits):
        slopes = jax.grad(lambda p, q, f=function: f(p, q).sum(), (0, 1))(SURE[:3], OTHER[:3])
        assert all(np.isfinite(slope).all() for slope in slopes)
        # d/dq of either is q - p.
        np.testing.assert_allclose(slopes[1][0], [-1, 1, 0], atol=1e-6)
    slope = jax.grad(lambda p: categorical_entropy_from_logits(p).sum())(SURE)
    np.testing.assert_allclose(slope, np.zeros_like(SURE), atol=1e-6)


# Samples


@pytest.fixture(scope="module")
def log_densities():
    """500 sets of 200 samples of p = N(0, 1), with log p and log q for a q = N(0.2, 1.1^2) close to it."""
    x = np.random.default_rng(4).normal(size=(500, 200))
    return [scipy.stats.norm.logpdf(x, *q).astype(np.float32) for q in ((0, 1), (0.2, 1.1))]


TRUE_KL = np.log(1.1) + (1 + 0.2**2) / (2 * 1.1**2) - 0.5


@pytest.mark.parametrize("estimator", [kl_from_samples_k1, kl_from_samples_k3])
def test_sampled_kl_is_right_within_the_error_that_it_states(estimator, log_densities):
    value, error = (np.asarray(x, np.float64) for x in estimator(*log_densities))
    assert value.shape == error.shape == (500,)
    assert abs(value.mean() - TRUE_KL) < 4 * value.std() / np.sqrt(500)
    # The stated error is the spread from one set of samples to another.
    np.testing.assert_allclose(np.sqrt(np.mean(error**2)), value.std(), rtol=0.15)
    in_bits = estimator(*log_densities, base=2)
    np.testing.assert_allclose(in_bits.value, value / np.log(2), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(in_bits.standard_error, error / np.log(2), rtol=1e-4)


def test_sampled_kl_agrees_with_scipy(log_densities):
    log_p, log_q = (x.astype(np.float64) for x in log_densities)
    plain = log_p - log_q
    for estimator, terms in [(kl_from_samples_k1, plain), (kl_from_samples_k3, np.expm1(-plain) + plain)]:
        estimate = estimator(*log_densities)
        np.testing.assert_allclose(estimate.value, terms.mean(axis=1), rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(estimate.standard_error, scipy.stats.sem(terms, axis=1), rtol=1e-3)


def test_k3_has_the_lower_variance_and_no_negative_values(log_densities):
    k1, k3 = kl_from_samples_k1(*log_densities), kl_from_samples_k3(*log_densities)
    assert np.mean(k3.standard_error) < np.mean(k1.standard_error) / 2
    assert np.min(k3.value) > 0 > np.min(k1.value)


def test_k3_is_too_low_by_the_mass_that_the_samples_cannot_reach():
    # p is uniform on [0, 1), q on [0, 2): KL = log 2, and half of q lies where p has nothing.
    log_p, log_q = np.zeros(4, np.float32), np.full(4, -np.log(2), np.float32)
    np.testing.assert_allclose(kl_from_samples_k1(log_p, log_q).value, np.log(2), rtol=1e-6)
    np.testing.assert_allclose(kl_from_samples_k3(log_p, log_q).value, np.log(2) - 0.5, rtol=1e-6)


def test_a_sample_that_q_excludes_makes_both_infinite():
    log_p, log_q = np.zeros(3, np.float32), np.array([0, -INF, 0], np.float32)
    for estimator in (kl_from_samples_k1, kl_from_samples_k3):
        assert estimator(log_p, log_q) == (INF, INF)


def test_samples_that_all_say_the_same_have_no_error_and_a_finite_gradient():
    log_p, log_q = np.zeros(3, np.float32), np.full(3, -0.5, np.float32)
    for estimator in (kl_from_samples_k1, kl_from_samples_k3):
        assert estimator(log_p, log_q).standard_error == 0
        slope = jax.grad(lambda q, f=estimator: f(log_p, q).standard_error)(log_q)
        np.testing.assert_array_equal(slope, np.zeros(3))
