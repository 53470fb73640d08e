"""How far two Gaussians with diagonal covariances are from each other, beyond the entropy and the KL.

Those two are in `losses.divergences`. Values are in nats, or in the unit of another ``base``, and a scale is
given by its logarithm. The dimensions are independent: what is here is a sum over them, or a function of one.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array

from losses import stable
from losses.checks import floats, jitted
from losses.divergences import LOG_2_PI
from losses.units import in_base


def _gaussians(mean_p: Array, log_scale_p: Array, mean_q: Array, log_scale_q: Array) -> list[Array]:
    return floats(
        "[..., dimensions]", mean_p=mean_p, log_scale_p=log_scale_p, mean_q=mean_q, log_scale_q=log_scale_q
    )


@jitted("base")
def gaussian_cross_entropy(
    mean_p: Array, log_scale_p: Array, mean_q: Array, log_scale_q: Array, *, base: float | None = None
) -> Array:
    """The cross-entropy of two Gaussians with diagonal covariances.

        H(p, q) = sum_i log sigma_q + log(2 pi) / 2 + (sigma_p^2 + (mu_p - mu_q)^2) / (2 sigma_q^2)
                = h(p) + KL(p || q)

    Args:
        mean_p: mu_p, float [..., dimensions].
        log_scale_p: log sigma_p, of the shape of ``mean_p``.
        mean_q: mu_q, of the shape of ``mean_p``.
        log_scale_q: log sigma_q, of the shape of ``mean_p``.
        base: of the logarithm; None for nats, 2 for bits.

    Returns:
        Of either sign, float [...].

    Raises:
        TypeError: an argument is not a float array, or ``base`` not a number.
        ValueError: the shapes differ or have no axis, or ``base`` is not above 0 or is 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> zero, one = jnp.zeros(2), jnp.ones(2)
        >>> round(float(losses.gaussian_cross_entropy(one, zero, zero, zero)), 4)
        3.8379

    References:
        Nielsen and Nock 2010, "Entropies and cross-entropies of exponential families".
    """
    mean_p, log_scale_p, mean_q, log_scale_q = _gaussians(mean_p, log_scale_p, mean_q, log_scale_q)
    deviation = stable.over_exp(mean_p - mean_q, log_scale_q)
    variance = jnp.exp(2 * (log_scale_p - log_scale_q))
    return in_base(jnp.sum(log_scale_q + (LOG_2_PI + variance + deviation**2) / 2, axis=-1), base)


@jitted("base")
def gaussian_jeffreys(
    mean_p: Array, log_scale_p: Array, mean_q: Array, log_scale_q: Array, *, base: float | None = None
) -> Array:
    """The symmetric Kullback-Leibler divergence of two Gaussians with diagonal covariances.

        J(p, q) = KL(p || q) + KL(q || p)
                = sum_i 2 sinh(log(sigma_p / sigma_q))^2 + (mu_p - mu_q)^2 (sigma_p^-2 + sigma_q^-2) / 2

    Args:
        mean_p: mu_p, float [..., dimensions].
        log_scale_p: log sigma_p, of the shape of ``mean_p``.
        mean_q: mu_q, of the shape of ``mean_p``.
        log_scale_q: log sigma_q, of the shape of ``mean_p``.
        base: of the logarithm; None for nats, 2 for bits.

    Returns:
        At least 0, float [...].

    Raises:
        TypeError: an argument is not a float array, or ``base`` not a number.
        ValueError: the shapes differ or have no axis, or ``base`` is not above 0 or is 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> zero, one = jnp.zeros(3), jnp.ones(3)
        >>> losses.gaussian_jeffreys(one, zero, zero, zero).item()
        3.0

    References:
        Jeffreys 1946, "An invariant form for the prior probability in estimation problems";
        Kullback and Leibler 1951, "On information and sufficiency", section 2.
    """
    mean_p, log_scale_p, mean_q, log_scale_q = _gaussians(mean_p, log_scale_p, mean_q, log_scale_q)
    by_p, by_q = (stable.over_exp(mean_p - mean_q, log_scale) for log_scale in (log_scale_p, log_scale_q))
    scales = 2 * jnp.sinh(log_scale_p - log_scale_q) ** 2
    return in_base(jnp.sum(scales + (by_p**2 + by_q**2) / 2, axis=-1), base)


@jax.jit
def gaussian_hellinger(mean_p: Array, log_scale_p: Array, mean_q: Array, log_scale_q: Array) -> Array:
    """The Hellinger distance of two Gaussians with diagonal covariances, a metric between 0 and 1.

        H(p, q) = (1 - B)^(1/2),   B = the integral of (p q)^(1/2)
                = prod_i (2 sigma_p sigma_q / s^2)^(1/2) exp(-(mu_p - mu_q)^2 / (4 s^2))
        s^2 = sigma_p^2 + sigma_q^2

    As of `losses.hellinger_distance`, the derivative is given as zero where p and q are equal.

    Args:
        mean_p: mu_p, float [..., dimensions].
        log_scale_p: log sigma_p, of the shape of ``mean_p``.
        mean_q: mu_q, of the shape of ``mean_p``.
        log_scale_q: log sigma_q, of the shape of ``mean_p``.

    Returns:
        Between 0 and 1, float [...].

    Raises:
        TypeError: an argument is not a float array.
        ValueError: the shapes differ or have no axis.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> zero, one = jnp.zeros(1), jnp.ones(1)
        >>> round(float(losses.gaussian_hellinger(one, zero, zero, zero)), 4)
        0.3428

    References:
        Pardo 2006, "Statistical inference based on divergence measures", chapter 1.
    """
    mean_p, log_scale_p, mean_q, log_scale_q = _gaussians(mean_p, log_scale_p, mean_q, log_scale_q)
    # Beyond these bounds B is below the resolution of 1 - B, and what would overflow is left out.
    log_ratio = jnp.clip(log_scale_p - log_scale_q, -80, 80)
    deviation = stable.over_exp(mean_p - mean_q, jnp.logaddexp(2 * log_scale_p, 2 * log_scale_q) / 2)
    deviation = jnp.clip(deviation, -20, 20)
    # s^2 / (2 sigma_p sigma_q) is the cosh of the log-ratio, 1 + 2 sinh^2 of its half.
    log_b = -jnp.log1p(2 * jnp.sinh(log_ratio / 2) ** 2) / 2 - deviation**2 / 4
    return stable.sqrt(-jnp.expm1(jnp.sum(log_b, axis=-1)))


@jax.jit
def gaussian_chi_square(mean_p: Array, log_scale_p: Array, mean_q: Array, log_scale_q: Array) -> Array:
    """Pearson's chi-square divergence of two Gaussians with diagonal covariances.

        chi^2(p || q) = (the integral of p^2 / q) - 1
                      = prod_i sigma_q^2 / (sigma_p s) exp((mu_p - mu_q)^2 / s^2) - 1
        s^2 = 2 sigma_q^2 - sigma_p^2

    Infinite where p has the heavier tail: where sigma_p^2 >= 2 sigma_q^2 in any dimension.

    Args:
        mean_p: mu_p, float [..., dimensions].
        log_scale_p: log sigma_p, of the shape of ``mean_p``.
        mean_q: mu_q, of the shape of ``mean_p``.
        log_scale_q: log sigma_q, of the shape of ``mean_p``.

    Returns:
        At least 0 up to rounding, float [...].

    Raises:
        TypeError: an argument is not a float array.
        ValueError: the shapes differ or have no axis.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> zero, one = jnp.zeros(1), jnp.ones(1)
        >>> round(float(losses.gaussian_chi_square(one, zero, zero, zero)), 4)
        1.7183
        >>> losses.gaussian_chi_square(zero, one, zero, zero).item()
        inf

    References:
        Nielsen and Nock 2014, "On the chi square and higher-order chi distances for approximating
        f-divergences".
    """
    mean_p, log_scale_p, mean_q, log_scale_q = _gaussians(mean_p, log_scale_p, mean_q, log_scale_q)
    log_ratio = log_scale_p - log_scale_q
    diverges = log_ratio >= math.log(2) / 2
    log_ratio = jnp.where(diverges, 0.0, log_ratio)
    # 1 - s^2 / sigma_q^2; expm1 and log1p keep the digits where the scales are nearly equal.
    excess = jnp.expm1(2 * log_ratio)
    deviation = stable.over_exp(mean_p - mean_q, log_scale_q)
    terms = deviation**2 / (1 - excess) - log_ratio - jnp.log1p(-excess) / 2
    return jnp.where(jnp.any(diverges, axis=-1), jnp.inf, jnp.expm1(jnp.sum(terms, axis=-1)))
