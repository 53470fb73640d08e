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
    bounded_log_scale,
    categorical_log_prob,
    gaussian_log_prob,
    information_lower_bound,
    paired_mutual_information,
)

pytestmark = pytest.mark.usefixtures("quick_compilation")

derivatives_agree = partial(check_grads, modes=("fwd", "rev"), atol=1e-2, rtol=1e-2)


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


def test_gaussian_derivatives():
    derivatives_agree(gaussian_log_prob, tuple(normal(5, 3, 3)), order=2)


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
    derivatives_agree(paired_mutual_information, tuple(normal(10, 2, 4, 3)), order=1)
    check_grads(
        paired_mutual_information, tuple(normal(10, 2, 4, 3)), order=2, modes=("rev",), atol=1e-2, rtol=1e-2
    )


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


# Arguments

MATRIX, VECTOR, INDEX = np.zeros((3, 2), np.float32), np.zeros(3, np.float32), np.zeros(3, np.int32)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (categorical_log_prob, (VECTOR, INDEX)),
        (categorical_log_prob, (MATRIX, INDEX[:, None])),
        (categorical_log_prob, (MATRIX, VECTOR)),
        (categorical_log_prob, (MATRIX.astype(int), INDEX)),
        (categorical_log_prob, (MATRIX, INDEX[:1])),
        (bernoulli_log_prob, (VECTOR, INDEX)),
        (bernoulli_log_prob, (VECTOR, VECTOR[:1])),
        (bernoulli_log_prob, (MATRIX, MATRIX)),
        (gaussian_log_prob, (VECTOR, VECTOR, INDEX)),
        (gaussian_log_prob, (VECTOR, VECTOR[:1], VECTOR)),
        (gaussian_log_prob, (VECTOR, np.float32(0), VECTOR)),
        (gaussian_log_prob, (MATRIX, MATRIX, MATRIX)),
        (partial(bounded_log_scale, limit=1.0), (INDEX,)),
        (information_lower_bound, (INDEX, 1.0)),
        (information_lower_bound, (MATRIX, 1.0)),
        (information_lower_bound, (VECTOR, VECTOR)),
        (paired_mutual_information, (VECTOR, VECTOR)),
        (paired_mutual_information, (MATRIX, MATRIX[:1])),
        (paired_mutual_information, (MATRIX, MATRIX[:, :1])),
        (paired_mutual_information, (MATRIX.astype(int), MATRIX)),
    ],
)
def test_wrong_ranks_shapes_and_types_are_refused(function, arguments):
    with pytest.raises(AssertionError):
        function(*arguments)
