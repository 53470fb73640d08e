import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import jensenshannon
from scipy.special import expit, log_expit
from sklearn.metrics import log_loss

from losses.adversarial import discriminator_logistic, generator_non_saturating

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
    check_grads(discriminator_logistic, (real, fake), order=2, modes=("fwd", "rev"), atol=1e-2, rtol=1e-2)
    check_grads(generator_non_saturating, (fake,), order=2, modes=("fwd", "rev"), atol=1e-2, rtol=1e-2)
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


VECTOR = np.zeros(3, np.float32)


@pytest.mark.parametrize(
    "bad", [np.float32(0), np.zeros((3, 1), np.float32), np.zeros(3, np.int32), np.zeros(3, bool)]
)
def test_what_is_no_float_vector_is_refused(bad):
    for arguments in [(bad, VECTOR), (VECTOR, bad)]:
        with pytest.raises(AssertionError):
            discriminator_logistic(*arguments)
    with pytest.raises(AssertionError):
        generator_non_saturating(bad)


@pytest.mark.parametrize("length", [1, 2])
def test_vectors_of_two_lengths_are_refused(length):
    with pytest.raises(AssertionError):
        discriminator_logistic(VECTOR, VECTOR[:length])
