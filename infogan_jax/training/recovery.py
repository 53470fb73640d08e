"""A run's folder is held by one training, and goes back to its newest checkpoint that is whole."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infogan_jax.errors import UserError
from infogan_jax.training import run_folder
from infogan_jax.training.lock import locked
from infogan_jax.training.logging import read_records
from infogan_jax.training.preparation import check_new_folder
from infogan_jax.training.run_folder import Run


@contextmanager
def holding(run: Run, tell: Callable[[str], None]) -> Iterator[None]:
    """Keeps other trainings out of a run's folder, and makes sure that none has been there meanwhile.

    Between the look at the folder that said where the run starts and the lock, another training may have
    begun there, or come to its end: its checkpoints and log would be cut.

    Args:
        run: what is to be trained.
        tell: as for `go_back`.

    Raises:
        UserError: another process holds the folder, or has trained in it; or as `go_back`.
    """
    with locked(run.folder):
        if run.resume_from is None:
            check_new_folder(run.folder)
        elif go_back(run.folder, tell) != run.resume_from:
            raise UserError(f"{run.folder} was trained meanwhile: start again")
        yield


def go_back(run_dir: Path, tell: Callable[[str], None]) -> int:
    """The step of the newest checkpoint that is what was saved.

    Newer ones are moved to the run's folder `damaged`.

    Args:
        run_dir: the folder of a run that this process holds (`lock.py`).
        tell: is given a line for each checkpoint that was moved, and one that says which steps that are in
            the log come again.

    Raises:
        UserError: as `run_folder.newest_whole`; nothing is moved then.
    """
    step, damages = run_folder.newest_whole(run_dir)
    for other, damage in damages.items():
        to = run_folder.set_aside(run_dir, other)
        tell(f"{damage}; it is in {to} now")
    logged = max((int(record["step"]) for record in read_records(run_dir)), default=step)
    if damages or logged > step:
        again = f"; steps {step + 1} to {logged} come again" if logged > step else ""
        tell(f"{run_dir} goes on from step {step}{again}")
    return step
