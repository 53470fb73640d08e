"""Several runs one after another, together where they can be, and what becomes of the rest if one fails."""

import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from rich.console import Console

from infogan_jax.data.dataset import Dataset
from infogan_jax.errors import NonFiniteError, UserError
from infogan_jax.training import loop, memory, processes, run_folder
from infogan_jax.training.run_folder import Run


def grouped(runs: Sequence[Run], *, together: bool) -> list[list[Run]]:
    """The runs that take their steps in one program, which must start at one step."""
    if not together:
        return [[run] for run in runs]
    groups: dict[int | None, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.resume_from, []).append(run)
    return list(groups.values())


def fitting(
    runs: Sequence[Run],
    images: np.ndarray,
    devices: Sequence[jax.Device],
    *,
    together: bool,
    tell: Callable[[str], None],
) -> list[list[Run]]:
    """The runs that take their steps in one program, as far as memory is known to hold them.

    Args:
        runs: those of one training, which differ in their seeds.
        images: the training images, uint8 [N, h, w, c].
        devices: the devices that share each batch, of all processes.
        together: whether they share a program where they can.
        tell: is given a line about runs that don't fit into memory together.

    Returns:
        Groups for `train_all`, the same in all processes.

    Raises:
        UserError: memory can't hold one run alone.
    """
    config, groups = runs[0].config, grouped(runs, together=together)
    sizes = sorted({len(group) for group in groups})
    large = [n for n in sizes if processes.any_of(not memory.holds(config, images, devices, n))]
    if not large:
        return groups
    processes.agreed(lambda: memory.check(config, images, devices))
    parted: list[list[Run]] = []
    for group in groups:
        if len(group) in large:
            if processes.first() and len(group) > 1:
                tell(f"{_too_large(group)}: they are trained one after another")
            parted += [[run] for run in group]
        else:
            parted.append(group)
    return parted


def _too_large(group: Sequence[Run]) -> str:
    return f"{len(group)} runs in one program don't fit into memory"


def train_all(
    groups: Sequence[Sequence[Run]],
    dataset: Dataset,
    devices: Sequence[jax.Device],
    *,
    tell: Callable[[str], None],
    console: Console | None = None,
    profile: Path | None = None,
    wandb: str | None = None,
) -> tuple[signal.Signals | None, dict[Path, NonFiniteError]]:
    """Trains each group in one program; gives the signal that stopped it, and what ended failed runs.

    A run that fails leaves the others of its group to go on without it, and a group that the device's memory
    can't hold goes on run by run, both from the newest checkpoints; ``tell`` is given a line about either. Of
    several processes one may run out of memory alone, while the others wait for it in the program of the
    group: then it ends. ``console``, ``profile`` and ``wandb`` are as in `loop.train`.
    """
    failed: dict[Path, NonFiniteError] = {}
    waiting = list(groups)
    while waiting:
        group = waiting.pop(0)
        try:
            stopped = loop.train(
                group, dataset, devices=devices, console=console, profile=profile, wandb=wandb
            )
        except NonFiniteError as error:
            tell(f"error: {error}")
            failed[error.run_dir] = error
            rest = [_from_newest(run) for run in group if run.folder != error.run_dir]
            waiting = grouped(rest, together=True) + waiting
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            if len(group) == 1:
                raise UserError(
                    f"{group[0].folder}: the device's memory is full; lower --train.batch, or take it in "
                    f"parts with --train.microbatch ({' '.join(str(error).split())[:160]})"
                ) from error
            if jax.process_count() > 1:
                raise UserError(
                    f"{_too_large(group)}: train them one after another with --no-together "
                    f"({' '.join(str(error).split())[:160]})"
                ) from error
            tell(f"{_too_large(group)}: they go on one after another")
            waiting = [[_from_newest(run)] for run in group] + waiting
        else:
            if stopped:
                return stopped, failed
    return None, failed


def _from_newest(run: Run) -> Run:
    # On a disk that processes share they may not all see a checkpoint at once.
    newest = processes.as_first(max(run_folder.steps(run.folder), default=-1))
    return run._replace(resume_from=None if newest < 0 else newest)
