"""The command lines of `train.py` and `eval.py`.

What is wrong with what a user typed is found out here, before anything is written or loaded that
takes long, and answered with one line and exit status 2.
"""

import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import numpy as np
import tyro

from infogan_jax.command_line import choices, command, parse, program, say
from infogan_jax.config import Config, SuperResolutionConfig, to_json
from infogan_jax.data import sources
from infogan_jax.data.dataset import Dataset
from infogan_jax.errors import UserError, of_system, one_line
from infogan_jax.experiments import DEFAULT, EXPERIMENTS
from infogan_jax.training import run_folder
from infogan_jax.training.preparation import (
    check_holds_runs,
    check_resumed,
    check_seeds,
    check_writable,
    prepared,
    runs_of_seeds,
    runs_to_compare,
)
from infogan_jax.training.run_folder import Run

if TYPE_CHECKING:
    import jax

T = TypeVar("T")


@dataclass(frozen=True)
class _TrainOptions:
    config: Annotated[Config, tyro.conf.arg(name="")]
    run_dir: Path | None = None
    """The run's folder; runs/EXPERIMENT-sSEED by default."""
    seeds: tuple[int, ...] = ()
    """Train the experiment once for each of these seeds, in folders sSEED inside the run's folder, which then
    is runs/EXPERIMENT by default."""
    together: bool = True
    """Of several seeds: take their steps in one program, if memory allows; otherwise train one after
    another."""
    resume: bool = False
    """Go on from the newest checkpoint in the run's folder, with the run's own settings."""
    resume_or_start: bool = False
    """Go on where the run's folder has a checkpoint, as --resume does, and begin where it has none: for a
    command that a cluster repeats."""
    require_accelerator: bool = False
    """Refuse to train where JAX finds no GPU or TPU."""
    profile: Path | None = None
    """A folder for a profile of the program's second call, which TensorBoard and Perfetto show."""
    wandb: str | None = None
    """A project of Weights & Biases that shows what TensorBoard shows, too (extra wandb)."""
    compilation_cache: bool = True
    """Keep compiled programs in the user's cache folder, or where JAX_COMPILATION_CACHE_DIR says, so that the
    next run starts sooner."""
    distributed: bool = False
    """This is one of several processes that train together, each on its own devices (docs/distributed.md).
    Cloud TPU, GKE, SLURM and Open MPI say which; elsewhere --coordinator, --processes and --process do."""
    coordinator: str | None = None
    """Of several processes: HOST:PORT of process 0."""
    processes: int | None = None
    """Of several processes: how many there are."""
    process: int | None = None
    """Of several processes: the number of this one, from 0."""
    process_timeout: int = 300
    """Of several processes: seconds to wait for the others to come, and after which a silent one counts as
    dead."""

    @property
    def folder(self) -> Path:
        """The folder of the run, or of the runs of all seeds."""
        name = self.config.experiment if self.seeds else f"{self.config.experiment}-s{self.config.seed}"
        return self.run_dir or Path("runs") / name

    @property
    def folders(self) -> dict[int, Path]:
        """Each run's folder, by seed."""
        if not self.seeds:
            return {self.config.seed: self.folder}
        return {seed: self.folder / f"s{seed}" for seed in self.seeds}


@dataclass(frozen=True)
class _EvalOptions:
    run_dirs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN_DIR")] = field()
    """The run's folder, as train.py printed it; or a folder that holds runs, which are then compared; or
    several of either, of which one page is made."""
    step: int | None = None
    """The step of the checkpoint; the newest by default. The report and figures of the run are those of
    the checkpoint that was measured last."""
    export: Path | None = None
    """Instead of measuring, write the generator and Q to this file, which needs no run: NAME.jax for
    infogan_jax.load, on CPU, CUDA and TPU; NAME.onnx for ONNX runtimes, with Q in NAME-codes.onnx."""
    images: tuple[Path, ...] = ()
    """Instead of measuring, enlarge these image files, or those in these folders, by a super-resolver's run;
    each becomes a PNG file in --out. Grey stays grey, transparency lies on white, 16 bits become 8."""
    folder: Path | None = None
    """Measure a super-resolver's run on all images in this folder, of high resolution, in place of those held
    out from its own: eval/on-NAME/metrics.json and crops.png in the run's folder."""
    features: tuple[str, ...] = ()
    """Compare an InfoGAN's images with test images by these too, beside pixels: another run's folder, of
    whose D the trunk is taken; a file of VGG19's weights; or efficientnet-lite0 (extra `features`)."""
    out: Path | None = None
    """The page about several runs (comparison.html by default), or the folder for --images (eval/images in
    the run's folder), in which no file is ever replaced."""
    compilation_cache: bool = True
    """Keep compiled programs in the user's cache folder, or where JAX_COMPILATION_CACHE_DIR says."""

    @property
    def of_one_run(self) -> list[str]:
        """The options given that mean something for one run only."""
        names = ("step", "export", "images", "folder", "features")
        return [name for name in names if getattr(self, name) not in (None, ())]


@dataclass(frozen=True)
class _FigureOptions:
    run_dirs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN_DIR")] = field()
    """Runs' folders, or folders that hold runs."""
    out: Path = Path("figures")
    """The folder for the pictures."""


def train(argv: Sequence[str] | None = None) -> int:
    """Trains an experiment and measures it; returns the exit status."""
    return _answer(_train, sys.argv[1:] if argv is None else list(argv))


def evaluate(argv: Sequence[str] | None = None) -> int:
    """Measures a run; returns the exit status."""
    return _answer(_evaluate, sys.argv[1:] if argv is None else list(argv))


def _answer(command: Callable[[list[str]], int], argv: list[str]) -> int:
    try:
        return command(argv)
    except UserError as error:
        say(f"error: {error}")
        return 2
    except OSError as error:
        say(f"error: {of_system(error)}")
        return 2
    except KeyboardInterrupt:
        # Outside the training loop, which catches signals itself, there is nothing to save.
        say("interrupted")
        return 128 + signal.SIGINT


def _train(argv: list[str]) -> int:
    named = bool(argv) and not argv[0].startswith("-")
    experiment, rest = (argv[0], argv[1:]) if named else (DEFAULT, argv)
    if experiment not in EXPERIMENTS:
        raise UserError(f"there is no experiment {experiment!r}: {choices(experiment, list(EXPERIMENTS))}")
    options = _parse_train(experiment, EXPERIMENTS[experiment], rest)
    _check_seeds(options)
    _check_processes(options)
    if options.resume and options.resume_or_start:
        raise UserError("--resume and --resume-or-start exclude each other")
    if not options.distributed:
        return _train_parsed(options, rest, experiment if named else None)

    from infogan_jax.training import processes

    processes.join(options.coordinator, options.processes, options.process, options.process_timeout)
    return processes.with_others(lambda: _train_parsed(options, rest, experiment if named else None))


def _train_parsed(options: _TrainOptions, argv: list[str], experiment: str | None) -> int:
    """Checks and trains, alone or as one of several processes."""
    resume = _goes_on(options)
    runs, devices = _together(options, lambda: _checked(options, argv, experiment, resume=resume))
    config = runs[0].config
    dataset = _together(options, lambda: sources.load(config.data))

    from infogan_jax.training import processes
    from infogan_jax.training.runs import fitting, train_all

    with ExitStack() as held:
        if options.distributed:
            processes.check_same("the versions of jax or infogan-jax", repr(_versions()).encode())
            told = [(to_json(run.config), str(run.folder), run.resume_from) for run in runs]
            how = (options.seeds, options.together)
            processes.check_same("the options", repr((told, how)).encode())
            processes.check_same("the images", np.ascontiguousarray(dataset.train.images).data)
        groups = fitting(runs, dataset.train.images, devices, together=options.together, tell=say)
        _together(options, lambda: _hold(runs, held))
        if processes.first():
            print(f"run folder: {options.folder}", flush=True)
            if isinstance(config, SuperResolutionConfig) and config.content.has_features:
                content = config.content
                print(f"weights of {content.error}: sha256 {content.weights_sha256}", flush=True)
        stopped, failed = train_all(
            groups, dataset, devices, tell=say, profile=options.profile, wandb=options.wandb
        )
        if options.distributed:
            processes.leave()
        if stopped:
            go_on = _resume_command(options, config)
            say(f"stopped by {stopped.name}; everything is saved. Go on with: {go_on}")
            return 128 + stopped
        if processes.first() and options.seeds:
            done = [run.folder for run in runs if run.folder not in failed]
            if done:
                _measure_all(done, options.folder, dataset, options.wandb)
        elif processes.first() and not failed:
            _measure(options.folder, None, dataset, wandb=options.wandb)
    return 1 if failed else 0


def _versions() -> list[str]:
    """Of what must be the same where processes compute a step and save together."""
    from importlib.metadata import version

    from infogan_jax import __version__

    return [version("jax"), version("jaxlib"), __version__]


def _goes_on(options: _TrainOptions) -> bool:
    """Whether there are runs to go on with, the same in all processes."""
    if not options.resume_or_start:
        return options.resume
    begun = any(run_folder.steps(folder) for folder in options.folders.values())
    if not options.distributed:
        return begun
    from infogan_jax.training import processes

    return bool(processes.as_first(int(begun)))


def _together(options: _TrainOptions, call: Callable[[], T]) -> T:
    """A check that all processes must pass."""
    if not options.distributed:
        return call()
    from infogan_jax.training import processes

    return processes.agreed(call)


def _checked(
    options: _TrainOptions, argv: list[str], experiment: str | None, *, resume: bool
) -> tuple[list[Run], "Sequence[jax.Device]"]:
    """The runs and their devices; refuses what is wrong with them before anything is written or loaded."""
    runs = _resumed(options, argv, experiment) if resume else _new(options)
    found = prepared(
        runs,
        lambda config: _devices(config, options.require_accelerator),
        profile=options.profile,
        wandb=options.wandb,
    )
    if options.compilation_cache:
        _cache_compilations()
    return found


def _hold(runs: list[Run], held: ExitStack) -> None:
    """Keeps other trainings out of the runs' folders until the stack is left."""
    from infogan_jax.training import processes
    from infogan_jax.training.recovery import holding

    if processes.first():  # It writes for all.
        for run in runs:
            held.enter_context(holding(run, say))


def _check_processes(options: _TrainOptions) -> None:
    given = {
        "--coordinator": options.coordinator,
        "--processes": options.processes,
        "--process": options.process,
    }
    missing = [name for name, value in given.items() if value is None]
    if len(missing) < 3 and not options.distributed:
        named = ", ".join(name for name in given if name not in missing)
        raise UserError(f"{named}: only with --distributed, which makes this one of several processes")
    if 0 < len(missing) < 3:
        raise UserError(f"{', '.join(missing)}: give all three of {', '.join(given)}, or none")
    if options.process_timeout < 1:
        raise UserError(f"--process-timeout is {options.process_timeout}: it must be 1 or more")
    if options.coordinator is None or options.processes is None or options.process is None:
        return
    if not re.fullmatch(r".+:[1-9]\d{0,4}", options.coordinator):
        raise UserError(f"--coordinator is {options.coordinator}: it must be HOST:PORT")
    if options.processes < 1 or not 0 <= options.process < options.processes:
        raise UserError(
            f"--process is {options.process} and --processes is {options.processes}: processes are counted "
            "from 0 to one less than there are"
        )


def _resume_command(options: _TrainOptions, config: Config) -> str:
    """What to type to go on with runs of this configuration."""
    words = [command(), config.experiment, "--run-dir", shlex.quote(str(options.folder)), "--resume"]
    words += ["--train.steps", str(config.train.steps)]
    if options.seeds:
        words += ["--seeds", *map(str, options.seeds)]
        words += [] if options.together else ["--no-together"]
    if options.wandb is not None:
        words += ["--wandb", shlex.quote(options.wandb)]
    return " ".join(words)


def _check_seeds(options: _TrainOptions) -> None:
    if options.seeds and options.config.seed != EXPERIMENTS[options.config.experiment].seed:
        raise UserError("--seed and --seeds exclude each other")
    check_seeds(options.seeds)


def _new(options: _TrainOptions) -> list[Run]:
    """The runs to start, in folders that are new."""
    if options.seeds:
        check_holds_runs(options.folder)
    return runs_of_seeds(options.config, options.folders, {})


def _resumed(options: _TrainOptions, argv: list[str], experiment: str | None) -> list[Run]:
    """The runs to go on with; of several seeds, those that weren't begun start anew as the others did."""
    begun = {seed: folder for seed, folder in options.folders.items() if run_folder.steps(folder)}
    if not begun:
        # It says what is wrong with the folder.
        run_folder.find_step(next(iter(options.folders.values())))
    runs = {seed: _resumed_run(options, argv, experiment, folder) for seed, folder in begun.items()}
    return runs_of_seeds(options.config, options.folders, runs)


def _parse_train(experiment: str, defaults: Config, argv: list[str]) -> _TrainOptions:
    description = (
        f"Trains the experiment {experiment!r} and measures it. "
        f"{program()} [EXPERIMENT] [OPTIONS]; experiments: {', '.join(EXPERIMENTS)} "
        f"({DEFAULT} by default)."
    )
    prog = f"{program()} {experiment}"
    return parse(_TrainOptions, argv, prog, description, _TrainOptions(defaults))


def _resumed_run(options: _TrainOptions, argv: list[str], experiment: str | None, folder: Path) -> Run:
    """One run to go on with: the options once more, on top of the run's own settings."""
    step, _ = run_folder.newest_whole(folder)
    check_writable(folder)
    stored = run_folder.config(folder, step)
    if experiment not in (None, stored.experiment):
        raise UserError(f"{folder} is a run of {stored.experiment}, not of {experiment}")
    config = _parse_train(stored.experiment, stored, argv).config
    return Run(check_resumed(stored, config, folder, step), folder, step)


def _devices(config: Config, require_accelerator: bool) -> "list[jax.Device]":
    """The devices of all processes, said aloud: a silent fallback to the CPU is the costliest surprise."""
    import jax

    from infogan_jax.training import processes
    from infogan_jax.training.devices import check_batch

    try:
        devices = jax.devices()
    except (RuntimeError, AssertionError) as error:
        asked = os.environ.get("JAX_PLATFORMS", "")
        reason = str(error).split("\n")[0] or type(error).__name__
        raise UserError(
            f"JAX can't start ({reason}): JAX_PLATFORMS is {asked!r}; unset it, "
            "or install that platform's extra"
        ) from error
    kind = devices[0]
    if processes.first():
        count = jax.process_count()
        spread = f" in {count} processes" if count > 1 else ""
        print(f"devices: {len(devices)} x {kind.platform} ({kind.device_kind}){spread}", flush=True)
    if require_accelerator and kind.platform == "cpu":
        raise UserError(
            "--require-accelerator, and JAX finds only the CPU: install an extra "
            f'({shlex.quote(sys.executable)} -m pip install "infogan-jax[cuda13]", [cuda12] or [tpu]) '
            "or leave the option out"
        )
    check_batch(config.train, devices)
    return devices


def _evaluate(argv: list[str]) -> int:
    if argv[:1] == ["figures"]:
        return _draw_figures(argv[1:])
    options = parse(
        _EvalOptions,
        argv,
        program(),
        "Measures a run's checkpoint and writes its report. "
        f"`{program()} figures RUN_DIR ...` draws the paper's figures from runs.",
    )
    if not options.run_dirs:
        raise UserError(f"{program()} needs RUN_DIR, the folder of a run, as train.py printed it")
    if options.step is not None and options.step < 0:
        raise UserError(f"--step is {options.step}: it must be 0 or more")
    if len(options.run_dirs) > 1:
        return _compare(options)
    (run_dir,) = options.run_dirs
    several = [] if run_folder.steps(run_dir) else run_folder.runs_in(run_dir)
    if several and options.of_one_run:
        name = options.of_one_run[0]
        raise UserError(f"--{name} is of one run, but {run_dir} holds {len(several)}: name one of them")
    if not several:
        run_folder.find_step(run_dir, options.step)
    instead = [name for name in options.of_one_run if name != "step"]
    if len(instead) > 1:
        raise UserError(f"--{' and --'.join(instead)} exclude each other: take them one after another")
    if options.export:
        from infogan_jax.export.files import export_run

        for file in export_run(run_dir, options.export, step=options.step):
            print(f"exported: {file}")
        return 0
    if options.compilation_cache:
        _cache_compilations()
    if options.images:
        return _enlarge(options, run_dir)
    check_writable(run_dir)
    if options.folder:
        return _measure_on(options.folder, run_dir, options.step)
    if several:
        return _measure_all(several, run_dir, None)
    return _measure(run_dir, options.step, None, features=options.features)


def _enlarge(options: _EvalOptions, run_dir: Path) -> int:
    from infogan_jax.evaluation.own_images import enlarge_files

    out = options.out or run_dir / "eval" / "images"
    for path in enlarge_files(run_dir, options.images, out, step=options.step):
        print(one_line(f"enlarged: {path}"), flush=True)
    return 0


def _measure_on(images: Path, run_dir: Path, step: int | None) -> int:
    from infogan_jax.evaluation.other_folder import evaluate_on

    measured, folder = evaluate_on(run_dir, images, step=step)
    print("\n".join(measured.headline))
    for name in ("metrics.json", "crops.png"):
        print(f"{Path(name).stem}: {folder / name}")
    return 0


def _compare(options: _EvalOptions) -> int:
    """One page about several runs."""
    if options.of_one_run:
        name = options.of_one_run[0]
        raise UserError(f"--{name} is of one run, but {len(options.run_dirs)} folders are named")
    out = options.out or Path("comparison.html")
    runs = runs_to_compare(options.run_dirs, out)
    if options.compilation_cache:
        _cache_compilations()

    from infogan_jax.evaluation.comparison import write_comparison

    write_comparison(out, runs)
    print(f"comparison: {out}")
    return 0


def _measure(
    run_dir: Path,
    step: int | None,
    dataset: Dataset | None,
    *,
    features: Sequence[str] = (),
    wandb: str | None = None,
) -> int:
    from infogan_jax.evaluation.evaluate import evaluate

    measured = evaluate(run_dir, step=step, dataset=dataset, features=features, wandb=wandb)
    for line in measured.headline:
        print(line)
    for page in ("report", "explorer"):
        if (run_dir / f"{page}.html").exists():
            print(f"{page}: {run_dir / f'{page}.html'}")
    return 0


def _draw_figures(argv: list[str]) -> int:
    description = (
        "Draws the InfoGAN paper's figures from runs: L_I against the step where a plain GAN is among them "
        "(Fig. 1), and what each code does (Figs. 2 to 6)."
    )
    options = parse(_FigureOptions, argv, f"{program()} figures", description)
    if not options.run_dirs:
        raise UserError("figures needs the folder of a run, as train.py printed it")
    check_writable(options.out)

    from infogan_jax.evaluation.paper import draw_figures

    for path in draw_figures(options.run_dirs, options.out):
        print(f"figure: {path}")
    return 0


def _measure_all(runs: list[Path], folder: Path, dataset: Dataset | None, wandb: str | None = None) -> int:
    from infogan_jax.evaluation import sweep

    for each in sweep.summarize(runs, folder, dataset, wandb):
        print("\n".join(sweep.lines(each)))
    print(f"summary: {folder / sweep.SWEEP_FILE}")
    return 0


def _cache_compilations() -> None:
    """Compiled programs outlive the process; a folder or thresholds that the user has set stay."""
    import jax

    # jax makes its options' attributes when it is imported.
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(home / "infogan-jax"))
