"""What the command lines do, for a notebook or another program: plain objects, nothing printed unasked."""

import base64
import html
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
from infogan_jax.training.lock import locked
from infogan_jax.training.logging import Record, read_records
from infogan_jax.training.preparation import (
    check_arrays,
    check_images,
    check_new_folder,
    check_resumed,
    check_writable,
)
from infogan_jax.training.recovery import go_back


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
        return f"<p>{html.escape(told)}</p>" + "".join(map(_picture_html, self.samples[-1:]))


class Evaluation(NamedTuple):
    """What was measured of a run, which a notebook shows as a table and pictures.

    Attributes:
        metrics: JSON values by name, as in the run's `eval/metrics.json`.
        results: (name, value, meaning) of each measurement.
        pictures: (caption, PNG file).
        report: the page about the run.
        explorer: the page in which its generator runs; None where it has none.
    """

    metrics: dict[str, Any]
    results: list[tuple[str, str, str]]
    pictures: list[tuple[str, Path]]
    report: Path
    explorer: Path | None

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.results
        )
        pictures = "".join(f"<p>{html.escape(told)}</p>{_picture_html(file)}" for told, file in self.pictures)
        return f"<table>{rows}</table>{pictures}"


def train(config: Config, run_dir: str | Path, *, resume: bool = False, progress: bool = False) -> Training:
    """Trains one run on all local devices, as `train.py` does, without measuring it.

    Args:
        config: one of `experiments`, or what `dataclasses.replace` makes of it.
        run_dir: the run's folder, which must be new or empty.
        resume: go on from the newest checkpoint in the folder; where there is none, begin.
        progress: whether a progress line goes to standard error.

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
    devices = jax.local_devices()
    check_batch(config.train, devices)
    run = check_arrays(run_folder.Run(config, folder, start))
    dataset = sources.load(config.data)
    memory.check(config, dataset.train.images, devices)
    console = Console(stderr=True, quiet=not progress)
    with locked(folder):
        if start is not None:
            go_back(folder)
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
        explorer=explorer if explorer.exists() else None,
    )


def _picture_html(file: Path) -> str:
    """A PNG file as an element that holds it."""
    return f'<img src="data:image/png;base64,{base64.b64encode(file.read_bytes()).decode("ascii")}">'
