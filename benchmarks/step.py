"""Times one training step on this machine's CPU: ours, and the same step in eager PyTorch.

    pip install '.[bench]' && python benchmarks/step.py

How the two are timed: `sides.py`. Further peers and the machine's own limit: `peers.py`.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import machine
import sides
import tyro
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Options:
    """Times one training step: ours and eager PyTorch's."""

    experiment: str = "mnist"
    """An experiment without code invariance and without instance noise."""
    batch: int = 128
    """Images in a step."""
    rounds: int = 5
    """Times that each side is timed."""
    steps: int = 25
    """Steps that one time is the mean of: as many as a run takes in a call, which has a cost of its own."""
    json: Path | None = None
    """Where the numbers are written."""


def show(title: str, found: dict[str, dict[sides.Side, list[float]]]) -> None:
    """Prints a row for each side: its times, and the machine's rate next to them."""
    table = Table(title=title)
    for heading in ("", "ms / step", "min", "max", "GFLOP/s", "min", "max", "over ours", "min", "max"):
        table.add_column(heading, justify="right" if heading else "left")
    for side, times in found["step"].items():
        table.add_row(
            sides.NAMES[side],
            *sides.median_min_max(times, ".4g"),
            *sides.median_min_max(found["product"][side], ".0f"),
            *sides.median_min_max(sides.ratios(times, found["step"]["ours"]), ".2f"),
        )
    console = Console(width=120)
    console.print(table)
    console.print(f"GFLOP/s: a {sides.MATRIX}x{sides.MATRIX} float32 matrix product, in the same rounds")
    console.print(machine.told(circumstances()))


def circumstances() -> dict[str, str | int]:
    """What the numbers were measured on."""
    return machine.circumstances("jax", "flax", "torch")


def main() -> None:
    """Times both sides in turn."""
    options = tyro.cli(Options, description=__doc__)
    sides.check(options.experiment, batch=options.batch, rounds=options.rounds, steps=options.steps)
    job = sides.Job(options.experiment, options.batch, options.steps, options.rounds)
    found = sides.measure(job, ("ours", "eager"))
    show(f"One step of {job.experiment}, batch {job.batch}", found)
    if options.json:
        numbers = {
            "milliseconds_per_step": found["step"],
            "ratio": sides.ratios(found["step"]["ours"], found["step"]["eager"]),
            "matrix_product_gflops": found["product"],
        }
        options.json.write_text(json.dumps(vars(job) | numbers | circumstances(), indent=2) + "\n")


if __name__ == "__main__":
    main()
