import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.integrate
import scipy.optimize
import scipy.special
import scipy.stats

from infogan_jax.fitting import (
    fit_by_gradient,
    forward_objective,
    gaussian_draw,
    gaussian_log_density,
    gaussian_objective,
    grid_objective,
    mixture_log_density,
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


def slopes(value, theta):
    """The gradient by central differences, in float64."""
    step = 1e-5
    return np.array([(value(theta + d) - value(theta - d)) / (2 * step) for d in step * np.eye(len(theta))])


# The two directions, away from the optimum: in each the other's values would fail.


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_pmf_objective_is_the_divergence_in_that_direction(direction):
    p, theta = np.array([0.5, 0.25, 0.15, 0.1]), np.array([-1.0, 0.5, 0.2, 1.0])

    def exact(theta):
        q = scipy.special.softmax(theta)
        return scipy.stats.entropy(p, q) if direction == "forward" else scipy.stats.entropy(q, p)

    objective = pmf_objective(p.astype(np.float32), direction=direction)
    value, grad = jax.value_and_grad(objective, argnums=1)(KEY, jnp.asarray(theta, jnp.float32))
    np.testing.assert_allclose(value, exact(theta), rtol=1e-5)
    np.testing.assert_allclose(grad, slopes(exact, theta), rtol=1e-5)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_gaussian_objective_is_the_divergence_in_that_direction(direction):
    means, log_scales, theta = np.array([1.0, -2.0]), np.array([0.5, -0.25]), np.array([0.25, -1.0, 0.0, 0.5])

    def exact(theta):
        total = 0
        for i in range(2):
            p = scipy.stats.norm(means[i], np.exp(log_scales[i]))
            q = scipy.stats.norm(theta[i], np.exp(theta[2 + i]))
            a, b = (p, q) if direction == "forward" else (q, p)
            ends = a.mean() + np.array([-10, 10]) * a.std()
            terms = lambda x, a=a, b=b: a.pdf(x) * (a.logpdf(x) - b.logpdf(x))  # noqa: E731
            total += scipy.integrate.quad(terms, *ends, epsabs=1e-12)[0]
        return total

    objective = gaussian_objective(*np.float32([means, log_scales]), direction=direction)
    start = {"mean": jnp.asarray(theta[:2], jnp.float32), "log_scale": jnp.asarray(theta[2:], jnp.float32)}
    value, grad = jax.value_and_grad(objective, argnums=1)(KEY, start)
    np.testing.assert_allclose(value, exact(theta), rtol=1e-5)
    found = np.concatenate([grad["mean"], grad["log_scale"]])
    np.testing.assert_allclose(found, slopes(exact, theta), rtol=1e-5)


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


def uniform(x, low, high):
    """The log-density of U(low, high), -inf outside."""
    return jnp.where((x[:, 0] >= low) & (x[:, 0] <= high), -jnp.log(high - low), -jnp.inf)


def test_forward_kl_on_a_grid_leaves_out_where_p_is_zero():
    x = jnp.linspace(-4, 4, 8000)[:, None]  # No point on a jump.
    objective = grid_objective(
        lambda x: uniform(x, -1.0, 1.0), gaussian_log_density, x, 8 / 7999, direction="forward"
    )
    value, grad = jax.value_and_grad(objective, argnums=1)(KEY, gaussian(0, 1))
    # E (x^2 / 2 + log(2 pi) / 2) - log 2, and its slopes: -E x and 1 - E x^2.
    np.testing.assert_allclose(value, 1 / 6 + np.log(2 * np.pi) / 2 - np.log(2), atol=1e-3)
    np.testing.assert_allclose(grad["mean"], [0], atol=1e-3)
    np.testing.assert_allclose(grad["log_scale"], [2 / 3], atol=1e-3)


def test_forward_kl_does_not_ask_q_for_a_density_where_p_is_zero():
    # A gamma p of shape 3 and a log-normal q: below 0 the logarithm is nan, and so is its gradient.
    def log_normal(theta, x):
        return gaussian_log_density(theta, jnp.log(x)) - jnp.log(x[:, 0])

    def gamma(x):
        return jnp.where(x[:, 0] > 0, 2 * jnp.log(x[:, 0]) - x[:, 0] - jnp.log(2.0), -jnp.inf)

    x = jnp.linspace(-2, 30, 32_000)[:, None]
    objective = grid_objective(gamma, log_normal, x, 32 / 31_999, direction="forward")
    value, grad = jax.value_and_grad(objective, argnums=1)(KEY, gaussian(0, 1))
    mean = scipy.special.digamma(3)  # of log x, and of its square:
    square = mean**2 + scipy.special.polygamma(1, 3)
    expected = -scipy.stats.gamma(3).entropy() + mean + np.log(2 * np.pi) / 2 + square / 2
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    np.testing.assert_allclose(grad["mean"], [-mean], rtol=1e-4)
    np.testing.assert_allclose(grad["log_scale"], [1 - square], rtol=1e-3)


def test_reverse_kl_on_a_grid_leaves_out_where_q_is_zero_and_is_infinite_where_only_p_is():
    # U(-half, half), by its logarithm, against N(0, 1).
    def family(log_half, x):
        return jnp.where(jnp.abs(x[:, 0]) <= jnp.exp(log_half), -jnp.log(2.0) - log_half, -jnp.inf)

    x = jnp.linspace(-60, 60, 60_000)[:, None]
    spacing = 120 / 59_999
    normal = scipy.stats.norm.logpdf
    objective = grid_objective(
        lambda x: gaussian_log_density(gaussian(0, 1), x), family, x, spacing, direction="reverse"
    )
    value, grad = jax.value_and_grad(objective, argnums=1)(KEY, jnp.float32(0))
    exact = scipy.integrate.quad(lambda x: 0.5 * (np.log(0.5) - normal(x)), -1, 1)[0]
    np.testing.assert_allclose(value, exact, atol=2e-3)
    assert np.isfinite(grad)
    # 50 deviations away a Gaussian q is 0 in float32, as p is, though neither really is.
    between = grid_objective(
        lambda x: uniform(x, -50.0, 50.0), gaussian_log_density, x, spacing, direction="reverse"
    )
    value, grad = jax.value_and_grad(between, argnums=1)(KEY, gaussian(0, 1))
    np.testing.assert_allclose(value, np.log(100) - scipy.stats.norm.entropy(), rtol=1e-4)
    np.testing.assert_allclose(grad["log_scale"], [-1], rtol=1e-3)
    outside = grid_objective(
        lambda x: uniform(x, -1.0, 1.0), gaussian_log_density, x, spacing, direction="reverse"
    )
    assert outside(KEY, gaussian(0, 1)) == np.inf


# A mixture


def mixture_theta(weights, means, scales):
    theta = {"logits": np.log(weights), "means": np.asarray(means), "log_scales": np.log(scales)}
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), theta)


def test_mixture_density_agrees_with_scipy():
    rng = np.random.default_rng(0)
    means, scales, x = rng.normal(size=(3, 2)), np.exp(rng.normal(size=(3, 2))), 3 * rng.normal(size=(20, 2))
    weights = np.array([0.2, 0.5, 0.3])
    density = sum(
        w * scipy.stats.multivariate_normal.pdf(x, m, np.diag(s**2))
        for w, m, s in zip(weights, means, scales, strict=True)
    )
    theta = mixture_theta(5 * weights, means, scales)  # Logits are free up to a constant.
    found = jax.jit(mixture_log_density)(theta, x.astype(np.float32))
    np.testing.assert_allclose(found, np.log(density), rtol=1e-4)


def test_forward_kl_takes_a_mixture_to_a_density_with_two_modes():
    objective = grid_objective(log_p, mixture_log_density, GRID, SPACING, direction="forward")
    start = mixture_theta([0.5, 0.5], [[-1.0], [1.0]], [[2.0], [2.0]])
    fit = fit_by_gradient(KEY, objective, start, ADAM, steps=600)
    np.testing.assert_allclose(jax.nn.softmax(fit.params["logits"]), WEIGHTS, atol=1e-3)
    np.testing.assert_allclose(fit.params["means"][:, 0], MEANS, atol=5e-3)
    np.testing.assert_allclose(jnp.exp(fit.params["log_scales"])[:, 0], SCALES, atol=5e-3)
    assert abs(fit.trace[-1]) < 1e-4


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_divergence_of_a_mixture_agrees_with_quadrature(direction):
    weights, means, scales = np.array([0.4, 0.6]), np.array([-1.0, 2.0]), np.array([1.5, 0.8])

    def density(x, weights, means, scales):
        return weights @ scipy.stats.norm.pdf(x, means, scales)

    def integrand(x):
        p, q = density(x, WEIGHTS, MEANS, SCALES), density(x, weights, means, scales)
        return p * np.log(p / q) if direction == "forward" else q * np.log(q / p)

    objective = grid_objective(log_p, mixture_log_density, GRID, SPACING, direction=direction)
    value = objective(KEY, mixture_theta(weights, means[:, None], scales[:, None]))
    exact = scipy.integrate.quad(integrand, -12, 12, limit=200, points=[-3, 0, 3], epsabs=1e-10)[0]
    np.testing.assert_allclose(value, exact, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": np.zeros(3, np.float32)}, "logits has shape"),
        ({"log_scales": np.zeros((2, 2), np.float32)}, "log_scales has shape"),
        ({"means": np.zeros(2, np.float32)}, "means has shape"),
    ],
)
def test_mixture_density_refuses_with_the_arrays_name(change, message):
    theta = mixture_theta([0.5, 0.5], [[-1.0], [1.0]], [[2.0], [2.0]])
    with pytest.raises(ValueError, match=message):
        mixture_log_density(theta | change, GRID)
    with pytest.raises(ValueError, match="x has shape"):
        mixture_log_density(theta, GRID.repeat(2, axis=1))


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
    with pytest.raises(ValueError, match="count is -1"):
        gaussian_draw(gaussian(0, 1), KEY, -1)
    with pytest.raises(TypeError, match="key"):
        gaussian_draw(gaussian(0, 1), 0, 1)
    with pytest.raises(TypeError, match="log_q"):
        forward_objective(lambda key: GRID, None)
    with pytest.raises(TypeError, match="draw"):
        reverse_objective(log_p, gaussian_log_density, None)
