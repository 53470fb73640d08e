"""What all mixtures share: densities, responsibilities, BIC, and EM from many starts."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from infogan_jax.fitting import checks
from infogan_jax.fitting.em import Fit, best_of, careful_mean, em
from infogan_jax.fitting.kmeans import kmeans
from losses.checks import check_count, check_key, number

STARTS = ("kmeans", "kmeans++")


class Mixture(ABC):
    """A mixture: its parts' weights and densities.

        p(x) = sum_k pi_k p(x | k)

    A subclass holds ``log_weights``, and says how many columns and parameters it has and what one part's
    density is.
    """

    log_weights: Array

    @property
    @abstractmethod
    def columns(self) -> int:
        """The number of columns of a row."""

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """Free parameters: of the parts, and the weights, which sum to one."""

    @abstractmethod
    def component_log_prob(self, x: Array) -> Array:
        """Each part's log-density of each row, log p(x | k), float [rows, components]."""

    @property
    def weights(self) -> Array:
        """The parts' probabilities pi, float [components]."""
        return jnp.exp(self.log_weights)

    def log_prob(self, x: Any) -> Array:
        """The predictive score: the log-density of each row.

            log p(x) = logsumexp_k (log pi_k + log p(x | k))

        It can be jitted and differentiated, in ``x`` and in the mixture; values are looked at outside of
        ``jit`` only.

        Args:
            x: [rows, columns].

        Returns:
            Nats, float [rows]; -inf for a row so far away that its density is below what the type holds.

        Raises:
            TypeError: the entries aren't real numbers.
            ValueError: the shape is another, or an entry isn't finite.
        """
        log_prob: Array = _score(self, self._rows(x))[0]
        return log_prob

    def responsibilities(self, x: Any) -> Array:
        """The posterior of the part that made a row.

            r_k = pi_k p(x | k) / p(x)

        Args:
            x: [rows, columns].

        Returns:
            Float [rows, components]; each row sums to one, but for rows of log-density -inf, which have
            nan: of a Gaussian mixture in float32, those about 1e19 standard deviations away.

        Raises:
            TypeError: the entries aren't real numbers.
            ValueError: the shape is another, or an entry isn't finite.
        """
        responsibilities: Array = _score(self, self._rows(x))[1]
        return responsibilities

    def bic(self, x: Any) -> float:
        """The Bayesian information criterion on the data of the fit: smaller is better.

            BIC = parameters log(rows) - 2 sum_n log p(x_n)

        Args:
            x: [rows, columns].

        Returns:
            Nats, doubled.

        Raises:
            TypeError: the entries aren't real numbers.
            ValueError: the shape is another, or an entry isn't finite.

        References:
            Schwarz 1978, "Estimating the dimension of a model".
        """
        log_prob = self.log_prob(x)
        rows = len(log_prob)
        penalty = self.num_parameters * float(jnp.log(rows))
        return penalty - 2 * rows * float(careful_mean(log_prob))

    def _rows(self, x: Any) -> Array:
        rows = checks.rows(x)
        if rows.shape[1] != self.columns:
            raise ValueError(f"x has shape {rows.shape}: it must have {self.columns} columns, as the mixture")
        return rows


M = TypeVar("M", bound=Mixture)


def posterior(log_weights: Array, component_log_prob: Array) -> tuple[Array, Array]:
    """Log-densities [rows] and responsibilities [rows, components]: Bayes' rule in log space."""
    joint = log_weights[None] + component_log_prob
    log_prob = jax.nn.logsumexp(joint, axis=1)
    return log_prob, jnp.exp(joint - log_prob[:, None])


@jax.jit
def _score(mixture: Mixture, x: Array) -> tuple[Array, Array]:
    return posterior(mixture.log_weights, mixture.component_log_prob(x))


def log_weights_of(sizes: Array) -> Array:
    """The logarithms of the parts' shares of the rows."""
    return jnp.log(sizes) - jnp.log(sizes.sum())


def sizes_of(responsibilities: Array) -> Array:
    """How many rows each part has, float [components], never quite zero.

    A part that has lost all its rows keeps 10 rounding units of one, as in scikit-learn: nothing is
    divided by zero, and the part weighs nothing.
    """
    sizes: Array = responsibilities.sum(0) + 10 * jnp.finfo(responsibilities.dtype).eps
    return sizes


def prepare(
    key: Array,
    x: Any,
    components: int,
    start: Any,
    model: type[M],
    *,
    restarts: int | None,
    tolerance: float,
    max_iterations: int,
) -> tuple[Array, Any]:
    """Looks at the arguments that all fits have, and gives the start of each restart.

    Returns:
        The data as floats, and the starts, with the restarts as their first axis: keys, labels,
        responsibilities or mixtures.
    """
    check_key("key", key)
    x = checks.rows(x)
    checks.components_for(x, components)
    number("tolerance", tolerance, at_least=0)
    check_count("max_iterations", max_iterations, at_least=0)
    if isinstance(start, str):
        checks.choice("start", start, STARTS)
        restarts = 1 if restarts is None else restarts
        check_count("restarts", restarts, at_least=1)
        return x, jax.random.split(key, restarts)
    if isinstance(start, Mixture):
        if not isinstance(start, model):
            raise TypeError(f"start is a {type(start).__name__}: it must be a {model.__name__}")
        if start.log_weights.shape != (components,) or start.columns != x.shape[1]:
            raise ValueError(
                f"start has {start.log_weights.shape[0]} components and {start.columns} columns: "
                f"it must have {components} and {x.shape[1]}"
            )
        starts = jax.tree.map(lambda a: a[None], start)
    else:
        starts = checks.responsibilities(start, x, components)
    given = jax.tree.leaves(starts)[0].shape[0]
    if restarts not in (None, given):
        raise ValueError(f"restarts is {restarts}: start holds {given}, so leave it out")
    return x, starts


def fit(
    x: Array,
    starts: Any,
    components: int,
    expectation: Callable[[M], tuple[Array, Array]],
    maximization: Callable[[M | None, Array], M],
    *,
    seed: str,
    tolerance: Array,
    max_iterations: int,
    entries: int,
) -> Fit[M]:
    """EM from each start; the best is kept. Runs inside `jax.jit`.

    Args:
        x: the data that k-means looks at, [rows, columns].
        starts: as `prepare` gives them.
        components: how many.
        expectation: from a mixture to the mean log-likelihood and the responsibilities.
        maximization: from a mixture (not used) and responsibilities to a mixture.
        seed: where there are only keys, what they are used for: one of `STARTS`.
        tolerance: as in `em`.
        max_iterations: as in `em`.
        entries: as in `best_of`.
    """

    def run(start: Any) -> Fit[M]:
        if isinstance(start, Mixture):
            mixture: Any = start
        else:
            if jnp.issubdtype(start.dtype, jax.dtypes.prng_key):
                choose = kmeans if seed == "kmeans" else partial(kmeans, max_iterations=0)
                start = choose(start, x, components)
            if jnp.issubdtype(start.dtype, jnp.integer):
                start = jax.nn.one_hot(start, components, dtype=x.dtype)
            mixture = maximization(None, start)
        return em(mixture, expectation, maximization, tolerance=tolerance, max_iterations=max_iterations)

    return best_of(run, starts, entries=entries)
