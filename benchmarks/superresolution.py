"""Times SRGAN's training step on this machine's CPU: whole, by part, and beside PyTorch.

    pip install '.[bench,features]' && python benchmarks/superresolution.py

Each part is a program of its own on the step's shapes, forward and backward where the step does both; the
whole is the program that a run calls. XLA joins there what the parts do twice, so they need not add up.
All are timed in turn, so that a slow spell of the machine meets all of them.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import machine
import numpy as np
import optax
import sides
import torch
import tyro
from rich.console import Console
from rich.table import Table
from step import circumstances
from torch_superresolution import Peer

from infogan_jax.config import SuperResolutionConfig
from infogan_jax.data.bicubic import low_resolution
from infogan_jax.data.crops import crop, draw_crops
from infogan_jax.errors import UserError
from infogan_jax.experiments import EXPERIMENTS
from infogan_jax.networks.superresolution import Discriminator, Generator
from infogan_jax.tasks import superresolution
from infogan_jax.training.loop import compile_steps, device_batches, initial_state

IMAGES = 64
"""Random images that the batches are taken from."""

WHOLE, PEER = "the step", "the step in eager PyTorch"


@dataclass(frozen=True)
class Options:
    """Times SRGAN's training step: whole, by part, and eager PyTorch's."""

    batch: int = 8
    """Images in a step."""
    rounds: int = 5
    """Times that each is timed."""
    steps: int = 5
    """Steps that one time is the mean of."""
    json: Path | None = None
    """Where the numbers are written."""


def parts(config: SuperResolutionConfig, features: tuple[Any, ...]) -> dict[str, Callable[[], Any]]:
    """What the step is made of, each part by itself: functions that return when it is done."""
    state = initial_state(config, jax.local_devices()[:1])
    images = _images(config)
    generator, discriminator = Generator(config.networks), Discriminator(config.networks)
    key, side = jax.random.key(1), config.networks.factor * config.low_crop
    params, stats = state.params, state.stats

    @jax.jit
    def pairs(images: Any) -> Any:
        high = crop(images, draw_crops(key, len(images), image=images.shape[1:3], side=side), side=side)
        return low_resolution(high, config.networks.factor), high

    low, high = (x.astype(np.float32) / 255 for x in pairs(images))

    def made(params: Any, low: Any) -> Any:
        variables = {"params": params, "batch_stats": stats}
        return generator.apply(variables, low, train=True, mutable="batch_stats")[0]

    def judged(params: Any, made: Any) -> Any:
        # Twice, as real and made images are judged, with the gradients of all that the players ask for.
        def judge(x: Any) -> Any:
            return discriminator.apply({"params": params}, x, train=True, mutable="batch_stats")[0].sum()

        return judge(made) + judge(high)

    def content(made: Any) -> Any:
        return superresolution.content_error(config, made, high, *features).sum()

    @jax.jit
    def update(params: Any, opt: Any) -> Any:
        # Any gradient takes as long as another.
        return {
            name: optax.adam(config.learning_rate).update(tree, opt[name]) for name, tree in params.items()
        }

    adam = {name: optax.adam(config.learning_rate).init(tree) for name, tree in params.items()}
    forward = jax.jit(made)
    backward = jax.jit(jax.grad(lambda params, low: made(params, low).sum()))
    d_both = jax.jit(jax.value_and_grad(judged, argnums=(0, 1)))
    by_content = jax.jit(jax.value_and_grad(content))
    found = {
        "crops and low resolution": lambda: pairs(images),
        "generator, forward": lambda: forward(params["generator"], low),
        "generator, forward and backward": lambda: backward(params["generator"], low),
        "discriminator on both, forward and backward": lambda: d_both(params["discriminator"], high),
        f"content by {config.content.error}, forward and backward": lambda: by_content(high),
        "updates": lambda: update(params, adam),
    }
    return {name: _done(call) for name, call in found.items()}


def whole(config: SuperResolutionConfig, features: tuple[Any, ...], steps: int) -> Callable[[], Any]:
    """So many steps, as a run takes them."""
    devices = jax.local_devices()[:1]
    run = compile_steps(config, devices, constants=len(features))
    images = np.tile(_images(config), (IMAGES // config.train.batch + 1, 1, 1, 1))[:IMAGES]
    batches = device_batches(config, 0, steps, IMAGES, 1)
    state = initial_state(config, devices)

    def call() -> None:
        nonlocal state
        state, metrics = run(state, images, batches, *features)
        jax.block_until_ready((state, metrics))

    return call


def peer(config: SuperResolutionConfig, features: tuple[Any, ...]) -> Callable[[], Any]:
    """A step in eager PyTorch, of crops that are cut already."""
    torch.set_num_threads(machine.threads())
    theirs = Peer(config, initial_state(config, jax.local_devices()[:1]), *features)
    side = config.networks.factor * config.low_crop
    crops = torch.from_numpy(_images(config)[:, :side, :side].transpose(0, 3, 1, 2).copy())
    return lambda: theirs.step(crops)


def measure(config: SuperResolutionConfig, rounds: int, steps: int) -> dict[str, list[float]]:
    """Milliseconds of each part and of each whole step, a number for each round."""
    try:
        features = superresolution.constants(config)
    except UserError as error:
        sys.exit(str(error))
    one_by_one = parts(config, features) | {PEER: peer(config, features)}
    calls = {name: (call, 1) for name, call in one_by_one.items()}
    calls[WHOLE] = (whole(config, features, steps), steps)
    for call, _ in calls.values():
        call()
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, (call, count) in calls.items():
            # A library's threads spin for some milliseconds before they sleep.
            time.sleep(0.2)
            started = time.perf_counter()
            for _ in range(steps // count):
                call()
            found[name].append(1e3 * (time.perf_counter() - started) / steps)
    return found


def main() -> None:
    """Times all in turn."""
    options = tyro.cli(Options, description=__doc__)
    jax.config.update("jax_platforms", "cpu")
    wildlife = EXPERIMENTS["wildlife"]
    config = replace(wildlife, train=replace(wildlife.train, batch=options.batch))
    found = measure(config, options.rounds, options.steps)
    table = Table(title=f"One step of wildlife, batch {options.batch}")
    for heading in ("", "ms", "min", "max", "of the step"):
        table.add_column(heading, justify="right" if heading else "left")
    step = statistics.median(found[WHOLE])
    for name, times in found.items():
        share = statistics.median(times) / step
        table.add_row(name, *sides.median_min_max(times, ".1f"), f"{share:.2f}")
    console = Console(width=120)
    console.print(table)
    ratios = [theirs / ours for theirs, ours in zip(found[PEER], found[WHOLE], strict=True)]
    console.print(f"{PEER} over ours, in the same round: {', '.join(sides.median_min_max(ratios, '.2f'))}")
    console.print(", ".join(f"{key} {value}" for key, value in circumstances().items()))
    if options.json:
        numbers = {"milliseconds": found, "batch": options.batch} | circumstances()
        options.json.write_text(json.dumps(numbers, indent=2) + "\n")


def _done(call: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: jax.block_until_ready(call())


def _images(config: SuperResolutionConfig) -> np.ndarray:
    side = config.data.crop
    return np.random.default_rng(0).integers(0, 256, (config.train.batch, side, side, 3), np.uint8)


if __name__ == "__main__":
    main()
