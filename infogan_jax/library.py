"""What the command lines do, for a notebook or another program: plain objects, nothing printed unasked."""

import base64
import html
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
from rich.console import Console

from infogan_jax.config import Config
from infogan_jax.data import sources
from infogan_jax.errors import NonFiniteError, UserError
from infogan_jax.evaluation import comparison, other_folder, own_images, paper, sweep
from infogan_jax.evaluation import evaluate as measuring
from infogan_jax.export import files as exporting
from infogan_jax.training import run_folder
from infogan_jax.training.devices import check_batch
from infogan_jax.training.logging import Record, read_records
from infogan_jax.training.preparation import (
    check_holds_runs,
    check_resumed,
    check_seeds,
    check_writable,
    prepared,
    runs_of_seeds,
    runs_to_compare,
)
from infogan_jax.training.recovery import holding
from infogan_jax.training.run_folder import Run
from infogan_jax.training.runs import fitting, train_all
from infogan_jax.training.writers import wandb_module


class Training(NamedTuple):
    """A run that was trained, which a notebook shows as its last samples.

    Attributes:
        folder: the run's, for `evaluate` and `load`.
        config: what it was trained with.
        step: how far it is.
        records: its log: step, seconds, rates and metrics.
        stopped: the signal that stopped it before ``config.train.steps``, SIGINT for a notebook's interrupt;
            everything is saved, and ``resume`` goes on.
        failed: of one of several seeds, what ended it before the others: a loss that stopped being finite.
    """

    folder: Path
    config: Config
    step: int
    records: list[Record]
    stopped: str | None
    failed: str | None = None

    @property
    def samples(self) -> list[Path]:
        """The pictures of samples, oldest first."""
        return sorted((self.folder / "samples").glob("*.png"))

    def _repr_html_(self) -> str:
        told = f"{self.config.experiment}, seed {self.config.seed}: step {self.step:,}"
        told += f"; {self.failed}" if self.failed else ""
        pictures = (_picture_html(file, f"Samples at step {int(file.stem):,}") for file in self.samples[-1:])
        return f"<p>{html.escape(told)}</p>" + "".join(pictures)


class Trainings(tuple[Training, ...]):
    """Runs of several seeds, which a notebook shows one below the other."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return "".join(each._repr_html_() for each in self)


class Page(NamedTuple):
    """A page that needs nothing beside it: a notebook shows it in a frame, and it opens from disk.

    Attributes:
        title: what a screen reader calls the frame.
        file: the page.
    """

    title: str
    file: Path

    def _repr_html_(self) -> str:
        # The page itself, and no address that holds it: browsers open none of more than 2 MB in a frame.
        page = html.escape(self.file.read_text(encoding="utf-8"))
        style = "width: 100%; height: 45rem; border: 0"
        return f'<iframe title="{html.escape(self.title)}" style="{style}" srcdoc="{page}"></iframe>'


class Pictures(NamedTuple):
    """Pictures, which a notebook shows one below the other.

    Attributes:
        files: (caption, PNG file) of each.
    """

    files: list[tuple[str, Path]]

    def _repr_html_(self) -> str:
        return "".join(f"<p>{html.escape(told)}</p>{_picture_html(file, told)}" for told, file in self.files)


class Evaluation(NamedTuple):
    """What was measured of a run, which a notebook shows as a table and pictures.

    Attributes:
        metrics: JSON values by name, as in the run's `eval/metrics.json`, or of images that aren't its own
            in `eval/on-NAME/metrics.json`.
        results: (name, value, meaning) of each measurement.
        pictures: (caption, PNG file).
        report: the page about the run; None for images that aren't its own.
        explorer: the page in which its generator runs, shown in a frame; None where it has none.
    """

    metrics: dict[str, Any]
    results: list[tuple[str, str, str]]
    pictures: list[tuple[str, Path]]
    report: Path | None
    explorer: Page | None

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.results
        )
        return f"<table>{rows}</table>{Pictures(self.pictures)._repr_html_()}"


class Summary(NamedTuple):
    """What was measured of several runs, which a notebook shows as tables.

    Attributes:
        sweeps: the runs of each kind: what each of them measures, and the choice made without labels.
        file: `sweep.json`, which holds the same.
    """

    sweeps: list[sweep.Sweep]
    file: Path

    def _repr_html_(self) -> str:
        return "".join(f"<pre>{html.escape(chr(10).join(sweep.lines(each)))}</pre>" for each in self.sweeps)


def train(
    config: Config,
    run_dir: str | Path,
    *,
    resume: bool = False,
    progress: bool = False,
    profile: str | Path | None = None,
    wandb: str | None = None,
) -> Training:
    """Trains one run on all local devices, as `train.py` does, without measuring it.

    Args:
        config: one of `experiments`, or what `dataclasses.replace` makes of it.
        run_dir: the run's folder, which must be new or empty.
        resume: go on from the newest checkpoint in the folder, which must be of the same configuration but
            for the steps and rhythm of ``config.train``; where there is none, begin.
        progress: whether a progress line, and what is to be said of a folder that is resumed, goes to
            standard error.
        profile: a folder for a profile of the program's second call.
        wandb: a project of Weights & Biases that shows the run too, and prints lines of its own.

    Returns:
        The run.

    Raises:
        UserError: the configuration, the folder or the data set is not as it must be, or memory can't
            hold it.
        NonFiniteError: a loss or gradient stopped being finite; the checkpoints before it are kept.
    """
    folder = Path(run_dir)
    runs = _runs(config, {config.seed: folder}, resume=resume)
    trained, failed = _train(runs, progress=progress, profile=profile, wandb=wandb)
    if failed:
        raise failed[folder]
    return trained[0]


def train_seeds(
    config: Config,
    folder: str | Path,
    seeds: Sequence[int],
    *,
    together: bool = True,
    resume: bool = False,
    progress: bool = False,
    profile: str | Path | None = None,
    wandb: str | None = None,
) -> Trainings:
    """Trains a run for each seed, as `train.py --seeds` does, without measuring them.

    A run whose loss stops being finite ends, and the others go on.

    Args:
        config: what they share; each has its own seed.
        folder: it holds the runs' folders, each "s" and its seed.
        seeds: one or more, none twice.
        together: take their steps in one program, if memory allows; otherwise train one after another, which
            is told where progress is.
        resume: as in `train`, for each of them.
        progress: as in `train`.
        profile: as in `train`; of several programs each has its own in the folder.
        wandb: as in `train`.

    Returns:
        The runs that have begun: all of them, unless a signal came before the turn of some.

    Raises:
        UserError: as `train`, or there is no seed, or one can't be a seed or is named twice.
    """
    folder, seeds = Path(folder), list(map(int, seeds))
    if not seeds:
        raise UserError("seeds is empty: name one or more")
    check_seeds(seeds)
    check_holds_runs(folder)
    runs = _runs(config, {seed: folder / f"s{seed}" for seed in seeds}, resume=resume)
    trained, _ = _train(runs, together=together, progress=progress, profile=profile, wandb=wandb)
    return Trainings(trained)


def _runs(config: Config, folders: Mapping[int, Path], *, resume: bool) -> list[Run]:
    """The runs to train, by the settings asked for; their folders by seed."""
    begun = {}
    for seed, folder in folders.items():
        if resume and run_folder.steps(folder):
            start, _ = run_folder.newest_whole(folder)
            check_writable(folder)
            stored = run_folder.config(folder, start)
            wanted = replace(config, seed=seed)
            begun[seed] = Run(check_resumed(stored, wanted, folder, start), folder, start)
    return runs_of_seeds(config, folders, begun)


def _train(
    runs: Sequence[Run],
    *,
    together: bool = True,
    progress: bool,
    profile: str | Path | None,
    wandb: str | None,
) -> tuple[list[Training], dict[Path, NonFiniteError]]:
    """Trains runs that differ in their seeds, once all that they need is there."""
    profile = Path(profile) if profile else None
    runs, devices = prepared(runs, _local_devices, profile=profile, wandb=wandb)
    config = runs[0].config
    dataset = sources.load(config.data)
    console = Console(stderr=True, quiet=not progress)
    tell = partial(console.out, highlight=False)
    groups = fitting(runs, dataset.train.images, devices, together=together, tell=tell)
    with ExitStack() as held:
        for run in runs:
            held.enter_context(holding(run, tell))
        stopped, failed = train_all(
            groups, dataset, devices, tell=tell, console=console, profile=profile, wandb=wandb
        )
    return [_trained(run, stopped, failed) for run in runs if run_folder.steps(run.folder)], failed


def _local_devices(config: Config) -> list[jax.Device]:
    devices: list[jax.Device] = jax.local_devices()
    check_batch(config.train, devices)
    return devices


def _trained(run: Run, stopped: signal.Signals | None, failed: Mapping[Path, NonFiniteError]) -> Training:
    step, failure = run_folder.find_step(run.folder), failed.get(run.folder)
    return Training(
        folder=run.folder,
        config=run.config,
        step=step,
        records=read_records(run.folder),
        stopped=stopped.name if stopped and not failure and step < run.config.train.steps else None,
        failed=str(failure) if failure else None,
    )


def evaluate(
    run_dir: str | Path,
    *,
    step: int | None = None,
    features: str | Path | Sequence[str | Path] = (),
    wandb: str | None = None,
) -> Evaluation:
    """Measures a run's checkpoint and writes its report, as `eval.py` does.

    Args:
        run_dir: the run's folder.
        step: which checkpoint; the newest by default.
        features: what an InfoGAN's images are compared with test images by, beside pixels: other runs'
            folders, of whose D the trunk is taken, files of VGG19's weights, or "efficientnet-lite0".
        wandb: a project of Weights & Biases that shows numbers and pictures too.

    Returns:
        What was measured.

    Raises:
        NotInstalled: the features are of a package that isn't there.
        UserError: the folder holds no such checkpoint, the run's data set is not there, or the features are
            not there or not of use for its images.
    """
    folder = Path(run_dir)
    _check_measurable(folder, wandb)
    measured = measuring.evaluate(
        folder, step=step, features=list(map(str, _paths(features) if features else ())), wandb=wandb
    )
    explorer = folder / "explorer.html"
    return Evaluation(
        metrics=measured.metrics,
        results=measured.results,
        pictures=measured.pictures,
        report=folder / "report.html",
        explorer=Page("Explorer of the codes", explorer) if explorer.exists() else None,
    )


def summarize(folder: str | Path, *, wandb: str | None = None) -> Summary:
    """Measures the runs in a folder: mean, spread, best, and the choice that needs no labels.

    What `eval.py` does with the folder that `train_seeds` has filled. A run whose newest checkpoint has been
    measured is not measured again.

    Args:
        folder: it holds the runs' folders.
        wandb: a project of Weights & Biases that shows what is measured, too.

    Raises:
        UserError: the folder holds no run, one can't be read, or its data set isn't there.
    """
    folder = Path(folder)
    runs = run_folder.runs_in(folder)
    if not runs:
        raise UserError(f"{folder} holds no runs: name a folder that train_seeds has filled")
    for each in (folder, *runs):
        _check_measurable(each, wandb)
    return Summary(sweep.summarize(runs, folder, wandb=wandb), folder / sweep.SWEEP_FILE)


def _check_measurable(folder: Path, wandb: str | None) -> None:
    """Whether what is measured can be written, and shown."""
    check_writable(folder)
    if wandb is not None:
        wandb_module()


def _paths(named: str | Path | Sequence[str | Path]) -> list[Path]:
    """What a caller names, one or several."""
    paths = [Path(named)] if isinstance(named, str | Path) else list(map(Path, named))
    if not paths:
        raise UserError("nothing is named: name one or more")
    return paths


def compare(run_dirs: str | Path | Sequence[str | Path], page: str | Path = "comparison.html") -> Page:
    """Makes one page about several runs of any task, as `eval.py RUN RUN ...` does.

    Args:
        run_dirs: runs' folders, or folders that hold runs; or one that holds several.
        page: the page's file; replaced if it is there.

    Returns:
        The page, shown in a frame.

    Raises:
        UserError: a folder holds no run, a run comes twice or can't be measured, or the page can't be
            written.
    """
    runs = runs_to_compare(_paths(run_dirs), Path(page))
    comparison.write_comparison(Path(page), runs)
    return Page(f"{len(runs)} runs compared", Path(page))


def draw_figures(run_dirs: str | Path | Sequence[str | Path], out: str | Path = "figures") -> Pictures:
    """Draws the InfoGAN paper's figures from runs, as `eval.py figures` does.

    Args:
        run_dirs: runs' folders, or folders that hold runs.
        out: the folder for the pictures.

    Raises:
        UserError: a folder holds no run of an InfoGAN, a run hasn't been measured, or the folder can't be
            written.
    """
    folders = _paths(run_dirs)
    check_writable(Path(out))
    files = paper.draw_figures(folders, Path(out))
    return Pictures([(file.stem, file) for file in files])


def export_run(run_dir: str | Path, file: str | Path, *, step: int | None = None) -> list[Path]:
    """Writes a run's generator and Q to a file that `load` or an ONNX runtime reads, as `eval.py --export`.

    Args:
        run_dir: the run's folder.
        file: NAME.jax, or NAME.onnx, which leaves Q in NAME-codes.onnx beside it.
        step: which checkpoint; the newest by default.

    Returns:
        The files that were written.

    Raises:
        UserError: the file is none to write to, the folder holds no such checkpoint, or not an InfoGAN's.
    """
    return exporting.export_run(Path(run_dir), Path(file), step=step)


def enlarge(
    run_dir: str | Path,
    images: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    step: int | None = None,
) -> Pictures:
    """Enlarges image files by a super-resolver's run, as `eval.py --images` does.

    Args:
        run_dir: the run's folder.
        images: image files, and folders of them.
        out: the folder for the results, PNG files, `eval/images` in the run's by default; no file in it is
            ever replaced.
        step: which checkpoint; the newest by default.

    Raises:
        UserError: before anything is written, the run enlarges no images, a path leads nowhere, or a result's
            name is taken or wanted twice; once all others are written, files couldn't be enlarged.
    """
    folder = Path(out) if out else Path(run_dir) / "eval" / "images"
    files = own_images.enlarge_files(Path(run_dir), _paths(images), folder, step=step)
    return Pictures([(file.stem, file) for file in files])


def evaluate_on(run_dir: str | Path, images: str | Path, *, step: int | None = None) -> Evaluation:
    """Measures a super-resolver's run on all images of a folder, as `eval.py --folder` does.

    Args:
        run_dir: the run's folder.
        images: a folder of images of high resolution, none of which the run was trained on.
        step: which checkpoint; the newest by default.

    Raises:
        UserError: the run enlarges no images, the folder holds none or some of the run's own, or one of them
            can't be read or is too small to be compared.
    """
    check_writable(Path(run_dir))
    measured, _ = other_folder.evaluate_on(Path(run_dir), Path(images), step=step)
    return Evaluation(measured.metrics, measured.results, measured.pictures, report=None, explorer=None)


def _picture_html(file: Path, told: str) -> str:
    """A PNG file as an element that holds it, and what it shows for who doesn't see it."""
    data = base64.b64encode(file.read_bytes()).decode("ascii")
    return f'<img alt="{html.escape(told)}" src="data:image/png;base64,{data}">'
