"""Which norm favours what: makes docs/images/norms.png and prints the tables of docs/norms.md.

    python docs/studies/norms.py

A constant is fitted to samples with outliers, and images of digits are restored from corrupted ones, with
each reconstruction error of `losses` in turn.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.stats
from jax import Array
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from sklearn.decomposition import PCA

import losses
from infogan_jax.config import Data
from infogan_jax.data import sources

PICTURE = Path(__file__).parents[1] / "images" / "norms.png"
SEED = 0
SCALES = (0.1, 0.02)
"""Of the smooth L0, where intensities are in [0, 1], first and last: the residual that counts half."""
RESOLUTION = 0.05
"""What the samples that a constant is fitted to are rounded to."""
SMOOTH_SCALES = (0.1, 0.05, 0.02, 0.01)
"""Of the smooth L0 of that constant: from wider than the samples' resolution to well below it."""
CLOSE = 1e-3
"""How far a constant of least error may be from its statistic."""
COMPONENTS = 10
FRACTIONS = (0.1, 0.2, 0.3, 0.4)
SIGMAS = (0.05, 0.1, 0.2, 0.3)
STEPS = 600
NAMES = ("L0", "L1", "L2")
COLOURS = {"L0": "C3", "L1": "C0", "L2": "C2"}
SMALL = 0.02
"""A residual below this is called zero."""


class Fit(NamedTuple):
    """The constants that the errors choose for samples, and the statistics that they should be."""

    samples: np.ndarray
    fitted: dict[str, float]
    expected: dict[str, float]
    smooth: dict[float, float]
    """What the smooth L0 chooses, by its scale."""


class Restoration(NamedTuple):
    """What is made of corrupted images: by error, root mean squared error and share of zero residuals."""

    rmse: dict[str, float]
    sparsity: dict[str, float]
    images: dict[str, np.ndarray]


def fit_constant(rng: np.random.Generator) -> Fit:
    """Finds the constant of least error, for samples of which a part are outliers.

    It is searched on a grid of 0.01 from -1 to 5, and then on one of 0.0001 around the best. The samples
    are rounded, as measurements are, so that they have a mode: the value met most often.

    Raises:
        ArithmeticError: a constant isn't the statistic that it should be, to `CLOSE`.
    """
    samples = np.concatenate([rng.normal(0, 0.15, 600), rng.exponential(0.8, 300), rng.normal(4, 0.2, 100)])
    samples = np.round(samples / RESOLUTION) * RESOLUTION

    def minimiser(error: Callable[[Array, Array], Array]) -> float:
        def best(grid: np.ndarray) -> float:
            x, constants = np.broadcast_arrays(np.float32(samples)[None], np.float32(grid)[:, None])
            return float(grid[int(jnp.argmin(error(x, constants)))])

        return best(best(np.linspace(-1, 5, 601)) + np.linspace(-0.01, 0.01, 201))

    fitted = {
        # Less than half of the finer step, so that "equal" is one constant; above float32's rounding.
        "L0": minimiser(partial(losses.l0_error, tolerance=4e-5)),
        "L1": minimiser(losses.l1_error),
        "L2": minimiser(losses.l2_error),
    }
    expected = {
        "L0": float(scipy.stats.mode(samples).mode),
        "L1": float(np.median(samples)),
        "L2": float(np.mean(samples)),
    }
    smooth = {s: minimiser(partial(losses.gaussian_l0_error, scale=s)) for s in SMOOTH_SCALES}
    found = fitted | {"smooth L0": smooth[SMOOTH_SCALES[-1]]}
    for name, value in found.items():
        statistic = expected[name.removeprefix("smooth ")]
        if abs(value - statistic) > CLOSE:
            raise ArithmeticError(f"{name} chooses {value}: the statistic is {statistic}")
    return Fit(samples, fitted, expected, smooth)


@partial(jax.jit, static_argnames="name")
def restore(name: str, images: Array, mean: Array, basis: Array) -> Array:
    """Fits each image by the mean plus a combination of the basis, with the least error of one norm.

    The smooth L0 has many minima: it starts where L1 ends, and its scale shrinks on the way.
    """
    optimizer = optax.adam(optax.cosine_decay_schedule(0.02 if name == "L0" else 0.1, STEPS))

    def error(coefficients: Array, step: Array) -> Array:
        made = mean + coefficients @ basis
        if name == "L2":
            return losses.l2_error(made, images).sum()
        if name == "L1":
            return losses.l1_error(made, images).sum()
        # A scale that moves: the residual is measured in units of it.
        first, last = SCALES
        scale = first * (last / first) ** (step / STEPS)
        return losses.geman_mcclure_error(made / scale, images / scale, scale=1.0).sum()

    def update(carry: tuple[Array, optax.OptState], step: Array) -> tuple[tuple[Array, optax.OptState], None]:
        coefficients, state = carry
        updates, state = optimizer.update(jax.grad(error)(coefficients, step), state)
        return (optax.apply_updates(coefficients, updates), state), None

    start = (images if name != "L0" else restore("L1", images, mean, basis)) - mean
    start = start @ basis.T
    (coefficients, _), _ = jax.lax.scan(update, (start, optimizer.init(start)), jnp.arange(STEPS))
    return mean + coefficients @ basis


def study_restoration(rng: np.random.Generator) -> tuple[dict[float, Restoration], dict[float, Restoration]]:
    """Restores held-out digits from wrong pixels, and from Gaussian noise; by fraction and by sigma."""
    dataset = sources.load(Data("digits", "digits"))
    train, test = (
        split.images.reshape(len(split.images), -1) / np.float32(255)
        for split in (dataset.train, dataset.test)
    )
    pca = PCA(COMPONENTS, random_state=SEED).fit(train)
    mean, basis = jnp.asarray(pca.mean_, jnp.float32), jnp.asarray(pca.components_, jnp.float32)
    # The truth is what the basis can say: what is left is the norm's doing alone.
    truth = np.asarray(mean + (test - mean) @ basis.T @ basis)

    def restored(corrupted: np.ndarray) -> Restoration:
        made = {name: np.asarray(restore(name, jnp.asarray(corrupted), mean, basis)) for name in NAMES}
        return Restoration(
            {name: float(np.sqrt(np.mean((x - truth) ** 2))) for name, x in made.items()},
            {name: float(np.mean(np.abs(x - corrupted) < SMALL)) for name, x in made.items()},
            {"corrupted": corrupted[:8], **{name: x[:8] for name, x in made.items()}, "truth": truth[:8]},
        )

    sparse, gaussian = {}, {}
    for fraction in FRACTIONS:
        wrong = rng.random(truth.shape) < fraction
        sparse[fraction] = restored(np.where(wrong, rng.random(truth.shape), truth).astype(np.float32))
    for sigma in SIGMAS:
        gaussian[sigma] = restored((truth + sigma * rng.normal(size=truth.shape)).astype(np.float32))
    return sparse, gaussian


def draw(fit: Fit, sparse: dict[float, Restoration], gaussian: dict[float, Restoration]) -> Figure:
    """The figure: penalties, the constants, the two restorations, and pictures."""
    figure = Figure(figsize=(13, 7.4), dpi=100, layout="constrained")
    grid = figure.add_gridspec(2, 4, height_ratios=(1, 1))
    axes = figure.add_subplot(grid[0, 0])
    r = np.linspace(-1, 1, 401, dtype=np.float32)[:, None]
    penalties = {
        "L0": losses.geman_mcclure_error(r, np.zeros_like(r), scale=SCALES[0]),
        "L1": losses.l1_error(r, np.zeros_like(r)),
        "L2": losses.l2_error(r, np.zeros_like(r)),
    }
    for name, penalty in penalties.items():
        label = f"smooth L0, scale {SCALES[0]:g}" if name == "L0" else name
        axes.plot(r[:, 0], penalty, color=COLOURS[name], label=label)
    axes.set(title="What a residual costs", xlabel="residual", ylabel="error", ylim=(0, 1.35))
    axes.legend(frameon=False, fontsize=8, loc="upper center")

    axes = figure.add_subplot(grid[0, 1])
    edges = RESOLUTION * (np.arange(-1 / RESOLUTION, 5.5 / RESOLUTION) - 0.5)
    axes.hist(fit.samples, bins=edges, color="0.8")
    for name, statistic in zip(NAMES, ("mode", "median", "mean"), strict=True):
        axes.axvline(fit.fitted[name], color=COLOURS[name], label=f"{name}: the {statistic}")
    axes.set(title="The constant of least error", xlabel="sample", ylabel="count")
    axes.legend(frameon=False, fontsize=8, loc="upper right")

    for column, (results, title, label) in enumerate(
        (
            (sparse, "Wrong pixels", "share of pixels replaced by noise"),
            (gaussian, "Gaussian noise", "standard deviation"),
        ),
        start=2,
    ):
        axes = figure.add_subplot(grid[0, column])
        for name in NAMES:
            axes.plot(
                list(results), [x.rmse[name] for x in results.values()], "o-", color=COLOURS[name], label=name
            )
        axes.set(title=f"{title}: restoration", xlabel=label, ylabel="RMSE to the truth")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=8)

    shown = sparse[FRACTIONS[2]].images
    pictures = figure.add_subplot(grid[1, :2])
    cells = np.stack([images.reshape(-1, 8, 8) for images in shown.values()]).clip(0, 1)
    sheet = np.pad(cells, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=0.5)
    sheet = sheet.swapaxes(1, 2).reshape(10 * len(shown), -1)
    pictures.imshow(sheet, cmap="gray_r", interpolation="nearest", aspect="equal")
    pictures.set_yticks(10 * np.arange(len(shown)) + 4.5, list(shown))
    pictures.set_xticks([])
    pictures.tick_params(length=0)
    pictures.set_title(f"{FRACTIONS[2]:.0%} of the pixels wrong")

    axes = figure.add_subplot(grid[1, 2:])
    width = 0.25
    for offset, name in zip((-width, 0, width), NAMES, strict=True):
        places = np.arange(len(sparse)) + offset
        axes.bar(places, [x.sparsity[name] for x in sparse.values()], width, color=COLOURS[name], label=name)
    axes.plot(
        np.arange(len(sparse)), [1 - f for f in FRACTIONS], "k_", markersize=40, label="pixels that are right"
    )
    axes.set_xticks(range(len(sparse)), [f"{f:.0%} wrong" for f in FRACTIONS])
    axes.set(title="Sparsity of the residual", ylabel=f"share of residuals below {SMALL}", ylim=(0, 1.15))
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper right", markerscale=0.3)
    for a in figure.axes:
        a.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    """Runs the studies, prints their tables and writes the figure."""
    rng = np.random.default_rng(SEED)
    fit = fit_constant(rng)
    sparse, gaussian = study_restoration(rng)
    console = Console(width=100)
    table = Table("error", "constant fitted", "statistic", "its value", title="Samples with outliers")
    for name, statistic in zip(NAMES, ("mode", "median", "mean"), strict=True):
        table.add_row(name, f"{fit.fitted[name]:.4f}", statistic, f"{fit.expected[name]:.4f}")
    for scale, constant in fit.smooth.items():
        table.add_row(f"smooth L0, {scale:g}", f"{constant:.4f}", "mode", f"{fit.expected['L0']:.4f}")
    console.print(table)
    for title, results in (("wrong pixels", sparse), ("Gaussian noise", gaussian)):
        table = Table(title, *(f"RMSE {n}" for n in NAMES), *(f"zeros {n}" for n in NAMES))
        for amount, result in results.items():
            figures = [f"{result.rmse[n]:.4f}" for n in NAMES] + [f"{result.sparsity[n]:.0%}" for n in NAMES]
            table.add_row(f"{amount:g}", *figures)
        console.print(table)
    draw(fit, sparse, gaussian).savefig(PICTURE, metadata={"Software": None})
    print(f"figure: {PICTURE}")


if __name__ == "__main__":
    main()
