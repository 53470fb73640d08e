"""Mutual information between latent codes and images: the InfoGAN bound and what it is made of.

The bound is the mean of log Q(c | x) plus the prior's entropy H(c). Q's log-likelihoods are functions of
arrays; a prior is part of a model's specification, so its entropy is a Python number of Python numbers.
"""

import math
from collections.abc import Mapping
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from losses import stable
from losses.checks import (
    check_count,
    check_integers,
    check_mapping,
    check_names,
    check_same_shape,
    floats,
    jitted,
    number,
)
from losses.replicas import pmean

# Log-likelihoods


@jax.jit
def categorical_log_prob(logits: Array, index: Array) -> Array:
    """Log-likelihood of a category.

        log Q(c = k | x) = logits_k - log sum_j exp(logits_j)

    Args:
        logits: unnormalised log-probabilities, float [..., categories].
        index: the category k, int [...], in [0, categories).

    Returns:
        Nats, float [...]; NaN where the index is too large.

    Raises:
        TypeError: ``logits`` is not a float array, or ``index`` not an integer array.
        ValueError: ``logits`` has no axis, or ``index`` another shape than the other axes of ``logits``.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> logits = jnp.array([[1e4, -1e4], [1e4, -1e4]])
        >>> losses.categorical_log_prob(logits, jnp.array([0, 1])).tolist()
        [0.0, -20000.0]

    References:
        Chen et al. 2016, "InfoGAN", section 6: the softmax that represents Q.
    """
    (logits,) = floats("[..., categories]", logits=logits)
    check_integers("[...]", index=index)
    if jnp.shape(index) != logits.shape[:-1]:
        raise ValueError(f"index has shape {jnp.shape(index)}: it must be {logits.shape[:-1]}, as of logits")
    log_probs = jax.nn.log_softmax(logits)
    return jnp.take_along_axis(log_probs, index[..., None], axis=-1)[..., 0]


@jax.jit
def bernoulli_log_prob(logit: Array, value: Array) -> Array:
    """Log-likelihood of a binary value.

        log Q(c | x) = c log p + (1 - c) log(1 - p),  p = sigmoid(logit)

    Of a value between 0 and 1 it is the mean over a coin with that chance of 1, as the formula says.

    Args:
        logit: log-odds of 1, float [...].
        value: c, 0 or 1 (or between), of the shape of ``logit``.

    Returns:
        Nats, float [...].

    Raises:
        TypeError: an argument is not a float array.
        ValueError: the shapes differ.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.bernoulli_log_prob(jnp.array([1e4, 2e4]), jnp.array([0.0, 0.0])).tolist()
        [-10000.0, -20000.0]

    References:
        Bishop 2006, "Pattern recognition and machine learning", eq. 2.2.
    """
    logit, value = floats("[...]", logit=logit, value=value)
    return -stable.binary_cross_entropy(logit, value)


@jax.jit
def gaussian_log_prob(mean: Array, log_scale: Array, value: Array) -> Array:
    """Log-density of a Gaussian whose scale is given by its logarithm.

        log N(c; mu, sigma) = -((c - mu) / sigma)^2 / 2 - log sigma - log(2 pi) / 2

    The scale is learned, or is one number for all where it is fixed.

    Args:
        mean: mu, float [...].
        log_scale: log sigma, of the shape of ``mean``, or a single float.
        value: c, of the shape of ``mean``.

    Returns:
        Nats, float [...].

    Raises:
        TypeError: an argument is not a float array.
        ValueError: the shapes differ, and it is not that ``log_scale`` is a single number.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> mean, log_scale, value = jnp.array([0.0]), jnp.array([0.0]), jnp.array([1.0])
        >>> round(float(losses.gaussian_log_prob(mean, log_scale, value)[0]), 4)
        -1.4189
        >>> round(float(losses.gaussian_log_prob(mean, 0.0, value)[0]), 4)
        -1.4189

    References:
        Chen et al. 2016, "InfoGAN", section 6: the factored Gaussian that represents Q.
    """
    mean, value = floats("[...]", mean=mean, value=value)
    (log_scale,) = floats("[...]", log_scale=log_scale)
    if log_scale.ndim:
        check_same_shape(mean=mean, log_scale=log_scale)
    deviation = stable.over_exp(value - mean, log_scale)
    return -0.5 * deviation**2 - log_scale - 0.5 * math.log(2 * math.pi)


def _log_i0e(x: Array) -> Array:
    """log(I0(x) exp(-x)) for x >= 0, where I0 is the modified Bessel function."""
    # Far out, the derivative of log(i0e) is a small difference of large terms: the asymptotic series
    # (Abramowitz and Stegun, eq. 9.7.1) keeps its digits, and five terms are exact to 1e-14.
    far = x > 200
    near_x, far_x = jnp.where(far, 1.0, x), jnp.where(far, x, 200.0)
    # The derivative on the right of 0: at 0 itself, that of i0e is given for its even continuation.
    near_x = near_x + 1e-30
    series = term = jnp.ones_like(x)
    for k in range(1, 6):
        term = term * ((2 * k - 1) ** 2 / (8 * k)) / far_x
        series = series + term
    return jnp.where(
        far,
        jnp.log(series) - (jnp.log(far_x) + math.log(2 * math.pi)) / 2,
        jnp.log(jax.scipy.special.i0e(near_x)),
    )


@jax.jit
def von_mises_log_prob(mean: Array, concentration: Array, value: Array) -> Array:
    """Log-density of a von Mises distribution, for a code that is an angle.

        log VM(c; mu, kappa) = kappa cos(c - mu) - log(2 pi I0(kappa))

    It is the uniform density on the circle at kappa = 0, and close to a Gaussian of variance 1 / kappa
    where kappa is large.

    Args:
        mean: mu in radians, float [...].
        concentration: kappa, at least 0, without a unit, of the shape of ``mean``.
        value: c in radians, of the shape of ``mean``; whole turns change nothing.

    Returns:
        Nats, float [...]; NaN where kappa is negative.

    Raises:
        TypeError: an argument is not a float array.
        ValueError: the shapes differ.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> mean, concentration, value = jnp.zeros(2), jnp.array([0.0, 1e6]), jnp.zeros(2)
        >>> [round(x, 3) for x in losses.von_mises_log_prob(mean, concentration, value).tolist()]
        [-1.838, 5.989]

    References:
        Mardia and Jupp 2000, "Directional statistics", eq. 3.5.17.
    """
    mean, concentration, value = floats("[...]", mean=mean, concentration=concentration, value=value)
    # kappa (cos d - 1) - log(2 pi I0(kappa) exp(-kappa)), which stays small where kappa is large.
    peaked = concentration * (-2 * jnp.sin((value - mean) / 2) ** 2)
    log_prob = peaked - _log_i0e(concentration) - math.log(2 * math.pi)
    return jnp.where(concentration < 0, jnp.nan, log_prob)


@jitted("limit")
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

    Raises:
        TypeError: ``raw`` is not a float array, or ``limit`` not a number.
        ValueError: ``limit`` is not above 0.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.bounded_log_scale(jnp.array([-1e6, 0.0, 1e6]), limit=4.0).tolist()
        [-4.0, 0.0, 4.0]

    References:
        Chua et al. 2018, "Deep reinforcement learning in a handful of trials using probabilistic dynamics
        models", appendix A.1, bounds a log-variance to the same end, by softplus.
    """
    (raw,) = floats("[...]", raw=raw)
    number("limit", limit, above=0)
    return limit * jnp.tanh(raw / limit)


def scale_weighted(log_prob: Array, log_scale: Array, *, weighting: float) -> Array:
    """A Gaussian's log-likelihood, whose gradients alone are multiplied by a power of its scale.

        value: log q     gradient: sigma^(2 weighting) d log q,  0 <= weighting <= 1

    A learned scale makes the pull on the mean (c - mu) / sigma^2, up to 3,000 times that of a scale of 1
    where sigma may go to 0.018: one example that Q is surely wrong about then outweighs a batch. With a
    weighting of 1 the pull is c - mu, as from a scale that is fixed at 1, and the scale is learned all the
    same, from (c - mu)^2 - sigma^2. With 0 the likelihood stays as it is.

    Args:
        log_prob: log q, nats, float [...].
        log_scale: log sigma, of the shape of ``log_prob``.
        weighting: the power, from 0 to 1.

    Returns:
        ``log_prob``.

    Raises:
        TypeError: an argument is not a float array, or ``weighting`` not a number.
        ValueError: the shapes differ, or ``weighting`` is not from 0 to 1.

    Examples:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import losses
        >>> def log_q(mean):
        ...     nats = losses.gaussian_log_prob(mean, jnp.log(jnp.array([0.1])), jnp.array([1.0]))
        ...     return losses.scale_weighted(nats, jnp.log(jnp.array([0.1])), weighting=1.0)[0]
        >>> round(float(jax.grad(log_q)(jnp.array([0.5]))[0]), 4)  # 50 without
        0.5

    References:
        Seitzer et al. 2022, "On the pitfalls of heteroscedastic uncertainty estimation with probabilistic
        neural networks", eq. 5 (beta-NLL).
    """
    log_prob, log_scale = floats("[...]", log_prob=log_prob, log_scale=log_scale)
    check_same_shape(log_prob=log_prob, log_scale=log_scale)
    number("weighting", weighting, at_least=0, at_most=1)
    weight = jax.lax.stop_gradient(jnp.exp(2 * weighting * log_scale))
    moving = weight * log_prob
    # The difference is exactly 0: the value keeps all its digits, whatever the weight.
    return jax.lax.stop_gradient(log_prob) + (moving - jax.lax.stop_gradient(moving))


# Prior entropies


def categorical_prior_entropy(categories: int) -> float:
    """The entropy of a categorical code whose categories are equally likely.

        H(c) = log K

    Of another pmf it is `losses.entropy`.

    Args:
        categories: K, at least 1.

    Returns:
        Nats.

    Raises:
        TypeError: ``categories`` is not an integer.
        ValueError: ``categories`` is below 1.

    Examples:
        >>> import losses
        >>> round(losses.categorical_prior_entropy(10), 4)
        2.3026

    References:
        Cover and Thomas 2006, "Elements of information theory", theorem 2.6.4.
    """
    check_count("categories", categories, at_least=1)
    return math.log(categories)


def bernoulli_prior_entropy(p: float) -> float:
    """The entropy of a binary code.

        H(c) = -p log p - (1 - p) log(1 - p)

    Args:
        p: the probability of 1, inside (0, 1).

    Returns:
        Nats.

    Raises:
        TypeError: ``p`` is not a number.
        ValueError: ``p`` is not inside (0, 1).

    Examples:
        >>> import losses
        >>> round(losses.bernoulli_prior_entropy(0.5), 4)
        0.6931

    References:
        Cover and Thomas 2006, "Elements of information theory", eq. 2.5.
    """
    number("p", p, above=0, below=1)
    return -p * math.log(p) - (1 - p) * math.log1p(-p)


def uniform_prior_entropy(low: float, high: float) -> float:
    """The differential entropy of a code that is uniform on an interval, or on the circle.

        h(c) = log(high - low)

    For an angle that is uniform on the circle, ``high - low`` is 2 pi.

    Args:
        low: where the interval begins, in any unit.
        high: where it ends, above ``low``.

    Returns:
        Nats (of the unit of the interval).

    Raises:
        TypeError: an argument is not a number.
        ValueError: an argument or ``high - low`` is not finite, or ``high`` is not above ``low``.

    Examples:
        >>> import losses
        >>> round(losses.uniform_prior_entropy(-1.0, 1.0), 4)
        0.6931

    References:
        Cover and Thomas 2006, "Elements of information theory", example 8.1.1.
    """
    number("low", low)
    number("high", high, above=low)
    number("high - low", high - low, above=0)
    return math.log(high - low)


def gaussian_prior_entropy(scale: float) -> float:
    """The differential entropy of a Gaussian code, whatever its mean.

        h(c) = log(2 pi e sigma^2) / 2

    Args:
        scale: sigma, above 0, in any unit.

    Returns:
        Nats (of the unit of ``scale``).

    Raises:
        TypeError: ``scale`` is not a number.
        ValueError: ``scale`` is not above 0.

    Examples:
        >>> import losses
        >>> round(losses.gaussian_prior_entropy(1.0), 4)
        1.4189

    References:
        Cover and Thomas 2006, "Elements of information theory", example 8.1.2.
    """
    number("scale", scale, above=0)
    return 0.5 * math.log(2 * math.pi * math.e) + math.log(scale)


def von_mises_prior_entropy(concentration: float) -> float:
    """The differential entropy of an angle with a von Mises distribution, whatever its mean.

        h(c) = log(2 pi I0(kappa)) - kappa I1(kappa) / I0(kappa)

    At kappa = 0 it is that of the uniform distribution on the circle, log(2 pi).

    Args:
        concentration: kappa, at least 0.

    Returns:
        Nats (of a radian).

    Raises:
        TypeError: ``concentration`` is not a number.
        ValueError: ``concentration`` is negative.

    Examples:
        >>> import losses
        >>> round(losses.von_mises_prior_entropy(0.0), 4), round(losses.von_mises_prior_entropy(2.0), 4)
        (1.8379, 1.2663)

    References:
        Mardia and Jupp 2000, "Directional statistics", section 3.5.4.
    """
    number("concentration", concentration, at_least=0)
    if concentration > 1e6:
        return 0.5 * math.log(2 * math.pi * math.e / concentration) + 0.25 / concentration
    # The integral of -p log p by equal steps round the circle: for a smooth periodic function the
    # error falls faster than any power of their number, and this many leave none in double precision.
    angles = np.linspace(0, 2 * math.pi, 64 + math.ceil(16 * math.sqrt(concentration)), endpoint=False)
    exponents = -2 * concentration * np.sin(angles / 2) ** 2
    weights = np.exp(exponents)
    return float(np.log(2 * math.pi * weights.mean()) - np.average(exponents, weights=weights))


# The bound


@jax.jit
def information_lower_bound(log_q: Array, prior_entropy: Array | float) -> Array:
    """The variational lower bound of the mutual information between a code and its image.

        L_I = E[log Q(c | x)] + H(c)  <=  I(c; G(z, c)),   c ~ P(c), x ~ G(z, c)

    The mean of what is returned estimates L_I; its gap to the mutual information is the expected
    KL divergence from the true posterior P(c | x) to Q.

    Args:
        log_q: log Q(c | x) of the codes that the images were made with, float [...].
        prior_entropy: H(c) in nats (for a continuous code, the differential entropy).

    Returns:
        Nats, float [...].

    Raises:
        TypeError: ``log_q`` or ``prior_entropy`` is not float.
        ValueError: ``prior_entropy`` is not a single number.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> log_q = jnp.log(jnp.array([0.5, 1.0]))
        >>> bound = losses.information_lower_bound(log_q, losses.categorical_prior_entropy(2))
        >>> [round(nats, 4) for nats in bound.tolist()]
        [0.0, 0.6931]

    References:
        Chen et al. 2016, "InfoGAN", eqs. 4 and 5.
    """
    (log_q,) = floats("[...]", log_q=log_q)
    floats("[]", prior_entropy=prior_entropy)
    return log_q + prior_entropy


def information_per_code(
    log_q: Mapping[str, Array], prior_entropy: Mapping[str, Array | float]
) -> dict[str, Array]:
    """The variational lower bound of each code of several.

        L_I(c_i) = E[log Q(c_i | x)] + H(c_i)

    Where Q treats the codes as independent given the image, the bounds add up to that of all codes
    together; their sum, weighted by code, is `weighted_information`.

    Args:
        log_q: by code, log Q(c_i | x) of the codes that the images were made with, floats of one shape [...].
        prior_entropy: by code, H(c_i) in nats.

    Returns:
        By code, in the order of ``log_q``: nats, float [...].

    Raises:
        TypeError: an argument is not a mapping from names, or a value not float.
        ValueError: the two don't name the same codes, the shapes differ, or an entropy is not a single
            number.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> log_q = {"c1": jnp.array([0.0, -1.0]), "c2": jnp.array([-2.0, -3.0])}
        >>> bounds = losses.information_per_code(log_q, {"c1": 1.0, "c2": 3.0})
        >>> {name: bound.tolist() for name, bound in bounds.items()}
        {'c1': [1.0, 0.0], 'c2': [1.0, 0.0]}

    References:
        Chen et al. 2016, "InfoGAN", eq. 5 and section 6 (a factored Q).
    """
    check_mapping("log_q", log_q)
    check_mapping("prior_entropy", prior_entropy)
    check_names("prior_entropy", prior_entropy, "log_q", log_q)
    bounds = {name: information_lower_bound(log_q[name], prior_entropy[name]) for name in log_q}
    check_same_shape(**{f"log_q[{name!r}]": bound for name, bound in bounds.items()})
    return bounds


def weighted_information(information: Mapping[str, Array], weights: Mapping[str, float]) -> Array:
    """What InfoGAN's objectives subtract: the codes' bounds, each with its lambda.

        sum_i lambda_i L_I(c_i)

    With all weights 1 it is the bound for all codes together.

    Args:
        information: by code, L_I in nats, float arrays of one shape [...]: [batch], or [] for the means.
        weights: by code, lambda_i.

    Returns:
        Weighted nats, of the shape of one bound; 0 where there are no codes.

    Raises:
        TypeError: an argument is not a mapping from names, a bound not float, or a weight not a number.
        ValueError: the two don't name the same codes, or the bounds differ in shape.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> bounds = {"c1": jnp.array([2.0, 1.0]), "c2": jnp.array([10.0, 0.0])}
        >>> losses.weighted_information(bounds, {"c1": 1.0, "c2": 0.5}).tolist()
        [7.0, 1.0]

    References:
        Chen et al. 2016, "InfoGAN", eq. 6; a lambda for each kind of code, section 6.
    """
    check_mapping("information", information)
    check_mapping("weights", weights)
    check_names("weights", weights, "information", information)
    if not information:
        return jnp.zeros(())
    bounds = dict(zip(information, floats("[...]", **information), strict=True))
    for name, weight in weights.items():
        number(f"weights[{name!r}]", weight)
    return cast(Array, sum(weight * bounds[name] for name, weight in weights.items()))


@jitted("axis_name")
def paired_mutual_information(logits_a: Array, logits_b: Array, *, axis_name: str | None = None) -> Array:
    """Mutual information between the categories read from two views of the same images.

        P = mean_n softmax(a_n) softmax(b_n)^T,   S = (P + P^T) / 2
        I = sum_kl S_kl log(S_kl / (S_k. S_.l))

    It is large when each image gets the same category in both views (invariance) and all
    categories are used alike (balance): at most log(categories). A property of the batch as a
    whole, so one number is returned, not one per example.

    Args:
        logits_a: the first view, float [images, categories].
        logits_b: the second view of the same images, in the same order and shape.
        axis_name: the pmapped axis that the batch is split over; the joint distribution is then
            that of the whole batch, the same on every replica.

    Returns:
        Nats, a float scalar.

    Raises:
        TypeError: an argument is not a float array.
        ValueError: the arguments are not two matrices of one shape.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> logits = jnp.array([[1e4, -1e4], [-1e4, 1e4]])
        >>> round(float(losses.paired_mutual_information(logits, logits)), 4)
        0.6931

    References:
        Ji et al. 2019, "Invariant information clustering", eqs. 2 and 3.
    """
    logits_a, logits_b = floats("[images, categories]", logits_a=logits_a, logits_b=logits_b)
    # A small product whose logarithm is taken: accelerators must not round its inputs to fewer bits.
    joint = jnp.matmul(jax.nn.softmax(logits_a).T, jax.nn.softmax(logits_b), precision="highest")
    joint = joint / logits_a.shape[0]
    if axis_name is not None:
        joint = pmean(joint, axis_name)
    joint = (joint + joint.T) / 2
    # S is symmetric, so both of its marginals are the same.
    return jnp.sum(stable.x_log_x(joint)) - 2 * jnp.sum(stable.x_log_x(joint.sum(axis=0)))
