"""Times one training step of several seeds in one program, on this machine's first device.

    python benchmarks/seeds.py --set-up mnist --seeds 1 2 4 8

The counts of seeds alternate in each round, so a slow spell of the machine meets all of them. On a CPU
the runs take their steps in turn, on an accelerator at once; `--stacked True` or `False` times either.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import machine
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from sides import IMAGES
from step import circumstances

from infogan_jax.config import InfoGANConfig
from infogan_jax.experiments import EXPERIMENTS
from infogan_jax.training.loop import compile_steps, device_batches, initial_state, replicated


@dataclass(frozen=True)
class Options:
    """Times one training step of several seeds in one program."""

    set_up: str = "mnist"
    """An experiment."""
    batch: int = 128
    """Images in a step of each seed."""
    seeds: tuple[int, ...] = (1, 2, 4)
    """How many seeds, for each program."""
    steps: int = 10
    """Steps in a call."""
    rounds: int = 5
    """Times that each program is timed."""
    stacked: bool | None = None
    """Whether the runs take their steps at once; by default as training does on this device."""
    json: Path | None = None
    """Where the numbers are written."""


def prepare(config: InfoGANConfig, count: int, options: Options) -> Callable[[], float]:
    """A function that makes one call of the program and returns its seconds."""
    devices = jax.local_devices()[:1]
    configs = [replace(config, seed=seed) for seed in range(count)]
    shape = (IMAGES, *config.networks.image_shape)
    images = jax.device_put(np.random.default_rng(0).integers(0, 256, shape, np.uint8), replicated(devices))
    states = [initial_state(each, devices) for each in configs]
    state = states[0] if count == 1 else jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    run = compile_steps(config, devices, count, stacked=options.stacked)
    done = 0

    def call() -> float:
        nonlocal state, done
        batches = [device_batches(each, done, options.steps, IMAGES, 1) for each in configs]
        indices = batches[0] if count == 1 else np.stack(batches, axis=1)
        started = time.perf_counter()
        state, metrics = run(state, images, indices)
        jax.block_until_ready((state, metrics))
        done += options.steps
        return time.perf_counter() - started

    # Compiles; the second call has the layout of the program's own results.
    call()
    call()
    return call


def main() -> None:
    """Times the programs in turn."""
    options = tyro.cli(Options, description=__doc__)
    machine.check(
        options.set_up,
        batch=options.batch,
        seeds=options.seeds,
        steps=options.steps,
        rounds=options.rounds,
    )
    config = EXPERIMENTS[options.set_up]
    if not isinstance(config, InfoGANConfig):
        sys.exit(f"--set-up {options.set_up}: it must be an InfoGAN's")
    if not options.seeds:
        sys.exit("--seeds is empty: name one count or more")
    config = replace(config, train=replace(config.train, batch=options.batch))
    calls = {count: prepare(config, count, options) for count in options.seeds}
    seconds: dict[int, list[float]] = {count: [] for count in calls}
    for _ in range(options.rounds):
        for count, call in calls.items():
            seconds[count].append(call() / options.steps)
    table = Table(title=f"One step of {options.set_up}, batch {options.batch}")
    for heading in ("seeds", "ms / step", "min", "max", "ms / step and seed", "of one seed's"):
        table.add_column(heading, justify="right")
    first = statistics.median(seconds[options.seeds[0]]) / options.seeds[0]
    for count, times in seconds.items():
        each = statistics.median(times) / count
        cells = (statistics.median(times), min(times), max(times), each)
        table.add_row(str(count), *(f"{1e3 * x:.1f}" for x in cells), f"{each / first:.2f}")
    console = Console(width=110)
    console.print(table)
    device = jax.local_devices()[0]
    console.print(f"{device.platform} ({device.device_kind})")
    console.print(", ".join(f"{key} {value}" for key, value in circumstances().items()))
    if options.json:
        numbers = {"milliseconds_per_step": {count: [1e3 * s for s in ts] for count, ts in seconds.items()}}
        options.json.write_text(json.dumps(numbers | circumstances(), indent=2) + "\n")


if __name__ == "__main__":
    main()
