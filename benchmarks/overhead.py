"""Times a training by its loop, and the compiled program inside it: the difference is the loop's own.

    python benchmarks/overhead.py --set-up digits --steps 1550 --json overhead.json

From the end of the first call, in which the program is compiled, to the end of the last one. What is between
the calls is the log, TensorBoard, the indices of the next batches, and every 500 steps samples and a
checkpoint; random images. The samples' program, which is compiled once, is told apart.
"""

import json
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jax
import machine
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from sides import median_min_max

from infogan_jax.config import Config
from infogan_jax.data.dataset import Dataset, Split
from infogan_jax.experiments import EXPERIMENTS
from infogan_jax.training import loop
from infogan_jax.training.run_folder import Run


@dataclass(frozen=True)
class Options:
    """Times a training, and what of it is the compiled program's."""

    set_up: str = "digits"
    """An experiment."""
    steps: int = 1550
    """Steps of each training."""
    rounds: int = 5
    """Trainings that are timed."""
    json: Path | None = None
    """Where the numbers are written."""


class Timed:
    """A compiled program that says when each of its calls began and when its results were there."""

    def __init__(self, program: Any) -> None:
        self.lower = program.lower
        self.calls: list[tuple[float, float]] = []
        self._program = program

    def __call__(self, *arguments: Any) -> Any:
        began = time.perf_counter()
        results = jax.block_until_ready(self._program(*arguments))
        # Where its operations are counted it is traced, and nothing is computed.
        if not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(results)):
            self.calls.append((began, time.perf_counter()))
        return results


def train(config: Config, dataset: Dataset) -> tuple[float, float, float]:
    """Seconds from the first call's end to the last one's; of them the program's own, and compilation."""
    timed: list[Timed] = []
    compiled: list[tuple[float, float]] = []
    compile_steps = loop.compile_steps

    def note(event: str, seconds: float, **_: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append((time.perf_counter(), seconds))

    def watched(*arguments: Any, **options: Any) -> Timed:
        timed.append(Timed(compile_steps(*arguments, **options)))
        return timed[-1]

    jax.monitoring.register_event_duration_secs_listener(note)
    with tempfile.TemporaryDirectory() as folder, patch.object(loop, "compile_steps", watched):
        loop.train([Run(config, Path(folder) / "run")], dataset, devices=jax.local_devices()[:1])
    ((_, start), *calls) = timed[0].calls
    # A last call with fewer steps compiles anew; there is none, since the steps are a multiple of a call's.
    program = sum(end - began for began, end in calls)
    end = calls[-1][1]
    return end - start, program, sum(seconds for at, seconds in compiled if start < at <= end)


def main() -> None:
    """Trains several times."""
    options = tyro.cli(Options, description=__doc__)
    machine.check(options.set_up, **vars(options))
    config = EXPERIMENTS[options.set_up]
    per_call = config.train.steps_per_call
    config = replace(config, train=replace(config.train, steps=max(2, options.steps // per_call) * per_call))
    shape = (4096, *machine.image_shape(config))
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    dataset = Dataset("random", Split(images, None), Split(images, None), num_classes=None)
    found = [train(config, dataset) for _ in range(options.rounds)]
    shares = [(whole - program - compilation) / whole for whole, program, compilation in found]
    table = Table(title=f"{config.train.steps} steps of {options.set_up}, {per_call} in a call")
    for heading in ("", "median", "min", "max"):
        table.add_column(heading, justify="right" if heading else "left")
    table.add_row("the training, s", *median_min_max([whole for whole, _, _ in found], ".2f"))
    table.add_row("the compiled program, s", *median_min_max([program for _, program, _ in found], ".2f"))
    table.add_row("compilation, s", *median_min_max([compilation for *_, compilation in found], ".2f"))
    table.add_row("the loop's own, %", *median_min_max([100 * share for share in shares], ".2f"))
    console = Console(width=110)
    console.print(table)
    circumstances = machine.circumstances("jax")
    console.print(machine.told(circumstances))
    if options.json:
        numbers = {"seconds": found, "share": shares, "median_share": statistics.median(shares)}
        given = {"set_up": options.set_up, "steps": config.train.steps, "steps_per_call": per_call}
        options.json.write_text(json.dumps(numbers | given | circumstances, indent=2) + "\n")


if __name__ == "__main__":
    main()
