"""Times training on images that the device holds beside the same images streamed from the host's memory.

    python benchmarks/input.py --set-up mnist --batch 128 --json input.json

Both sides run in one process, in turn, so a slow spell of the machine meets both. Before each time the calls
that the stream has gathered while it waited are thrown away: what is timed gathers its own.
"""

import json
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import machine
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from sides import median_min_max, ratios

from infogan_jax.experiments import EXPERIMENTS
from infogan_jax.training.loop import call_batches, compile_steps, initial_state, replicated
from infogan_jax.training.run_folder import Run
from infogan_jax.training.stream import BUFFERED

SIDES = {"resident": "held by the device", "streamed": "streamed by grain"}


@dataclass(frozen=True)
class Options:
    """Times training on images that the device holds, and on streamed ones."""

    set_up: str = "mnist"
    """An experiment."""
    batch: int = 128
    """Images in a step."""
    images: int = 60_000
    """Images that the batches are taken from."""
    steps: int = 25
    """Steps in a call."""
    calls: int = 3
    """Calls that one time is of."""
    rounds: int = 5
    """Times that each side is timed."""
    json: Path | None = None
    """Where the numbers are written."""


def prepare(options: Options, images: np.ndarray, files: ExitStack, *, stream: bool) -> Callable[[], float]:
    """A function that makes the calls of one time and returns the seconds of a step."""
    config = EXPERIMENTS[options.set_up]
    train = replace(config.train, batch=options.batch, steps=2**31 - 1, steps_per_call=options.steps)
    # Images that are rendered are neither held nor streamed.
    config = replace(config, data=replace(config.data, endless=False), train=train)
    devices = jax.local_devices()[:1]
    held = None if stream else jax.device_put(images, replicated(devices))
    starts = range(0, 10**6 * options.steps, options.steps)
    batches = files.enter_context(call_batches([Run(config, Path())], starts, devices, images, stream=stream))
    run = compile_steps(config, devices)
    state = initial_state(config, devices)

    def calls() -> float:
        nonlocal state
        for _ in range(BUFFERED):
            next(batches)
        started = time.perf_counter()
        for _ in range(options.calls):
            state, metrics = run(state, held, next(batches))
            # As the loop does after each call.
            state = jax.device_put(state, replicated(devices))
            jax.block_until_ready((state, metrics))
        return (time.perf_counter() - started) / (options.calls * options.steps)

    calls()
    return calls


def main() -> None:
    """Times both sides in turn."""
    options = tyro.cli(Options, description=__doc__)
    machine.check(options.set_up, least={"batch": 2}, **vars(options))
    config = EXPERIMENTS[options.set_up]
    shape = machine.image_shape(config)
    images = np.random.default_rng(0).integers(0, 256, (options.images, *shape), np.uint8)
    with ExitStack() as files:
        sides = {side: prepare(options, images, files, stream=side == "streamed") for side in SIDES}
        ms: dict[str, list[float]] = {side: [] for side in SIDES}
        for _ in range(options.rounds):
            for side, calls in sides.items():
                ms[side].append(1e3 * calls())
    table = Table(title=f"One step of {options.set_up}, batch {options.batch}, of {options.images:,} images")
    for heading in ("images", "ms / step", "min", "max", "over resident", "min", "max"):
        table.add_column(heading, justify="left" if heading == "images" else "right")
    for side, times in ms.items():
        over = ratios(times, ms["resident"])
        table.add_row(SIDES[side], *median_min_max(times, ".2f"), *median_min_max(over, ".3f"))
    console = Console(width=110)
    console.print(table)
    found = machine.circumstances("jax", "grain") | {"device": jax.local_devices()[0].device_kind}
    console.print(machine.told(found))
    if options.json:
        ratio = ratios(ms["streamed"], ms["resident"])
        numbers = {
            "ratio": statistics.median(ratio),
            "ratio_by_round": ratio,
            "milliseconds_per_step": ms,
        }
        given = {name: value for name, value in vars(options).items() if name != "json"}
        options.json.write_text(json.dumps(numbers | given | found, indent=2) + "\n")


if __name__ == "__main__":
    main()
