from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.test_util import check_grads
from scipy.special import rel_entr, softmax
from sklearn.metrics import mutual_info_score

from losses.information import (
    bernoulli_log_prob,
    bernoulli_prior_entropy,
    bounded_log_scale,
    categorical_log_prob,
    categorical_prior_entropy,
    gaussian_log_prob,
    gaussian_prior_entropy,
    information_lower_bound,
    information_per_code,
    paired_mutual_information,
    scale_weighted,
    uniform_prior_entropy,
    von_mises_log_prob,
    von_mises_prior_entropy,
    weighted_information,
)

pytestmark = pytest.mark.usefixtures("quick_compilation")

derivatives_agree = partial(check_grads, modes=("rev",), atol=1e-2, rtol=1e-2)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


# Categorical


def test_categorical_agrees_with_scipy_and_sums_to_one():
    logits = 3 * normal(0, 5, 4)
    log_probs = np.stack([categorical_log_prob(logits, np.full(5, k)) for k in range(4)], axis=1)
    expected = [
        scipy.stats.rv_discrete(values=(np.arange(4), p)).logpmf(np.arange(4))
        for p in softmax(logits.astype(np.float64), axis=1)
    ]
    np.testing.assert_allclose(log_probs, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, rtol=1e-6)


def test_categorical_is_exact_where_it_is_sure():
    logits = jnp.array([[1e4, -1e4, -1e4], [1e4, -1e4, -1e4], [1e4, 1e4, -1e4]])
    index = jnp.array([0, 1, 1])
    np.testing.assert_allclose(categorical_log_prob(logits, index), [0, -2e4, -np.log(2)], rtol=1e-6)
    slopes = jax.grad(lambda x: categorical_log_prob(x, index).sum())(logits)
    np.testing.assert_allclose(slopes, [[0, 0, 0], [-1, 1, 0], [-0.5, 0.5, 0]], atol=1e-6)


def test_categorical_derivatives():
    derivatives_agree(lambda x: categorical_log_prob(x, jnp.array([2, 0])), (normal(1, 2, 3),), order=2)


# Bernoulli


def test_bernoulli_agrees_with_scipy_and_sums_to_one():
    logit = 3 * normal(2, 6)
    zero, one = (np.asarray(bernoulli_log_prob(logit, np.full(6, v, np.float32))) for v in (0, 1))
    reference = scipy.stats.bernoulli(scipy.special.expit(logit.astype(np.float64)))
    np.testing.assert_allclose(zero, reference.logpmf(0), rtol=1e-5)
    np.testing.assert_allclose(one, reference.logpmf(1), rtol=1e-5)
    np.testing.assert_allclose(np.exp(zero) + np.exp(one), 1, rtol=1e-6)


def test_bernoulli_is_exact_where_it_is_sure():
    logit, value = jnp.array([1e4, 1e4, -1e4, -1e4]), jnp.array([1.0, 0.0, 1.0, 0.0])
    np.testing.assert_array_equal(bernoulli_log_prob(logit, value), [0, -1e4, -1e4, 0])
    slopes = jax.grad(lambda x: bernoulli_log_prob(x, value).sum())(logit)
    np.testing.assert_array_equal(slopes, [0, -1, 1, 0])


def test_bernoulli_takes_values_between_as_its_formula_does():
    value = np.array([0.7, 0.3, 0.5, np.nan], np.float32)
    logit = np.array([0.3, -2.0, 25.0, 0.3], np.float32)
    log_p, log_not_p = (scipy.special.log_expit(s * logit.astype(np.float64)) for s in (1, -1))
    expected = value * log_p + (1 - value) * log_not_p
    np.testing.assert_allclose(bernoulli_log_prob(logit, value), expected, rtol=1e-6)


def test_bernoulli_of_infinite_log_odds():
    logit, value = (
        np.array([np.inf, -np.inf, np.inf, -np.inf], np.float32),
        np.array([1, 0, 0, 1], np.float32),
    )
    np.testing.assert_array_equal(bernoulli_log_prob(logit, value), [0, 0, -np.inf, -np.inf])
    slopes = jax.grad(lambda x: bernoulli_log_prob(x, value[:2]).sum())(logit[:2])
    np.testing.assert_array_equal(slopes, [0, 0])


def test_bernoulli_derivatives():
    derivatives_agree(lambda x: bernoulli_log_prob(x, jnp.array([0.0, 1.0, 1.0])), (normal(3, 3),), order=2)


# Gaussian


def test_gaussian_agrees_with_scipy():
    mean, log_scale, value = normal(4, 3, 7)
    expected = scipy.stats.norm.logpdf(value, mean, np.exp(log_scale.astype(np.float64)))
    np.testing.assert_allclose(gaussian_log_prob(mean, log_scale, value), expected, rtol=1e-5)


@pytest.mark.parametrize(("mean", "log_scale"), [(0.0, 0.0), (1.5, -1.0), (-2.0, 0.7)])
def test_gaussian_integrates_to_one(mean, log_scale):
    value = np.linspace(-12, 12, 4001, dtype=np.float32)
    density = np.exp(gaussian_log_prob(np.full_like(value, mean), np.full_like(value, log_scale), value))
    np.testing.assert_allclose(np.trapezoid(density, value), 1, rtol=1e-5)


def test_gaussian_is_finite_far_away_and_at_every_scale_that_the_bound_allows():
    mean = jnp.array([1e4, -1e4, 0.0, 0.0, 1e4])
    log_scale = bounded_log_scale(jnp.array([0.0, 0.0, 1e4, -1e4, -1e4]), limit=4.0)
    value = jnp.zeros(5)
    expected = scipy.stats.norm.logpdf(0, np.asarray(mean, np.float64), np.exp([0, 0, 4, -4, -4]))
    np.testing.assert_allclose(gaussian_log_prob(mean, log_scale, value), expected, rtol=1e-5)
    for slopes in jax.grad(lambda *a: gaussian_log_prob(*a, value).sum(), (0, 1))(mean, log_scale):
        assert np.isfinite(slopes).all()


def test_gaussian_takes_one_fixed_scale():
    mean, value = normal(6, 2, 3, 4)
    expected = scipy.stats.norm.logpdf(value, mean, np.exp(-0.7))
    for log_scale in (-0.7, np.float32(-0.7), jnp.array(-0.7)):
        np.testing.assert_allclose(gaussian_log_prob(mean, log_scale, value), expected, rtol=1e-5)
        # By the mean and by the scale: (c - mu) / sigma^2, and the sum of ((c - mu) / sigma)^2 - 1.
        slopes = jax.grad(lambda *a: gaussian_log_prob(*a, value).sum(), (0, 1))(mean, jnp.asarray(log_scale))
        z = (value - mean).astype(np.float64) * np.exp(0.7)
        np.testing.assert_allclose(slopes[0], z * np.exp(0.7), rtol=1e-4)
        np.testing.assert_allclose(slopes[1], np.sum(z**2 - 1), rtol=1e-4)


@pytest.mark.parametrize("log_scale", [-80.0, -89.0, -150.0, -1000.0])
def test_gaussian_is_finite_at_its_mean_however_small_its_scale(log_scale):
    mean, log_scale = np.full(1, 0.3, np.float32), np.full(1, log_scale, np.float32)
    value, slopes = jax.value_and_grad(lambda *a: gaussian_log_prob(*a).sum(), (0, 1, 2))(
        mean, log_scale, mean
    )
    np.testing.assert_allclose(value, -log_scale[0] - np.log(2 * np.pi) / 2, rtol=1e-6)
    np.testing.assert_array_equal(slopes, [[0], [-1], [0]])
    off = gaussian_log_prob(np.zeros(1, np.float32), log_scale, np.full(1, 1e-30, np.float32))
    with np.errstate(over="ignore"):
        expected = np.float32(scipy.stats.norm.logpdf(1e-30, 0, np.exp(max(float(log_scale[0]), -700.0))))
    np.testing.assert_allclose(off, expected, rtol=1e-4)


def test_gaussian_derivatives():
    derivatives_agree(gaussian_log_prob, tuple(normal(5, 3, 3)), order=2)


# Von Mises

ANGLES = np.linspace(-np.pi, np.pi, 9, dtype=np.float32)


@pytest.mark.parametrize("concentration", [1e-6, 0.3, 4.0, 199.0, 201.0, 1e4, 1e8, 3e38])
def test_von_mises_agrees_with_scipy(concentration):
    value = 0.5 + ANGLES / np.float32(max(1, concentration**0.5))  # where the density is
    arguments = (np.full(9, x, np.float32) for x in (0.5, concentration))
    # In single precision, as an angle is: the reference sees the deviation that was rounded.
    deviation = (value - np.float32(0.5)).astype(np.float64)
    expected = scipy.stats.vonmises.logpdf(deviation, np.float64(np.float32(concentration)))
    np.testing.assert_allclose(von_mises_log_prob(*arguments, value), expected, rtol=2e-6, atol=2e-6)


def test_von_mises_at_zero_concentration_is_uniform_on_the_circle():
    log_prob = von_mises_log_prob(ANGLES, np.zeros(9, np.float32), ANGLES[::-1])
    np.testing.assert_allclose(log_prob, -np.log(2 * np.pi), rtol=1e-6)


@pytest.mark.parametrize("concentration", [0.0, 1.0, 300.0])
def test_von_mises_integrates_to_one(concentration):
    value = np.linspace(0, 2 * np.pi, 1000, endpoint=False, dtype=np.float32)
    arguments = (np.full(1000, x, np.float32) for x in (1.0, concentration))
    density = np.exp(von_mises_log_prob(*arguments, value))
    np.testing.assert_allclose(density.mean() * 2 * np.pi, 1, rtol=1e-5)


def test_von_mises_does_not_see_whole_turns():
    mean, concentration = np.zeros(9, np.float32), np.full(9, 2, np.float32)
    turned = von_mises_log_prob(mean, concentration, ANGLES + np.float32(2 * np.pi))
    np.testing.assert_allclose(turned, von_mises_log_prob(mean, concentration, ANGLES), atol=1e-5)


def test_von_mises_gradients_keep_their_digits_at_every_concentration():
    concentration = np.array([0, 1e-3, 1, 199, 201, 1e4, 1e8], np.float32)
    zero = np.zeros_like(concentration)
    slope = jax.grad(lambda k: von_mises_log_prob(zero, k, zero).sum())(concentration)
    # d/dk (k - log I0(k)) = 1 - I1(k) / I0(k); by the series 1/2k + 1/8k^2 + 1/8k^3 where that cancels.
    k = concentration.astype(np.float64)
    far = np.maximum(k, 100)
    expected = np.where(
        k > 100,
        1 / (2 * far) + 1 / (8 * far**2) + 1 / (8 * far**3),
        1 - scipy.special.i1e(k) / scipy.special.i0e(k),
    )
    np.testing.assert_allclose(slope, expected, rtol=1e-4)


def test_a_negative_concentration_has_no_density():
    assert np.isnan(
        von_mises_log_prob(np.zeros(1, np.float32), np.full(1, -1.0, np.float32), np.zeros(1, np.float32))
    )


# The log-scale's bound


def test_bounded_log_scale_keeps_its_bound_and_its_order():
    raw = np.linspace(-40, 40, 2001, dtype=np.float32)
    bounded = np.asarray(bounded_log_scale(raw, limit=4.0))
    assert np.all(np.abs(bounded) <= 4)
    assert np.all(np.diff(bounded) >= -1e-6)  # where it is flat, rounding shows
    inner = np.abs(raw) < 16
    assert np.all(np.diff(bounded[inner]) > 0) and np.all(np.abs(bounded[inner]) < 4)


@pytest.mark.parametrize("limit", [0.5, 4.0])
def test_bounded_log_scale_leaves_small_values_alone(limit):
    small = limit * np.array([-1e-3, 0.0, 1e-3], np.float32)
    np.testing.assert_allclose(bounded_log_scale(small, limit=limit), small, rtol=1e-6)
    slopes = jax.vmap(jax.grad(lambda x: bounded_log_scale(x, limit=limit)))(small)
    np.testing.assert_allclose(slopes, 1, rtol=2e-6)


def test_bounded_log_scale_ends_at_its_limit():
    raw = jnp.array([-1e6, 1e6])
    np.testing.assert_array_equal(bounded_log_scale(raw, limit=4.0), [-4, 4])
    np.testing.assert_array_equal(jax.grad(lambda x: bounded_log_scale(x, limit=4.0).sum())(raw), [0, 0])


def test_bounded_log_scale_takes_any_shape_and_has_derivatives():
    raw = normal(6, 2, 3)
    np.testing.assert_allclose(bounded_log_scale(raw, limit=2.0), 2 * np.tanh(raw / 2), rtol=1e-5)
    derivatives_agree(partial(bounded_log_scale, limit=2.0), (raw,), order=2)


# Prior entropies


def test_prior_entropies_agree_with_scipy():
    np.testing.assert_allclose(categorical_prior_entropy(7), scipy.stats.entropy(np.ones(7)), rtol=1e-12)
    for p in (1e-3, 0.3, 0.5):
        np.testing.assert_allclose(bernoulli_prior_entropy(p), scipy.stats.bernoulli.entropy(p), rtol=1e-9)
    np.testing.assert_allclose(
        uniform_prior_entropy(-2.0, 5.0), scipy.stats.uniform.entropy(-2, 7), rtol=1e-12
    )
    for scale in (0.3, 1e-200, 1e200):
        expected = scipy.stats.norm.entropy() + np.log(scale)
        np.testing.assert_allclose(gaussian_prior_entropy(scale), expected, rtol=1e-12)


@pytest.mark.parametrize("concentration", [1e-3, 0.7, 30.0, 1e3, 1e5])
def test_von_mises_entropy_agrees_with_scipy(concentration):
    expected = scipy.stats.vonmises.entropy(concentration)
    np.testing.assert_allclose(von_mises_prior_entropy(concentration), expected, atol=1e-10)


def test_von_mises_entropy_goes_from_the_circle_to_a_gaussian():
    np.testing.assert_allclose(von_mises_prior_entropy(0.0), uniform_prior_entropy(-np.pi, np.pi), rtol=1e-12)
    for concentration in (0.999e6, 1.001e6, 1e12):
        gaussian = gaussian_prior_entropy(concentration**-0.5)
        difference = von_mises_prior_entropy(concentration) - gaussian
        np.testing.assert_allclose(difference, 0.25 / concentration, atol=1e-11)


# The variational lower bound


@pytest.fixture(scope="module")
def channel():
    """A noisy channel: P(c, x) of 3 codes with a prior that isn't uniform and 4 images, [c, x]."""
    rng = np.random.default_rng(7)
    return np.array([[0.5], [0.2], [0.3]]) * rng.dirichlet(np.ones(4), size=3)


def expected_bound(channel, log_posterior):
    """E[information_lower_bound] over the channel, for log Q(c | x) as [x, c]."""
    codes, images = (index.ravel() for index in np.indices(channel.shape))
    log_q = categorical_log_prob(log_posterior[images].astype(np.float32), codes)
    prior_entropy = scipy.stats.entropy(channel.sum(axis=1))
    return np.sum(channel.ravel() * np.asarray(information_lower_bound(log_q, prior_entropy), np.float64))


def mutual_information(joint):
    return rel_entr(joint, joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)).sum()


def test_with_the_true_posterior_the_bound_is_the_mutual_information(channel):
    log_posterior = np.log(channel / channel.sum(axis=0)).T
    # Logits, not probabilities: a constant for each image changes nothing.
    shifted = log_posterior + np.array([[3.0], [-2.0], [0.0], [10.0]])
    for logits in (log_posterior, shifted):
        np.testing.assert_allclose(expected_bound(channel, logits), mutual_information(channel), rtol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_any_other_posterior_falls_short_by_the_expected_divergence(channel, seed):
    logits = np.random.default_rng(seed).normal(size=(4, 3))
    posterior = (channel / channel.sum(axis=0)).T
    divergence = rel_entr(posterior, softmax(logits, axis=1)).sum(axis=1) @ channel.sum(axis=0)
    assert divergence > 0.01
    expected = mutual_information(channel) - divergence
    np.testing.assert_allclose(expected_bound(channel, logits), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gain", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_a_linear_gaussian_channel_has_the_closed_form(gain, noise):
    # c ~ N(0, 1), x = gain c + noise e. Gauss-Hermite quadrature of a quadratic is exact.
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    c, e = (grid.ravel() for grid in np.meshgrid(nodes, nodes))
    weights = np.outer(weights, weights).ravel() / (2 * np.pi)
    x = gain * c + noise * e
    variance = gain**2 + noise**2
    prior_entropy = scipy.stats.norm.entropy()

    def bound(slope, scale):
        arguments = [np.asarray(a, np.float32) for a in (slope * x, np.full_like(x, np.log(scale)), c)]
        return weights @ np.asarray(information_lower_bound(gaussian_log_prob(*arguments), prior_entropy))

    slope, scale = gain / variance, noise / np.sqrt(variance)
    information = np.log1p((gain / noise) ** 2) / 2
    np.testing.assert_allclose(bound(slope, scale), information, rtol=1e-4, atol=1e-5)

    # Another Gaussian falls short by KL(N(m, s^2) || N(m', s'^2)) in the mean over x.
    other_slope, other_scale = slope + 0.2, 1.5 * scale
    divergence = (
        np.log(other_scale / scale)
        + (scale**2 + (slope - other_slope) ** 2 * variance) / (2 * other_scale**2)
        - 0.5
    )
    np.testing.assert_allclose(
        bound(other_slope, other_scale), information - divergence, rtol=1e-4, atol=1e-5
    )


def test_the_bound_is_one_value_per_example():
    log_q = normal(8, 5)
    np.testing.assert_allclose(information_lower_bound(log_q, 1.25), log_q + np.float32(1.25), rtol=1e-6)


def test_bounds_by_code_and_their_weighted_sum():
    log_q = {"c2": normal(15, 5), "c1": normal(16, 5)}
    bounds = information_per_code(log_q, {"c1": 1.0, "c2": -0.5})
    assert list(bounds) == ["c2", "c1"]
    np.testing.assert_allclose(bounds["c1"], log_q["c1"] + 1, rtol=1e-6)
    np.testing.assert_allclose(bounds["c2"], log_q["c2"] - 0.5, rtol=1e-6)
    weighted = weighted_information(bounds, {"c1": 1.0, "c2": 0.1})
    np.testing.assert_allclose(weighted, log_q["c1"] + 1 + 0.1 * (log_q["c2"] - 0.5), rtol=1e-5)
    means = {name: bound.mean() for name, bound in bounds.items()}
    np.testing.assert_allclose(
        weighted_information(means, {"c1": 1.0, "c2": 0.1}), np.mean(weighted), rtol=1e-5
    )
    assert weighted_information({}, {}) == 0


def test_the_bounds_of_independent_codes_add_up_to_no_more_than_what_the_image_tells():
    # P(c1, c2, x) with independent codes of 2 and 3 values and 4 images.
    rng = np.random.default_rng(9)
    prior = np.outer([0.4, 0.6], [0.2, 0.5, 0.3])
    joint = prior[..., None] * rng.dirichlet(np.ones(4), size=(2, 3))
    c1, c2, image = (index.ravel() for index in np.indices(joint.shape))
    log_q, entropies = {}, {}
    for name, marginal, code in [("c1", joint.sum(1), c1), ("c2", joint.sum(0), c2)]:
        posterior = np.log(marginal / marginal.sum(axis=0)).T.astype(np.float32)
        log_q[name] = categorical_log_prob(posterior[image], code)
        entropies[name] = scipy.stats.entropy(marginal.sum(axis=1))
    bounds = information_per_code(log_q, entropies)
    total = np.sum(joint.ravel() * weighted_information(bounds, {"c1": 1.0, "c2": 1.0}))
    each = mutual_information(joint.sum(1)) + mutual_information(joint.sum(0))
    np.testing.assert_allclose(total, each, rtol=1e-5)
    assert total < mutual_information(joint.reshape(6, 4)) - 1e-3


# Mutual information of two views


def one_hot_logits(categories, count):
    """Logits so far apart that their softmax is exactly one-hot."""
    return 1e4 * np.eye(count, dtype=np.float32)[categories]


@pytest.mark.parametrize("count", [2, 3, 10])
def test_equal_and_balanced_views_have_log_categories(count):
    logits = one_hot_logits(np.tile(np.arange(count), 6), count)
    np.testing.assert_allclose(paired_mutual_information(logits, logits), np.log(count), rtol=1e-6)


def test_independent_views_and_a_single_category_have_none():
    a, b = np.divmod(np.arange(9), 3)
    information = paired_mutual_information(one_hot_logits(a, 3), one_hot_logits(b, 3))
    np.testing.assert_allclose(information, 0, atol=1e-6)
    collapsed = one_hot_logits(np.zeros(9, int), 3)
    np.testing.assert_allclose(paired_mutual_information(collapsed, collapsed), 0, atol=1e-6)
    undecided = np.zeros((9, 3), np.float32)
    np.testing.assert_allclose(paired_mutual_information(undecided, undecided), 0, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_hard_assignments_agree_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    a = rng.integers(4, size=50)
    b = np.where(rng.uniform(size=50) < 0.6, a, rng.integers(4, size=50))
    # Both orders of each pair: the joint distribution is made symmetric.
    expected = mutual_info_score(np.concatenate([a, b]), np.concatenate([b, a]))
    information = paired_mutual_information(one_hot_logits(a, 4), one_hot_logits(b, 4))
    np.testing.assert_allclose(information, expected, rtol=1e-5)


def test_soft_assignments_agree_with_the_definition():
    a, b = 2 * normal(9, 2, 20, 5)
    joint = softmax(a.astype(np.float64), axis=1).T @ softmax(b.astype(np.float64), axis=1)
    expected = mutual_information((joint + joint.T) / 40)
    np.testing.assert_allclose(paired_mutual_information(a, b), expected, rtol=1e-4)
    np.testing.assert_allclose(paired_mutual_information(b, a), expected, rtol=1e-4)
    permuted = np.random.default_rng(0).permutation(5)
    np.testing.assert_allclose(paired_mutual_information(a[:, permuted], b[:, permuted]), expected, rtol=1e-4)


def test_paired_derivatives():
    derivatives_agree(paired_mutual_information, tuple(normal(10, 2, 4, 3)), order=2)


@pytest.mark.parametrize("b_sign", [1, -1])
def test_extreme_logits_have_a_finite_value_and_gradient(b_sign):
    a = 1e4 * np.sign(normal(11, 6, 4))
    b = b_sign * 1e4 * np.sign(normal(12, 6, 4))
    value, slopes = jax.value_and_grad(paired_mutual_information, (0, 1))(jnp.asarray(a), jnp.asarray(b))
    joint = softmax(a, axis=1).T @ softmax(b, axis=1)
    expected = mutual_information((joint + joint.T) / 12)
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6)
    assert np.isfinite(slopes).all()


@pytest.mark.parametrize("mapped", [jax.vmap, jax.pmap])
def test_a_split_batch_has_the_value_and_the_gradient_of_the_whole(mapped):
    images_a, images_b = normal(13, 2, 8, 3)
    weights = normal(14, 3, 4)

    def information(weights, a, b, axis_name=None):
        return paired_mutual_information(a @ weights, b @ weights, axis_name=axis_name)

    def replica(weights, a, b):
        value, slopes = jax.value_and_grad(information)(weights, a, b, "data")
        return value, jax.lax.pmean(slopes, "data")

    split = mapped(replica, axis_name="data", in_axes=(None, 0, 0))
    values, slopes = split(weights, images_a.reshape(4, 2, 3), images_b.reshape(4, 2, 3))
    value, slope = jax.value_and_grad(information)(weights, images_a, images_b)
    np.testing.assert_allclose(values, np.full(4, value), rtol=1e-5)
    np.testing.assert_allclose(slopes, np.tile(slope, (4, 1, 1)), atol=1e-6)
    # The replicas' own values, without the axis, are others: the batch is joined before the logarithm.
    alone = paired_mutual_information(images_a[:2] @ weights, images_b[:2] @ weights)
    assert abs(alone - value) > 1e-3


# The scale's weight


@pytest.mark.parametrize("weighting", [0.0, 0.5, 1.0])
def test_a_weighted_likelihood_keeps_its_value_and_multiplies_its_gradients(weighting):
    mean, log_scale, value = normal(0, 50), 2 * normal(1, 50), normal(2, 50)

    def nats(mean, log_scale):
        return scale_weighted(gaussian_log_prob(mean, log_scale, value), log_scale, weighting=weighting)

    np.testing.assert_array_equal(nats(mean, log_scale), gaussian_log_prob(mean, log_scale, value))
    slopes = jax.grad(lambda m, s: nats(m, s).sum(), (0, 1))(mean, log_scale)
    sigma = np.exp(log_scale.astype(np.float64))
    # Of log N: (c - mu) / sigma^2, and ((c - mu) / sigma)^2 - 1.
    exact = ((value - mean) / sigma**2, ((value - mean) / sigma) ** 2 - 1)
    for slope, wanted in zip(slopes, exact, strict=True):
        np.testing.assert_allclose(slope, sigma ** (2 * weighting) * wanted, rtol=1e-4, atol=1e-4)


def test_a_sure_and_wrong_mean_is_pulled_no_harder_than_by_a_scale_of_one():
    mean, log_scale, value = jnp.array([1.0]), jnp.array([-4.0]), jnp.array([-1.0])

    def pull(weighting):
        def nats(mean):
            log_q = gaussian_log_prob(mean, log_scale, value)
            return scale_weighted(log_q, log_scale, weighting=weighting)[0]

        return float(jax.grad(nats)(mean)[0])

    assert pull(0.0) == pytest.approx(-2 * np.exp(8), rel=1e-4)
    assert pull(1.0) == pytest.approx(-2, rel=1e-4)


def test_a_weighting_is_from_0_to_1():
    for weighting in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="weighting"):
            scale_weighted(jnp.zeros(2), jnp.zeros(2), weighting=weighting)
    with pytest.raises(ValueError, match="log_scale"):
        scale_weighted(jnp.zeros(2), jnp.zeros(3), weighting=1.0)
