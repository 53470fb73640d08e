"""What this machine could do at most for a training step: its products at their shapes, and memory.

    python benchmarks/limits.py --set-up mnist --batch 128

Prints the time and rate of each matrix product of the step, as one product of the library alone, the
bandwidth that Adam's update reaches, and their sum, the floor that `peers.py` compares with.
"""

import json
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import machine
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from infogan_jax.config import InfoGANConfig
from infogan_jax.networks.tables import KERNEL_SIZE, Layer

Shape = tuple[int, ...]


class Product(NamedTuple):
    """A matrix product: [rows, inner] times [inner, columns]."""

    rows: int
    inner: int
    columns: int

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * self.rows * self.inner * self.columns


@dataclass(frozen=True)
class Options:
    """The floor of a training step on this machine."""

    set_up: str = "mnist"
    """The experiment."""
    batch: int = 128
    """Images in a step."""
    rounds: int = 5
    """Times that each product is timed."""
    repeats: int = 5
    """Times that a product or an update is made in a call: on an accelerator so many that its start doesn't
    count."""
    json: Path | None = None
    """Where the numbers are written."""


def products(config: InfoGANConfig) -> Counter[Product]:
    """The matrix products of one step, and how often each is made.

    A layer's product forward is [m, k] x [k, n]; its weights' gradient [k, m] x [m, n]; its input's
    [m, n] x [n, k]. D reads real and generated images, and its gradients are taken of D's loss for both
    and of G's loss for the generated ones; nobody asks for the gradient in the codes or in real images.
    Code invariance, where it is on, reads one batch more.
    """
    networks, batch = config.networks, config.train.batch
    views = int(config.objective.invariance.weight > 0)
    found: Counter[Product] = Counter()

    def add(layers: Iterator[Product], forward: int, weights: int, inputs: int, first_inputs: int) -> None:
        for i, (m, k, n) in enumerate(layers):
            found[Product(m, k, n)] += forward
            found[Product(k, m, n)] += weights
            found[Product(m, n, k)] += inputs if i else first_inputs

    add(_products(networks.generator, (config.codes.input_dim,), batch), 1, 1, 1, 0)
    add(_products(networks.trunk, networks.image_shape, batch), 2 + views, 2 + views, 3 + views, 1)
    features = output_shape(networks.trunk, networks.image_shape)
    hidden = output_shape(networks.q_head, features)
    add(iter([Product(batch, math.prod(features), 1)]), 2, 2, 3, 3)
    if config.codes.posterior_dim:
        # On real images Q's head is passed for batch norm's statistics alone, but for invariance.
        add(
            _products(networks.q_head, features, batch),
            2 + views,
            1 + 2 * views,
            2 + 2 * views,
            2 + 2 * views,
        )
        output = Product(batch, math.prod(hidden), config.codes.posterior_dim)
        add(iter([output]), 1 + 2 * views, 1 + 2 * views, 2 + 2 * views, 2 + 2 * views)
    return +found


def _products(layers: tuple[Layer, ...], shape: Shape, batch: int) -> Iterator[Product]:
    """Each layer's product forward."""
    for layer in layers:
        before, shape = shape, output_shape((layer,), shape)
        if layer.kind == "dense":
            yield Product(batch, math.prod(before), math.prod(shape))
        elif layer.kind == "conv":
            yield Product(batch * shape[0] * shape[1], KERNEL_SIZE**2 * before[-1], shape[-1])
        else:
            yield Product(batch * before[0] * before[1], before[-1], KERNEL_SIZE**2 * shape[-1])


def output_shape(layers: tuple[Layer, ...], shape: Shape) -> Shape:
    """The shape of one example after the layers."""
    for layer in layers:
        if layer.kind == "dense":
            shape = layer.features
        else:
            height, width = (
                n * layer.stride if layer.kind == "up" else -(-n // layer.stride) for n in shape[:2]
            )
            shape = (height, width, *layer.features)
    return shape


def compile_floor(config: InfoGANConfig) -> Callable[[], Any]:
    """One program with every product of a step, and Adam's update of as many weights."""
    parts = [compile_product(product, count) for product, count in products(config).items()]
    adam = compile_adam(weights(config))
    return lambda: [part() for part in (*parts, adam)]


def compile_product(product: Product, count: int) -> Callable[[], Any]:
    """A product, made ``count`` times in one call, so that a call's own cost doesn't count."""
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    a = jnp.asarray(rng.standard_normal((product.rows, product.inner), np.float32))
    b = jnp.asarray(rng.standard_normal((product.inner, product.columns), np.float32))

    def once(_: int, carried: tuple[Any, Any]) -> tuple[Any, Any]:
        # Each product needs the one before, so that the compiler can't make them one. What it is written into
        # is the smaller factor, and is carried on, so that it is changed in place.
        small, last = carried
        small = jax.lax.dynamic_update_slice(small, last, (0, 0))
        c = jax.lax.optimization_barrier(a @ small if right else small @ b)
        return small, 1e-20 * c[:1, :1]

    right = b.size < a.size
    zero = jnp.zeros((1, 1), jnp.float32)
    run = jax.jit(lambda small: jax.lax.fori_loop(0, count, once, (small, zero))[1])
    return lambda: run(b if right else a)


def compile_adam(size: int, count: int = 1) -> Callable[[], Any]:
    """Adam's update of a vector, in place, so many times in one call."""
    import jax
    import jax.numpy as jnp
    import optax

    tx = optax.adam(1e-3)
    grads = jnp.ones(size)
    state = (jnp.ones(size), tx.init(jnp.ones(size)))

    def update(params: Any, opt: Any, grads: Any) -> tuple[Any, Any]:
        updates, opt = tx.update(grads, opt, params)
        return optax.apply_updates(params, updates), opt

    def repeated(state: Any, grads: Any) -> Any:
        return jax.lax.fori_loop(0, count, lambda _, state: update(*state, grads), state)

    repeated = jax.jit(repeated, donate_argnums=0)

    def run() -> Any:
        nonlocal state
        state = repeated(state, grads)
        return state[0]

    return run


def weights(config: InfoGANConfig) -> int:
    """The number of weights of both players."""
    import jax

    from infogan_jax.tasks import infogan

    shapes = jax.eval_shape(lambda key: infogan.init(config, key).params, jax.random.key(0))
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


def _seconds(run: Callable[[], Any], rounds: int) -> float:
    """The least time: what the machine can do, whatever else it had to."""
    import jax

    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - started)
    return min(times[1:])


def main() -> None:
    """Times each product of the step alone."""
    import jax
    import sides

    options = tyro.cli(Options, description=__doc__)
    sides.check(options.set_up, batch=options.batch, rounds=options.rounds, repeats=options.repeats)
    os.environ["NPROC"] = str(machine.threads())
    config = sides.Job(options.set_up, options.batch, 1, 1).config

    table = Table(
        "product", "times a step", "ms each", "GFLOP/s", title=f"{options.set_up}, batch {options.batch}"
    )
    milliseconds, numbers = 0.0, []
    for product, count in sorted(products(config).items(), key=lambda item: -item[0].flops * item[1]):
        each = 1e3 * _seconds(compile_product(product, options.repeats), options.rounds) / options.repeats
        milliseconds += count * each
        shape = f"[{product.rows}, {product.inner}] [{product.inner}, {product.columns}]"
        table.add_row(shape, str(count), f"{each:.2f}", f"{product.flops / each / 1e6:.1f}")
        numbers.append({**product._asdict(), "count": count, "ms": each})
    size = weights(config)
    adam = 1e3 * _seconds(compile_adam(size, options.repeats), options.rounds) / options.repeats
    total = sum(p.flops * n for p, n in products(config).items())
    # Adam reads the gradient, the weights and two averages, and writes the last three: 4 bytes each.
    bandwidth = 7 * 4 * size / adam / 1e6

    console = Console()
    console.print(table)
    console.print(f"products: {total / 1e9:.1f} GFLOP in {milliseconds:.4g} ms")
    console.print(f"Adam, {size:,} weights: {adam:.1f} ms, {bandwidth:.1f} GB/s")
    device = jax.local_devices()[0].device_kind
    host = f"{machine.processor()}, {machine.threads()} threads"
    console.print(f"floor: {milliseconds + adam:.4g} ms on {device} ({host})")
    if options.json:
        report = {"products": numbers, "adam_ms": adam, "gigabytes_per_second": bandwidth}
        options.json.write_text(json.dumps(report | {"floor_ms": milliseconds + adam}, indent=2) + "\n")


if __name__ == "__main__":
    main()
