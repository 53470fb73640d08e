import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from infogan_jax.fitting import BernoulliMixture, GaussianMixture, fit_bernoulli_mixture

pytestmark = pytest.mark.usefixtures("quick_compilation")

KEY = jax.random.key(0)
WEIGHTS = np.array([0.5, 0.3, 0.2])
P = np.array([[0.9, 0.9, 0.1, 0.1, 0.5, 0.1], [0.1, 0.9, 0.9, 0.1, 0.9, 0.9], [0.1, 0.1, 0.1, 0.9, 0.1, 0.6]])


def log_joint(x, weights, p):
    """log pi_k + log p(x | k) by the definition, [rows, components]."""
    each = np.where(x[:, None] == 1, p[None], 1 - p[None])
    return np.log(weights)[None] + np.log(each).sum(2)


def em_by_numpy(x, labels, updates, floor):
    r = np.eye(3)[labels]
    trace = []
    for _ in range(updates + 1):
        weights, p = r.mean(0), np.clip(r.T @ x / r.sum(0)[:, None], floor, 1 - floor)
        joint = log_joint(x, weights, p)
        evidence = logsumexp(joint, axis=1)
        trace.append(evidence.mean())
        r = np.exp(joint - evidence[:, None])
    return np.array(trace), weights, p


@pytest.fixture(scope="module")
def truth():
    return BernoulliMixture.from_probabilities(WEIGHTS, P)


@pytest.fixture(scope="module")
def rows(truth):
    x, parts = truth.sample(jax.random.key(1), 4000)
    return np.asarray(x), np.asarray(parts)


def test_samples_have_the_given_frequencies(rows):
    x, parts = rows
    for k in range(3):
        assert abs((parts == k).mean() - WEIGHTS[k]) < 0.03
        np.testing.assert_allclose(x[parts == k].mean(0), P[k], atol=0.05)


def test_density_and_responsibilities_agree_with_the_definition(truth):
    x = ((np.arange(64)[:, None] >> np.arange(6)) & 1).astype(np.uint8)  # every possible row
    joint = log_joint(x, WEIGHTS, P)
    log_prob = np.asarray(truth.log_prob(x))
    np.testing.assert_allclose(log_prob, logsumexp(joint, axis=1), rtol=1e-5)
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1, rtol=1e-5)
    r = np.asarray(truth.responsibilities(x.astype(bool)))
    np.testing.assert_allclose(r, np.exp(joint - logsumexp(joint, axis=1)[:, None]), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(r.sum(1), 1, rtol=1e-6)


def test_recovers_the_parameters_that_made_the_rows(rows):
    x, _ = rows
    fit = fit_bernoulli_mixture(KEY, x, 3, restarts=5, tolerance=1e-6, max_iterations=500)
    assert fit.converged and fit.restarts.shape == (5,)
    order = np.argsort(-np.asarray(fit.params.weights))
    np.testing.assert_allclose(fit.params.weights[order], WEIGHTS, atol=0.05)
    np.testing.assert_allclose(fit.params.probabilities[order], P, atol=0.08)
    assert np.all(np.diff(fit.trace) > -1e-6 * np.abs(fit.trace[1:]))
    # More likely than the truth: it is the maximum on these rows.
    truth = logsumexp(log_joint(x, WEIGHTS, P), axis=1).mean()
    assert truth < fit.final_log_likelihood < truth + 0.02
    shuffled = np.random.default_rng(0).permutation(x)
    again = fit_bernoulli_mixture(KEY, shuffled, 3, restarts=5, tolerance=1e-6, max_iterations=500)
    np.testing.assert_allclose(again.final_log_likelihood, fit.final_log_likelihood, rtol=1e-4)


@pytest.mark.parametrize("floor", [1e-3, 0.2])
def test_agrees_with_numpy_at_every_update(rows, floor):
    x, _ = rows
    labels = np.random.default_rng(2).integers(0, 3, len(x)).astype(np.int32)
    labels[x[:, 1] == 0] = 2
    fit = fit_bernoulli_mixture(KEY, x, 3, start=labels, probability_floor=floor, max_iterations=200)
    trace, weights, p = em_by_numpy(x.astype(np.float64), labels, int(fit.iterations), floor)
    np.testing.assert_allclose(fit.trace, trace, rtol=1e-5)
    assert np.all(np.diff(trace) > 0)
    np.testing.assert_allclose(fit.params.weights, weights, atol=1e-3)
    np.testing.assert_allclose(fit.params.probabilities, p, atol=1e-3)
    parameters = 3 * 6 + 2
    assert fit.params.num_parameters == parameters
    bic = parameters * np.log(len(x)) - 2 * len(x) * trace[-1]
    np.testing.assert_allclose(fit.params.bic(x), bic, rtol=1e-5)


def test_degenerate_data_stay_finite():
    sets = [np.zeros((20, 6)), np.ones((20, 6)), np.repeat([[0, 1, 0, 1, 0, 1], [1, 0, 1, 0, 1, 0]], 10, 0)]
    for x in sets:
        fit = fit_bernoulli_mixture(KEY, x.astype(bool), 5, start="kmeans++")
        assert fit.converged and np.isfinite(fit.trace).all()
        assert np.isfinite(fit.params.logits).all()
        np.testing.assert_allclose(fit.params.responsibilities(x).sum(1), 1, rtol=1e-5)
        assert np.all(np.diff(fit.trace) > -1e-6)


def test_the_smallest_floor_is_finite():
    # Columns that are always on: 1 - floor is what must not round to 1.
    x = np.array([[1, 1, 0], [1, 1, 1], [1, 0, 0], [1, 0, 1]])
    floor = float(np.finfo(np.float32).eps)
    fit = fit_bernoulli_mixture(KEY, x, 2, probability_floor=floor)
    assert fit.converged and np.isfinite(fit.trace).all() and np.isfinite(fit.params.logits).all()


def test_a_smaller_floor_needs_double_precision(double_precision):
    x = np.array([[1.0, 1, 0], [1, 1, 1], [1, 0, 0], [1, 0, 1]])
    fit = fit_bernoulli_mixture(KEY, x, 2, probability_floor=1e-8)
    assert fit.converged and np.isfinite(fit.trace).all()
    np.testing.assert_allclose(fit.params.logits[:, 0], -np.log(1e-8), rtol=1e-6)


def test_density_inside_a_jitted_function(truth, rows):
    x = rows[0][:10]
    expected = truth.log_prob(x)
    np.testing.assert_allclose(jax.jit(lambda m, x: m.log_prob(x))(truth, x), expected, rtol=1e-6)
    # A constant is known, and still looked at.
    grey = jnp.full((1, 6), 0.5)
    with pytest.raises(ValueError, match="other than 0 and 1"):
        jax.jit(lambda m: m.log_prob(grey))(truth)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": np.full((5, 2), 0.5)}, ValueError, "x holds a value other than 0 and 1"),
        ({"x": np.array([[0, 255]] * 5, np.uint8)}, ValueError, "x holds a value other than 0 and 1"),
        ({"components": 6}, ValueError, "components is 6"),
        ({"probability_floor": 0.0}, ValueError, "probability_floor"),
        ({"probability_floor": 1e-8}, ValueError, "probability_floor is 1e-08.* at least 1.19"),
        ({"probability_floor": 0.5}, ValueError, "probability_floor"),
        ({"start": "spread"}, ValueError, "start is 'spread'"),
        (
            {"start": GaussianMixture.from_moments(jnp.ones(1), jnp.ones((1, 2)), jnp.ones((1, 2)), "diag")},
            TypeError,
            "start is a GaussianMixture: it must be a BernoulliMixture",
        ),
    ],
)
def test_refuses_with_the_arguments_name(change, error, message):
    arguments = {"key": KEY, "x": np.ones((5, 2)), "components": 2} | change
    with pytest.raises(error, match=message):
        fit_bernoulli_mixture(**arguments)


def test_refuses_probabilities_that_are_none():
    with pytest.raises(ValueError, match="probabilities must be above 0"):
        BernoulliMixture.from_probabilities([1.0], [[0.0, 0.5]])
    with pytest.raises(ValueError, match="weights must"):
        BernoulliMixture.from_probabilities([0.5], [[0.5, 0.5]])
    with pytest.raises(ValueError, match="weights has shape"):
        BernoulliMixture.from_probabilities([0.5, 0.5], [[0.5, 0.5]])
