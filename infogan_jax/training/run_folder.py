"""What is where in a run's folder, found out without loading anything heavy."""

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

from infogan_jax.config import Config, from_json
from infogan_jax.errors import UserError
from infogan_jax.training import checksums
from infogan_jax.training.checksums import DamagedCheckpoint

METRICS_FILE = "metrics.jsonl"
"""The log, a JSON object in each line."""

RUN_FILE = "run.json"
"""The file in a checkpoint's item "run": configuration, data set, library versions."""

LOCK_FILE = "training.lock"
"""Held by the process that trains (`lock.py`); it stays behind."""

SCHEMA = 2
"""The version of a checkpoint's form. 1 had neither this number nor checksums, and can be read."""


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
    return [step for step, complete in _named(run_dir).items() if complete]


def _named(run_dir: Path) -> dict[int, bool]:
    """By step, whether what has a checkpoint's name has its items."""
    found = checkpoints(run_dir).glob("*") if checkpoints(run_dir).is_dir() else ()
    named = {int(path.name): path for path in found if path.name.isdecimal()}
    return {step: all((named[step] / item).is_dir() for item in ("run", "state")) for step in sorted(named)}


def was_only_begun(run_dir: Path) -> bool:
    """Whether a folder holds what a run leaves that ended before its first checkpoint, and nothing else."""
    own = {"checkpoints", "tensorboard", "wandb", METRICS_FILE, LOCK_FILE}
    names = {path.name for path in run_dir.iterdir()}
    # A process that was killed leaves the log that it was about to name (`images.write_atomically`).
    if steps(run_dir) or not {name for name in names if not fnmatch(name, ".*.tmp")} <= own:
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
        DamagedCheckpoint: the file that holds it can't be read, or is another step's.
        UserError: it is of another version.
    """
    return from_json(_stored(run_dir, step)[1])


def _stored(run_dir: Path, step: int) -> tuple[int, dict[str, Any]]:
    """A checkpoint's schema, and its configuration as JSON values; raises what `config` does."""
    folder = checkpoints(run_dir) / str(step)
    path = folder / "run" / RUN_FILE
    try:
        run = json.loads(path.read_text())
        schema, version = run.get("schema", 1), run.get("versions", {}).get("infogan-jax", "another version")
        values, saved_at = run["config"], run.get("step", step)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DamagedCheckpoint(f"{path} can't be read, the checkpoint is damaged ({reason})") from error
    if schema not in (1, SCHEMA):
        raise UserError(
            f"{folder} is of schema {schema}, written by infogan-jax {version}; this version reads 1 and "
            f"{SCHEMA}: use the one that wrote it"
        )
    if saved_at != step:
        raise DamagedCheckpoint(f"{folder} is a checkpoint of step {saved_at}, which was renamed")
    return schema, values


def versions(run_dir: Path, step: int) -> dict[str, str]:
    """The versions of the libraries that saved a checkpoint, by their names.

    Args:
        run_dir: the run's folder.
        step: that of a checkpoint whose configuration can be read.
    """
    run = json.loads((checkpoints(run_dir) / str(step) / "run" / RUN_FILE).read_text())
    found: dict[str, str] = run.get("versions", {})
    return found


def check(run_dir: Path, step: int) -> None:
    """Reads all of a checkpoint's files, and its configuration.

    Raises:
        DamagedCheckpoint: they are not what was saved.
        UserError: it is of another version.
    """
    folder = checkpoints(run_dir) / str(step)
    # The first schema had no checksums. Where they are, they say best what is wrong with the file that says
    # which schema it is.
    if (folder / checksums.SUMS_FILE).exists() or _stored(run_dir, step)[0] > 1:
        checksums.check(folder)
    config(run_dir, step)


def newest_whole(run_dir: Path) -> tuple[int, dict[int, DamagedCheckpoint]]:
    """The newest checkpoint that is what was saved, and what is wrong with each newer one.

    Raises:
        UserError: the folder holds no run.
        DamagedCheckpoint: none of its checkpoints is whole; what is wrong with the newest.
    """
    damages: dict[int, DamagedCheckpoint] = {}
    for step, complete in reversed(_named(run_dir).items()):
        try:
            if not complete:
                raise DamagedCheckpoint(f"{checkpoints(run_dir) / str(step)} has lost a part")
            check(run_dir, step)
        except DamagedCheckpoint as damage:
            damages[step] = damage
        else:
            return step, damages
    # Without any, `find_step` says what is wrong with the folder.
    raise damages[find_step(run_dir)]


def set_aside(run_dir: Path, step: int) -> Path:
    """Moves a checkpoint out of the way, into the run's folder `damaged`; returns where it is now."""
    folder = run_dir / "damaged"
    folder.mkdir(exist_ok=True)
    names = (str(step), *(f"{step}-{number}" for number in range(2, 10_000)))
    to = next(folder / name for name in names if not (folder / name).exists())
    return (checkpoints(run_dir) / str(step)).rename(to)
