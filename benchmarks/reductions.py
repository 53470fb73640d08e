"""Counts what replicas tell each other in a step, in the program that accelerators compile.

    python benchmarks/reductions.py --set-up mnist --json reductions.json

Then, on paper, what that takes on links of a known speed: recursive halving and doubling passes
2 (n - 1) / n of the bytes over each chip's link, in 2 log2 n messages. Nothing else is taken to run
meanwhile, so this is an upper bound where the links reach their speed.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import jax
import machine
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from infogan_jax.config import Config
from infogan_jax.experiments import EXPERIMENTS
from infogan_jax.training.loop import compile_steps, device_batches, initial_state

LINKS = {
    "TPU v5p, ICI": 600e9,
    "H100, NVLink": 450e9,
    "H100, InfiniBand NDR": 50e9,
}
"""Bytes a second in one direction. ICI: 1,200 GB/s in both directions together (Google Cloud, TPU v5p).
NVLink 4: 900 GB/s in both together; InfiniBand NDR, one ConnectX-7 a GPU: 400 Gbit/s each way (NVIDIA DGX
H100)."""

CHIPS = (8, 64, 512, 4096)

_SIZES = {"f64": 8, "s64": 8, "u64": 8, "f32": 4, "s32": 4, "u32": 4, "bf16": 2, "f16": 2, "pred": 1}


class Reduction(NamedTuple):
    """One all-reduce of a program.

    Attributes:
        operands: arrays that it adds up.
        nbytes: of all of them.
    """

    operands: int
    nbytes: int


@dataclass(frozen=True)
class Options:
    """Counts the reductions of a step over several devices."""

    set_up: str = "mnist"
    """An experiment."""
    batch: int = 128
    """Images in a step, over all devices."""
    devices: int = 2
    """Devices that share the batch; on a CPU as many are made up."""
    message_microseconds: float = 5.0
    """What a message takes beside its bytes: an assumption."""
    json: Path | None = None
    """Where the numbers are written."""


def reductions(config: Config, devices: Sequence[jax.Device]) -> list[Reduction]:
    """The all-reduces of one step in its form for accelerators, compiled for these devices, largest first."""
    state = jax.eval_shape(lambda: initial_state(config, devices))
    shape = (config.train.batch, *machine.image_shape(config))
    batches = device_batches(config, 0, 1, config.train.batch, len(devices))
    images = jax.ShapeDtypeStruct(shape, np.uint8)
    # On a CPU the replicas add up for themselves what all-reduces do elsewhere.
    with mock.patch.object(jax, "default_backend", lambda: "gpu"):
        lowered = compile_steps(config, devices).lower(state, images, batches)
    return parse(lowered.compile().as_text())


def parse(program: str) -> list[Reduction]:
    """The all-reduces in a program's text, largest first."""
    found = []
    # name = shapes all-reduce(operands), or all-reduce-start where something may run meanwhile.
    for shapes in re.findall(r"= (.*?) all-reduce(?:-start)?\(", program):
        arrays = re.findall(r"(\w+)\[([\d,]*)\]", shapes)
        sizes = [_SIZES[kind] * math.prod(int(n) for n in dims.split(",") if n) for kind, dims in arrays]
        found.append(Reduction(len(arrays), sum(sizes)))
    return sorted(found, key=lambda each: -each.nbytes)


def on_paper(found: Sequence[Reduction], chips: int, bandwidth: float, message: float) -> float:
    """Seconds that the reductions of a step take on so many chips."""
    nbytes = sum(each.nbytes for each in found)
    return 2 * (chips - 1) / chips * nbytes / bandwidth + len(found) * 2 * math.log2(chips) * message


def main() -> None:
    """Compiles a step and counts."""
    options = tyro.cli(Options, description=__doc__)
    machine.check(options.set_up, least={"batch": 2, "devices": 2}, **vars(options))
    config = EXPERIMENTS[options.set_up]
    config = replace(config, train=replace(config.train, batch=options.batch))
    jax.config.update("jax_num_cpu_devices", options.devices)
    found = reductions(config, jax.local_devices()[: options.devices])
    console = Console(width=110)
    table = Table(title=f"Reductions of one step of {options.set_up} on {options.devices} devices")
    for heading in ("arrays", "bytes"):
        table.add_column(heading, justify="right")
    for each in found:
        table.add_row(str(each.operands), f"{each.nbytes:,}")
    table.add_row(f"{len(found)} reductions", f"{sum(each.nbytes for each in found):,}")
    console.print(table)
    message = options.message_microseconds / 1e6
    times = {
        link: {n: 1e3 * on_paper(found, n, speed, message) for n in CHIPS} for link, speed in LINKS.items()
    }
    table = Table(title=f"On paper, ms a step, {options.message_microseconds:g} microseconds a message")
    for heading in ("link", *(f"{n:,} chips" for n in CHIPS)):
        table.add_column(heading, justify="left" if heading == "link" else "right")
    for link, row in times.items():
        table.add_row(link, *(f"{ms:.2f}" for ms in row.values()))
    console.print(table)
    circumstances = machine.circumstances("jax")
    console.print(machine.told(circumstances))
    if options.json:
        given = {name: value for name, value in vars(options).items() if name != "json"}
        numbers = {"reductions": [each._asdict() for each in found], "milliseconds_on_paper": times}
        options.json.write_text(json.dumps(numbers | given | circumstances, indent=2) + "\n")


if __name__ == "__main__":
    main()
