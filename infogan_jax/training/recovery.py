"""A run goes back to its newest checkpoint that is whole, and says so."""

import sys
from pathlib import Path

from infogan_jax.training import run_folder
from infogan_jax.training.logging import read_records


def go_back(run_dir: Path) -> int:
    """The step of the newest checkpoint that is what was saved.

    Newer ones are moved to the run's folder `damaged`, and a line on standard error names each; another says
    which steps that are in the log come again.

    Args:
        run_dir: the folder of a run that this process holds (`lock.py`).

    Raises:
        UserError: as `run_folder.newest_whole`; nothing is moved then.
    """
    step, damages = run_folder.newest_whole(run_dir)
    for other, damage in damages.items():
        to = run_folder.set_aside(run_dir, other)
        print(f"{damage}; it is in {to} now", file=sys.stderr)
    logged = max((int(record["step"]) for record in read_records(run_dir)), default=step)
    if damages or logged > step:
        again = f"; steps {step + 1} to {logged} come again" if logged > step else ""
        print(f"{run_dir} goes on from step {step}{again}", file=sys.stderr)
    return step
