"""theta by gradient: objectives that measure how far q_theta is from p, and one loop that lowers them.

The families that it names itself are a softmax (`pmf_objective`), a Gaussian and a mixture of Gaussians;
any other is a function of theta.

An objective is a function of a key and theta that returns nats. Three kinds:

- **Exact sums** for pmfs.
- **A grid** for densities in one or two dimensions: the integral to a precision that the grid sets,
  without noise, so that the size of the gradient says when to stop. Its cost grows as a power of the
  number of dimensions.
- **Monte Carlo** for the rest. Forward KL takes samples of p and asks nothing else of p: that is
  maximum likelihood. Reverse KL takes samples of q, and log p up to a constant.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Generic, Literal, TypeVar, get_args

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from infogan_jax.fitting.checks import choice
from losses.checks import check_count, check_function, check_key, check_pmf, check_rank, floats, number
from losses.divergences import categorical_kl_from_logits
from losses.gaussians import gaussian_kl

Params = TypeVar("Params")
Objective = Callable[[Array, Params], Array]
"""From a key and theta to nats. Exact objectives leave the key alone."""

Direction = Literal["forward", "reverse"]
DIRECTIONS = get_args(Direction)
"""KL(p || q) and KL(q || p)."""

LIMIT, GRADIENT, NOT_FINITE = 0, 1, 2
_REASONS = {
    LIMIT: "step limit",
    GRADIENT: "gradient at or below tolerance",
    NOT_FINITE: "not finite",
}


@flax.struct.dataclass
class GradientFit(Generic[Params]):
    """Parameters, how they were reached, and why the search ended.

    Attributes:
        params: the fitted theta.
        objective: the trace: entry i is the objective after i updates, float [steps + 1], nan behind
            the last. Of a Monte Carlo objective it is noisy.
        steps: updates that were made.
        status: why it stopped, as a number; `reason` says it in words.
    """

    params: Params
    objective: Array
    steps: Array
    status: Array

    @property
    def converged(self) -> bool:
        """Whether it stopped because the gradient had vanished."""
        return int(self.status) == GRADIENT

    @property
    def reason(self) -> str:
        """Why it stopped: "gradient at or below tolerance", "step limit" or "not finite"."""
        return _REASONS[int(self.status)]

    @property
    def trace(self) -> np.ndarray:
        """The objective's values without the padding, float [steps + 1]."""
        return np.asarray(self.objective)[: int(self.steps) + 1]


@partial(jax.jit, static_argnames=("objective", "optimizer", "steps"))
def _descend(
    key: Array,
    params: Params,
    tolerance: Array,
    *,
    objective: Objective[Params],
    optimizer: optax.GradientTransformation,
    steps: int,
) -> GradientFit[Params]:
    def iterate(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        params, state, trace, step, _, _ = carry
        value, grads = jax.value_and_grad(partial(objective, jax.random.fold_in(key, step)))(params)
        slope = optax.tree.norm(grads)
        finite = jnp.isfinite(value) & jnp.isfinite(slope)
        flat = slope <= tolerance
        status = jnp.where(finite, jnp.where(flat, GRADIENT, LIMIT), NOT_FINITE)
        finished = flat | ~finite | (step == steps)
        updates, new_state = optimizer.update(grads, state, params)
        new = optax.apply_updates(params, updates)
        params, state = jax.tree.map(
            lambda old, new: jnp.where(finished, old, new), (params, state), (new, new_state)
        )
        return params, state, trace.at[step].set(value), jnp.where(finished, step, step + 1), status, finished

    dtype = jax.eval_shape(objective, key, params).dtype
    trace = jnp.full(steps + 1, jnp.nan, dtype)
    start: tuple[Any, ...] = (params, optimizer.init(params), trace, 0, LIMIT, False)
    params, _, trace, step, status, _ = jax.lax.while_loop(lambda c: ~c[-1], iterate, start)
    return GradientFit(params, trace, step, status)


def fit_by_gradient(
    key: Array,
    objective: Objective[Params],
    params: Params,
    optimizer: optax.GradientTransformation,
    *,
    steps: int,
    gradient_tolerance: float = 0.0,
) -> GradientFit[Params]:
    """Lowers an objective by gradient steps, in one compiled loop.

        theta_{i+1} = theta_i + optimizer(grad objective(key_i, theta_i))

    It ends early where the gradient's norm is at or below ``gradient_tolerance`` (for a Monte Carlo
    objective that is chance, so leave it at zero) or where a value is not finite; then ``params`` are
    those that gave it.

    Args:
        key: a typed key; step i gets ``fold_in(key, i)``.
        objective: from a key and theta to nats, a scalar. The loop is compiled again for each new
            function, so make it once.
        params: the start, a pytree of float arrays.
        optimizer: an optax optimiser.
        steps: the most updates.
        gradient_tolerance: nats per unit of theta.

    Returns:
        The fit.

    Raises:
        TypeError: an argument is of a wrong type.
        ValueError: ``steps`` or ``gradient_tolerance`` is negative, or the objective isn't a scalar.
    """
    check_key("key", key)
    check_function("objective", objective)
    check_count("steps", steps, at_least=0)
    number("gradient_tolerance", gradient_tolerance, at_least=0)
    if not isinstance(optimizer, optax.GradientTransformation):
        raise TypeError(f"optimizer is {type(optimizer).__name__}: it must be an optax optimiser")
    params = jax.tree.map(jnp.asarray, params)
    if not all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(params)):
        raise TypeError("params holds an array that isn't float: all must be")
    value = jax.eval_shape(objective, key, params)
    if value.shape != ():
        raise ValueError(f"objective returns shape {value.shape}: it must return one number")
    tolerance = jnp.asarray(gradient_tolerance, value.dtype)
    fitted: GradientFit[Params] = _descend(
        key, params, tolerance, objective=objective, optimizer=optimizer, steps=steps
    )
    return fitted


def pmf_objective(
    p: Array, logits: Callable[[Any], Array] = lambda theta: theta, *, direction: Direction
) -> Objective[Any]:
    """KL between a pmf and a softmax family, an exact sum.

        q_theta = softmax(logits(theta))
        forward:  KL(p || q_theta) = sum_k p_k log(p_k / q_k)
        reverse:  KL(q_theta || p) = sum_k q_k log(q_k / p_k)

    Args:
        p: the target, float [outcomes], with sum 1.
        logits: from theta to float [outcomes]; by default theta is the logits, a family that reaches
            any p without zeros.
        direction: "forward" or "reverse". Reverse KL asks that p has no zeros, since a softmax has none.

    Returns:
        The objective.

    Raises:
        TypeError: ``p`` is not a float array, or ``logits`` not a function.
        ValueError: ``p`` is not a pmf, or has a zero in the reverse direction, or ``direction`` is
            neither word.
    """
    choice("direction", direction, DIRECTIONS)
    check_rank("[outcomes]", p=p)
    check_pmf(p)
    check_function("logits", logits)
    if direction == "reverse" and not (jnp.asarray(p) > 0).all():
        raise ValueError("p holds a zero: the reverse divergence of any softmax is infinite")
    log_p = jnp.log(jnp.asarray(p))

    def objective(_: Array, theta: Params) -> Array:
        log_q = logits(theta)
        if direction == "forward":
            return categorical_kl_from_logits(log_p, log_q)
        return categorical_kl_from_logits(log_q, log_p)

    return objective


def gaussian_objective(mean: Array, log_scale: Array, *, direction: Direction) -> Objective[dict[str, Array]]:
    """KL between a Gaussian target and a Gaussian q, both with diagonal covariances, in closed form.

    Theta is a dict of "mean" and "log_scale", float [dimensions].

    Args:
        mean: the target's, float [dimensions].
        log_scale: the target's log sigma, of the shape of ``mean``.
        direction: "forward", KL(p || q_theta), or "reverse", KL(q_theta || p).

    Returns:
        The objective.

    Raises:
        TypeError: an array isn't float.
        ValueError: the shapes differ, or ``direction`` is neither word.
    """
    choice("direction", direction, DIRECTIONS)
    mean, log_scale = floats("[dimensions]", mean=mean, log_scale=log_scale)

    def objective(_: Array, theta: dict[str, Array]) -> Array:
        p, q = (mean, log_scale), (theta["mean"], theta["log_scale"])
        return gaussian_kl(*p, *q) if direction == "forward" else gaussian_kl(*q, *p)

    return objective


def gaussian_log_density(theta: dict[str, Array], x: Array) -> Array:
    """The log-density of a Gaussian with a diagonal covariance.

        log N(x; mu, sigma) = sum_d -((x_d - mu_d) / sigma_d)^2 / 2 - log sigma_d - log(2 pi) / 2

    Args:
        theta: "mean" and "log_scale", float [dimensions].
        x: float [rows, dimensions].

    Returns:
        Nats, float [rows].
    """
    deviation = (x - theta["mean"][None]) * jnp.exp(-theta["log_scale"])[None]
    return -0.5 * (deviation**2 + jnp.log(2 * jnp.pi)).sum(1) - theta["log_scale"].sum()


def gaussian_draw(theta: dict[str, Array], key: Array, count: int) -> Array:
    """Draws of that Gaussian as a differentiable function of theta.

        x = mu + sigma e,   e ~ N(0, 1)

    Args:
        theta: "mean" and "log_scale", float [dimensions].
        key: a typed key.
        count: how many.

    Returns:
        Float [count, dimensions].

    Raises:
        TypeError: ``key`` is not a typed key, or ``count`` not a whole number.
        ValueError: ``count`` is below one.
    """
    check_key("key", key)
    check_count("count", count, at_least=1)
    noise = jax.random.normal(key, (count, *theta["mean"].shape), theta["mean"].dtype)
    return theta["mean"][None] + jnp.exp(theta["log_scale"])[None] * noise


def mixture_log_density(theta: dict[str, Array], x: Array) -> Array:
    """The log-density of a mixture of Gaussians with diagonal covariances, as a family for a gradient.

        log q(x) = logsumexp_k (log pi_k + log N(x; mu_k, sigma_k)),   pi = softmax(logits)

    Any theta is a mixture: nothing has to be kept positive or summing to one on the way. What EM fits is
    `GaussianMixture`.

    Args:
        theta: "logits" of the weights, float [components]; "means" and "log_scales", float
            [components, dimensions].
        x: float [rows, dimensions].

    Returns:
        Nats, float [rows].

    Raises:
        TypeError: an array isn't float.
        ValueError: a shape is another; the message names the array.
    """
    (logits,) = floats("[components]", logits=theta["logits"])
    means, log_scales = floats(
        "[components, dimensions]", means=theta["means"], log_scales=theta["log_scales"]
    )
    (x,) = floats("[rows, dimensions]", x=x)
    if logits.shape != means.shape[:1]:
        raise ValueError(f"logits has shape {logits.shape}: it must be {means.shape[:1]}, one for each mean")
    if x.shape[1] != means.shape[1]:
        raise ValueError(f"x has shape {x.shape}: it must have {means.shape[1]} columns, as the means")
    parts = {"mean": means, "log_scale": log_scales}
    each = jax.vmap(gaussian_log_density, in_axes=(0, None))(parts, x)
    return jax.nn.logsumexp(jax.nn.log_softmax(logits)[:, None] + each, axis=0)


def grid_objective(
    log_p: Callable[[Array], Array],
    log_q: Callable[[Params, Array], Array],
    x: Array,
    volume: float,
    *,
    direction: Direction,
) -> Objective[Params]:
    """KL between densities as a sum over an even grid (the trapezoidal rule).

        forward:  KL(p || q_theta) ~ volume sum_n p(x_n) log(p(x_n) / q_theta(x_n))
        reverse:  KL(q_theta || p) ~ volume sum_n q_theta(x_n) log(q_theta(x_n) / p(x_n))

    For smooth densities that vanish at the grid's ends, the error falls faster than any power of the
    spacing. The grid must reach as far as both do, at every theta on the way: a q that walks off the
    grid would look close. A jump, such as the ends of a uniform density, costs an error of the order of
    the spacing.

    Points where the density that the mean is over is 0 add nothing (0 log 0 = 0); where only the other
    one is 0, the divergence is infinite.

    Args:
        log_p: the target's log-density, from float [rows, dimensions] to nats [rows].
        log_q: the family's, from theta and the same.
        x: the grid's points, float [rows, dimensions].
        volume: what one point stands for: the product of the spacings.
        direction: "forward" or "reverse".

    Returns:
        The objective.

    Raises:
        TypeError: an argument is of a wrong type.
        ValueError: ``x`` isn't a matrix, ``volume`` isn't above zero, or ``direction`` is neither word.

    References:
        Trefethen and Weideman 2014, "The exponentially convergent trapezoidal rule".
    """
    choice("direction", direction, DIRECTIONS)
    check_function("log_p", log_p)
    check_function("log_q", log_q)
    number("volume", volume, above=0)
    (x,) = floats("[rows, dimensions]", x=x)
    target = log_p(x)
    if direction == "forward":
        # Where p is 0, q may have no density either, and a gradient of nan: it is asked elsewhere.
        inside = jnp.exp(target) > 0
        x = jnp.where(inside[:, None], x, x[target.argmax()][None])

    def objective(_: Array, theta: Params) -> Array:
        log_density = log_q(theta, x)
        if direction == "forward":
            return volume * _kl_terms(target, log_density).sum()
        return volume * _kl_terms(log_density, target).sum()

    return objective


def _kl_terms(log_a: Array, log_b: Array) -> Array:
    """a log(a / b) with 0 log 0 = 0."""
    a = jnp.exp(log_a)
    inside = a > 0
    # Both sides of the product are masked: through -inf - -inf, even a gradient of 0 comes out as nan.
    log_ratio = jnp.where(inside, log_a, 0) - jnp.where(inside, log_b, 0)
    return jnp.where(inside, a * log_ratio, 0)


def forward_objective(
    draw: Callable[[Array], Array], log_q: Callable[[Params, Array], Array]
) -> Objective[Params]:
    """Forward KL from samples of p, but for a constant: the mean negative log-likelihood.

        KL(p || q_theta) = -H(p) - E_p log q_theta(x)  ~  const - mean_n log q_theta(x_n)

    With a fixed data set it is maximum likelihood. The gradient has no bias.

    Args:
        draw: from a key to samples of p, float [rows, dimensions]; ``lambda key: x`` for data.
        log_q: the family's log-density, from theta and samples to nats [rows].

    Returns:
        The objective.

    Raises:
        TypeError: an argument isn't a function.
    """
    check_function("draw", draw)
    check_function("log_q", log_q)
    return lambda key, theta: -log_q(theta, draw(key)).mean()


def reverse_objective(
    log_p: Callable[[Array], Array],
    log_q: Callable[[Params, Array], Array],
    draw: Callable[[Params, Array], Array],
) -> Objective[Params]:
    """Reverse KL from reparameterised samples of q.

        KL(q_theta || p) = E_e [log q_theta(x) - log p(x)],   x = draw(theta, e)

    Where log p lacks its constant, so does the value; the gradient needs none. It reaches theta through
    x only: the other part, the score E_q grad log q_theta, is zero in the mean, and leaving it out makes
    the gradient exact where q = p, instead of noisy.

    Args:
        log_p: the target's log-density, with or without its constant, from float [rows, dimensions] to
            nats [rows]; differentiable.
        log_q: the family's, from theta and the same.
        draw: from theta and a key to samples, float [rows, dimensions], differentiable in theta.

    Returns:
        The objective.

    Raises:
        TypeError: an argument isn't a function.

    References:
        Kingma and Welling 2014, "Auto-encoding variational Bayes", section 2.4.
        Roeder, Wu and Duvenaud 2017, "Sticking the landing".
    """
    for name, function in {"log_p": log_p, "log_q": log_q, "draw": draw}.items():
        check_function(name, function)

    def objective(key: Array, theta: Params) -> Array:
        x = draw(theta, key)
        return (log_q(jax.lax.stop_gradient(theta), x) - log_p(x)).mean()

    return objective
