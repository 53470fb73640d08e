"""A super-resolver measured on another folder of images than its run's."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from infogan_jax.data import folder as image_folder
from infogan_jax.data import image_files
from infogan_jax.errors import UserError
from infogan_jax.evaluation.own_images import check_super_resolver
from infogan_jax.evaluation.report import Measurement
from infogan_jax.evaluation.superresolution import BORDER, measure_images
from infogan_jax.images import write_atomically
from infogan_jax.tasks.superresolution import middles, spread
from infogan_jax.training import run_folder
from infogan_jax.training.checkpoints import restore

_SMALLEST = 11 + 2 * BORDER
"""Pixels at a side that SSIM's window and the border left out take."""

_SHOWN = 5


def evaluate_on(run_dir: Path, images: Path, *, step: int | None = None) -> tuple[Measurement, Path]:
    """Measures a checkpoint on all image files of a folder, such as Set5, Set14 or BSD100.

    Args:
        run_dir: the folder of a super-resolver's run.
        images: a folder of images of high resolution, none of which the run was trained on.
        step: which checkpoint; the newest by default.

    Returns:
        The measurement, and the folder that now holds it as `metrics.json` and `crops.png`: in the run's
        folder, `eval/on-NAME`.

    Raises:
        UserError: the run enlarges no images, the folder holds none, or one of them can't be read or is too
            small to be compared.
    """
    step = run_folder.find_step(run_dir, step)
    config = check_super_resolver(run_dir, step)
    own = config.data.folder
    if own and own.resolve() == images.resolve():
        raise UserError(
            f"--folder is {images}, on which {run_dir} was trained: leave it out for what was held out"
        )
    files = image_folder.files_in(images)
    _, state = restore(run_dir, step)
    _check(files, config.networks.factor)
    folder = run_dir / "eval" / f"on-{images.resolve().name}"
    folder.mkdir(parents=True, exist_ok=True)
    crops = middles(config, list(_read(spread(files))))
    measured = measure_images(config, state, _read(files), crops, folder, told=images.name)
    run = {
        "experiment": config.experiment,
        "seed": config.seed,
        "step": step,
        "folder": str(images.resolve()),
    }
    measured = measured._replace(metrics=run | measured.metrics)
    write_atomically(folder / "metrics.json", (json.dumps(measured.metrics, indent=2) + "\n").encode())
    return measured, folder


def _read(files: Sequence[Path]) -> Iterator[np.ndarray]:
    """In colour, one at a time."""
    return (image_files.read(file, channels=3) for file in files)


def _check(files: Sequence[Path], factor: int) -> None:
    """Refuses a folder of which not all can be measured: a mean over the rest would be of another set."""
    reasons = []
    for file in files:
        try:
            height, width, _ = image_files.read(file).shape
        except image_files.Unreadable as reason:
            reasons.append(f"{file.name} ({reason})")
            continue
        if min(height, width) // factor * factor < _SMALLEST:
            least = -(-_SMALLEST // factor) * factor
            reasons.append(f"{file.name} ({width}x{height} pixels, of {least}x{least} that SSIM takes)")
    if reasons:
        shown = ", ".join(reasons[:_SHOWN]) + (", ..." if len(reasons) > _SHOWN else "")
        raise UserError(
            f"{files[0].parent}: can't measure {len(reasons)} of its image files: {shown}; take them out"
        )
