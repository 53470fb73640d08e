"""Times one training step on this machine's CPU: ours, and the same step in eager PyTorch.

    pip install '.[bench]' && python benchmarks/step.py

Each side runs in a process of its own, which stands still while the other is timed: both libraries
keep threads that would otherwise take each other's cores. The sides alternate, so a slow spell of the
machine meets both, and the rate of a plain matrix product next to them says how fast the machine was.
"""

import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, NamedTuple

import machine
import numpy as np
import peers
import tyro
from rich.console import Console
from rich.table import Table

from infogan_jax import __version__
from infogan_jax.config import InfoGANConfig
from infogan_jax.experiments import EXPERIMENTS

Side = Literal["ours", "torch"]

SIDES: dict[Side, str] = {"ours": "ours (JAX)", "torch": "eager PyTorch"}

IMAGES = 4096
"""Random images that the batches are taken from."""

MATRIX = 2048


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


class Work(NamedTuple):
    """What a side can be asked to do; each call returns when it is done."""

    steps: Callable[[], None]
    matrix_product: Callable[[], None]


def prepare_ours(options: Options) -> Work:
    """Our step as a run calls it: one compiled program for all steps, on one device."""
    import jax

    jax.config.update("jax_platforms", "cpu")
    os.environ["NPROC"] = str(machine.threads())  # The number of XLA's threads, read when its client starts.

    from infogan_jax.training.loop import compile_steps, device_batches, initial_state, replicated

    config = _config(options)
    devices = jax.local_devices()[:1]
    images = jax.device_put(_random_images(config.networks.image_shape), replicated(devices))
    run = compile_steps(config, devices)
    state = initial_state(config, devices)
    done = 0

    def steps() -> None:
        nonlocal state, done
        batches = device_batches(config, done, options.steps, IMAGES, len(devices))
        state, metrics = run(state, images, batches)
        jax.block_until_ready((state, metrics))
        done += options.steps

    a = jax.numpy.asarray(np.random.default_rng(0).standard_normal((MATRIX, MATRIX), np.float32))
    product = jax.jit(lambda x: x @ x)
    return Work(steps, lambda: product(a).block_until_ready())


def prepare_torch(options: Options) -> Work:
    """The same step in eager PyTorch."""
    import torch

    from infogan_jax.training.loop import device_batches

    torch.set_num_threads(machine.threads())
    config = _config(options)
    peer = peers.Peer(config)
    images = torch.from_numpy(_random_images(config.networks.image_shape)).permute(0, 3, 1, 2).contiguous()
    done = 0

    def steps() -> None:
        nonlocal done
        (batches,) = torch.from_numpy(device_batches(config, done, options.steps, IMAGES, 1))
        for batch in batches:
            peer.step(images[batch], peers.sample(config, options.batch))
        done += options.steps

    a = torch.from_numpy(np.random.default_rng(0).standard_normal((MATRIX, MATRIX), np.float32))
    return Work(steps, lambda: torch.mm(a, a))


def work(side: Side, options: Options, requests: Connection) -> None:
    """A side's process: does what it is asked to, says how long it took, and waits."""
    job = {"ours": prepare_ours, "torch": prepare_torch}[side](options)
    # Compiles, and lets both libraries choose their kernels.
    for task in (*job, *job):
        task()
    requests.send("ready")
    while (name := requests.recv()) is not None:
        started = time.perf_counter()
        getattr(job, name)()
        requests.send(time.perf_counter() - started)


def measure(options: Options) -> dict[str, dict[Side, list[float]]]:
    """Seconds of each task and side, one for each round."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[Side, Connection] = {}
    for side in SIDES:
        pipes[side], theirs = context.Pipe()
        context.Process(target=work, args=(side, options, theirs), daemon=True).start()
        theirs.close()
        try:
            pipes[side].recv()
        except EOFError:
            sys.exit(f"{SIDES[side]} could not start: its error is above")
    seconds = {task: {side: [] for side in SIDES} for task in Work._fields}
    for _ in range(options.rounds):
        for task in Work._fields:
            for side, pipe in pipes.items():
                # Both libraries' threads spin for some milliseconds before they sleep.
                time.sleep(0.2)
                pipe.send(task)
                seconds[task][side].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send(None)
    return seconds


def report(options: Options, seconds: dict[str, dict[Side, list[float]]]) -> dict[str, Any]:
    """The numbers that are printed and written, and what they were measured on."""
    milliseconds = {s: [1e3 * t / options.steps for t in times] for s, times in seconds["steps"].items()}
    rates = {s: [2e-9 * MATRIX**3 / t for t in times] for s, times in seconds["matrix_product"].items()}
    return {
        "experiment": options.experiment,
        "batch": options.batch,
        "rounds": options.rounds,
        "steps": options.steps,
        "milliseconds_per_step": milliseconds,
        "ratio": [a / b for a, b in zip(milliseconds["ours"], milliseconds["torch"], strict=True)],
        "matrix_product_gflops": rates,
        "processor": machine.processor(),
        "threads": machine.threads(),
        "versions": {"infogan-jax": __version__} | {name: version(name) for name in ("jax", "flax", "torch")},
        "python": platform.python_version(),
    }


def show(numbers: dict[str, Any]) -> None:
    """Prints the numbers as a table."""
    console = Console()
    times, rates = numbers["milliseconds_per_step"], numbers["matrix_product_gflops"]
    table = Table(title=f"One step of {numbers['experiment']}, batch {numbers['batch']}")
    for heading in ("", "ms / step", "min", "max", "GFLOP/s", "min", "max"):
        table.add_column(heading, justify="right" if heading else "left")
    for side, name in SIDES.items():
        table.add_row(name, *_median_min_max(times[side], ".1f"), *_median_min_max(rates[side], ".1f"))
    median, low, high = _median_min_max(numbers["ratio"], ".3f")
    console.print(table)
    console.print(f"GFLOP/s: a {MATRIX}x{MATRIX} float32 matrix product in each library, in the same rounds")
    console.print(f"ours / PyTorch: {median} ({low} to {high}) over {numbers['rounds']} rounds")
    versions = ", ".join(f"{name} {v}" for name, v in numbers["versions"].items())
    console.print(
        f"{numbers['processor']}, {numbers['threads']} threads; {versions}, Python {numbers['python']}"
    )


def _median_min_max(values: list[float], form: str) -> tuple[str, str, str]:
    return tuple(format(f(values), form) for f in (statistics.median, min, max))


def _config(options: Options) -> InfoGANConfig:
    config = EXPERIMENTS[options.experiment]
    return replace(config, train=replace(config.train, batch=options.batch))


def _random_images(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (IMAGES, *shape), np.uint8)


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    known = [name for name, config in EXPERIMENTS.items() if isinstance(config, InfoGANConfig)]
    if options.experiment not in known:
        sys.exit(f"--experiment {options.experiment}: it must be one of {', '.join(known)}")
    for name, least in (("batch", 2), ("rounds", 1), ("steps", 1)):
        if getattr(options, name) < least:
            sys.exit(f"--{name} {getattr(options, name)}: it must be {least} or more")
    try:
        peers.check(_config(options))
    except ValueError as error:
        sys.exit(f"--experiment {options.experiment}: {error}")
    numbers = report(options, measure(options))
    show(numbers)
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=2) + "\n")


if __name__ == "__main__":
    main()
