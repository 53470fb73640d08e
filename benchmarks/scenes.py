"""Times the rendering of scenes beside the training on them, on this machine's CPU.

    python benchmarks/scenes.py --json scenes.json

A scene is rendered once, before its training, or with --data.endless a batch in each step: what is told
is the rendering's part of the time of both.
"""

import json
import math
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

import jax
import machine
import tyro
from rich.console import Console
from rich.table import Table
from sides import Job, in_turn, median_min_max, prepare_ours

from infogan_jax.data.scenes import SCENES
from infogan_jax.data.scenes.batches import BATCH, render_split
from infogan_jax.experiments import EXPERIMENTS


@dataclass(frozen=True)
class Options:
    """Times each scene's rendering and a training step of the experiment of its name."""

    scenes: tuple[str, ...] = tuple(SCENES)
    """Which."""
    images: int = 1280
    """Images that are rendered in a round."""
    steps: int = 1
    """Training steps in a round."""
    rounds: int = 5
    """Times that each is timed."""
    json: Path | None = None
    """Where the numbers are written."""


def measure(name: str, options: Options) -> dict[str, list[float]]:
    """Milliseconds of an image's "rendering" and of a training "step", by round."""
    job = Job(name, EXPERIMENTS[name].train.batch, options.steps, options.rounds)
    train = prepare_ours(job).steps
    # Not before: it starts JAX, whose threads are set there.
    scene, key = SCENES[name], jax.random.key(0)
    tasks = {
        "rendering": (lambda: render_split(scene, key, options.images), options.images),
        "step": (train, options.steps),
    }
    # Compiles both.
    render_split(scene, key, BATCH)
    train()
    return in_turn(tasks, options.rounds)


def shares(name: str, found: dict[str, list[float]]) -> tuple[float, float]:
    """The rendering's part of the preset's time, before the training and in each step, by the medians."""
    config = EXPERIMENTS[name]
    image, step = (statistics.median(found[task]) for task in ("rendering", "step"))
    # A fifth as many are rendered for the test.
    once = image * (config.data.render + math.ceil(config.data.render / 5))
    batch = image * config.train.batch
    return once / (once + config.train.steps * step), batch / (batch + step)


def main() -> None:
    """Times each scene after the other."""
    options = tyro.cli(Options, description=__doc__)
    if unknown := set(options.scenes) - set(SCENES):
        sys.exit(f"--scenes {', '.join(sorted(unknown))}: each must be one of {', '.join(SCENES)}")
    for name in options.scenes:
        machine.check(name, images=options.images, steps=options.steps, rounds=options.rounds)
    table = Table(title="Rendering beside training, compilation left out")
    spread = ("min", "max")
    for heading in ("scene", "us / image", *spread, "ms / step", *spread, "part, once", "in each step"):
        table.add_column(heading, justify="left" if heading == "scene" else "right")
    numbers: dict[str, dict[str, object]] = {}
    for name in options.scenes:
        found = measure(name, options)
        rendering = [1e3 * ms for ms in found["rendering"]]
        once, each = shares(name, found)
        times = *median_min_max(rendering, ".0f"), *median_min_max(found["step"], ".0f")
        table.add_row(name, *times, f"{once:.2%}", f"{each:.2%}")
        numbers[name] = found | {"share": once, "share_endless": each}
    console = Console(width=110)
    console.print(table)
    circumstances = machine.circumstances("jax") | {"device": jax.local_devices()[0].device_kind}
    console.print(machine.told(circumstances))
    if options.json:
        options.json.write_text(json.dumps(numbers | circumstances, indent=2) + "\n")


if __name__ == "__main__":
    main()
