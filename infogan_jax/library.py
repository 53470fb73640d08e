"""What the command lines do, for a notebook or another program: plain objects, nothing printed unasked."""

import base64
import html
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
from rich.console import Console

from infogan_jax.config import Config, validate
from infogan_jax.data import sources
from infogan_jax.evaluation import evaluate as measuring
from infogan_jax.evaluation.report import Measurement
from infogan_jax.training import loop, memory, run_folder
from infogan_jax.training.devices import check_batch
from infogan_jax.training.logging import Record, read_records
from infogan_jax.training.preparation import (
    check_arrays,
    check_images,
    check_new_folder,
    check_resumed,
    check_writable,
)
from infogan_jax.training.recovery import holding


class Training(NamedTuple):
    """A run that was trained, which a notebook shows as its last samples.

    Attributes:
        folder: the run's, for `evaluate` and `load`.
        config: what it was trained with.
        step: how far it is.
        records: its log: step, seconds, rates and metrics.
        stopped: the signal that stopped it before ``config.train.steps``, SIGINT for a notebook's interrupt;
            everything is saved, and ``resume`` goes on.
    """

    folder: Path
    config: Config
    step: int
    records: list[Record]
    stopped: str | None

    @property
    def samples(self) -> list[Path]:
        """The pictures of samples, oldest first."""
        return sorted((self.folder / "samples").glob("*.png"))

    def _repr_html_(self) -> str:
        told = f"{self.config.experiment}, seed {self.config.seed}: step {self.step:,}"
        pictures = (_picture_html(file, f"Samples at step {int(file.stem):,}") for file in self.samples[-1:])
        return f"<p>{html.escape(told)}</p>" + "".join(pictures)


class Explorer(NamedTuple):
    """The page in which a run's generator runs, which a notebook shows in a frame.

    Attributes:
        file: the page, which opens from disk too.
    """

    file: Path

    def _repr_html_(self) -> str:
        # The page itself, and no address that holds it: browsers open none of more than 2 MB in a frame.
        page = html.escape(self.file.read_text(encoding="utf-8"))
        style = "width: 100%; height: 45rem; border: 0"
        return f'<iframe title="Explorer of the codes" style="{style}" srcdoc="{page}"></iframe>'


class Evaluation(NamedTuple):
    """What was measured of a run, which a notebook shows as a table and pictures.

    Attributes:
        metrics: JSON values by name, as in the run's `eval/metrics.json`.
        results: (name, value, meaning) of each measurement.
        pictures: (caption, PNG file).
        report: the page about the run.
        explorer: the page in which its generator runs, shown in a frame; None where it has none.
    """

    metrics: dict[str, Any]
    results: list[tuple[str, str, str]]
    pictures: list[tuple[str, Path]]
    report: Path
    explorer: Explorer | None

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.results
        )
        pictures = (f"<p>{html.escape(told)}</p>{_picture_html(file, told)}" for told, file in self.pictures)
        return f"<table>{rows}</table>{''.join(pictures)}"


def train(config: Config, run_dir: str | Path, *, resume: bool = False, progress: bool = False) -> Training:
    """Trains one run on all local devices, as `train.py` does, without measuring it.

    Args:
        config: one of `experiments`, or what `dataclasses.replace` makes of it.
        run_dir: the run's folder, which must be new or empty.
        resume: go on from the newest checkpoint in the folder; where there is none, begin.
        progress: whether a progress line, and what is to be said of a folder that is resumed, goes to
            standard error.

    Returns:
        The run.

    Raises:
        UserError: the configuration, the folder or the data set is not as it must be, or memory can't
            hold it.
        NonFiniteError: a loss or gradient stopped being finite; the checkpoints before it are kept.
    """
    folder = Path(run_dir)
    validate(config)
    start = None
    if resume and run_folder.steps(folder):
        start, _ = run_folder.newest_whole(folder)
        check_writable(folder)
        config = check_resumed(run_folder.config(folder, start), config, folder, start)
    else:
        check_new_folder(folder)
    check_images(config, sources.check(config.data))
    memory.check_data(sources.nbytes(config.data), sources.fewer(config.data))
    devices = jax.local_devices()
    check_batch(config.train, devices)
    run = check_arrays(run_folder.Run(config, folder, start))
    dataset = sources.load(config.data)
    memory.check(config, dataset.train.images, devices)
    console = Console(stderr=True, quiet=not progress)
    with holding(run, partial(console.out, highlight=False)):
        stopped = loop.train([run], dataset, devices=devices, console=console)
    step = run_folder.find_step(folder)
    return Training(folder, run.config, step, read_records(folder), stopped.name if stopped else None)


def evaluate(run_dir: str | Path, *, step: int | None = None) -> Evaluation:
    """Measures a run's checkpoint and writes its report, as `eval.py` does.

    Args:
        run_dir: the run's folder.
        step: which checkpoint; the newest by default.

    Returns:
        What was measured.

    Raises:
        UserError: the folder holds no such checkpoint, or the run's data set is not there.
    """
    folder = Path(run_dir)
    measured: Measurement = measuring.evaluate(folder, step=step)
    explorer = folder / "explorer.html"
    return Evaluation(
        metrics=measured.metrics,
        results=measured.results,
        pictures=measured.pictures,
        report=folder / "report.html",
        explorer=Explorer(explorer) if explorer.exists() else None,
    )


def _picture_html(file: Path, told: str) -> str:
    """A PNG file as an element that holds it, and what it shows for who doesn't see it."""
    data = base64.b64encode(file.read_bytes()).decode("ascii")
    return f'<img alt="{html.escape(told)}" src="data:image/png;base64,{data}">'
