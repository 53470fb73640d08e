import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.integrate
import scipy.optimize
import scipy.stats

from infogan_jax.fitting import (
    fit_by_gradient,
    forward_objective,
    gaussian_draw,
    gaussian_log_density,
    gaussian_objective,
    grid_objective,
    pmf_objective,
    reverse_objective,
)

pytestmark = pytest.mark.usefixtures("quick_compilation")

KEY = jax.random.key(0)
ADAM = optax.adam(optax.cosine_decay_schedule(0.1, 600))

# A target with two modes, 0.7 N(-3, 0.7) + 0.3 N(3, 1), and its exact mean and variance.
WEIGHTS, MEANS, SCALES = np.array([0.7, 0.3]), np.array([-3.0, 3.0]), np.array([0.7, 1.0])
MEAN = WEIGHTS @ MEANS
VARIANCE = WEIGHTS @ (SCALES**2 + MEANS**2) - MEAN**2
GRID = jnp.linspace(-12, 12, 1201)[:, None]
SPACING = 24 / 1200


def log_p(x):
    parts = -0.5 * ((x - MEANS[None]) / SCALES[None]) ** 2 + jnp.log(WEIGHTS / SCALES)[None]
    return jax.nn.logsumexp(parts, axis=1) - 0.5 * jnp.log(2 * jnp.pi)


def gaussian(mean, scale):
    return {"mean": jnp.array([mean], jnp.float32), "log_scale": jnp.log(jnp.array([scale], jnp.float32))}


def reverse_kl_by_quadrature(theta):
    """KL(q || p) by scipy's adaptive quadrature, in float64."""
    q = scipy.stats.norm(theta[0], np.exp(theta[1]))

    def integrand(x):
        p = WEIGHTS @ scipy.stats.norm.pdf(x, MEANS, SCALES)
        return q.pdf(x) * (q.logpdf(x) - np.log(p))

    low, high = q.mean() - 9 * q.std(), q.mean() + 9 * q.std()
    return scipy.integrate.quad(integrand, low, high, limit=200, epsabs=1e-10)[0]


# Probability mass functions


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_softmax_reaches_a_pmf(direction):
    p = np.array([0.5, 0.25, 0.15, 0.1], np.float32)
    fit = fit_by_gradient(
        KEY, pmf_objective(p, direction=direction), jnp.zeros(4), ADAM, steps=2000, gradient_tolerance=1e-4
    )
    assert fit.converged and fit.reason == "gradient at or below tolerance"
    assert len(fit.trace) == int(fit.steps) + 1 < 2001
    np.testing.assert_allclose(jax.nn.softmax(fit.params), p, atol=1e-3)
    np.testing.assert_allclose(fit.trace[0], scipy.stats.entropy(p, np.full(4, 0.25)), rtol=0.3)
    assert abs(fit.trace[-1]) < 1e-5


def test_forward_kl_allows_zeros_and_reverse_kl_refuses_them():
    p = np.array([0.5, 0.5, 0.0], np.float32)
    value, grad = jax.value_and_grad(lambda t: pmf_objective(p, direction="forward")(KEY, t))(jnp.zeros(3))
    np.testing.assert_allclose(value, np.log(3) - np.log(2), rtol=1e-5)
    np.testing.assert_allclose(grad, 1 / 3 - p, atol=1e-6)
    with pytest.raises(ValueError, match="p holds a zero"):
        pmf_objective(p, direction="reverse")


def test_forward_kl_to_an_exponential_family_matches_its_moments():
    # q_k ~ exp(a k + b k^2): at the optimum E_q[k] = E_p[k] and E_q[k^2] = E_p[k^2].
    p = np.array([0.3, 0.0, 0.1, 0.05, 0.15, 0.4], np.float32)
    k = np.linspace(-1, 1, 6, dtype=np.float32)
    features = np.stack([k, k**2], axis=1)
    objective = pmf_objective(p, lambda theta: features @ theta, direction="forward")
    fit = fit_by_gradient(KEY, objective, jnp.zeros(2), optax.adam(0.05), steps=3000, gradient_tolerance=1e-4)
    assert fit.converged
    np.testing.assert_allclose(jax.nn.softmax(features @ fit.params) @ features, p @ features, atol=1e-3)


# Gaussians


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_a_gaussian_reaches_a_gaussian(direction):
    objective = gaussian_objective(jnp.array([1.0, -2.0]), jnp.array([0.5, -1.0]), direction=direction)
    start = {"mean": jnp.zeros(2), "log_scale": jnp.zeros(2)}
    fit = fit_by_gradient(KEY, objective, start, ADAM, steps=2000, gradient_tolerance=1e-3)
    assert fit.converged
    np.testing.assert_allclose(fit.params["mean"], [1, -2], atol=2e-3)
    np.testing.assert_allclose(fit.params["log_scale"], [0.5, -1], atol=2e-3)


def test_forward_kl_covers_both_modes_by_matching_moments():
    objective = grid_objective(log_p, gaussian_log_density, GRID, SPACING, direction="forward")
    fit = fit_by_gradient(KEY, objective, gaussian(0, 1), ADAM, steps=600)
    assert fit.reason == "step limit" and int(fit.steps) == 600
    np.testing.assert_allclose(fit.params["mean"], MEAN, atol=2e-3)
    np.testing.assert_allclose(jnp.exp(fit.params["log_scale"]), np.sqrt(VARIANCE), atol=2e-3)


def test_reverse_kl_seeks_a_mode_and_both_optima_agree_with_quadrature():
    objective = grid_objective(log_p, gaussian_log_density, GRID, SPACING, direction="reverse")
    values = []
    for start, mode in [(-2.0, 0), (2.0, 1)]:
        fit = fit_by_gradient(KEY, objective, gaussian(start, 0.5), ADAM, steps=600)
        found = np.array([fit.params["mean"][0], fit.params["log_scale"][0]])
        exact = scipy.optimize.minimize(reverse_kl_by_quadrature, [MEANS[mode], np.log(SCALES[mode])])
        np.testing.assert_allclose(found, exact.x, atol=2e-3)
        np.testing.assert_allclose(fit.trace[-1], exact.fun, atol=1e-4)
        assert abs(found[0] - MEANS[mode]) < 0.1
        values.append(exact.fun)
    # Close to -log of the mode's weight, so the heavier mode is the better of the two.
    np.testing.assert_allclose(values, -np.log(WEIGHTS), atol=0.05)


# Monte Carlo


def test_maximum_likelihood_is_forward_kl():
    x = np.random.default_rng(0).normal(3, 2, size=(500, 1)).astype(np.float32)
    objective = forward_objective(lambda key: jnp.asarray(x), gaussian_log_density)
    fit = fit_by_gradient(KEY, objective, gaussian(0, 1), optax.adam(0.05), steps=1500)
    np.testing.assert_allclose(fit.params["mean"], [x.mean()], atol=1e-2)
    np.testing.assert_allclose(jnp.exp(fit.params["log_scale"]), [x.std()], atol=1e-2)
    expected = scipy.stats.norm.logpdf(x, x.mean(), x.std()).mean()
    np.testing.assert_allclose(fit.trace[-1], -expected, rtol=1e-4)


def test_samples_lead_where_the_integral_leads():
    objective = reverse_objective(log_p, gaussian_log_density, lambda t, key: gaussian_draw(t, key, 64))
    fit = fit_by_gradient(KEY, objective, gaussian(-2, 0.5), ADAM, steps=600)
    exact = scipy.optimize.minimize(reverse_kl_by_quadrature, [MEANS[0], np.log(SCALES[0])])
    np.testing.assert_allclose([fit.params["mean"][0], fit.params["log_scale"][0]], exact.x, atol=0.05)


def test_reverse_gradient_is_right_in_the_mean_and_exact_where_q_is_p():
    def target(x):
        return gaussian_log_density(gaussian(1.0, 2.0), x)

    objective = reverse_objective(target, gaussian_log_density, lambda t, key: gaussian_draw(t, key, 20_000))
    closed = gaussian_objective(jnp.array([1.0]), jnp.log(jnp.array([2.0])), direction="reverse")
    theta = gaussian(0.0, 1.0)
    value, grad = jax.value_and_grad(objective, argnums=1)(KEY, theta)
    expected, expected_grad = jax.value_and_grad(closed, argnums=1)(KEY, theta)
    np.testing.assert_allclose(value, expected, atol=0.02)
    for name in theta:
        np.testing.assert_allclose(grad[name], expected_grad[name], atol=0.03)
    at_target = jax.grad(objective, argnums=1)(KEY, gaussian(1.0, 2.0))
    for name in theta:
        np.testing.assert_allclose(at_target[name], 0, atol=1e-5)


# The loop


def test_the_loop_is_plain_gradient_descent():
    fit = fit_by_gradient(
        KEY, lambda key, t: 0.5 * (t**2).sum(), jnp.array([3.0, 4.0]), optax.sgd(0.5), steps=3
    )
    np.testing.assert_allclose(fit.params, np.array([3.0, 4.0]) / 8)
    np.testing.assert_allclose(fit.trace, 12.5 / 4.0 ** np.arange(4))
    assert fit.reason == "step limit" and not fit.converged


def test_stops_at_the_first_value_that_is_not_finite():
    fit = fit_by_gradient(KEY, lambda key, t: jnp.log(t), jnp.float32(1.0), optax.sgd(0.6), steps=10)
    # 1 -> 0.4 -> below zero
    assert fit.reason == "not finite" and int(fit.steps) == 2
    np.testing.assert_allclose(fit.trace[:2], [0, np.log(0.4)], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"key": 1}, TypeError, "key"),
        ({"objective": 1.0}, TypeError, "objective"),
        ({"objective": lambda key, t: t}, ValueError, "objective returns shape"),
        ({"params": jnp.array([1, 2])}, TypeError, "params"),
        ({"optimizer": "adam"}, TypeError, "optimizer"),
        ({"steps": -1}, ValueError, "steps"),
        ({"steps": 1.5}, TypeError, "steps"),
        ({"gradient_tolerance": -1.0}, ValueError, "gradient_tolerance"),
    ],
)
def test_refuses_with_the_arguments_name(change, error, message):
    arguments = {
        "key": KEY,
        "objective": lambda key, t: t.sum(),
        "params": jnp.zeros(2),
        "optimizer": ADAM,
        "steps": 1,
    }
    with pytest.raises(error, match=message):
        fit_by_gradient(**(arguments | change))


def test_objectives_refuse_with_the_arguments_name():
    with pytest.raises(ValueError, match=r"direction is 'both'.* forward, reverse"):
        pmf_objective(np.array([0.5, 0.5], np.float32), direction="both")
    with pytest.raises(ValueError, match="p sums to"):
        pmf_objective(np.array([0.5, 0.4], np.float32), direction="forward")
    with pytest.raises(ValueError, match="p has shape"):
        pmf_objective(np.full((1, 2), 0.5, np.float32), direction="forward")
    with pytest.raises(ValueError, match="log_scale has shape"):
        gaussian_objective(jnp.zeros(2), jnp.zeros(3), direction="forward")
    with pytest.raises(ValueError, match="volume"):
        grid_objective(log_p, gaussian_log_density, GRID, 0.0, direction="forward")
    with pytest.raises(ValueError, match="x has shape"):
        grid_objective(log_p, gaussian_log_density, GRID[:, 0], 1.0, direction="forward")
    with pytest.raises(TypeError, match="log_q"):
        forward_objective(lambda key: GRID, None)
    with pytest.raises(TypeError, match="draw"):
        reverse_objective(log_p, gaussian_log_density, None)
