"""Times several experiments' training steps in turn, on this machine's CPU.

python benchmarks/set_ups.py --set-ups mnist mnist-invariant --json set_ups.json
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import jax
import machine
import tyro
from rich.console import Console
from rich.table import Table
from sides import Job, in_turn, median_min_max, prepare_ours, ratios

from infogan_jax.config import InfoGANConfig
from infogan_jax.experiments import EXPERIMENTS


@dataclass(frozen=True)
class Options:
    """Times each experiment's training step."""

    set_ups: tuple[str, ...] = ("mnist", "mnist-invariant")
    """InfoGAN experiments; the others are told as multiples of the first."""
    batch: int = 128
    """Images in a step."""
    steps: int = 5
    """Training steps that one time is the mean of."""
    rounds: int = 5
    """Times that each is timed."""
    json: Path | None = None
    """Where the numbers are written."""


def measure(options: Options) -> dict[str, list[float]]:
    """Milliseconds of a step of each experiment, by round."""
    tasks = {
        name: (prepare_ours(Job(name, options.batch, options.steps, options.rounds)).steps, options.steps)
        for name in options.set_ups
    }
    for steps, _ in tasks.values():
        steps()  # Compiles.
    return in_turn(tasks, options.rounds)


def main() -> None:
    """Times them in turn, in one process."""
    options = tyro.cli(Options, description=__doc__)
    if not options.set_ups:
        sys.exit("--set-ups: name one or more")
    for name in options.set_ups:
        machine.check(name, least={"batch": 2}, **vars(options))
        if not isinstance(EXPERIMENTS[name], InfoGANConfig):
            sys.exit(f"--set-ups {name}: it must be an InfoGAN experiment")
    found = measure(options)
    first = options.set_ups[0]
    table = Table(title=f"One step, batch {options.batch}")
    for heading in ("experiment", "ms / step", "min", "max", f"over {first}", "min", "max"):
        table.add_column(heading, justify="left" if heading == "experiment" else "right")
    for name, times in found.items():
        over = ratios(times, found[first])
        table.add_row(name, *median_min_max(times, ".4g"), *median_min_max(over, ".2f"))
    console = Console(width=110)
    console.print(table)
    circumstances = machine.circumstances("jax") | {"device": jax.local_devices()[0].device_kind}
    console.print(machine.told(circumstances))
    if options.json:
        numbers = {"milliseconds_per_step": found, "batch": options.batch, "steps": options.steps}
        options.json.write_text(json.dumps(numbers | circumstances, indent=2) + "\n")


if __name__ == "__main__":
    main()
