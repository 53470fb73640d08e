"""What is where in a run's folder, found out without loading anything heavy."""

import json
from pathlib import Path
from typing import NamedTuple

from infogan_jax.config import Config, from_json
from infogan_jax.errors import UserError

METRICS_FILE = "metrics.jsonl"
"""The log, a JSON object in each line."""

RUN_FILE = "run.json"
"""The file in a checkpoint's item "run": configuration, data set, library versions."""


class Run(NamedTuple):
    """A run that is to be trained."""

    config: Config
    folder: Path
    """Made where it isn't there."""
    resume_from: int | None = None
    """The step of the checkpoint to go on from; None starts anew."""


def checkpoints(run_dir: Path) -> Path:
    """Where a run's checkpoints are."""
    return run_dir.absolute() / "checkpoints"


def steps(run_dir: Path) -> list[int]:
    """The steps of a run's finished checkpoints, oldest first; none where it is no run's folder.

    Looks at names only: a checkpoint gets its final name when it is complete.
    """
    items = ("run", "state")
    found = checkpoints(run_dir).glob("*") if checkpoints(run_dir).is_dir() else ()
    return sorted(
        int(path.name)
        for path in found
        if path.name.isdecimal() and all((path / item).is_dir() for item in items)
    )


def was_only_begun(run_dir: Path) -> bool:
    """Whether a folder holds what a run leaves that ended before its first checkpoint, and nothing else."""
    own = {"checkpoints", "tensorboard", METRICS_FILE}
    if steps(run_dir) or not {path.name for path in run_dir.iterdir()} <= own:
        return False
    metrics = run_dir / METRICS_FILE
    return not (metrics.exists() and metrics.stat().st_size)


def of_seed(folder: Path, seed: int) -> Path:
    """A run's folder, or of a folder that holds the runs of several seeds the one of this seed."""
    own = folder / f"s{seed}"
    return own if not steps(folder) and steps(own) else folder


def runs_in(folder: Path) -> list[Path]:
    """The folders of runs inside a folder, as a training of several seeds leaves them, by name."""
    inside = folder.iterdir() if folder.is_dir() else ()
    # Seeds by number: s10 comes after s9.
    return sorted((each for each in inside if steps(each)), key=lambda each: (len(each.name), each.name))


def find_step(run_dir: Path, step: int | None = None) -> int:
    """The step of a run's newest checkpoint, or the one asked for where it is there.

    Raises:
        UserError: the folder holds no run, or the run no such checkpoint.
    """
    if not run_dir.is_dir():
        raise UserError(f"{run_dir} is no folder: name a run's folder, as train.py printed it")
    found = steps(run_dir)
    if not found:
        raise UserError(f"{run_dir} holds no finished checkpoint: name another folder, or train anew in one")
    if step is None:
        return found[-1]
    if step not in found:
        raise UserError(
            f"{run_dir} has no checkpoint of step {step}: take one of {', '.join(map(str, found))}"
        )
    return step


def config(run_dir: Path, step: int) -> Config:
    """The configuration that a checkpoint was trained with.

    Args:
        run_dir: the run's folder.
        step: a step that `find_step` found.

    Raises:
        UserError: the file that holds it can't be read, or is of another version.
    """
    path = checkpoints(run_dir) / str(step) / "run" / RUN_FILE
    try:
        values = json.loads(path.read_text())["config"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} can't be read, the checkpoint is damaged ({reason})") from error
    return from_json(values)
