"""Mutual information between latent codes and images: the InfoGAN bound and what it is made of."""

import math
from functools import partial

import chex
import jax
import jax.numpy as jnp
from jax import Array


@jax.jit
def categorical_log_prob(logits: Array, index: Array) -> Array:
    """Log-likelihood of a category.

        log Q(c = k | x) = logits_k - log sum_j exp(logits_j)

    Args:
        logits: unnormalised log-probabilities, float [batch, categories].
        index: the category k, int [batch], in [0, categories).

    Returns:
        Nats, float [batch].

    Raises:
        AssertionError: ranks, types or lengths differ from the above.
    """
    chex.assert_rank([logits, index], [2, 1])
    chex.assert_type([logits, index], [float, int])
    chex.assert_equal_shape_prefix([logits, index], 1)
    log_probs = jax.nn.log_softmax(logits)
    return jnp.take_along_axis(log_probs, index[:, None], axis=1)[:, 0]


@jax.jit
def bernoulli_log_prob(logit: Array, value: Array) -> Array:
    """Log-likelihood of a binary value.

        log Q(c | x) = c log p + (1 - c) log(1 - p),  p = sigmoid(logit)

    Args:
        logit: log-odds of 1, float [batch].
        value: 0 or 1, float [batch].

    Returns:
        Nats, float [batch].

    Raises:
        AssertionError: ranks, types or lengths differ from the above.
    """
    chex.assert_rank([logit, value], 1)
    chex.assert_type([logit, value], float)
    chex.assert_equal_shape([logit, value])
    return -jax.nn.softplus(jnp.where(value > 0.5, -logit, logit))


@jax.jit
def gaussian_log_prob(mean: Array, log_scale: Array, value: Array) -> Array:
    """Log-density of a Gaussian whose scale is given by its logarithm.

        log N(c; mu, sigma) = -((c - mu) / sigma)^2 / 2 - log sigma - log(2 pi) / 2

    Args:
        mean: mu, float [batch].
        log_scale: log sigma, float [batch].
        value: c, float [batch].

    Returns:
        Nats, float [batch].

    Raises:
        AssertionError: ranks, types or lengths differ from the above.
    """
    chex.assert_rank([mean, log_scale, value], 1)
    chex.assert_type([mean, log_scale, value], float)
    chex.assert_equal_shape([mean, log_scale, value])
    deviation = (value - mean) * jnp.exp(-log_scale)
    return -0.5 * deviation**2 - log_scale - 0.5 * math.log(2 * math.pi)


@partial(jax.jit, static_argnames="limit")
def bounded_log_scale(raw: Array, *, limit: float) -> Array:
    """A log-scale held smoothly inside (-limit, limit), and left alone near zero.

        log sigma = limit tanh(raw / limit)

    Without a bound the likelihood of a code that Q reads exactly grows without limit as sigma
    goes to zero, and one rounding error later the loss is not finite.

    Args:
        raw: any float array.
        limit: the bound, above zero.

    Returns:
        The log-scale, of the shape of ``raw``.
    """
    chex.assert_type(raw, float)
    return limit * jnp.tanh(raw / limit)


@jax.jit
def information_lower_bound(log_q: Array, prior_entropy: Array | float) -> Array:
    """The variational lower bound of the mutual information between a code and its image.

        L_I = E[log Q(c | x)] + H(c)  <=  I(c; G(z, c)),   c ~ P(c), x ~ G(z, c)

    The mean of what is returned estimates L_I; its gap to the mutual information is the expected
    KL divergence from the true posterior P(c | x) to Q.

    Args:
        log_q: log Q(c | x) of the codes that the images were made with, float [batch].
        prior_entropy: H(c) in nats (for a continuous code, the differential entropy).

    Returns:
        Nats, float [batch].

    Raises:
        AssertionError: ``log_q`` is not a float vector.

    References:
        Chen et al. 2016, "InfoGAN", eqs. 4 and 5.
    """
    chex.assert_rank([log_q, prior_entropy], [1, 0])
    chex.assert_type(log_q, float)
    return log_q + prior_entropy


@partial(jax.jit, static_argnames="axis_name")
def paired_mutual_information(logits_a: Array, logits_b: Array, *, axis_name: str | None = None) -> Array:
    """Mutual information between the categories read from two views of the same images.

        P = mean_n softmax(a_n) softmax(b_n)^T,   S = (P + P^T) / 2
        I = sum_kl S_kl log(S_kl / (S_k. S_.l))

    It is large when each image gets the same category in both views (invariance) and all
    categories are used alike (balance): at most log(categories). A property of the batch as a
    whole, so one number is returned, not one per example.

    Args:
        logits_a: the first view, float [batch, categories].
        logits_b: the second view of the same images, in the same order and shape.
        axis_name: the pmapped axis that the batch is split over; the joint distribution is then
            that of the whole batch, the same on every replica.

    Returns:
        Nats, a float scalar.

    Raises:
        AssertionError: the arguments are not two float matrices of one shape.

    References:
        Ji et al. 2019, "Invariant information clustering", eqs. 2 and 3.
    """
    chex.assert_rank([logits_a, logits_b], 2)
    chex.assert_type([logits_a, logits_b], float)
    chex.assert_equal_shape([logits_a, logits_b])
    # A small product whose logarithm is taken: accelerators must not round its inputs to fewer bits.
    joint = jnp.matmul(jax.nn.softmax(logits_a).T, jax.nn.softmax(logits_b), precision="highest")
    joint = joint / logits_a.shape[0]
    if axis_name is not None:
        joint = jax.lax.pmean(joint, axis_name)
    joint = (joint + joint.T) / 2
    # S is symmetric, so both of its marginals are the same.
    return 2 * _entropy(joint.sum(axis=0)) - _entropy(joint)


def _entropy(probabilities: Array) -> Array:
    """-sum p log p with 0 log 0 = 0, and a gradient of zero there rather than infinity."""
    positive = probabilities > 0
    log = jnp.log(jnp.where(positive, probabilities, 1.0))
    return -jnp.sum(jnp.where(positive, probabilities * log, 0.0))
