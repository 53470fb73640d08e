"""Expectation-maximisation for any model: one loop, one stopping rule, one trace."""

import dataclasses
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from losses.checks import check_count, check_function, check_rank, number

Params = TypeVar("Params")
Posterior = TypeVar("Posterior")

LIMIT, GAIN, NOT_FINITE = 0, 1, 2
_REASONS = {
    LIMIT: "iteration limit",
    GAIN: "gain at or below tolerance",
    NOT_FINITE: "not finite",
}

TOGETHER = 2**22
"""Entries of the largest array of a fit: restarts that stay below it together run side by side."""


@flax.struct.dataclass
class Fit(Generic[Params]):
    """Parameters, how they were reached, and why the search ended.

    Attributes:
        params: the fitted model.
        log_likelihood: the trace: entry i is the mean log-likelihood of a row in nats after i
            updates, so the first is the start's and the last that of ``params``; float
            [max_iterations + 1], nan behind the last.
        iterations: updates that were made.
        status: why it stopped, as a number; `reason` says it in words.
        restarts: the final log-likelihood of every restart, float [restarts]; None for a single run.
        restart_iterations: updates made in every restart, int [restarts]; None for a single run.
    """

    params: Params
    log_likelihood: Array
    iterations: Array
    status: Array
    restarts: Array | None = None
    restart_iterations: Array | None = None

    @property
    def converged(self) -> bool:
        """Whether it stopped because there was no more to gain."""
        return int(self.status) == GAIN

    @property
    def reason(self) -> str:
        """Why it stopped: "gain at or below tolerance", "iteration limit" or "not finite"."""
        return _REASONS[int(self.status)]

    @property
    def trace(self) -> np.ndarray:
        """The log-likelihoods without the padding, float [iterations + 1]."""
        return np.asarray(self.log_likelihood)[: int(self.iterations) + 1]

    @property
    def final_log_likelihood(self) -> float:
        """The mean log-likelihood of a row under ``params``, in nats."""
        return float(self.trace[-1])


def em(
    params: Params,
    expectation: Callable[[Params], tuple[Array, Posterior]],
    maximization: Callable[[Params, Posterior], Params],
    *,
    tolerance: float | Array = 1e-3,
    max_iterations: int = 100,
) -> Fit[Params]:
    """Maximises a likelihood by expectation-maximisation.

        E:  r(z) = p(z | x; theta_i)
        M:  theta_{i+1} = argmax_theta  E_r log p(x, z; theta)

    The likelihood never falls, because for any r

        log p(x; theta) = E_r log [p(x, z; theta) / r(z)]  +  KL(r || p(z | x; theta)):

    the E-step makes the last term zero, the M-step raises the one before it. An M-step that only
    improves its objective keeps the property.

    The loop ends with the update that follows the first gain at or below ``tolerance``, as
    scikit-learn's does, so that both stop at the same parameters. It can be jitted and vmapped.

    Args:
        params: the start, a pytree of arrays.
        expectation: from params to the mean log-likelihood of a row in nats (a scalar) and whatever
            the M-step needs, such as responsibilities. `careful_mean` keeps small gains visible in
            float32.
        maximization: from the old params and the E-step's result to new params of the same structure,
            shapes and dtypes.
        tolerance: nats a row; zero goes on to where rounding ends the gains.
        max_iterations: the most updates.

    Returns:
        The fit.

    Raises:
        TypeError: ``max_iterations`` or ``tolerance`` isn't a number, ``expectation`` doesn't return a
            pair that begins with a float, or ``maximization`` changes the params' structure or types.
        ValueError: ``max_iterations`` or ``tolerance`` is below zero, the log-likelihood isn't one number,
            or ``maximization`` changes a shape.

    References:
        Dempster, Laird and Rubin 1977, "Maximum likelihood from incomplete data via the EM algorithm".
        Neal and Hinton 1998, "A view of the EM algorithm that justifies incremental, sparse, and other
        variants".
    """
    check_count("max_iterations", max_iterations, at_least=0)
    check_function("expectation", expectation)
    check_function("maximization", maximization)
    # An array may be traced, so that its value isn't known.
    if isinstance(tolerance, jax.Array | np.ndarray):
        check_rank("[]", tolerance=tolerance)
    else:
        number("tolerance", tolerance, at_least=0)
    params = jax.tree.map(jnp.asarray, params)
    log_likelihood = _check_steps(params, expectation, maximization)

    def go_on(carry: tuple[Any, ...]) -> Array:
        finished: Array = carry[-1]
        return ~finished

    def iterate(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        params, trace, updates, last, settled, _, _ = carry
        value, posterior = expectation(params)
        trace = trace.at[updates].set(value)
        finite = jnp.isfinite(value)
        # An update is still made when this E-step is the first to see a gain that is small enough.
        finished = settled | (updates == max_iterations) | ~finite
        settled |= value - last <= tolerance
        status = jnp.where(finite, jnp.where(settled, GAIN, LIMIT), NOT_FINITE)
        params = jax.lax.cond(finished, lambda: params, lambda: maximization(params, posterior))
        return params, trace, jnp.where(finished, updates, updates + 1), value, settled, status, finished

    trace = jnp.full(max_iterations + 1, jnp.nan, log_likelihood.dtype)
    last = jnp.array(-jnp.inf, log_likelihood.dtype)
    start: tuple[Any, ...] = (params, trace, 0, last, False, LIMIT, False)
    params, trace, updates, _, _, status, _ = jax.lax.while_loop(go_on, iterate, start)
    return Fit(params, trace, updates, status)


def _check_steps(
    params: Params,
    expectation: Callable[[Params], tuple[Array, Posterior]],
    maximization: Callable[[Params, Posterior], Params],
) -> jax.ShapeDtypeStruct:
    """Refuses an E-step or an M-step that the loop can't carry; gives the log-likelihood's type."""
    result = jax.eval_shape(expectation, params)
    if not isinstance(result, tuple) or len(result) != 2:
        what = f"{len(result)} values" if isinstance(result, tuple) else type(result).__name__
        raise TypeError(f"expectation returns {what}: it must return a log-likelihood and a posterior")
    log_likelihood, posterior = result
    if not isinstance(log_likelihood, jax.ShapeDtypeStruct):
        what = type(log_likelihood).__name__
        raise TypeError(f"expectation returns a {what} as log-likelihood: it must be one float")
    if log_likelihood.shape != ():
        raise ValueError(
            f"expectation returns a log-likelihood of shape {log_likelihood.shape}: it must be one number"
        )
    if not jnp.issubdtype(log_likelihood.dtype, jnp.floating):
        raise TypeError(f"expectation returns a log-likelihood of {log_likelihood.dtype}: it must be float")

    updated = jax.eval_shape(maximization, params, posterior)
    # mypy can't read jax's annotation of a structure.
    if jax.tree.structure(updated) != jax.tree.structure(params):  # type: ignore[operator]
        raise TypeError(
            f"maximization returns {jax.tree.structure(updated)}: "
            f"it must return the structure of params, {jax.tree.structure(params)}"
        )
    for (path, old), new in zip(jax.tree.leaves_with_path(params), jax.tree.leaves(updated), strict=True):
        name = f"params{jax.tree_util.keystr(path)}"
        if new.shape != old.shape:
            raise ValueError(f"maximization returns {name} of shape {new.shape}: it must be {old.shape}")
        if new.dtype != old.dtype:
            raise TypeError(f"maximization returns {name} of {new.dtype}: it must be {old.dtype}")
    return log_likelihood


def best_of(run: Callable[[Any], Fit[Params]], starts: Any, *, entries: int) -> Fit[Params]:
    """Runs a fit from each start and keeps the one with the highest final log-likelihood.

    Restarts that fit into `TOGETHER` entries run side by side under `jax.vmap`, and such groups one
    after the other: a data set that fills the processor by itself gains nothing from company, and the
    quick restarts of a group wait for its slowest.

    Args:
        run: from one start to its fit.
        starts: a pytree whose arrays have the restarts as their first axis.
        entries: the size of the largest array that one run works on.

    Returns:
        The best fit, with ``restarts`` and ``restart_iterations`` of all.
    """
    restarts = jax.tree.leaves(starts)[0].shape[0]
    most = max(1, TOGETHER // entries)
    group = max(size for size in range(1, min(most, restarts) + 1) if restarts % size == 0)
    if restarts == 1:
        fits = jax.tree.map(lambda x: x[None], run(jax.tree.map(lambda x: x[0], starts)))
    elif group == restarts:
        fits = jax.vmap(run)(starts)
    else:
        fits = jax.lax.map(run, starts, batch_size=group if group > 1 else None)
    final = jax.vmap(lambda trace, last: trace[last])(fits.log_likelihood, fits.iterations)
    best = jnp.argmax(jnp.where(jnp.isfinite(final), final, -jnp.inf))
    kept: Fit[Params] = jax.tree.map(lambda x: x[best], fits)
    return dataclasses.replace(kept, restarts=final, restart_iterations=fits.iterations)


def careful_mean(values: Array) -> Array:
    """The mean of a vector, with the rounding of its deviations instead of its values.

        m = mean(v),   result = m + mean(v - m)

    A plain float32 sum over 60,000 log-likelihoods near -100 errs by more than a tolerance of 1e-3.
    """
    rough = values.mean()
    return rough + (values - rough).mean()
