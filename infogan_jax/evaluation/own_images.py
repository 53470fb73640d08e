"""A user's own image files, enlarged by a run's generator and written as PNG files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from infogan_jax.config import SuperResolutionConfig
from infogan_jax.data import folder as image_folder
from infogan_jax.data import image_files
from infogan_jax.errors import UserError
from infogan_jax.evaluation.enlargement import enlarge_image
from infogan_jax.images import save_png
from infogan_jax.training import run_folder
from infogan_jax.training.checkpoints import restore
from infogan_jax.training.preparation import check_writable

MAX_PIXELS = 2**28
"""16384 x 16384: 0.8 GB in memory. An image that would become larger is refused."""

_SHOWN = 5


def enlarge_files(
    run_dir: Path, paths: Sequence[Path], out: Path, *, step: int | None = None
) -> Iterator[Path]:
    """Super-resolves image files; each becomes a PNG file of its own name.

    What is grey stays grey. Transparency lies on white and of 16 bits a value the upper eight are kept, as
    `image_files.read` says.

    Args:
        run_dir: the folder of a super-resolver's run.
        paths: image files, and folders of them.
        out: the folder for the results, made where it isn't there. No file in it is ever replaced.
        step: which checkpoint; the newest by default.

    Yields:
        The files, as they are written.

    Raises:
        UserError: before anything is written: the run enlarges no images, a path leads nowhere, a result's
            name is taken or wanted twice. Once all others are written: files couldn't be enlarged.
    """
    step = run_folder.find_step(run_dir, step)
    config = check_super_resolver(run_dir, step)
    results = _results(paths, out)
    check_writable(out)
    _, state = restore(run_dir, step)
    out.mkdir(parents=True, exist_ok=True)
    failed = []
    for result, file in results.items():
        try:
            image = image_files.read(file)
            _check_size(image, config.networks.factor)
        except image_files.Unreadable as reason:
            failed.append(f"{file} ({reason})")
            continue
        colour = np.broadcast_to(image, (*image.shape[:2], 3))
        made = enlarge_image(config, state.params["generator"], state.stats, colour)
        if image.shape[-1] == 1:
            made = np.asarray(Image.fromarray(made).convert("L"))[..., np.newaxis]
        _write_new(result, made)
        yield result
    if failed:
        shown = ", ".join(failed[:_SHOWN]) + (", ..." if len(failed) > _SHOWN else "")
        raise UserError(f"{len(failed)} of {len(results)} images could not be enlarged: {shown}")


def check_super_resolver(run_dir: Path, step: int) -> SuperResolutionConfig:
    """The run's configuration; refuses a run of another task.

    Raises:
        UserError: it is one.
    """
    config = run_folder.config(run_dir, step)
    if not isinstance(config, SuperResolutionConfig):
        raise UserError(
            f"{run_dir} is a run of {config.experiment}, which enlarges no images: name one of "
            "wildlife-content, wildlife, srresnet or srgan"
        )
    return config


def _results(paths: Sequence[Path], out: Path) -> dict[Path, Path]:
    """The files to enlarge, by the file that each becomes."""
    results: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise UserError(f"--images has {path}, which is not there: name files, or folders of them")
        for file in image_folder.files_in(path) if path.is_dir() else [path]:
            result = out / f"{file.stem}.png"
            if result in results:
                raise UserError(
                    f"{results[result]} and {file} would both become {result}: enlarge one of them into "
                    "another folder with --out"
                )
            if result.exists():
                raise UserError(f"{result} is there already: name another folder with --out, or take it away")
            results[result] = file
    return results


def _check_size(image: np.ndarray, factor: int) -> None:
    height, width = factor * image.shape[0], factor * image.shape[1]
    if height * width > MAX_PIXELS:
        raise image_files.Unreadable(
            f"{width}x{height} pixels, which it would have, are more than {MAX_PIXELS:,}"
        )


def _write_new(path: Path, image: np.ndarray) -> None:
    """Writes a PNG file, but never over another, not even one that has come meanwhile."""
    path.touch(exist_ok=False)
    try:
        save_png(path, image)
    except BaseException:
        path.unlink()
        raise
