"""The entropy of a Gaussian, and how far two are from each other, in closed form.

Values are in nats, or in the unit of another ``base``. Of a diagonal covariance the scales are given by their
logarithms: the dimensions are then independent, and what is here is a sum over them or a function of one.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array

from losses import stable
from losses.checks import floats, jitted
from losses.units import in_base

_LOG_2_PI = math.log(2 * math.pi)


def _gaussians(mean_p: Array, log_scale_p: Array, mean_q: Array, log_scale_q: Array) -> list[Array]:
    return floats(
        "[..., dimensions]", mean_p=mean_p, log_scale_p=log_scale_p, mean_q=mean_q, log_scale_q=log_scale_q
    )


@jitted("base")
def gaussian_entropy(log_scale: Array, *, base: float | None = None) -> Array:
    """The differential entropy of a Gaussian with a diagonal covariance.

        h = sum_i log sigma_i + log(2 pi e) / 2

    Args:
        log_scale: log sigma, float [..., dimensions].
        base: of the logarithm; None for nats, 2 for bits.

    Returns:
        Of either sign, float [...].

    Raises:
        TypeError: ``log_scale`` is not a float array, or ``base`` not a number.
        ValueError: ``log_scale`` has no axis, or ``base`` is not above 0 or is 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> round(float(losses.gaussian_entropy(jnp.zeros(2))), 4)
        2.8379

    References:
        Cover and Thomas 2006, "Elements of information theory", theorem 8.4.1.
    """
    (log_scale,) = floats("[..., dimensions]", log_scale=log_scale)
    return in_base(jnp.sum(log_scale + 0.5 * (1 + _LOG_2_PI), axis=-1), base)


@jitted("base")
def gaussian_kl(
    mean_p: Array, log_scale_p: Array, mean_q: Array, log_scale_q: Array, *, base: float | None = None
) -> Array:
    """The Kullback-Leibler divergence of two Gaussians with diagonal covariances.

        KL(p || q) = sum_i log(sigma_q / sigma_p) + (sigma_p^2 + (mu_p - mu_q)^2) / (2 sigma_q^2) - 1/2

    Args:
        mean_p: mu_p, float [..., dimensions].
        log_scale_p: log sigma_p, of the shape of ``mean_p``.
        mean_q: mu_q, of the shape of ``mean_p``.
        log_scale_q: log sigma_q, of the shape of ``mean_p``.
        base: of the logarithm; None for nats, 2 for bits.

    Returns:
        At least 0 up to rounding, float [...].

    Raises:
        TypeError: an argument is not a float array, or ``base`` not a number.
        ValueError: the shapes differ or have no axis, or ``base`` is not above 0 or is 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> zero, one = jnp.zeros(3), jnp.ones(3)
        >>> losses.gaussian_kl(one, zero, zero, zero).item()
        1.5

    References:
        Murphy 2022, "Probabilistic machine learning: an introduction", section 6.2.3; Kingma and Welling
        2014, "Auto-encoding variational Bayes", appendix B, for a standard normal q.
    """
    mean_p, log_scale_p, mean_q, log_scale_q = _gaussians(mean_p, log_scale_p, mean_q, log_scale_q)
    log_ratio = log_scale_p - log_scale_q
    deviation = stable.over_exp(mean_p - mean_q, log_scale_q)
    # expm1 keeps the digits where the scales are nearly equal.
    return in_base(
        jnp.sum((jnp.expm1(2 * log_ratio) + deviation**2) / 2 - log_ratio, axis=-1),
        base,
    )


def _cholesky(name: str, covariance: Array) -> tuple[Array, Array]:
    """The factor L of a covariance L L^T, and half of its log-determinant."""
    if covariance.shape[-1] != covariance.shape[-2]:
        raise ValueError(f"{name} has shape {covariance.shape}: it must be square in its last two axes")
    factor = jnp.linalg.cholesky(covariance)
    return factor, jnp.sum(jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)), axis=-1)


@jitted("base")
def gaussian_entropy_full_covariance(covariance: Array, *, base: float | None = None) -> Array:
    """The differential entropy of a Gaussian with any covariance.

        h = log det(2 pi e Sigma) / 2

    Args:
        covariance: Sigma, symmetric and positive definite, float [..., dimensions, dimensions].
        base: of the logarithm; None for nats, 2 for bits.

    Returns:
        Of either sign, float [...]; NaN where ``covariance`` is not positive definite.

    Raises:
        TypeError: ``covariance`` is not a float array, or ``base`` not a number.
        ValueError: ``covariance`` is not square, or ``base`` is not above 0 or is 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> round(float(losses.gaussian_entropy_full_covariance(jnp.eye(2))), 4)
        2.8379

    References:
        Cover and Thomas 2006, "Elements of information theory", theorem 8.4.1.
    """
    (covariance,) = floats("[..., dimensions, dimensions]", covariance=covariance)
    _, half_log_det = _cholesky("covariance", covariance)
    return in_base(half_log_det + 0.5 * covariance.shape[-1] * (1 + _LOG_2_PI), base)


@jitted("base")
def gaussian_kl_full_covariance(
    mean_p: Array, covariance_p: Array, mean_q: Array, covariance_q: Array, *, base: float | None = None
) -> Array:
    """The Kullback-Leibler divergence of two Gaussians with any covariances.

        KL(p || q) = (tr(Sq^-1 Sp) + (mq - mp)^T Sq^-1 (mq - mp) - d + log(det Sq / det Sp)) / 2

    By Cholesky factors: no matrix is inverted.

    Args:
        mean_p: mp, float [..., dimensions].
        covariance_p: Sp, symmetric and positive definite, float [..., dimensions, dimensions].
        mean_q: mq, of the shape of ``mean_p``.
        covariance_q: Sq, of the shape of ``covariance_p``.
        base: of the logarithm; None for nats, 2 for bits.

    Returns:
        At least 0 up to rounding, float [...]; NaN where a covariance is not positive definite.

    Raises:
        TypeError: an argument is not a float array, or ``base`` not a number.
        ValueError: the shapes don't fit together, or ``base`` is not above 0 or is 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> mean, covariance = jnp.zeros(2), jnp.eye(2)
        >>> losses.gaussian_kl_full_covariance(mean + 1, covariance, mean, covariance).item()
        1.0

    References:
        Murphy 2022, "Probabilistic machine learning: an introduction", section 6.2.3.
    """
    mean_p, mean_q = floats("[..., dimensions]", mean_p=mean_p, mean_q=mean_q)
    covariance_p, covariance_q = floats(
        "[..., dimensions, dimensions]", covariance_p=covariance_p, covariance_q=covariance_q
    )
    if covariance_p.shape[:-1] != mean_p.shape:
        raise ValueError(
            f"covariance_p has shape {covariance_p.shape}: "
            f"it must be {(*mean_p.shape, mean_p.shape[-1])}, as mean_p is {mean_p.shape}"
        )
    factor_p, half_log_det_p = _cholesky("covariance_p", covariance_p)
    factor_q, half_log_det_q = _cholesky("covariance_q", covariance_q)
    right = jnp.concatenate([factor_p, (mean_q - mean_p)[..., None]], axis=-1)
    # Both quadratic terms at once: |Lq^-1 Lp|^2 is the trace, |Lq^-1 (mq - mp)|^2 the distance.
    whitened = jax.lax.linalg.triangular_solve(factor_q, right, left_side=True, lower=True)
    quadratic = jnp.sum(whitened**2, axis=(-2, -1)) - mean_p.shape[-1]
    return in_base(quadratic / 2 + half_log_det_q - half_log_det_p, base)


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
    return in_base(jnp.sum(log_scale_q + (_LOG_2_PI + variance + deviation**2) / 2, axis=-1), base)


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
