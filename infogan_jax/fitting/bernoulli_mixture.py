"""Mixtures of independent binary columns, for binary images, fitted by EM."""

from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jax import Array

from infogan_jax.fitting import checks, mixture
from infogan_jax.fitting.em import Fit, careful_mean
from losses.checks import check_count, check_key, number


@flax.struct.dataclass
class BernoulliMixture(mixture.Mixture):
    """A mixture of parts whose columns are independent and binary.

        p(x) = sum_k pi_k prod_d p_kd^x_d (1 - p_kd)^(1 - x_d),   p_kd = sigmoid(logit_kd)

    Attributes:
        log_weights: log pi, float [components].
        logits: log-odds of 1, float [components, columns].
    """

    log_weights: Array
    logits: Array

    @classmethod
    def from_probabilities(cls, weights: Any, probabilities: Any) -> "BernoulliMixture":
        """A mixture with given weights and probabilities.

        Args:
            weights: pi, [components], with sum 1.
            probabilities: p, [components, columns], in (0, 1).

        Raises:
            ValueError: a shape is another, or a value outside of the above.
        """
        weights, probabilities = jnp.asarray(weights, float), jnp.asarray(probabilities, float)
        if probabilities.ndim != 2 or weights.shape != probabilities.shape[:1]:
            raise ValueError(
                f"weights has shape {weights.shape} and probabilities {probabilities.shape}: "
                "they must be [components] and [components, columns]"
            )
        if not ((weights >= 0).all() and abs(float(weights.sum()) - 1) < 1e-3):
            raise ValueError("weights must be 0 or more, and sum to one")
        if not ((probabilities > 0) & (probabilities < 1)).all():
            raise ValueError("probabilities must be above 0 and below 1")
        return cls(jnp.log(weights), jnp.log(probabilities) - jnp.log1p(-probabilities))

    @property
    def columns(self) -> int:
        """The number of columns of a row."""
        return self.logits.shape[-1]

    @property
    def probabilities(self) -> Array:
        """p, float [components, columns]."""
        return jax.nn.sigmoid(self.logits)

    @property
    def num_parameters(self) -> int:
        """Free parameters: of the columns, and the weights, which sum to one."""
        components, columns = self.logits.shape
        return components * columns + components - 1

    def component_log_prob(self, x: Array) -> Array:
        """log p(x | k) of each row and part, float [rows, components].

        log p^x (1 - p)^(1 - x) = x logit - log(1 + exp(logit)), so it is one matrix product.
        """
        products = jnp.matmul(x, self.logits.T, precision="highest")
        return products - jax.nn.softplus(self.logits).sum(1)[None]

    def sample(self, key: Array, count: int) -> tuple[Array, Array]:
        """Draws rows.

            k ~ pi,   x_d = 1 with probability p_kd

        Args:
            key: a typed key.
            count: how many.

        Returns:
            The rows, 0 or 1, float [count, columns], and the parts that made them, int [count].

        Raises:
            TypeError: ``key`` is not a typed key, or ``count`` not a whole number.
            ValueError: ``count`` is below one.
        """
        check_key("key", key)
        check_count("count", count, at_least=1)
        part_key, column_key = jax.random.split(key)
        parts = jax.random.categorical(part_key, self.log_weights, shape=(count,))
        ones = jax.random.bernoulli(column_key, self.probabilities[parts])
        return ones.astype(self.logits.dtype), parts

    def _rows(self, x: Any) -> Array:
        return _binary(super()._rows(x))


def _binary(x: Array) -> Array:
    if not checks.holds(x, lambda x: (x == 0) | (x == 1)):
        raise ValueError("x holds a value other than 0 and 1: compare it with a threshold first")
    return x


@partial(jax.jit, static_argnames=("components", "seed", "max_iterations"))
def _fit(
    x: Array, starts: Any, tolerance: Array, floor: Array, *, components: int, seed: str, max_iterations: int
) -> Fit[BernoulliMixture]:
    def expectation(parts: BernoulliMixture) -> tuple[Array, Array]:
        log_prob, responsibilities = mixture.posterior(parts.log_weights, parts.component_log_prob(x))
        return careful_mean(log_prob), responsibilities

    def maximization(_: BernoulliMixture | None, responsibilities: Array) -> BernoulliMixture:
        sizes = mixture.sizes_of(responsibilities)
        ones = jnp.matmul(responsibilities.T, x, precision="highest") / sizes[:, None]
        p = jnp.clip(ones, floor, 1 - floor)
        return BernoulliMixture(mixture.log_weights_of(sizes), jnp.log(p) - jnp.log1p(-p))

    return mixture.fit(
        x,
        starts,
        components,
        expectation,
        maximization,
        seed=seed,
        tolerance=tolerance,
        max_iterations=max_iterations,
        entries=len(x) * components,
    )


def fit_bernoulli_mixture(
    key: Array,
    x: Any,
    components: int,
    *,
    start: Any = "kmeans",
    restarts: int | None = None,
    tolerance: float = 1e-3,
    max_iterations: int = 100,
    probability_floor: float = 1e-3,
) -> Fit[BernoulliMixture]:
    """Fits a mixture of independent binary columns by EM.

        E:  r_nk = pi_k p(x_n | k) / sum_j pi_j p(x_n | j)
        M:  n_k = sum_n r_nk,   pi_k = n_k / rows,   p_kd = sum_n r_nk x_nd / n_k

    with p held in [floor, 1 - floor], which is the exact M-step under that constraint, so that the
    log-likelihood never falls (but for rounding). Without a floor, a pixel that is never on in a part's
    training rows makes a new row with that pixel impossible; with it, that row costs -log(floor) nats.

    The fit runs in float32, or float64 for float64 data. Call it outside of `jax.jit`, since it looks
    at the values of ``x``.

    Args:
        key: a typed key, for the start.
        x: the data, 0 or 1 (whole numbers, floats or truth values), [rows, columns].
        components: how many parts, at most the number of rows.
        start: "kmeans" (k-means++, then Lloyd's iterations), "kmeans++" (its seeds only), labels int
            [rows], responsibilities float [rows, components], or a `BernoulliMixture`. Labels and
            responsibilities may have a first axis more: a start for each restart.
        restarts: starts to draw, of which the best fit is kept; 1 if left out.
        tolerance: the gain in mean log-likelihood, in nats a row, at which it stops.
        max_iterations: the most updates of a restart.
        probability_floor: the smallest probability of a 0 or a 1: from the resolution of the fit's
            type (1.2e-7 in float32) to below one half.

    Returns:
        The best restart's fit; ``params`` is a `BernoulliMixture`.

    Raises:
        TypeError: an argument is of a wrong type.
        ValueError: a shape or a value is outside of the above; the message names the argument.

    References:
        Bishop 2006, "Pattern recognition and machine learning", section 9.3.3.
    """
    x, starts = mixture.prepare(
        key,
        x,
        components,
        start,
        BernoulliMixture,
        restarts=restarts,
        tolerance=tolerance,
        max_iterations=max_iterations,
    )
    # 1 - floor must stay below 1, or the logarithm of what is left of a probability is infinite.
    number("probability_floor", probability_floor, at_least=float(jnp.finfo(x.dtype).eps), below=0.5)
    if isinstance(starts, BernoulliMixture):
        starts = jax.tree.map(lambda a: a.astype(x.dtype), starts)
    best: Fit[BernoulliMixture] = _fit(
        _binary(x),
        starts,
        jnp.asarray(tolerance, x.dtype),
        jnp.asarray(probability_floor, x.dtype),
        components=components,
        seed=start if isinstance(start, str) else "kmeans",
        max_iterations=max_iterations,
    )
    return best
