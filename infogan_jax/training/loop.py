"""The training loop: one pmap over a scan of steps, and what happens between two calls of it."""

import math
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from rich.console import Console

from infogan_jax.config import Config
from infogan_jax.data.dataset import Dataset
from infogan_jax.data.order import batch_indices
from infogan_jax.images import save_png, tile
from infogan_jax.tasks.registry import task_of
from infogan_jax.tasks.replica import AXIS, Metrics
from infogan_jax.training.checkpoints import Checkpoints, abstract
from infogan_jax.training.devices import check_batch
from infogan_jax.training.interrupts import Interrupts
from infogan_jax.training.logging import Log

State = Any
"""A task's own: a pytree of arrays."""


class NonFiniteError(RuntimeError):
    """A loss or gradient stopped being a finite number."""


def replicated(devices: Sequence[jax.Device]) -> NamedSharding:
    """The whole array on each device.

    As pmap lays out its own results: another mesh, and the second call would compile again.
    """
    return NamedSharding(Mesh(np.array(devices), (AXIS,)), PartitionSpec())


def initial_state(config: Config, devices: Sequence[jax.Device]) -> State:
    """The state before the first step, on all devices."""
    return jax.jit(task_of(config).init, static_argnums=0, out_shardings=replicated(devices))(
        config, jax.random.key(config.seed)
    )


def compile_steps(
    config: Config, devices: Sequence[jax.Device]
) -> Callable[[State, Array, np.ndarray], tuple[State, Metrics]]:
    """The program that a run calls: several steps on all devices.

    Args:
        config: the run's configuration.
        devices: the devices that share each batch.

    Returns:
        A function of the state (donated), all training images (uint8 [N, h, w, c], on every
        device) and each device's batches as indices (int32 [devices, steps, batch / devices]). It
        returns the new state and each step's metrics, [steps].
    """

    step = task_of(config).step

    def steps(state: State, images: Array, indices: Array) -> tuple[State, Metrics]:
        return jax.lax.scan(lambda s, i: step(config, s, images[i]), state, indices)

    return jax.pmap(
        steps,
        axis_name=AXIS,
        in_axes=(None, None, 0),
        out_axes=(None, None),
        donate_argnums=0,
        devices=devices,
    )


def device_batches(config: Config, first: int, count: int, size: int, replicas: int) -> np.ndarray:
    """Which images the steps ``first`` to ``first + count`` see, int32 [replicas, count, share]."""
    batch = config.train.batch
    indices = np.stack([batch_indices(config.seed, s, batch, size) for s in range(first, first + count)])
    return indices.reshape(count, replicas, batch // replicas).swapaxes(0, 1)


def train(
    config: Config,
    dataset: Dataset,
    run_dir: Path,
    *,
    resume_from: int | None = None,
    devices: Sequence[jax.Device] | None = None,
    console: Console | None = None,
    profile: Path | None = None,
) -> signal.Signals | None:
    """Trains to ``config.train.steps``, or until a signal asks it to stop.

    Args:
        config: the run's configuration.
        dataset: images of the networks' shape.
        run_dir: the run's folder; made where it isn't there.
        resume_from: the step of the checkpoint to go on from; None starts anew.
        devices: the devices that share each batch; all local ones by default.
        console: where the progress line goes.
        profile: where a profile of the second call is written, the first that nothing is compiled in.

    Returns:
        The signal that came, or None. The state is saved in both cases.

    Raises:
        UserError: the devices can't share the batch evenly.
        NonFiniteError: a loss or gradient stopped being finite; the checkpoints before it are kept.
    """
    devices = devices or jax.local_devices()
    console = console or Console(stderr=True)
    check_batch(config.train.batch, devices)
    settings = config.train
    placement = replicated(devices)
    run_dir.mkdir(parents=True, exist_ok=True)
    images = jax.device_put(dataset.train.images, placement)
    run_steps = compile_steps(config, devices)
    task = task_of(config)
    samples, describe = task.samples(config, dataset), partial(task.describe, config)
    step = saved = resume_from or 0
    second = step + settings.steps_per_call
    flops = None
    with (
        # The first to be entered is the last to be left: a signal can't cut off a final save.
        Interrupts() as interrupts,
        Checkpoints(run_dir, keep=settings.keep, keep_every=settings.keep_every) as checkpoints,
        Log(run_dir, start=step, total=settings.steps, describe=describe, console=console) as log,
    ):
        if resume_from is None:
            state = initial_state(config, devices)
            checkpoints.save(0, state, config)
        else:
            like = jax.eval_shape(lambda: initial_state(config, devices))
            state = checkpoints.state(resume_from, abstract(like, placement))
        while step < settings.steps and interrupts.received is None:
            called = time.monotonic()
            count = min(settings.steps_per_call, settings.steps - step)
            batches = device_batches(config, step, count, len(images), len(devices))
            if flops is None:
                # Of one step, since a scan's body counts once. What is traced here serves the call too.
                flops = _flops(run_steps.lower(state, images, batches)) * len(devices)
            with jax.profiler.trace(str(profile)) if profile and step == second else nullcontext():
                state, metrics = run_steps(state, images, batches)
                # Before jax 0.8 pmap's results have a layout of their own, which Orbax does not know and for
                # which the program would be compiled a second time. Later this does nothing.
                state = jax.device_put(state, placement)
                # Reading the metrics also awaits the call: fake CPU devices must not run ahead.
                metrics = {name: np.asarray(values) for name, values in metrics.items()}
            _check_finite(metrics, step, run_dir)
            before, step = step, step + count
            rate = count / (time.monotonic() - called)
            log.write(
                {
                    "step": step,
                    "steps_per_second": round(rate, 3),
                    **({"flops_per_second": round(rate * flops)} if flops else {}),
                    **{name: float(values.mean()) for name, values in metrics.items()},
                }
            )
            if _passed(settings.sample_every, before, step) or step == settings.steps:
                _save_samples(run_dir, step, *samples(state))
            if _passed(settings.checkpoint_every, before, step) or step == settings.steps:
                checkpoints.save(step, state, config)
                saved = step
        if step != saved:
            checkpoints.save(step, state, config)
    return interrupts.received


def _flops(lowered: jax.stages.Lowered) -> float:
    """A program's own count of operations on one device; 0 on accelerators, which count compiled ones."""
    return float((lowered.cost_analysis() or {}).get("flops", 0.0))


def _passed(every: int, before: int, after: int) -> bool:
    return after // every > before // every


def _check_finite(metrics: dict[str, np.ndarray], first: int, run_dir: Path) -> None:
    finite = {name: np.isfinite(values) for name, values in metrics.items()}
    bad = [int(np.argmin(ok)) for ok in finite.values() if not ok.all()]
    if bad:
        at = min(bad)
        names = ", ".join(f"{name} = {metrics[name][at]}" for name, ok in finite.items() if not ok[at])
        raise NonFiniteError(
            f"step {first + at + 1}: {names}; stopped; the checkpoints in {run_dir} are from before. "
            "The usual cure: lower --optimizer.lr-generator and --optimizer.lr-discriminator in a new run"
        )


def _save_samples(run_dir: Path, step: int, images: np.ndarray, columns: int) -> None:
    path = run_dir / "samples" / f"{step:07d}.png"
    path.parent.mkdir(exist_ok=True)
    save_png(path, tile(images, columns), scale=max(1, math.ceil(24 / images.shape[1])))
