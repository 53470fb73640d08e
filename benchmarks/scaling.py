"""Times a step as one thing grows, and fits how fast its cost grows with it.

    python benchmarks/scaling.py --sweep batch width images steps devices --json scaling.json

Each point is a fresh process, so its peak of memory is its own. The exponent is the slope of log cost against
log size, by least squares: 1 is linear growth, 0 none. The images held by the device and the steps of a run
should cost a step nothing. Devices are made up, on the same processors: more of them share the same batch,
and what they cost is the exchange.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import machine
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from infogan_jax.config import InfoGANConfig
from infogan_jax.experiments import EXPERIMENTS
from infogan_jax.networks.tables import Layer

ROOT = Path(__file__).parents[1]

Sweep = Literal["batch", "width", "images", "steps", "devices"]


@dataclass(frozen=True)
class Point:
    """What is timed: a training's step."""

    set_up: str = "mnist"
    batch: int = 128
    width: float = 1.0
    images: int = 4096
    steps: int = 20
    devices: int = 1
    per_call: int = 5


@dataclass(frozen=True)
class Options:
    """Times a step as one thing grows."""

    sweep: tuple[Sweep, ...] = ("batch", "width", "images", "steps", "devices")
    """What grows, one after the other."""
    set_up: str = "mnist"
    """An InfoGAN experiment."""
    batch: tuple[int, ...] = (32, 64, 128, 256, 512)
    """Images in a step; where something else grows, the middle one."""
    width: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    """Channels of each layer, as a multiple of the experiment's."""
    images: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    """Images that the device holds."""
    steps: tuple[int, ...] = (20, 40, 80, 160)
    """Steps of a run."""
    devices: tuple[int, ...] = (1, 2, 4, 8)
    """Devices that share a batch."""
    per_call: int = 5
    """Steps in a call; the first call is not timed."""
    json: Path | None = None
    """Where the numbers are written."""


def widened(config: InfoGANConfig, width: float) -> InfoGANConfig:
    """The experiment with each layer's channels multiplied, but for the image's own."""

    def of(layer: Layer) -> Layer:
        *shape, channels = layer.features
        return replace(layer, features=(*shape, max(round(channels * width), 1)))

    networks = config.networks
    return replace(
        config,
        networks=replace(
            networks,
            generator=(*map(of, networks.generator[:-1]), networks.generator[-1]),
            trunk=tuple(map(of, networks.trunk)),
            q_head=tuple(map(of, networks.q_head)),
        ),
    )


def measure(point: Point) -> dict[str, float]:
    """Milliseconds of a step, and MiB: the process's peak, its growth in a run, the program's own."""
    import jax

    from infogan_jax.training.loop import compile_steps, device_batches, initial_state, replicated

    config = widened(EXPERIMENTS[point.set_up], point.width)
    config = replace(config, train=replace(config.train, batch=point.batch))
    devices = jax.local_devices()[: point.devices]
    shape = (point.images, *config.networks.image_shape)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    images = jax.device_put(images, replicated(devices))
    state = initial_state(config, devices)
    run = compile_steps(config, devices)

    def batches(first: int) -> np.ndarray:
        return device_batches(config, first, point.per_call, point.images, point.devices)

    # Compiled once, for its own account of memory too.
    run = run.lower(state, images, batches(0)).compile()
    memory = run.memory_analysis()
    times, before = [], 0.0
    for first in range(0, point.steps, point.per_call):
        started = time.perf_counter()
        state, metrics = run(state, images, batches(first))
        jax.block_until_ready((state, metrics))
        times.append((time.perf_counter() - started) / point.per_call)
        before = before or _peak()
    return {
        "ms": 1e3 * statistics.median(times[1:]),
        "least_ms": 1e3 * min(times[1:]),
        "most_ms": 1e3 * max(times[1:]),
        "peak_mib": _peak(),
        "grew_mib": _peak() - before,
        "program_mib": memory.temp_size_in_bytes / 2**20 if memory else 0.0,
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The slope of log cost against log size."""
    return float(np.polyfit(np.log(sizes), np.log(np.maximum(costs, 1e-9)), 1)[0])


def in_a_process(point: Point) -> dict[str, float]:
    """Measures a point in a process of its own."""
    path = os.pathsep.join(filter(None, (str(ROOT), str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH"))))
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={point.devices}"
    # Collectives of several made-up devices need a thread each.
    threads = {"NPROC": str(max(machine.threads(), 2 * point.devices))} if point.devices > 1 else {}
    code = f"import json, scaling; print(json.dumps(scaling.measure(scaling.Point(**{asdict(point)!r}))))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": path, "XLA_FLAGS": flags} | threads,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{point} ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def points(options: Options, sweep: Sweep) -> list[Point]:
    """One thing at each of its sizes, the rest as it usually is."""
    batch = options.batch[len(options.batch) // 2]
    usual = Point(options.set_up, batch, steps=min(options.steps), per_call=options.per_call)
    return [replace(usual, **{sweep: size}) for size in getattr(options, sweep)]


def main() -> None:
    """Times each point, and prints a table for each sweep."""
    options = tyro.cli(Options, description=__doc__)
    machine.check(
        options.set_up,
        least={"batch": 2, "steps": 2 * options.per_call},
        **{name: getattr(options, name) for name in ("batch", "images", "steps", "devices", "per_call")},
    )
    if not isinstance(EXPERIMENTS[options.set_up], InfoGANConfig):
        sys.exit(f"--set-up {options.set_up}: its layers can't be widened; take an InfoGAN experiment")
    console = Console(width=110)
    report = {}
    for sweep in options.sweep:
        tried = points(options, sweep)
        rows = [in_a_process(point) for point in tried]
        sizes = [getattr(point, sweep) for point in tried]
        slopes = {name: exponent(sizes, [row[name] for row in rows]) for name in ("ms", "peak_mib")}
        table = Table(title=f"{options.set_up}: a step as {sweep} grows")
        headings = (sweep, "ms / step", "min", "max", "peak, MiB", "growth in a run, MiB", "program, MiB")
        for heading in headings:
            table.add_column(heading, justify="right")
        for size, row in zip(sizes, rows, strict=True):
            table.add_row(f"{size:,}", *(f"{value:,.1f}" for value in row.values()))
        console.print(table)
        console.print(f"exponent of time {slopes['ms']:.2f}, of the peak {slopes['peak_mib']:.2f}")
        report[sweep] = {"sizes": sizes, "points": rows, "exponents": slopes}
    circumstances = machine.circumstances("jax")
    console.print(machine.told(circumstances))
    if options.json:
        options.json.write_text(json.dumps(report | circumstances, indent=2) + "\n")


if __name__ == "__main__":
    main()
