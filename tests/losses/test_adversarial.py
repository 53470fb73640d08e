import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from jax.test_util import check_grads
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import jensenshannon
from scipy.special import expit, log_expit
from sklearn.metrics import hinge_loss, log_loss

from losses.adversarial import (
    discriminator_hinge,
    discriminator_least_squares,
    discriminator_logistic,
    discriminator_wasserstein,
    generator_hinge,
    generator_least_squares,
    generator_minimax,
    generator_non_saturating,
    generator_wasserstein,
    gradient_penalty,
    r1_penalty,
    r2_penalty,
)

pytestmark = pytest.mark.usefixtures("quick_compilation")

REAL = np.array([0.0, 1.5, -2.0, 30.0, -30.0, 0.1], np.float32)
FAKE = np.array([0.0, -0.5, 3.0, 7.0, -90.0, 0.2], np.float32)


def test_discriminator_is_the_sum_of_two_cross_entropies():
    expected = -log_expit(REAL.astype(np.float64)) - log_expit(-FAKE.astype(np.float64))
    np.testing.assert_allclose(discriminator_logistic(REAL, FAKE), expected, rtol=1e-6)


def test_discriminators_mean_is_twice_the_log_loss_of_a_balanced_classifier():
    labels = np.repeat([1, 0], 3)
    probabilities = expit(np.concatenate([REAL[:3], FAKE[:3]]).astype(np.float64))
    mean = np.mean(discriminator_logistic(REAL[:3], FAKE[:3]))
    np.testing.assert_allclose(mean, 2 * log_loss(labels, probabilities), rtol=1e-6)


def test_generator_is_the_log_loss_of_fakes_called_real():
    np.testing.assert_allclose(generator_non_saturating(FAKE), -log_expit(FAKE.astype(np.float64)), rtol=1e-6)


@pytest.mark.parametrize(
    ("real", "fake", "value", "real_slope", "fake_slope"),
    [(1e4, -1e4, 0.0, 0.0, 0.0), (-1e4, 1e4, 2e4, -1.0, 1.0), (1e4, 1e4, 1e4, 0.0, 1.0)],
)
def test_discriminator_is_exact_where_it_is_sure(real, fake, value, real_slope, fake_slope):
    logits = jnp.array([real]), jnp.array([fake])
    assert discriminator_logistic(*logits)[0] == value
    slopes = jax.grad(lambda r, f: discriminator_logistic(r, f).sum(), (0, 1))(*logits)
    assert (slopes[0][0], slopes[1][0]) == (real_slope, fake_slope)


@pytest.mark.parametrize(("fake", "value", "slope"), [(1e4, 0.0, 0.0), (-1e4, 1e4, -1.0)])
def test_generator_keeps_its_gradient_where_the_discriminator_is_sure(fake, value, slope):
    logits = jnp.array([fake])
    assert generator_non_saturating(logits)[0] == value
    assert jax.grad(lambda f: generator_non_saturating(f).sum())(logits)[0] == slope


def test_derivatives():
    # Away from +-30, where the second derivative is below the resolution of a difference.
    real, fake = jnp.asarray(REAL[:3]), jnp.asarray(FAKE[:3])
    check_grads(discriminator_logistic, (real, fake), order=2, modes=("rev",), atol=1e-2, rtol=1e-2)
    check_grads(generator_non_saturating, (fake,), order=2, modes=("rev",), atol=1e-2, rtol=1e-2)
    real_slopes, fake_slopes = jax.grad(lambda r, f: discriminator_logistic(r, f).sum(), (0, 1))(real, fake)
    np.testing.assert_allclose(real_slopes, expit(real) - 1, rtol=1e-5)
    np.testing.assert_allclose(fake_slopes, expit(fake), rtol=1e-5)
    generators = jax.grad(lambda f: generator_non_saturating(f).sum())(fake)
    np.testing.assert_allclose(generators, expit(fake) - 1, rtol=1e-5)


P = np.array([0.1, 0.2, 0.3, 0.4])
Q = np.array([0.4, 0.25, 0.3, 0.05])


def expected_loss(logits):
    """E of the discriminator's loss, over independent real ~ P and fake ~ Q on four points."""
    real, fake = (jnp.ravel(x) for x in jnp.meshgrid(logits, logits, indexing="ij"))
    return jnp.sum(jnp.outer(P, Q).ravel() * discriminator_logistic(real, fake))


def test_at_the_optimal_discriminator_the_loss_is_two_log_two_less_twice_the_jensen_shannon_divergence():
    optimum = jnp.asarray(np.log(P / Q), jnp.float32)  # D* = p / (p + q)
    np.testing.assert_allclose(
        expected_loss(optimum), 2 * np.log(2) - 2 * jensenshannon(P, Q) ** 2, rtol=1e-6
    )
    np.testing.assert_allclose(jax.grad(expected_loss)(optimum), 0, atol=1e-7)
    assert np.all(np.linalg.eigvalsh(jax.hessian(expected_loss)(optimum)) > 0)


def test_minimising_point_by_point_finds_the_optimal_discriminator():
    for p, q in zip(P, Q, strict=True):

        def loss(logit, p=p, q=q):
            # -log D alone is the loss of a fake that is surely known, and the other way round.
            sure = jnp.array([1e4])
            logit = jnp.array([logit])
            on_real, on_fake = discriminator_logistic(logit, -sure), discriminator_logistic(sure, logit)
            return float(p * on_real[0] + q * on_fake[0])

        np.testing.assert_allclose(expit(minimize_scalar(loss).x), p / (p + q), atol=2e-3)


# Minimax


def test_minimax_is_the_log_probability_of_a_fake_being_called_fake():
    expected = log_expit(-FAKE.astype(np.float64))
    np.testing.assert_allclose(generator_minimax(FAKE), expected, rtol=1e-6, atol=1e-37)


@pytest.mark.parametrize(("fake", "value", "slope"), [(1e4, -1e4, -1.0), (-1e4, 0.0, 0.0)])
def test_minimax_loses_its_gradient_where_the_discriminator_is_sure(fake, value, slope):
    logits = jnp.array([fake])
    assert generator_minimax(logits)[0] == value
    assert jax.grad(lambda f: generator_minimax(f).sum())(logits)[0] == slope


def test_minimax_players_pull_in_opposite_directions():
    fake, real = jnp.asarray(FAKE), jnp.asarray(REAL)
    against = jax.grad(lambda f: discriminator_logistic(real, f).sum())(fake)
    np.testing.assert_allclose(jax.grad(lambda f: generator_minimax(f).sum())(fake), -against, rtol=1e-6)


# Least squares


def test_least_squares_agrees_with_optax():
    labels = {"real_label": 0.9, "fake_label": -1.0}
    expected = optax.l2_loss(REAL, np.full_like(REAL, 0.9)) + optax.l2_loss(FAKE, np.full_like(FAKE, -1.0))
    np.testing.assert_allclose(discriminator_least_squares(REAL, FAKE, **labels), expected, rtol=1e-6)
    by_default = optax.l2_loss(REAL, np.ones_like(REAL)) + optax.l2_loss(FAKE)
    np.testing.assert_allclose(discriminator_least_squares(REAL, FAKE), by_default, rtol=1e-6)
    np.testing.assert_allclose(
        generator_least_squares(FAKE), optax.l2_loss(FAKE, np.ones_like(FAKE)), rtol=1e-6
    )
    np.testing.assert_allclose(
        generator_least_squares(FAKE, target_label=0.0), optax.l2_loss(FAKE), rtol=1e-6
    )


def test_at_the_optimal_least_squares_discriminator_the_loss_is_flat():
    # Mao et al. 2017, eq. 5: D* = (b p + a q) / (p + q).
    labels = {"real_label": 1.0, "fake_label": -1.0}

    def expected(scores):
        real, fake = (jnp.ravel(x) for x in jnp.meshgrid(scores, scores, indexing="ij"))
        losses = discriminator_least_squares(real, fake, **labels)
        return jnp.sum(jnp.outer(P, Q).ravel() * losses)

    np.testing.assert_allclose(jax.grad(expected)(jnp.asarray((P - Q) / (P + Q))), 0, atol=1e-7)


# Hinge and Wasserstein


def test_hinge_agrees_with_scikit_learn():
    scores = np.array([0.0, 0.99, 1.01, -2.0, 1e4, -1e4], np.float32)
    # Its mean over a pair of one real and one fake.
    expected = [2 * hinge_loss([1, -1], pair) for pair in zip(scores, scores[::-1], strict=True)]
    np.testing.assert_allclose(discriminator_hinge(scores, scores[::-1]), expected, rtol=1e-6)


def test_hinge_and_wasserstein_generators_raise_the_score():
    np.testing.assert_array_equal(generator_hinge(FAKE), -FAKE)
    np.testing.assert_array_equal(generator_wasserstein(FAKE), -FAKE)


def test_wasserstein_is_minus_the_distance_under_the_best_critic():
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(2, 50)).astype(np.float32) + np.float32([[4.0], [-4.0]])
    # Every real point lies above every fake one, so D(x) = x is the best 1-Lipschitz critic.
    loss = np.mean(discriminator_wasserstein(real, fake))
    np.testing.assert_allclose(loss, -scipy.stats.wasserstein_distance(real, fake), rtol=1e-5)
    assert np.mean(discriminator_wasserstein(np.sin(real), np.sin(fake))) > loss


# Penalties


def quadratic(matrix):
    """A critic x^T A x / 2, whose slope is A x."""
    return lambda x: jnp.einsum("ni,ij,nj->n", x, matrix, x) / 2


def test_r1_and_r2_are_the_squared_slope():
    rng = np.random.default_rng(1)
    root = rng.normal(size=(3, 3)).astype(np.float32)
    matrix, images = root + root.T, rng.normal(size=(5, 3)).astype(np.float32)
    expected = np.sum((images @ matrix) ** 2, axis=1)
    np.testing.assert_allclose(r1_penalty(quadratic(matrix), images), expected, rtol=1e-5)
    np.testing.assert_allclose(r2_penalty(quadratic(matrix), images), expected, rtol=1e-5)


@pytest.mark.parametrize("penalty", [r1_penalty, r2_penalty])
def test_penalties_train_the_critic(penalty):
    weights = jnp.array([3.0, -4.0])
    images = jnp.ones((1, 2))
    gradient = jax.jit(jax.grad(lambda w: penalty(lambda x: x @ w, images)[0]))(weights)
    np.testing.assert_allclose(gradient, 2 * weights)


@pytest.mark.parametrize(("slope", "expected"), [(1.0, 16.0), (0.0, 25.0), (5.0, 0.0)])
def test_gradient_penalty_of_a_linear_critic(slope, expected):
    weights = jnp.array([3.0, -4.0])
    arguments = jax.random.key(0), jnp.ones((3, 2)), jnp.zeros((3, 2))
    np.testing.assert_allclose(
        gradient_penalty(lambda x: x @ weights, *arguments, slope=slope), np.full(3, expected), rtol=1e-6
    )


def test_gradient_penalty_looks_at_one_uniform_point_between_each_pair():
    real, fake = jnp.full((2000, 2), 3.0), jnp.full((2000, 2), 1.0)

    def mean_squared(x):  # along the diagonal its slope is the length of x
        return jnp.sum(x**2, axis=1) / 2

    def difference(x):  # its slope is zero if both numbers of an image moved by one u
        return (x[:, 0] - x[:, 1]) ** 2

    def lengths(key):
        return np.sqrt(gradient_penalty(mean_squared, key, real, fake, slope=0.0))

    points = lengths(jax.random.key(0)) / np.sqrt(2)
    assert scipy.stats.kstest(points, scipy.stats.uniform(1, 2).cdf).pvalue > 1e-3
    np.testing.assert_array_equal(lengths(jax.random.key(0)), lengths(jax.random.key(0)))
    assert np.abs(lengths(jax.random.key(1)) - lengths(jax.random.key(0))).max() > 1
    np.testing.assert_array_equal(
        gradient_penalty(difference, jax.random.key(0), real, fake, slope=0.0), np.zeros(2000)
    )


def test_gradient_penalty_of_a_flat_critic_has_a_finite_gradient():
    images = jnp.ones((1, 2))

    def penalty(weights):
        return gradient_penalty(lambda x: x @ weights, jax.random.key(0), images, images)[0]

    value, slope = jax.value_and_grad(penalty)(jnp.zeros(2))
    assert value == 1
    np.testing.assert_array_equal(slope, [0, 0])
