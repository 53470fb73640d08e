"""Times a set-up's convolutions in each form that this project has, on this machine's first device.

    python benchmarks/convolutions.py --set-up mnist --batch 128

`lax`'s own, products with patches, and Toom and Cook's products (`infogan_jax/networks/layers.py` says when
each is taken). A layer's time is that of its output and both gradients, in a loop, as training has them: the
same three maps for a convolution and for a transposed one. The forms are timed in turn.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import machine
import numpy as np
import tyro
from jax import Array
from limits import output_shape
from rich.console import Console
from rich.table import Table

from infogan_jax.config import InfoGANConfig
from infogan_jax.experiments import EXPERIMENTS
from infogan_jax.networks import patches, toom_cook
from infogan_jax.networks.tables import KERNEL_SIZE, Layer

Maps = tuple[Array, Array, Array]


@dataclass(frozen=True)
class Options:
    """Times a set-up's convolutions in each form."""

    set_up: str = "mnist"
    """The experiment."""
    batch: int = 128
    """Images in a step."""
    repeats: int = 5
    """Times that a layer is computed in a call."""
    rounds: int = 5
    """Times that each form is timed."""
    json: Path | None = None
    """Where the numbers are written."""


class Convolution(NamedTuple):
    """A convolution's shapes: x is the larger image, y the smaller one."""

    name: str
    x: tuple[int, int, int, int]
    y: tuple[int, int, int, int]
    stride: int

    @property
    def kernel(self) -> tuple[int, int, int, int]:
        """[height, width, channels of x, channels of y]."""
        return KERNEL_SIZE, KERNEL_SIZE, self.x[-1], self.y[-1]


def convolutions(config: InfoGANConfig) -> list[Convolution]:
    """Those of G, then of D's trunk, at the batch of the configuration."""
    networks, batch = config.networks, config.train.batch
    return [
        *_convolutions("G", networks.generator, (config.codes.input_dim,), batch),
        *_convolutions("D", networks.trunk, networks.image_shape, batch),
    ]


def _convolutions(
    player: str, layers: tuple[Layer, ...], shape: tuple[int, ...], batch: int
) -> list[Convolution]:
    found = []
    for layer in layers:
        before, shape = shape, output_shape((layer,), shape)
        if layer.kind != "dense":
            smaller, larger = (before, shape) if layer.kind == "up" else (shape, before)
            (h, w, c), (low, wide, o) = larger, smaller
            name = f"{player} {layer.kind} {before} to {shape}"
            found.append(Convolution(name, (batch, h, w, c), (batch, low, wide, o), layer.stride))
    return found


def by_lax(x: Array, y: Array, kernel: Array, stride: int) -> Maps:
    """The smaller image of x, the larger one of y, and the kernel's gradient."""

    def convolve(x: Array, kernel: Array) -> Array:
        strides = (stride, stride)
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, strides, "SAME", dimension_numbers=numbers)

    output, pull_back = jax.vjp(convolve, x, kernel)
    return output, *pull_back(y)


def by_products(way: ModuleType, x: Array, y: Array, kernel: Array, stride: int) -> Maps:
    """The same by patches, or by Toom and Cook."""
    size = len(kernel)
    blocks, outputs = way.of_image(x, size, stride), way.of_output(y, size, stride)
    return (
        way.convolve(blocks, kernel, stride, x.shape),
        way.spread(outputs, kernel, stride, x.shape),
        way.kernel_gradient(blocks, outputs, size, stride),
    )


FORMS: dict[str, Callable[[Array, Array, Array, int], Maps]] = {
    "lax": by_lax,
    "patches": lambda *given: by_products(patches, *given),
    "toom_cook": lambda *given: by_products(toom_cook, *given),
}


def prepare(form: str, layer: Convolution, repeats: int) -> Callable[[], float]:
    """A function that computes a layer's maps so many times and returns the seconds of one."""
    rng = np.random.default_rng(0)
    x, y, kernel = (jnp.asarray(rng.standard_normal(s, np.float32)) for s in (layer.x, layer.y, layer.kernel))

    def once(_: int, carried: Maps) -> Maps:
        # Each time needs the one before, so that none can be left out.
        x, y, kernel = carried
        output, image, gradient = jax.lax.optimization_barrier(FORMS[form](x, y, kernel, layer.stride))
        return x + 1e-9 * image, y + 1e-9 * output, kernel + 1e-9 * gradient

    run = jax.jit(lambda given: jax.lax.fori_loop(0, repeats, once, given))

    def call() -> float:
        started = time.perf_counter()
        jax.block_until_ready(run((x, y, kernel)))
        return (time.perf_counter() - started) / repeats

    call()
    return call


def main() -> None:
    """Times the forms of each layer in turn."""
    options = tyro.cli(Options, description=__doc__)
    machine.check(options.set_up, batch=options.batch, repeats=options.repeats, rounds=options.rounds)
    config = EXPERIMENTS[options.set_up]
    if not isinstance(config, InfoGANConfig):
        sys.exit(f"--set-up {options.set_up}: it must be one of InfoGAN's, as mnist or svhn")
    config = replace(config, train=replace(config.train, batch=options.batch))
    table = Table(
        "layer", *(f"{form}, ms" for form in FORMS), title=f"{options.set_up}, batch {options.batch}"
    )
    numbers = []
    for layer in convolutions(config):
        calls = {form: prepare(form, layer, options.repeats) for form in FORMS}
        ms: dict[str, list[float]] = {form: [] for form in FORMS}
        for _ in range(options.rounds):
            for form, call in calls.items():
                ms[form].append(1e3 * call())
        chosen = toom_cook.suits(layer.x, jnp.zeros(layer.kernel), layer.stride)
        table.add_row(
            layer.name, *(f"{statistics.median(t):.2f} ({min(t):.2f} to {max(t):.2f})" for t in ms.values())
        )
        numbers.append({"layer": layer.name, "ms": ms, "on_a_cpu": "toom_cook" if chosen else "patches"})
    console = Console(width=130)
    console.print(table)
    found = machine.circumstances("jax") | {"device": jax.local_devices()[0].device_kind}
    console.print(machine.told(found))
    if options.json:
        given = {name: value for name, value in vars(options).items() if name != "json"}
        options.json.write_text(json.dumps({"layers": numbers} | given | found, indent=2) + "\n")


if __name__ == "__main__":
    main()
