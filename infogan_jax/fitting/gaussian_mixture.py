"""Mixtures of Gaussians, fitted by EM: full, tied, diagonal and spherical covariances."""

import math
from functools import partial
from typing import Any, Literal, get_args

import flax.struct
import jax
import jax.numpy as jnp
from jax import Array

from infogan_jax.fitting import checks, mixture
from infogan_jax.fitting.em import Fit, careful_mean
from losses.checks import check_count, check_key, floats, number

Covariance = Literal["full", "tied", "diag", "spherical"]
COVARIANCES = get_args(Covariance)


@flax.struct.dataclass
class GaussianMixture(mixture.Mixture):
    """A mixture of Gaussians.

        p(x) = sum_k pi_k N(x; mu_k, Sigma_k)
        mu_k = centre + unit location_k,   Sigma_k = A_k A_k^T,   A_k = diag(unit) axes_k diag(scales_k)

    The parts are kept as principal axes and the standard deviations along them, in units in which the
    data's columns have mean 0 and variance 1. Unlike a Cholesky factor these exist however flat a
    covariance is, and columns of very different units cost no digits in float32.

    Attributes:
        log_weights: log pi, float [components].
        locations: float [components, columns].
        scales: float [components, columns], above zero.
        axes: an axis in each column, float [components, columns, columns]; None for "diag" and
            "spherical", whose axes are the columns.
        centre: float [columns].
        unit: float [columns], above zero.
        covariance: "full", "tied", "diag" or "spherical".
    """

    log_weights: Array
    locations: Array
    scales: Array
    axes: Array | None
    centre: Array
    unit: Array
    covariance: Covariance = flax.struct.field(pytree_node=False)

    @classmethod
    def from_moments(cls, weights: Any, means: Any, covariances: Any, covariance: Covariance) -> Any:
        """A mixture with given weights, means and covariances.

        Args:
            weights: pi, float [components], with sum 1.
            means: mu, float [components, columns].
            covariances: float, for "full" [components, columns, columns], "tied" [columns, columns],
                "diag" [components, columns], "spherical" [components]; as scikit-learn has them.
            covariance: one of these four.

        Raises:
            TypeError: an argument isn't of floats.
            ValueError: a shape is another, weights don't sum to one, or a covariance isn't symmetric and
                positive.
        """
        checks.choice("covariance", covariance, COVARIANCES)
        (means,) = floats("[components, columns]", means=jnp.asarray(means))
        components, columns = means.shape
        shapes = {
            "full": (components, columns, columns),
            "tied": (columns, columns),
            "diag": (components, columns),
            "spherical": (components,),
        }
        given = {"weights": (weights, (components,)), "covariances": (covariances, shapes[covariance])}
        for name, (value, shape) in given.items():
            if jnp.shape(value) != shape:
                raise ValueError(f"{name} has shape {jnp.shape(value)}: it must be {shape}")
        weights, covariances = (jnp.asarray(value, means.dtype) for value, _ in given.values())
        if not ((weights >= 0).all() and abs(float(weights.sum()) - 1) < 1e-3):
            raise ValueError("weights must be 0 or more, and sum to one")
        full = covariances if covariance == "full" else _full(covariances, components, columns, covariance)
        variances = jnp.diagonal(full, axis1=1, axis2=2)
        # Relative to both columns' deviations. A nan is left to the next check.
        resolution = 1e-4 * jnp.sqrt(jnp.abs(variances[:, :, None] * variances[:, None, :]))
        if (jnp.abs(full - full.transpose(0, 2, 1)) > resolution).any():
            raise ValueError("covariances must be symmetric")
        unit = jnp.sqrt(variances.mean(0)) if covariance != "spherical" else jnp.ones(columns, means.dtype)
        made = _in_units(jnp.log(weights), means, full, means.mean(0), unit, covariance)
        if not (made.scales > 0).all():
            raise ValueError("covariances must be positive definite")
        return made

    @property
    def columns(self) -> int:
        """The number of columns of a row."""
        return self.locations.shape[-1]

    @property
    def means(self) -> Array:
        """mu, float [components, columns]."""
        return self.centre[None] + self.unit[None] * self.locations

    @property
    def covariances(self) -> Array:
        """Sigma, in scikit-learn's shapes: see `from_moments`."""
        if self.covariance == "spherical":
            return (self.unit[0] * self.scales[:, 0]) ** 2
        if self.covariance == "diag":
            return (self.unit[None] * self.scales) ** 2
        full = _products(self)
        return full[0] if self.covariance == "tied" else full

    @property
    def num_parameters(self) -> int:
        """Free parameters: of the covariances, the means, and the weights, which sum to one."""
        components, columns = self.locations.shape
        symmetric = columns * (columns + 1) // 2
        covariances = {
            "full": components * symmetric,
            "tied": symmetric,
            "diag": components * columns,
            "spherical": components,
        }
        return covariances[self.covariance] + components * columns + components - 1

    def component_log_prob(self, x: Array) -> Array:
        """log N(x; mu_k, Sigma_k) of each row and part, float [rows, components]."""
        return _log_prob(self, _standardize(self, x)) - jnp.log(self.unit).sum()

    def sample(self, key: Array, count: int) -> tuple[Array, Array]:
        """Draws rows.

            k ~ pi,   x = mu_k + A_k e,   e ~ N(0, 1)

        Args:
            key: a typed key.
            count: how many.

        Returns:
            The rows, float [count, columns], and the parts that made them, int [count].

        Raises:
            TypeError: ``key`` is not a typed key, or ``count`` not a whole number.
            ValueError: ``count`` is below one.
        """
        check_key("key", key)
        check_count("count", count, at_least=1)
        part_key, noise_key = jax.random.split(key)
        parts = jax.random.categorical(part_key, self.log_weights, shape=(count,))
        noise = jax.random.normal(noise_key, (count, self.columns), self.locations.dtype)
        noise = noise * self.scales[parts]
        if self.axes is not None:
            noise = jnp.einsum("nj,nij->ni", noise, self.axes[parts], precision="highest")
        return self.centre[None] + self.unit[None] * (self.locations[parts] + noise), parts


def _full(covariances: Array, components: int, columns: int, covariance: Covariance) -> Array:
    """Tied, diagonal or spherical covariances as matrices, float [components, columns, columns]."""
    if covariance == "tied":
        return jnp.broadcast_to(covariances[None], (components, columns, columns))
    if covariance == "spherical":
        covariances = jnp.broadcast_to(covariances[:, None], (components, columns))
    return jax.vmap(jnp.diag)(covariances)


def _products(parts: GaussianMixture) -> Array:
    """Sigma_k = A_k A_k^T in the data's units."""
    axes = jnp.eye(parts.columns)[None] if parts.axes is None else parts.axes
    roots = parts.unit[None, :, None] * axes * parts.scales[:, None, :]
    return jnp.matmul(roots, roots.transpose(0, 2, 1), precision="highest")


def _in_units(
    log_weights: Array, means: Array, full: Array, centre: Array, unit: Array, covariance: Covariance
) -> GaussianMixture:
    """The mixture with these moments, kept in these units."""
    locations = (means - centre[None]) / unit[None]
    standard = full / (unit[:, None] * unit[None, :])[None]
    if covariance in ("full", "tied"):
        variances, axes = jnp.linalg.eigh(standard)
    else:
        variances, axes = jnp.diagonal(standard, axis1=1, axis2=2), None
    return GaussianMixture(log_weights, locations, jnp.sqrt(variances), axes, centre, unit, covariance)


def _standardize(parts: GaussianMixture, x: Array) -> Array:
    return (x - parts.centre[None]) / parts.unit[None]


def _log_prob(parts: GaussianMixture, u: Array) -> Array:
    """log N of standardised rows under each part, float [rows, components]."""

    def one(part: tuple[Array, Array, Array | None]) -> Array:
        location, scale, axes = part
        deviation = u - location[None]
        if axes is None:
            squares = jnp.matmul(deviation**2, scale**-2, precision="highest")
        else:
            whitened = jnp.matmul(deviation, axes / scale[None], precision="highest")
            squares = (whitened**2).sum(1)
        return -0.5 * squares - jnp.log(scale).sum()

    # One part at a time: an array [components, rows, columns] would outgrow the memory.
    quadratic = jax.lax.map(one, (parts.locations, parts.scales, parts.axes)).T
    log_prob: Array = quadratic - 0.5 * parts.columns * math.log(2 * math.pi)
    return log_prob


def _maximize(
    u: Array, centre: Array, unit: Array, responsibilities: Array, floor: Array, covariance: Covariance
) -> GaussianMixture:
    """The M-step on standardised rows: the exact maximum over covariances with Sigma >= floor."""
    sizes = mixture.sizes_of(responsibilities)
    locations = jnp.matmul(responsibilities.T, u, precision="highest") / sizes[:, None]
    matrices = covariance in ("full", "tied")

    def scatter(part: tuple[Array, Array]) -> Array:
        location, r = part
        deviation = u - location[None]
        if not matrices:
            return jnp.matmul(r, deviation**2, precision="highest")
        deviation = jnp.sqrt(r)[:, None] * deviation
        return jnp.matmul(deviation.T, deviation, precision="highest")

    scatters = jax.lax.map(scatter, (locations, responsibilities.T))
    axes = None
    if covariance == "tied":
        variances, axes = jnp.linalg.eigh(scatters.sum(0) / sizes.sum())
        variances = jnp.broadcast_to(variances[None], locations.shape)
        axes = jnp.broadcast_to(axes[None], (len(locations), *axes.shape))
    elif covariance == "full":
        variances, axes = jnp.linalg.eigh(scatters / sizes[:, None, None])
    else:
        variances = scatters / sizes[:, None]
        if covariance == "spherical":
            variances = jnp.broadcast_to(variances.mean(1)[:, None], locations.shape)
    scales = jnp.sqrt(jnp.maximum(variances, floor))
    return GaussianMixture(mixture.log_weights_of(sizes), locations, scales, axes, centre, unit, covariance)


@partial(jax.jit, static_argnames=("components", "covariance", "seed", "max_iterations"))
def _fit(
    x: Array,
    starts: Any,
    tolerance: Array,
    floor: Array,
    *,
    components: int,
    covariance: Covariance,
    seed: str,
    max_iterations: int,
) -> Fit[GaussianMixture]:
    centre = x.mean(0)
    centre = centre + (x - centre[None]).mean(0)
    variances = ((x - centre[None]) ** 2).mean(0)
    if covariance == "spherical":
        variances = jnp.broadcast_to(variances.mean(), variances.shape)
    varies = (variances > 0) & ((x.max(0) > x.min(0)) | (covariance == "spherical"))
    unit = jnp.where(varies, jnp.sqrt(variances), 1)
    u = (x - centre[None]) / unit[None]
    volume = jnp.log(unit).sum()

    def expectation(parts: GaussianMixture) -> tuple[Array, Array]:
        log_prob, responsibilities = mixture.posterior(parts.log_weights, _log_prob(parts, u))
        return careful_mean(log_prob) - volume, responsibilities

    def maximization(_: GaussianMixture | None, responsibilities: Array) -> GaussianMixture:
        return _maximize(u, centre, unit, responsibilities, floor, covariance)

    def in_these_units(given: GaussianMixture) -> GaussianMixture:
        return _in_units(given.log_weights, given.means, _products(given), centre, unit, covariance)

    if isinstance(starts, GaussianMixture):
        starts = jax.vmap(in_these_units)(starts)
    return mixture.fit(
        x,
        starts,
        components,
        expectation,
        maximization,
        seed=seed,
        tolerance=tolerance,
        max_iterations=max_iterations,
        entries=len(x) * max(components, x.shape[1]),
    )


def fit_gaussian_mixture(
    key: Array,
    x: Any,
    components: int,
    *,
    covariance: Covariance = "full",
    start: Any = "kmeans",
    restarts: int | None = None,
    tolerance: float = 1e-3,
    max_iterations: int = 100,
    covariance_floor: float = 1e-6,
) -> Fit[GaussianMixture]:
    """Fits a mixture of Gaussians by EM: theta for which KL(data || p_theta) is smallest.

        E:  r_nk = pi_k N(x_n; mu_k, Sigma_k) / sum_j pi_j N(x_n; mu_j, Sigma_j)
        M:  n_k = sum_n r_nk,   pi_k = n_k / rows,   mu_k = sum_n r_nk x_n / n_k,
            Sigma_k = sum_n r_nk (x_n - mu_k)(x_n - mu_k)^T / n_k

    then tied (the mean over k, weighted by n_k), or cut down to its diagonal, or to the mean of that.

    Variances are held at or above a floor by raising the small ones to it, which is the exact M-step
    under that constraint. So the log-likelihood never falls (but for rounding: about 1e-6 of its size
    in float32), where adding the floor to every variance, as scikit-learn's ``reg_covar`` does, can
    lower it. Without a floor the likelihood has no maximum: a part on a single row gains for ever.

    The fit runs in the precision of ``x``: float32, or float64 under ``jax.enable_x64``. Call it
    outside of `jax.jit`, since it looks at the values of ``x``.

    Args:
        key: a typed key, for the start.
        x: the data, real [rows, columns].
        components: how many Gaussians, at most the number of rows.
        covariance: "full", "tied" (one matrix for all), "diag" or "spherical".
        start: "kmeans" (k-means++, then Lloyd's iterations on ``x`` as it is), "kmeans++" (its seeds
            only), labels int [rows], responsibilities float [rows, components], or a
            `GaussianMixture` of the same kind. Labels and responsibilities may have a first axis more:
            a start for each restart.
        restarts: starts to draw, of which the best fit is kept; 1 if left out.
        tolerance: the gain in mean log-likelihood, in nats a row, at which it stops.
        max_iterations: the most updates of a restart.
        covariance_floor: the smallest variance in any direction, relative to the data's: it holds when
            the columns are scaled to variance 1 (for "spherical", to a mean variance of 1). At least the
            smallest normal number of the fit's type, 1.2e-38 in float32.

    Returns:
        The best restart's fit; ``params`` is a `GaussianMixture`.

    Raises:
        TypeError: an argument is of a wrong type.
        ValueError: a shape or a value is outside of the above; the message names the argument.

    References:
        Dempster, Laird and Rubin 1977, "Maximum likelihood from incomplete data via the EM algorithm".
        Bishop 2006, "Pattern recognition and machine learning", section 9.2.2.
    """
    checks.choice("covariance", covariance, COVARIANCES)
    x, starts = mixture.prepare(
        key,
        x,
        components,
        start,
        GaussianMixture,
        restarts=restarts,
        tolerance=tolerance,
        max_iterations=max_iterations,
    )
    # A smaller one is zero in the fit's type, as good as no floor.
    number("covariance_floor", covariance_floor, at_least=float(jnp.finfo(x.dtype).tiny))
    if isinstance(starts, GaussianMixture):
        if starts.covariance != covariance:
            raise ValueError(f"start has {starts.covariance} covariances: they must be {covariance}")
        starts = jax.tree.map(lambda a: a.astype(x.dtype), starts)
    best: Fit[GaussianMixture] = _fit(
        x,
        starts,
        jnp.asarray(tolerance, x.dtype),
        jnp.asarray(covariance_floor, x.dtype),
        components=components,
        covariance=covariance,
        seed=start if isinstance(start, str) else "kmeans",
        max_iterations=max_iterations,
    )
    return best
