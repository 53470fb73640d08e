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
from infogan_jax.evaluation.superresolution import measure_images
from infogan_jax.images import SMALLEST_COMPARED, write_atomically
from infogan_jax.tasks.superresolution import middles, spread
from infogan_jax.training import run_folder
from infogan_jax.training.checkpoints import restore

_SHOWN = 5


def evaluate_on(run_dir: Path, images: Path, *, step: int | None = None) -> tuple[Measurement, Path]:
    """Measures a checkpoint on all image files of a folder, such as Set5, Set14 or BSD100.

    Args:
        run_dir: the folder of a super-resolver's run.
        images: a folder of images of high resolution, none of which the run was trained on.
        step: which checkpoint; the newest by default.

    Returns:
        The measurement, and the folder that now holds it as `metrics.json` and `crops.png`: in the run's
        folder, `eval/on-NAME`, or `eval/on-NAME-2` and so on where another folder of that name was measured.

    Raises:
        UserError: the run enlarges no images, the folder holds none or some of the run's own, or one of them
            can't be read or is too small to be compared.
    """
    step = run_folder.find_step(run_dir, step)
    config = check_super_resolver(run_dir, step)
    files = _files_apart(images, run_dir, config.data.folder)
    _, state = restore(run_dir, step)
    _check(files, config.networks.factor)
    folder = _place(run_dir / "eval", images.resolve())
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


def _files_apart(images: Path, run_dir: Path, own: Path | None) -> list[Path]:
    """The folder's files, none of which is the run's own by way of a link either."""
    trained = f"on which {run_dir} was trained: leave it out for what was held out"
    if own and own.resolve() in (images.resolve(), *images.resolve().parents):
        raise UserError(f"--folder is {images}, in {own}, {trained}")
    files = image_folder.files_in(images)
    if own and own.is_dir():
        seen = set(map(_identity, image_folder.files_below(own)))
        shared = [file for file in files if _identity(file) in seen]
        if shared:
            raise UserError(f"--folder is {images}, whose {shared[0].name} is in {own}, {trained}")
    return files


def _identity(file: Path) -> tuple[int, int] | Path:
    """What is the same of two names for one file."""
    try:
        found = file.stat()
    except OSError:
        return file
    return found.st_dev, found.st_ino


def _place(evaluations: Path, images: Path) -> Path:
    """Where a folder's figures go: no folder's take the place of another's."""
    names = (f"on-{images.name}", *(f"on-{images.name}-{number}" for number in range(2, 10_000)))
    return next(evaluations / name for name in names if _is_for(evaluations / name, images))


def _is_for(folder: Path, images: Path) -> bool:
    metrics = folder / "metrics.json"
    return not metrics.exists() or json.loads(metrics.read_text())["folder"] == str(images)


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
        least = -(-SMALLEST_COMPARED // factor) * factor
        if min(height, width) < least:
            reasons.append(f"{file.name} ({width}x{height} pixels, of {least}x{least} that SSIM takes)")
    if reasons:
        shown = ", ".join(reasons[:_SHOWN]) + (", ..." if len(reasons) > _SHOWN else "")
        raise UserError(
            f"{files[0].parent}: can't measure {len(reasons)} of its image files: {shown}; take them out"
        )
