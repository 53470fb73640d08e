"""The figure of docs/closeness.md: forward KL covers, reverse KL seeks modes, EM beside a gradient.

    python docs/studies/closeness.py

Every optimum is checked against a numerical integral before anything is drawn.
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.integrate
import scipy.optimize
import scipy.stats
import tyro
from jax import Array
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from infogan_jax.fitting import (
    Fit,
    GaussianMixture,
    GradientFit,
    fit_by_gradient,
    fit_gaussian_mixture,
    forward_objective,
    gaussian_log_density,
    grid_objective,
    mixture_log_density,
)

WEIGHTS, MEANS, SCALES = np.array([0.65, 0.35]), np.array([-3.0, 3.0]), np.array([0.8, 1.1])
"""The target p: two Gaussians."""
LOW, HIGH, POINTS = -14.0, 14.0, 1401
ROWS = 2000
"""Draws of p that the two maximum likelihood fits share."""
RATES = {0.05: "#cc79a7", 0.2: "#56b4e9"}
"""Adam's learning rates, and their colours."""
TOLERANCE = 2e-3
"""How far an optimum may be from the numerical integral's, in theta and in nats."""
COLOURS = {"p": "0.55", "forward": "#0072b2", "reverse": "#d55e00", "other": "#e69f00", "between": "#7f3b08"}


@dataclasses.dataclass(frozen=True)
class Options:
    """Fits one Gaussian to two modes by both divergences, and a mixture by EM and by gradient."""

    seed: int = 0
    """Seed of the draws."""
    figure: Path = Path(__file__).parents[1] / "images" / "closeness.png"
    """Where the figure is written."""


def log_p(x: Array) -> Array:
    """The target's log-density, [rows]."""
    parts = -0.5 * ((x - MEANS[None]) / SCALES[None]) ** 2 + jnp.log(WEIGHTS / SCALES)[None]
    return jax.nn.logsumexp(parts, axis=1) - 0.5 * jnp.log(2 * jnp.pi)


def divergence(theta: np.ndarray, direction: str) -> float:
    """KL between p and a Gaussian with mean theta[0] and log-scale theta[1], by adaptive quadrature."""
    q = scipy.stats.norm(theta[0], np.exp(theta[1]))

    def integrand(x: float) -> float:
        parts = np.log(WEIGHTS) + scipy.stats.norm.logpdf(x, MEANS, SCALES)
        log_p = np.logaddexp(*parts)
        if direction == "forward":
            return np.exp(log_p) * (log_p - q.logpdf(x))
        return q.pdf(x) * (q.logpdf(x) - log_p)

    low, high = (LOW, HIGH) if direction == "forward" else (q.mean() - 10 * q.std(), q.mean() + 10 * q.std())
    return scipy.integrate.quad(integrand, low, high, limit=500, epsabs=1e-11, points=[0.0])[0]


def fit_one_gaussian(direction: str, mean: float, scale: float) -> tuple[np.ndarray, float, float]:
    """theta, its divergence, and its distance from the numerical integral's optimum."""
    x = jnp.linspace(LOW, HIGH, POINTS)[:, None]
    spacing = (HIGH - LOW) / (POINTS - 1)
    objective = grid_objective(log_p, gaussian_log_density, x, spacing, direction=direction)
    start = {"mean": jnp.array([mean]), "log_scale": jnp.log(jnp.array([scale]))}
    optimizer = optax.adam(optax.cosine_decay_schedule(0.1, 800))
    fit = fit_by_gradient(jax.random.key(0), objective, start, optimizer, steps=800)
    theta = np.array([fit.params["mean"][0], fit.params["log_scale"][0]], np.float64)
    exact = scipy.optimize.minimize(divergence, [1.1 * mean, np.log(scale)], args=(direction,))
    distance = max(np.abs(theta - exact.x).max(), abs(fit.trace[-1] - exact.fun))
    return theta, float(fit.trace[-1]), float(distance)


def fit_mixture(seed: int) -> tuple[Fit[GaussianMixture], dict[float, GradientFit]]:
    """One likelihood, one start, two ways up: EM and Adam."""
    rng = np.random.default_rng(seed)
    parts = rng.choice(2, size=ROWS, p=WEIGHTS)
    x = rng.normal(MEANS[parts], SCALES[parts]).astype(np.float32)[:, None]
    weights, means, scales = np.full(2, 0.5), np.array([-0.5, 0.5]), np.full(2, 3.0)
    start = GaussianMixture.from_moments(weights, means[:, None], scales[:, None] ** 2, "diag")
    key = jax.random.key(seed)
    by_em = fit_gaussian_mixture(
        key, x, 2, covariance="diag", start=start, tolerance=1e-7, max_iterations=300
    )

    theta = {"logits": np.zeros(2), "means": means[:, None], "log_scales": np.log(scales)[:, None]}
    theta = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), theta)
    objective = forward_objective(lambda _: jnp.asarray(x), mixture_log_density)
    by_gradient = {
        rate: fit_by_gradient(key, objective, theta, optax.adam(rate), steps=300) for rate in RATES
    }
    return by_em, by_gradient


def best_over_scales(means: np.ndarray, direction: str) -> np.ndarray:
    """The smallest divergence of a Gaussian with each mean, over its scale, on a grid of both."""
    x = np.linspace(LOW, HIGH, 701)
    spacing = x[1] - x[0]
    target = np.logaddexp(
        *(np.log(WEIGHTS)[:, None] + scipy.stats.norm.logpdf(x, MEANS[:, None], SCALES[:, None]))
    )
    log_q = scipy.stats.norm.logpdf(x, means[:, None, None], np.geomspace(0.3, 8, 120)[None, :, None])
    mean_over = np.exp(target) if direction == "forward" else np.exp(log_q)
    sign = 1 if direction == "forward" else -1
    return (sign * spacing * (mean_over * (target - log_q)).sum(2)).min(1)


def draw(path: Path, optima: dict[str, tuple], by_em: Fit, by_gradient: dict[float, GradientFit]) -> None:
    """Three panels: the fits, the reverse divergence's two basins, and the two traces."""
    figure = Figure(figsize=(15, 4.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    fits, basins, traces = figure.subplots(1, 3, width_ratios=(1.15, 1, 1))

    x = np.linspace(-8, 8, 801)
    p = WEIGHTS @ scipy.stats.norm.pdf(x[None], MEANS[:, None], SCALES[:, None])
    fits.fill_between(x, p, color=COLOURS["p"], alpha=0.35, linewidth=0, label="p, two modes")
    names = {
        "forward": "argmin KL(p ‖ q): covers both",
        "reverse": "argmin KL(q ‖ p): the heavier mode",
        "other": "local optimum of KL(q ‖ p): the other mode",
        "between": "local optimum of KL(q ‖ p): between",
    }
    for name, label in names.items():
        theta, nats, _ = optima[name]
        q = scipy.stats.norm.pdf(x, theta[0], np.exp(theta[1]))
        style = {"other": "--", "between": ":"}.get(name, "-")
        fits.plot(x, q, style, color=COLOURS[name], linewidth=2, label=f"{label} ({nats:.2f} nats)")
    fits.set(xlabel="x", ylabel="density", ylim=(0, 0.82), title="The Gaussian q closest to p")
    fits.legend(loc="upper left", fontsize=8.5, frameon=False)

    means = np.linspace(-6, 6, 121)
    for name, direction in (("forward", "forward"), ("reverse", "reverse")):
        curve = best_over_scales(means, direction)
        label = {"forward": "KL(p ‖ q)", "reverse": "KL(q ‖ p)"}[direction]
        basins.plot(means, curve, color=COLOURS[name], linewidth=2, label=label)
    for name, (theta, nats, _) in optima.items():
        basins.plot(theta[0], nats, "o", color=COLOURS[name], markersize=8, clip_on=False)
    basins.set(
        xlabel="mean of q (its scale at the best value)",
        ylabel="nats",
        ylim=(0, None),
        title="Each mean's best divergence; dots: found by gradient",
    )
    basins.legend(loc="upper right", frameon=False)

    climbs = {"EM": (by_em.trace, "#009e73")} | {
        f"Adam, learning rate {rate}": (-fit.trace, RATES[rate]) for rate, fit in by_gradient.items()
    }
    best = max(trace.max() for trace, _ in climbs.values())
    for name, (trace, colour) in climbs.items():
        traces.plot(np.arange(len(trace)), trace, color=colour, linewidth=2, label=name)
    traces.axhline(best, color="0.6", linewidth=1, linestyle=":", label=f"maximum, {best:.3f}")
    traces.set(
        xlabel="updates",
        ylabel="mean log-likelihood (nats)",
        xlim=(0, 150),
        title=f"A mixture fitted to {ROWS:,} draws, from one start",
    )
    traces.legend(loc="lower right", frameon=False)
    for axes in (fits, basins, traces):
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main(options: Options) -> None:
    """Fits, checks, prints and draws."""
    optima = {
        "forward": fit_one_gaussian("forward", 0.0, 1.0),
        "reverse": fit_one_gaussian("reverse", -2.0, 0.5),
        "other": fit_one_gaussian("reverse", 2.0, 0.5),
        "between": fit_one_gaussian("reverse", 0.5, 3.0),
    }
    by_em, by_gradient = fit_mixture(options.seed)
    mean = WEIGHTS @ MEANS
    moments = mean, np.sqrt(WEIGHTS @ (SCALES**2 + MEANS**2) - mean**2)
    table = Table(title=f"p's mean and standard deviation: {moments[0]:.4f}, {moments[1]:.4f}")
    for heading in ("fit", "mean of q", "its deviation", "nats", "from the integral's optimum"):
        table.add_column(heading, justify="right")
    for name, (theta, nats, distance) in optima.items():
        cells = (theta[0], np.exp(theta[1]), nats)
        table.add_row(name, *(f"{value:.4f}" for value in cells), f"{distance:.0e}")
        if distance > TOLERANCE:
            raise SystemExit(f"{name}: {distance:.1e} from the numerical integral's optimum")
    console = Console()
    console.print(table)
    climbs = {f"EM ({by_em.reason})": by_em.trace}
    climbs |= {f"Adam {rate}": -fit.trace for rate, fit in by_gradient.items()}
    for name, trace in climbs.items():
        console.print(
            f"{name}: {trace[-1]:.5f} after {len(trace) - 1} updates; within 0.001 of the best "
            f"after {np.argmax(trace > trace.max() - 1e-3)}; smallest gain {np.diff(trace).min():.1e}"
        )
    draw(options.figure, optima, by_em, by_gradient)
    console.print(f"{options.figure}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
