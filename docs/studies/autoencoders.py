"""Which reconstruction error keeps what: makes docs/images/EXPERIMENT.png and prints the table.

    python docs/studies/autoencoders.py masks --folder DIR
    python docs/studies/autoencoders.py digits-autoencoder

The preset is trained with each reconstruction error and three seeds: the same network, steps and images.
DIR holds images of layouts. Runs that are finished are not trained again.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from infogan_jax.config import AutoencoderConfig, ReconstructionError
from infogan_jax.data import sources
from infogan_jax.data.dataset import Dataset
from infogan_jax.evaluation.evaluate import evaluate
from infogan_jax.experiments import EXPERIMENTS
from infogan_jax.images import tile
from infogan_jax.tasks import autoencoder
from infogan_jax.training import loop, run_folder
from infogan_jax.training.checkpoints import restore
from infogan_jax.training.run_folder import Run

IMAGES = Path(__file__).parents[1] / "images"
ERRORS: tuple[ReconstructionError, ...] = get_args(ReconstructionError)
SEEDS = (0, 1, 2)

AUTOENCODERS = {name: preset for name, preset in EXPERIMENTS.items() if isinstance(preset, AutoencoderConfig)}


def measure(config: AutoencoderConfig, run_dir: Path, dataset: Dataset) -> dict[str, Any]:
    """Trains where that hasn't been done yet, and measures on held-out images."""
    done = run_folder.steps(run_dir)
    if not done or done[-1] < config.train.steps:
        loop.train([Run(config, run_dir, done[-1] if done else None)], dataset)
    return evaluate(run_dir, dataset=dataset).metrics


def columns(metrics: dict[str, Any]) -> dict[str, tuple[float, int]]:
    """The table's columns: a run's figure and its decimals, by heading."""
    edge, unit = metrics["edge_placement_error"], metrics["edge_placement_error"]["unit"]
    errors = {name.upper(): (value, 4) for name, value in metrics["errors_per_pixel"].items()}
    return errors | {
        "wrong pixels, %": (100 * metrics["pixel_error_rate"], 2),
        "IoU": (metrics["iou"], 4),
        f"edges, {unit}": (edge["mean"], 2),
        f"worst, {unit}": (edge["worst"], 1),
    }


def summarise(runs: list[dict[str, Any]]) -> dict[str, str]:
    """Mean and standard deviation over the seeds, by heading."""
    figures = [columns(metrics) for metrics in runs]
    summary = {}
    for heading, (_, decimals) in figures[0].items():
        values = [run[heading][0] for run in figures]
        summary[heading] = f"{np.mean(values):.{decimals}f} ± {np.std(values, ddof=1):.{decimals}f}"
    return summary


def pictures(run_dir: Path, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The first held-out images, and what the trained network makes of them; each one row of a picture."""
    config, state = restore(run_dir, run_folder.find_step(run_dir))
    images, columns = autoencoder.samples(config, dataset)(state)
    wanted, made = (tile(images[start : start + columns], columns) for start in (0, columns))
    return wanted[..., 0], made[..., 0]


def draw(path: Path, rows: dict[str, np.ndarray]) -> None:
    """Writes the rows below each other, each with its name."""
    figure = Figure(figsize=(9, 1.1 * len(rows)), dpi=120, layout="constrained")
    axes = figure.subplots(len(rows))
    for ax, (name, pixels) in zip(axes, rows.items(), strict=True):
        ax.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    figure.savefig(path, bbox_inches="tight")


def main() -> None:
    """Trains and measures, prints the table and writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", choices=AUTOENCODERS)
    parser.add_argument("--folder", type=Path, help="the directory of layout images, for masks")
    parser.add_argument("--runs", type=Path, default=Path("runs/autoencoders"), help="where the runs go")
    parser.add_argument("--steps", type=int, help="training steps; the preset's by default")
    parser.add_argument("--pixel-size", type=float, default=0.0, help="nanometres a pixel; 0: in pixels")
    options = parser.parse_args()
    if (options.folder is None) == (options.experiment == "masks"):
        parser.error("--folder goes with masks, and masks with --folder")
    preset = AUTOENCODERS[options.experiment]
    preset = replace(
        preset,
        data=replace(preset.data, folder=options.folder),
        train=replace(preset.train, steps=options.steps or preset.train.steps),
        pixel_size=options.pixel_size,
    )
    dataset = sources.load(preset.data)

    table, rows = None, {}
    for error in ERRORS:
        folders = [options.runs / f"{preset.experiment}-{error}-s{seed}" for seed in SEEDS]
        summary = summarise(
            [
                measure(replace(preset, error=error, seed=seed), folder, dataset)
                for seed, folder in zip(SEEDS, folders, strict=True)
            ]
        )
        table = table or Table("error", *summary, title=f"mean ± deviation of {len(SEEDS)} seeds")
        table.add_row(error, *summary.values())
        rows["held out"], rows[error] = pictures(folders[0], dataset)
    Console(width=140).print(table)
    draw(IMAGES / f"{preset.experiment}.png", rows)


if __name__ == "__main__":
    main()
