"""How far one batch of arrays is from another: L0, L1, L2, and what lies between them.

With the residual r = x - y, an ``_error`` is a sum over an example's elements, a ``_mean`` is that
sum over their number, and a ``_norm`` scales as r does. For a constant fitted to samples, the
least L0 error is at the mode, the least L1 at the median, the least L2 at the mean.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array

from losses import stable
from losses.checks import check_key, floats, jitted, number


def _residual(x: Array, y: Array) -> Array:
    x, y = floats("[batch, ...]", x=x, y=y)
    return x - y


def _sum(x: Array) -> Array:
    return jnp.sum(x, axis=tuple(range(1, x.ndim)))


def _mean(x: Array) -> Array:
    return jnp.mean(x, axis=tuple(range(1, x.ndim)))


def _representable(scale: float, r: Array) -> float:
    """The scale, or the nearest to it that the residual's type holds."""
    limits = jnp.finfo(r.dtype)
    return min(max(scale, float(limits.tiny)), float(limits.max))


def _exceeds(r: Array, tolerance: float) -> Array:
    # Written so that a residual that is not a number counts as an error.
    return jnp.logical_not(jnp.abs(r) <= tolerance).astype(r.dtype)


@jitted("tolerance")
def l0_error(x: Array, y: Array, *, tolerance: float) -> Array:
    """The number of elements that are wrong by more than a tolerance.

        sum_i [|r_i| > tolerance],   r = x - y

    It is a step in every element, so its gradient is zero wherever it exists: this is a score, and
    `geman_mcclure_error` and `gaussian_l0_error` are what can be trained. With a tolerance of 0 it is the
    L0 "norm" of r.

    Args:
        x: float [batch, ...], in any unit.
        y: float, of the shape and unit of ``x``.
        tolerance: how far off an element may be, at least 0, in the unit of ``x``.

    Returns:
        The count as a float [batch] (exact up to 2^24 elements in float32).

    Raises:
        TypeError: ``x`` or ``y`` is not a float array, or ``tolerance`` not a number.
        ValueError: the shapes differ, there is no batch axis, or ``tolerance`` is negative.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> x, y = jnp.array([[0.0, 0.5, 2.0]]), jnp.array([[0.0, 0.0, 0.0]])
        >>> losses.l0_error(x, y, tolerance=0.0).tolist()
        [2.0]
        >>> losses.l0_error(x, y, tolerance=0.5).tolist()
        [1.0]

    References:
        Elad 2010, "Sparse and redundant representations", chapter 1.
    """
    number("tolerance", tolerance, at_least=0)
    return _sum(_exceeds(_residual(x, y), tolerance))


@jitted("tolerance")
def l0_mean(x: Array, y: Array, *, tolerance: float) -> Array:
    """The fraction of elements that are wrong by more than a tolerance.

        mean_i [|r_i| > tolerance],   r = x - y

    As of `l0_error`, the gradient is zero wherever it exists.

    Args:
        x: float [batch, ...], in any unit.
        y: float, of the shape and unit of ``x``.
        tolerance: how far off an element may be, at least 0, in the unit of ``x``.

    Returns:
        Between 0 and 1, float [batch].

    Raises:
        TypeError: ``x`` or ``y`` is not a float array, or ``tolerance`` not a number.
        ValueError: the shapes differ, there is no batch axis, or ``tolerance`` is negative.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> x, y = jnp.array([[0.0, 0.5, 2.0, 3.0]]), jnp.array([[0.0, 0.0, 0.0, 3.0]])
        >>> losses.l0_mean(x, y, tolerance=0.1).tolist()
        [0.5]

    References:
        Elad 2010, "Sparse and redundant representations", chapter 1.
    """
    number("tolerance", tolerance, at_least=0)
    return _mean(_exceeds(_residual(x, y), tolerance))


@jax.jit
def l1_error(x: Array, y: Array) -> Array:
    """The sum of absolute differences, which is the L1 norm of the residual.

        sum_i |r_i|,   r = x - y

    Where an element is right the derivative is given as zero, the middle of its subgradients.

    Args:
        x: float [batch, ...], in any unit.
        y: float, of the shape and unit of ``x``.

    Returns:
        In the unit of ``x``, float [batch].

    Raises:
        TypeError: ``x`` or ``y`` is not a float array.
        ValueError: the shapes differ, or there is no batch axis.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.l1_error(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 4.0]])).tolist()
        [3.0]

    References:
        Boyd and Vandenberghe 2004, "Convex optimization", section 6.1.
    """
    return _sum(stable.absolute(_residual(x, y)))


@jax.jit
def l1_mean(x: Array, y: Array) -> Array:
    """The mean absolute difference (MAE).

        mean_i |r_i|,   r = x - y

    Where an element is right the derivative is given as zero, the middle of its subgradients.

    Args:
        x: float [batch, ...], in any unit.
        y: float, of the shape and unit of ``x``.

    Returns:
        In the unit of ``x``, float [batch].

    Raises:
        TypeError: ``x`` or ``y`` is not a float array.
        ValueError: the shapes differ, or there is no batch axis.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.l1_mean(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 4.0]])).tolist()
        [1.5]

    References:
        Boyd and Vandenberghe 2004, "Convex optimization", section 6.1.
    """
    return _mean(stable.absolute(_residual(x, y)))


@jax.jit
def l2_error(x: Array, y: Array) -> Array:
    """The sum of squared differences, which is the square of the L2 norm.

        sum_i r_i^2,   r = x - y

    Args:
        x: float [batch, ...], in any unit.
        y: float, of the shape and unit of ``x``.

    Returns:
        In the square of the unit of ``x``, float [batch].

    Raises:
        TypeError: ``x`` or ``y`` is not a float array.
        ValueError: the shapes differ, or there is no batch axis.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.l2_error(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 4.0]])).tolist()
        [5.0]

    References:
        Boyd and Vandenberghe 2004, "Convex optimization", section 6.1.
    """
    return _sum(_residual(x, y) ** 2)


@jax.jit
def l2_mean(x: Array, y: Array) -> Array:
    """The mean squared difference (MSE).

        mean_i r_i^2,   r = x - y

    Args:
        x: float [batch, ...], in any unit.
        y: float, of the shape and unit of ``x``.

    Returns:
        In the square of the unit of ``x``, float [batch].

    Raises:
        TypeError: ``x`` or ``y`` is not a float array.
        ValueError: the shapes differ, or there is no batch axis.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.l2_mean(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 4.0]])).tolist()
        [2.5]

    References:
        Boyd and Vandenberghe 2004, "Convex optimization", section 6.1.
    """
    return _mean(_residual(x, y) ** 2)


@jax.jit
def l2_norm(x: Array, y: Array) -> Array:
    """The Euclidean distance between two examples.

        (sum_i r_i^2)^(1/2),   r = x - y

    Where the two are equal it has no derivative, and zero is given.

    Args:
        x: float [batch, ...], in any unit.
        y: float, of the shape and unit of ``x``.

    Returns:
        In the unit of ``x``, float [batch].

    Raises:
        TypeError: ``x`` or ``y`` is not a float array.
        ValueError: the shapes differ, or there is no batch axis.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.l2_norm(jnp.array([[3.0, 0.0]]), jnp.array([[0.0, 4.0]])).tolist()
        [5.0]

    References:
        Boyd and Vandenberghe 2004, "Convex optimization", section 6.1.
    """
    r = _residual(x, y)
    # Scaled before it is squared: in float32 the square of 1e20 is infinite and that of 1e-23 is 0.
    unit = stable.magnitude(jnp.max(jnp.abs(r), axis=tuple(range(1, r.ndim)), keepdims=True))
    return unit.reshape(len(r)) * stable.sqrt(_sum((r / unit) ** 2))


@jitted("delta")
def huber_error(x: Array, y: Array, *, delta: float) -> Array:
    """L2 for small differences and L1 for large ones, joined with one slope.

        sum_i h(r_i),   h(r) = r^2 / 2 where |r| <= delta, else delta (|r| - delta / 2)

    As delta goes to 0, the error divided by delta goes to `l1_error`; as delta grows, the error
    goes to half of `l2_error`.

    Args:
        x: float [batch, ...], in any unit.
        y: float, of the shape and unit of ``x``.
        delta: where the square ends, above 0, in the unit of ``x``.

    Returns:
        In the square of the unit of ``x``, float [batch].

    Raises:
        TypeError: ``x`` or ``y`` is not a float array, or ``delta`` not a number.
        ValueError: the shapes differ, there is no batch axis, or ``delta`` is not above 0.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.huber_error(jnp.array([[1.0, 4.0]]), jnp.zeros((1, 2)), delta=2.0).tolist()
        [6.5]

    References:
        Huber 1964, "Robust estimation of a location parameter"; Boyd and Vandenberghe 2004, "Convex
        optimization", eq. 6.4 (twice this).
    """
    number("delta", delta, above=0)
    size = jnp.abs(_residual(x, y))
    return _sum(jnp.where(size <= delta, size**2 / 2, delta * (size - delta / 2)))


@jitted("epsilon")
def charbonnier_error(x: Array, y: Array, *, epsilon: float) -> Array:
    """L1 with its corner at 0 rounded off.

        sum_i (r_i^2 + epsilon^2)^(1/2),   r = x - y

    As epsilon goes to 0 it goes to `l1_error`. It is never below epsilon for each element.

    Args:
        x: float [batch, ...], in any unit.
        y: float, of the shape and unit of ``x``.
        epsilon: the size of the corner, above 0, in the unit of ``x``.

    Returns:
        In the unit of ``x``, float [batch].

    Raises:
        TypeError: ``x`` or ``y`` is not a float array, or ``epsilon`` not a number.
        ValueError: the shapes differ, there is no batch axis, or ``epsilon`` is not above 0.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.charbonnier_error(jnp.array([[4.0, 0.0]]), jnp.zeros((1, 2)), epsilon=3.0).tolist()
        [8.0]

    References:
        Lai et al. 2017, "Deep Laplacian pyramid networks for fast and accurate super-resolution",
        section 3.2, after Charbonnier et al. 1994.
    """
    number("epsilon", epsilon, above=0)
    r = _residual(x, y)
    epsilon = _representable(epsilon, r)
    unit = stable.magnitude(jnp.maximum(jnp.abs(r), epsilon))
    return _sum(unit * jnp.sqrt((r / unit) ** 2 + (epsilon / unit) ** 2))


@jitted("scale")
def geman_mcclure_error(x: Array, y: Array, *, scale: float) -> Array:
    """A smooth count of wrong elements, with a heavy tail.

        sum_i r_i^2 / (r_i^2 + scale^2),   r = x - y

    As the scale goes to 0 it goes to the number of elements that differ (`l0_error` with tolerance
    0); as the scale grows, the error times scale^2 goes to `l2_error`. An element that is off by
    the scale counts one half, and the pull on one far outside falls as r^-3.

    Args:
        x: float [batch, ...], in any unit.
        y: float, of the shape and unit of ``x``.
        scale: how far off is half wrong, above 0, in the unit of ``x``.

    Returns:
        A count without unit, float [batch].

    Raises:
        TypeError: ``x`` or ``y`` is not a float array, or ``scale`` not a number.
        ValueError: the shapes differ, there is no batch axis, or ``scale`` is not above 0.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> error = losses.geman_mcclure_error(jnp.array([[0.0, 1.0, 3.0]]), jnp.zeros((1, 3)), scale=1.0)
        >>> round(float(error[0]), 4)
        1.4

    References:
        Geman and McClure 1987, "Statistical methods for tomographic image reconstruction"; Barron 2019, "A
        general and adaptive robust loss function", eq. 1 with alpha = -2, up to constants.
    """
    number("scale", scale, above=0)
    r = _residual(x, y)
    scale = _representable(scale, r)
    size = jnp.abs(r)
    unit = stable.magnitude(jnp.maximum(size, scale))
    square, scale_square = (r / unit) ** 2, (scale / unit) ** 2
    # One minus the other share, where that is the small one: so its slope keeps its digits far outside.
    total = square + scale_square
    return _sum(jnp.where(size <= scale, square / total, 1 - scale_square / total))


@jitted("scale")
def gaussian_l0_error(x: Array, y: Array, *, scale: float) -> Array:
    """A smooth count of wrong elements, which lets go of far ones altogether.

        sum_i 1 - exp(-r_i^2 / (2 scale^2)),   r = x - y

    As the scale goes to 0 it goes to the number of elements that differ (`l0_error` with tolerance
    0); as the scale grows, the error times 2 scale^2 goes to `l2_error`. The pull on an
    element is largest where it is off by the scale, and vanishes a few scales away: start wide.

    Args:
        x: float [batch, ...], in any unit.
        y: float, of the shape and unit of ``x``.
        scale: the width of the Gaussian, above 0, in the unit of ``x``.

    Returns:
        A count without unit, float [batch].

    Raises:
        TypeError: ``x`` or ``y`` is not a float array, or ``scale`` not a number.
        ValueError: the shapes differ, there is no batch axis, or ``scale`` is not above 0.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> error = losses.gaussian_l0_error(jnp.array([[0.0, 1.0, 30.0]]), jnp.zeros((1, 3)), scale=1.0)
        >>> round(float(error[0]), 4)
        1.3935

    References:
        Mohimani et al. 2009, "A fast approach for overcomplete sparse decomposition based on smoothed
        l0 norm", section II.
    """
    number("scale", scale, above=0)
    r = _residual(x, y)
    # A hundred scales away it is 1 to the last digit, and what would overflow is left out.
    return _sum(-jnp.expm1(-(jnp.clip(r / _representable(scale, r), -100, 100) ** 2) / 2))


def _check_stretch(low: float, high: float) -> None:
    number("low", low, below=0)
    number("high", high, above=1)


@jitted("temperature", "low", "high")
def expected_l0(
    log_alpha: Array, *, temperature: float = 2 / 3, low: float = -0.1, high: float = 1.1
) -> Array:
    """The expected L0 of weights behind hard-concrete gates: for each, the chance that it isn't 0.

        P(z != 0) = sigmoid(log alpha - temperature log(-low / high))

    Its sum over the gates is the expected number of weights that are left, and can be trained by
    gradient. As the temperature goes to 0 the gates become Bernoulli and this sigmoid(log alpha).

    Args:
        log_alpha: the gates' locations (log-odds without unit), a float array of any shape.
        temperature: of the concrete distribution, above 0 (the paper's beta).
        low: where the stretched gate begins, below 0 (the paper's gamma).
        high: where it ends, above 1 (the paper's zeta).

    Returns:
        Between 0 and 1, a float array of the shape of ``log_alpha``.

    Raises:
        TypeError: ``log_alpha`` is not a float array, or a hyperparameter not a number.
        ValueError: a hyperparameter is out of its range.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> round(float(losses.expected_l0(jnp.array([-9.0, 0.0, 9.0])).sum()), 4)
        1.8324

    References:
        Louizos et al. 2018, "Learning sparse neural networks through L0 regularization", eq. 12.
    """
    (log_alpha,) = floats("[...]", log_alpha=log_alpha)
    number("temperature", temperature, above=0)
    _check_stretch(low, high)
    return jax.nn.sigmoid(log_alpha - temperature * math.log(-low / high))


@jitted("temperature", "low", "high")
def hard_concrete_sample(
    key: Array, log_alpha: Array, *, temperature: float = 2 / 3, low: float = -0.1, high: float = 1.1
) -> Array:
    """Draws hard-concrete gates, differentiable in their locations; a weight is multiplied by its gate.

        s = sigmoid((log u - log(1 - u) + log alpha) / temperature),   u ~ U(0, 1)
        z = min(1, max(0, low + (high - low) s))

    As the temperature goes to 0, z becomes 0 or 1, and 1 with probability sigmoid(log alpha).

    Args:
        key: a typed key.
        log_alpha: the gates' locations (log-odds without unit), a float array of any shape.
        temperature: of the concrete distribution, above 0 (the paper's beta).
        low: where the stretched gate begins, below 0 (the paper's gamma).
        high: where it ends, above 1 (the paper's zeta).

    Returns:
        Gates in [0, 1], some exactly 0 and some exactly 1, a float array of the shape of ``log_alpha``.

    Raises:
        TypeError: ``key`` is not a typed key, ``log_alpha`` not a float array, or a hyperparameter
            not a number.
        ValueError: ``key`` is several keys, or a hyperparameter is out of its range.

    Examples:
        >>> import jax
        >>> import losses
        >>> gates = losses.hard_concrete_sample(jax.random.key(0), jax.numpy.array([-50.0, 50.0]))
        >>> gates.tolist()
        [0.0, 1.0]

    References:
        Louizos et al. 2018, "Learning sparse neural networks through L0 regularization", eqs. 10 and 11.
    """
    check_key("key", key)
    (log_alpha,) = floats("[...]", log_alpha=log_alpha)
    number("temperature", temperature, above=0)
    _check_stretch(low, high)
    noise = jax.random.logistic(key, log_alpha.shape, log_alpha.dtype)
    return jnp.clip(low + (high - low) * jax.nn.sigmoid((noise + log_alpha) / temperature), 0, 1)


@jitted("low", "high")
def hard_concrete_deterministic(log_alpha: Array, *, low: float = -0.1, high: float = 1.1) -> Array:
    """The gate's value at test time, without noise.

        z = min(1, max(0, low + (high - low) sigmoid(log alpha)))

    As low goes to 0 and high to 1 (no stretch) it goes to sigmoid(log alpha), and no gate closes.

    Args:
        log_alpha: the gates' locations (log-odds without unit), a float array of any shape.
        low: where the stretched gate begins, below 0 (the paper's gamma).
        high: where it ends, above 1 (the paper's zeta).

    Returns:
        Gates in [0, 1], a float array of the shape of ``log_alpha``.

    Raises:
        TypeError: ``log_alpha`` is not a float array, or a hyperparameter not a number.
        ValueError: a hyperparameter is out of its range.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.hard_concrete_deterministic(jnp.array([-4.0, 0.0, 4.0])).tolist()
        [0.0, 0.5, 1.0]

    References:
        Louizos et al. 2018, "Learning sparse neural networks through L0 regularization", eq. 13.
    """
    (log_alpha,) = floats("[...]", log_alpha=log_alpha)
    _check_stretch(low, high)
    return jnp.clip(low + (high - low) * jax.nn.sigmoid(log_alpha), 0, 1)
