"""Which error suits photolithography masks: makes docs/images/masks.png and the table of docs/masks.md.

    python docs/studies/masks.py DIR

DIR holds images of layouts. The preset `masks` is trained with each reconstruction error and three seeds:
the same network, steps and images. Runs that are finished are not trained again.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from infogan_jax.config import ReconstructionError
from infogan_jax.data import sources
from infogan_jax.data.dataset import Dataset
from infogan_jax.evaluation.evaluate import evaluate
from infogan_jax.experiments import EXPERIMENTS
from infogan_jax.images import enlarge, save_png
from infogan_jax.training import loop, run_folder

PICTURE = Path(__file__).parents[1] / "images" / "masks.png"
SEEDS = (0, 1, 2)
SHOWN = 8
"""Columns of the picture."""


def measure(error: str, seed: int, options: argparse.Namespace, dataset: Dataset) -> dict[str, Any]:
    """Trains where that hasn't been done yet, and measures on held-out images."""
    preset = EXPERIMENTS["masks"]
    config = replace(
        preset,
        data=replace(preset.data, folder=options.folder),
        train=replace(preset.train, steps=options.steps or preset.train.steps),
        error=error,
        seed=seed,
        pixel_size=options.pixel_size,
    )
    run_dir = options.runs / f"{error}-s{seed}"
    done = run_folder.steps(run_dir)
    if not done or done[-1] < config.train.steps:
        loop.train(config, dataset, run_dir, resume_from=done[-1] if done else None)
    return evaluate(run_dir, dataset=dataset).metrics


def main() -> None:
    """Trains and measures, prints the table and writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the directory of layout images")
    parser.add_argument("--runs", type=Path, default=Path("runs/masks-study"), help="where the runs go")
    parser.add_argument("--steps", type=int, help="training steps; the preset's by default")
    parser.add_argument("--pixel-size", type=float, default=4.0, help="nanometres a pixel")
    options = parser.parse_args()
    dataset = sources.load(replace(EXPERIMENTS["masks"].data, folder=options.folder))

    table = Table(
        "error", "wrong pixels", "IoU", "edge placement", "worst edge", title="mean ± deviation of 3 seeds"
    )
    rows = []
    for error in get_args(ReconstructionError):
        runs = [measure(error, seed, options, dataset) for seed in SEEDS]
        figures = {
            "pixels": ([100 * m["pixel_error_rate"] for m in runs], "{:.2f} ± {:.2f} %"),
            "iou": ([m["iou"] for m in runs], "{:.4f} ± {:.4f}"),
            "mean": ([m["edge_placement_error"]["mean"] for m in runs], "{:.2f} ± {:.2f} nm"),
            "worst": ([m["edge_placement_error"]["worst"] for m in runs], "{:.1f} ± {:.1f} nm"),
        }
        table.add_row(
            error,
            *(text.format(np.mean(values), np.std(values, ddof=1)) for values, text in figures.values()),
        )
        # Rows 0 and 1 of a run's sheet are the first held-out images and what the network makes of them.
        with Image.open(options.runs / f"{error}-s{SEEDS[0]}" / "samples" / _newest(options, error)) as sheet:
            pixels = np.asarray(sheet.convert("L"))
        height = dataset.image_shape[0] + 2
        if not rows:
            rows.append(pixels[:height])
        rows.append(pixels[height : 2 * height])
    Console(width=100).print(table)
    save_png(PICTURE, enlarge(np.concatenate(rows)[..., np.newaxis], 2))
    print(f"picture: {PICTURE}: the images, then by row {', '.join(get_args(ReconstructionError))}")


def _newest(options: argparse.Namespace, error: str) -> str:
    return sorted(path.name for path in (options.runs / f"{error}-s{SEEDS[0]}" / "samples").iterdir())[-1]


if __name__ == "__main__":
    main()
