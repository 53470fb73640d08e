"""How far one distribution is from another: of pmfs, of logits, from samples (Gaussians: `gaussians`).

Values are in nats, or in the unit of another ``base`` (2 for bits). The conventions are the
textbook's: 0 log 0 = 0, and a divergence that divides by q is infinite where q = 0 < p. Where a value is
finite its gradient is too, if it fits the type: a derivative that is infinite, as that of p log p at 0, is
given as zero.

Probabilities are taken as they come. `losses.check_pmf` refuses what isn't a pmf, outside ``jit``.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from losses import stable
from losses.checks import check_function, floats, jitted, number
from losses.units import in_base


def _pmfs(p: Array, q: Array) -> list[Array]:
    return floats("[..., categories]", p=p, q=q)


# Probability mass functions


@jitted("base")
def entropy(p: Array, *, base: float | None = None) -> Array:
    """Shannon's entropy of a pmf.

        H(p) = -sum_k p_k log p_k

    Args:
        p: probabilities, float [..., categories].
        base: of the logarithm; None for nats, 2 for bits.

    Returns:
        Between 0 and log(categories), float [...].

    Raises:
        TypeError: ``p`` is not a float array, or ``base`` not a number.
        ValueError: ``p`` has no axis, or ``base`` is not above 0 or is 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.entropy(jnp.array([0.5, 0.25, 0.25, 0.0]), base=2).item()
        1.5

    References:
        Cover and Thomas 2006, "Elements of information theory", eq. 2.1.
    """
    (p,) = floats("[..., categories]", p=p)
    return in_base(-jnp.sum(stable.x_log_x(p), axis=-1), base)


@jitted("base")
def cross_entropy(p: Array, q: Array, *, base: float | None = None) -> Array:
    """The mean code length of draws from p in a code made for q.

        H(p, q) = -sum_k p_k log q_k = H(p) + KL(p || q)

    Infinite where q_k = 0 < p_k.

    Args:
        p: what the draws come from, float [..., categories].
        q: what they are described by, of the shape of ``p``.
        base: of the logarithm; None for nats, 2 for bits.

    Returns:
        At least H(p), float [...].

    Raises:
        TypeError: ``p`` or ``q`` is not a float array, or ``base`` not a number.
        ValueError: the shapes differ or have no axis, or ``base`` is not above 0 or is 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.cross_entropy(jnp.array([0.5, 0.5]), jnp.array([0.25, 0.25]), base=2).item()
        2.0

    References:
        Murphy 2022, "Probabilistic machine learning: an introduction", section 6.1.2.
    """
    p, q = _pmfs(p, q)
    absent = (p == 0) & (q == 0)
    return in_base(-jnp.sum(p * jnp.log(jnp.where(absent, 1.0, q)), axis=-1), base)


@jitted("base")
def kl_divergence(p: Array, q: Array, *, base: float | None = None) -> Array:
    """The Kullback-Leibler divergence of q from p.

        KL(p || q) = sum_k p_k log(p_k / q_k)

    Infinite where q_k = 0 < p_k. To make it small, q must cover all of p (forward KL).

    Args:
        p: what the mean is taken over, float [..., categories].
        q: what p is compared with, of the shape of ``p``.
        base: of the logarithm; None for nats, 2 for bits.

    Returns:
        At least 0 up to rounding, float [...].

    Raises:
        TypeError: ``p`` or ``q`` is not a float array, or ``base`` not a number.
        ValueError: the shapes differ or have no axis, or ``base`` is not above 0 or is 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> p, q = jnp.array([[1.0, 0.0], [0.5, 0.5]]), jnp.array([[0.5, 0.5], [1.0, 0.0]])
        >>> losses.kl_divergence(p, q, base=2).tolist()
        [1.0, inf]

    References:
        Kullback and Leibler 1951, "On information and sufficiency", section 2; Cover and Thomas 2006,
        "Elements of information theory", eq. 2.26.
    """
    p, q = _pmfs(p, q)
    absent = p == 0
    log_ratio = jnp.log(jnp.where(absent, 1.0, p)) - jnp.log(jnp.where(absent, 1.0, q))
    return in_base(jnp.sum(p * log_ratio, axis=-1), base)


@jitted("base")
def reverse_kl_divergence(p: Array, q: Array, *, base: float | None = None) -> Array:
    """The Kullback-Leibler divergence with its arguments the other way round.

        KL(q || p) = sum_k q_k log(q_k / p_k)

    Infinite where p_k = 0 < q_k. To make it small, q must stay where p is, and may leave out
    modes of p (reverse KL).

    Args:
        p: what q is compared with, float [..., categories].
        q: what the mean is taken over, of the shape of ``p``.
        base: of the logarithm; None for nats, 2 for bits.

    Returns:
        At least 0 up to rounding, float [...].

    Raises:
        TypeError: ``p`` or ``q`` is not a float array, or ``base`` not a number.
        ValueError: the shapes differ or have no axis, or ``base`` is not above 0 or is 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> p, q = jnp.array([0.5, 0.5]), jnp.array([1.0, 0.0])
        >>> losses.reverse_kl_divergence(p, q, base=2).item()
        1.0

    References:
        Bishop 2006, "Pattern recognition and machine learning", section 10.1.2.
    """
    p, q = _pmfs(p, q)
    return kl_divergence(q, p, base=base)


@jitted("base")
def jeffreys_divergence(p: Array, q: Array, *, base: float | None = None) -> Array:
    """The symmetric Kullback-Leibler divergence: the sum of both directions.

        J(p, q) = KL(p || q) + KL(q || p)

    Infinite where one of the two is 0 and the other is not.

    Args:
        p: probabilities, float [..., categories].
        q: probabilities, of the shape of ``p``.
        base: of the logarithm; None for nats, 2 for bits.

    Returns:
        At least 0 up to rounding, float [...].

    Raises:
        TypeError: ``p`` or ``q`` is not a float array, or ``base`` not a number.
        ValueError: the shapes differ or have no axis, or ``base`` is not above 0 or is 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> p, q = jnp.array([0.2, 0.8]), jnp.array([0.8, 0.2])
        >>> round(float(losses.jeffreys_divergence(p, q, base=2)), 4)
        2.4

    References:
        Jeffreys 1946, "An invariant form for the prior probability in estimation problems";
        Kullback and Leibler 1951, "On information and sufficiency", section 2.
    """
    p, q = _pmfs(p, q)
    return kl_divergence(p, q, base=base) + kl_divergence(q, p, base=base)


@jitted("base")
def js_divergence(p: Array, q: Array, *, base: float | None = None) -> Array:
    """The Jensen-Shannon divergence: how much a draw from p or q says about which of them it is from.

        JS(p, q) = KL(p || m) / 2 + KL(q || m) / 2,   m = (p + q) / 2

    Finite whatever the supports, and log 2 where they have nothing in common.

    Args:
        p: probabilities, float [..., categories].
        q: probabilities, of the shape of ``p``.
        base: of the logarithm; None for nats, 2 for bits.

    Returns:
        Between 0 and log 2 up to rounding, float [...].

    Raises:
        TypeError: ``p`` or ``q`` is not a float array, or ``base`` not a number.
        ValueError: the shapes differ or have no axis, or ``base`` is not above 0 or is 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.js_divergence(jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0]), base=2).item()
        1.0

    References:
        Lin 1991, "Divergence measures based on the Shannon entropy", section IV, with equal weights.
    """
    p, q = _pmfs(p, q)
    middle = (p + q) / 2
    return (kl_divergence(p, middle, base=base) + kl_divergence(q, middle, base=base)) / 2


@jax.jit
def total_variation_distance(p: Array, q: Array) -> Array:
    """The largest difference between the probabilities that p and q give to one event.

        TV(p, q) = sum_k |p_k - q_k| / 2

    Args:
        p: probabilities, float [..., categories].
        q: probabilities, of the shape of ``p``.

    Returns:
        Between 0 and 1, float [...].

    Raises:
        TypeError: ``p`` or ``q`` is not a float array.
        ValueError: the shapes differ or have no axis.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.total_variation_distance(jnp.array([0.5, 0.5]), jnp.array([0.75, 0.25])).item()
        0.25

    References:
        Tsybakov 2009, "Introduction to nonparametric estimation", section 2.4.
    """
    p, q = _pmfs(p, q)
    return jnp.sum(stable.absolute(p - q), axis=-1) / 2


@jax.jit
def hellinger_distance(p: Array, q: Array) -> Array:
    """The Hellinger distance, a metric between 0 and 1.

        H(p, q) = (sum_k (p_k^(1/2) - q_k^(1/2))^2 / 2)^(1/2)

    Where p and q are equal it has no derivative, and zero is given.

    Args:
        p: probabilities, float [..., categories].
        q: probabilities, of the shape of ``p``.

    Returns:
        Between 0 and 1, float [...].

    Raises:
        TypeError: ``p`` or ``q`` is not a float array.
        ValueError: the shapes differ or have no axis.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.hellinger_distance(jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0])).item()
        1.0

    References:
        Tsybakov 2009, "Introduction to nonparametric estimation", section 2.4 (there without the factor
        1/2).
    """
    p, q = _pmfs(p, q)
    return stable.sqrt(jnp.sum((stable.sqrt(p) - stable.sqrt(q)) ** 2, axis=-1) / 2)


@jax.jit
def chi_square_divergence(p: Array, q: Array) -> Array:
    """Pearson's chi-square divergence of p from q.

        chi^2(p || q) = sum_k (p_k - q_k)^2 / q_k

    Infinite where q_k = 0 < p_k.

    Args:
        p: probabilities, float [..., categories].
        q: what they are compared with, of the shape of ``p``.

    Returns:
        At least 0, float [...].

    Raises:
        TypeError: ``p`` or ``q`` is not a float array.
        ValueError: the shapes differ or have no axis.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.chi_square_divergence(jnp.array([1.0, 0.0]), jnp.array([0.5, 0.5])).item()
        1.0

    References:
        Tsybakov 2009, "Introduction to nonparametric estimation", section 2.4.
    """
    p, q = _pmfs(p, q)
    missing = q == 0
    # Divided before it is squared: the squares of probabilities below 1e-19 are 0 in float32.
    terms = (p - q) * stable.ratio(p - q, jnp.where(missing, 1.0, q))
    return jnp.sum(jnp.where(missing & (p != 0), jnp.inf, terms), axis=-1)


def f_divergence(
    f: Callable[[Array], Array], p: Array, q: Array, *, slope_at_infinity: float | None = None
) -> Array:
    """The divergence that a convex function generates.

        D_f(p || q) = sum_k q_k f(p_k / q_k),   f convex, f(1) = 0
        0 f(0 / 0) = 0,   0 f(p / 0) = p lim f(t) / t

    For KL(p || q), f(t) = t log t; for KL(q || p), -log t with a slope at infinity of 0; for the total
    variation |t - 1| / 2, slope 1/2; for chi-square (t - 1)^2; for the squared Hellinger distance
    (t^(1/2) - 1)^2 / 2, slope 1/2.

    It takes a function and so isn't compiled by itself: call it inside ``jit``. Its gradients at the
    edge, where p_k or q_k is 0, are those of ``f``.

    Args:
        f: the generator, from an array of ratios, each at least 0, to an array of its shape; it must
            give its limit at 0 (`jax.scipy.special.xlogy` does).
        p: probabilities, float [..., categories].
        q: probabilities, of the shape of ``p``.
        slope_at_infinity: the limit of f(t) / t for large t; None where it is infinite.

    Returns:
        At least 0 up to rounding, float [...].

    Raises:
        TypeError: ``f`` is not a function, ``p`` or ``q`` not a float array, or
            ``slope_at_infinity`` not a number.
        ValueError: the shapes differ or have no axis, ``f`` changes the shape, or
            ``slope_at_infinity`` is not finite.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> p, q = jnp.array([0.5, 0.5]), jnp.array([0.75, 0.25])
        >>> losses.f_divergence(lambda t: abs(t - 1) / 2, p, q, slope_at_infinity=0.5).item()
        0.25

    References:
        Csiszár and Shields 2004, "Information theory and statistics: a tutorial", section 4.
    """
    check_function("f", f)
    p, q = _pmfs(p, q)
    if slope_at_infinity is None:
        singular = jnp.where(p == 0, 0.0, jnp.inf)
    else:
        number("slope_at_infinity", slope_at_infinity)
        singular = slope_at_infinity * p
    missing = q == 0
    values = f(stable.ratio(p, jnp.where(missing, 1.0, q)))
    if jnp.shape(values) != p.shape:
        raise ValueError(f"f returns the shape {jnp.shape(values)} for {p.shape}: it must keep the shape")
    return jnp.sum(jnp.where(missing, singular, q * values), axis=-1)


# Categorical distributions by their logits


def _log_softmax(logits: Array) -> tuple[Array, Array, Array]:
    """Log-probabilities, probabilities, and where the latter are zero."""
    log_p = jax.nn.log_softmax(logits)
    p = jnp.exp(log_p)
    return log_p, p, p == 0


@jitted("base")
def categorical_entropy_from_logits(logits: Array, *, base: float | None = None) -> Array:
    """The entropy of a categorical distribution by its logits.

        H(p) = -sum_k p_k log p_k,   p = softmax(logits)

    Args:
        logits: unnormalised log-probabilities, float [..., categories]; -inf for a probability of 0.
        base: of the logarithm; None for nats, 2 for bits.

    Returns:
        Between 0 and log(categories), float [...].

    Raises:
        TypeError: ``logits`` is not a float array, or ``base`` not a number.
        ValueError: ``logits`` has no axis, or ``base`` is not above 0 or is 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.categorical_entropy_from_logits(jnp.array([7.0, 7.0, -jnp.inf]), base=2).item()
        1.0

    References:
        Cover and Thomas 2006, "Elements of information theory", eq. 2.1.
    """
    (logits,) = floats("[..., categories]", logits=logits)
    log_p, p, absent = _log_softmax(logits)
    return in_base(-jnp.sum(p * jnp.where(absent, 0.0, log_p), axis=-1), base)


@jitted("base")
def categorical_cross_entropy_from_logits(
    p_logits: Array, q_logits: Array, *, base: float | None = None
) -> Array:
    """The cross-entropy of two categorical distributions by their logits.

        H(p, q) = -sum_k p_k log q_k,   p = softmax(p_logits), q = softmax(q_logits)

    Args:
        p_logits: those of what the draws come from, float [..., categories].
        q_logits: those of what they are described by, of the shape of ``p_logits``.
        base: of the logarithm; None for nats, 2 for bits.

    Returns:
        At least H(p), float [...].

    Raises:
        TypeError: an argument is not a float array, or ``base`` not a number.
        ValueError: the shapes differ or have no axis, or ``base`` is not above 0 or is 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> sure, unsure = jnp.array([1e4, -1e4]), jnp.zeros(2)
        >>> losses.categorical_cross_entropy_from_logits(sure, unsure, base=2).item()
        1.0

    References:
        Murphy 2022, "Probabilistic machine learning: an introduction", section 6.1.2.
    """
    p_logits, q_logits = floats("[..., categories]", p_logits=p_logits, q_logits=q_logits)
    _, p, absent = _log_softmax(p_logits)
    log_q = jax.nn.log_softmax(q_logits)
    return in_base(-jnp.sum(p * jnp.where(absent, 0.0, log_q), axis=-1), base)


@jitted("base")
def categorical_kl_from_logits(p_logits: Array, q_logits: Array, *, base: float | None = None) -> Array:
    """The Kullback-Leibler divergence of two categorical distributions by their logits.

        KL(p || q) = sum_k p_k (log p_k - log q_k),   p = softmax(p_logits), q = softmax(q_logits)

    Args:
        p_logits: those of what the mean is taken over, float [..., categories].
        q_logits: those of what it is compared with, of the shape of ``p_logits``.
        base: of the logarithm; None for nats, 2 for bits.

    Returns:
        At least 0 up to rounding, float [...].

    Raises:
        TypeError: an argument is not a float array, or ``base`` not a number.
        ValueError: the shapes differ or have no axis, or ``base`` is not above 0 or is 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.categorical_kl_from_logits(jnp.array([1e4, -1e4]), jnp.array([-1e4, 1e4])).item()
        20000.0

    References:
        Cover and Thomas 2006, "Elements of information theory", eq. 2.26.
    """
    p_logits, q_logits = floats("[..., categories]", p_logits=p_logits, q_logits=q_logits)
    log_p, p, absent = _log_softmax(p_logits)
    log_ratio = log_p - jax.nn.log_softmax(q_logits)
    return in_base(jnp.sum(p * jnp.where(absent, 0.0, log_ratio), axis=-1), base)


@jitted("base")
def categorical_js_from_logits(p_logits: Array, q_logits: Array, *, base: float | None = None) -> Array:
    """The Jensen-Shannon divergence of two categorical distributions by their logits.

        JS(p, q) = sum_k p_k (log p_k - log m_k) / 2 + q_k (log q_k - log m_k) / 2
        m = (p + q) / 2,   p = softmax(p_logits), q = softmax(q_logits)

    Args:
        p_logits: unnormalised log-probabilities, float [..., categories]; -inf for a probability of 0.
        q_logits: unnormalised log-probabilities, of the shape of ``p_logits``.
        base: of the logarithm; None for nats, 2 for bits.

    Returns:
        Between 0 and log 2 up to rounding, float [...].

    Raises:
        TypeError: an argument is not a float array, or ``base`` not a number.
        ValueError: the shapes differ or have no axis, or ``base`` is not above 0 or is 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.categorical_js_from_logits(jnp.array([1e4, -1e4]), jnp.array([-1e4, 1e4]), base=2).item()
        1.0

    References:
        Lin 1991, "Divergence measures based on the Shannon entropy", section IV, with equal weights.
    """
    p_logits, q_logits = floats("[..., categories]", p_logits=p_logits, q_logits=q_logits)
    log_p, p, p_absent = _log_softmax(p_logits)
    log_q, q, q_absent = _log_softmax(q_logits)
    absent = p_absent & q_absent
    log_middle = jnp.logaddexp(jnp.where(absent, 0.0, log_p), jnp.where(absent, 0.0, log_q)) - math.log(2)
    from_p = p * jnp.where(p_absent, 0.0, log_p - log_middle)
    from_q = q * jnp.where(q_absent, 0.0, log_q - log_middle)
    return in_base(jnp.sum(from_p + from_q, axis=-1) / 2, base)


# Samples


class Estimate(NamedTuple):
    """A Monte Carlo estimate.

    Attributes:
        value: the sample mean, float [...].
        standard_error: its standard deviation, as estimated from the same samples, float [...]; infinite
            where the mean is.
    """

    value: Array
    standard_error: Array


def _log_ratios(log_p: Array, log_q: Array) -> Array:
    """log q(x) - log p(x) of each sample."""
    log_p, log_q = floats("[..., samples]", log_p=log_p, log_q=log_q)
    if log_p.shape[-1] < 2:
        raise ValueError(f"log_p has shape {log_p.shape}: it must hold at least 2 samples")
    return log_q - log_p


def _estimate(terms: Array, base: float | None) -> Estimate:
    terms = in_base(terms, base)
    value = terms.mean(axis=-1)
    # About an infinite mean there is no deviation: nothing is known of it.
    error = stable.sqrt(terms.var(axis=-1, ddof=1) / terms.shape[-1])
    return Estimate(value, jnp.where(jnp.isinf(value), jnp.inf, error))


@jitted("base")
def kl_from_samples_k1(log_p: Array, log_q: Array, *, base: float | None = None) -> Estimate:
    """The plain Monte Carlo estimate of KL(p || q), from samples of p.

        mean_n -log r_n,   r_n = q(x_n) / p(x_n),   x_n ~ p

    Unbiased, and may be negative.

    Args:
        log_p: log p(x_n) in nats, float [..., samples].
        log_q: log q(x_n) in nats, of the shape of ``log_p``.
        base: of the result's logarithm; None for nats, 2 for bits.

    Returns:
        The estimate and its standard error, each float [...].

    Raises:
        TypeError: an argument is not a float array, or ``base`` not a number.
        ValueError: the shapes differ, there are fewer than 2 samples, or ``base`` is not above 0
            or is 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> estimate = losses.kl_from_samples_k1(jnp.array([0.0, 0.0]), jnp.array([-1.0, -3.0]))
        >>> round(float(estimate.value), 4), round(float(estimate.standard_error), 4)
        (2.0, 1.0)

    References:
        Schulman 2020, "Approximating KL divergence", http://joschu.net/blog/kl-approx.html.
    """
    return _estimate(-_log_ratios(log_p, log_q), base)


@jitted("base")
def kl_from_samples_k3(log_p: Array, log_q: Array, *, base: float | None = None) -> Estimate:
    """The Monte Carlo estimate of KL(p || q) with a low variance where p and q are close.

        mean_n (r_n - 1) - log r_n,   r_n = q(x_n) / p(x_n),   x_n ~ p

    No term is negative. Unbiased if p > 0 wherever q > 0; otherwise E[r] < 1 and it is too low, by q's
    mass where p has none. It estimates the value: its gradient in the parameters of p is not that of
    the divergence.

    Args:
        log_p: log p(x_n) in nats, float [..., samples].
        log_q: log q(x_n) in nats, of the shape of ``log_p``.
        base: of the result's logarithm; None for nats, 2 for bits.

    Returns:
        The estimate and its standard error, each float [...].

    Raises:
        TypeError: an argument is not a float array, or ``base`` not a number.
        ValueError: the shapes differ, there are fewer than 2 samples, or ``base`` is not above 0
            or is 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> estimate = losses.kl_from_samples_k3(jnp.array([0.0, 0.0]), jnp.array([0.0, -1.0]))
        >>> round(float(estimate.value), 4), round(float(estimate.standard_error), 4)
        (0.1839, 0.1839)

    References:
        Schulman 2020, "Approximating KL divergence", http://joschu.net/blog/kl-approx.html.
    """
    log_ratios = _log_ratios(log_p, log_q)
    return _estimate(jnp.expm1(log_ratios) - log_ratios, base)
