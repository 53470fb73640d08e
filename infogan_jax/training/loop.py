"""The training loop: one pmap over a scan of steps, and what happens between two calls of it."""

import dataclasses
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from rich.console import Console

from infogan_jax.config import Config, SuperResolutionConfig, Train, differences
from infogan_jax.data import sources
from infogan_jax.data.dataset import Dataset
from infogan_jax.data.order import batch_indices, endless_indices
from infogan_jax.errors import NonFiniteError
from infogan_jax.images import tile
from infogan_jax.tasks.registry import constants_of, task_of
from infogan_jax.tasks.replica import AXIS, Metrics
from infogan_jax.training import processes, run_folder
from infogan_jax.training.checkpoints import Checkpoints, abstract, host_arrays, local_copy, restore
from infogan_jax.training.devices import check_batch, stacks
from infogan_jax.training.flops import flops_of_step, peak
from infogan_jax.training.interrupts import Interrupts
from infogan_jax.training.logging import Log, ProgressLine
from infogan_jax.training.memory import streams
from infogan_jax.training.run_folder import Run
from infogan_jax.training.stream import gathered
from infogan_jax.training.writers import writers

State = Any
"""A task's own: a pytree of arrays."""


def replicated(devices: Sequence[jax.Device]) -> NamedSharding:
    """The whole array on each device.

    As pmap lays out its own results: another mesh, and the second call would compile again.
    """
    return NamedSharding(Mesh(np.array(devices), (AXIS,)), PartitionSpec())


def initial_state(config: Config, devices: Sequence[jax.Device]) -> State:
    """The state before the first step, on all devices."""
    return jax.jit(task_of(config).init, static_argnums=0, out_shardings=replicated(devices))(
        _read_by_tasks(config), jax.random.key(config.seed)
    )


def _read_by_tasks(config: Config) -> Config:
    """The configuration of all runs that have this one's programs: no task reads the seed or the rhythm."""
    train = Train(steps=1, batch=config.train.batch, microbatch=config.train.microbatch)
    return dataclasses.replace(config, seed=0, train=train)


def compile_steps(
    config: Config,
    devices: Sequence[jax.Device],
    runs: int = 1,
    *,
    constants: int = 0,
    stacked: bool | None = None,
) -> jax.stages.Wrapped:
    """The program that a training calls: several steps on all devices.

    Args:
        config: the configuration.
        devices: the devices that share each batch.
        runs: how many runs of this configuration, with seeds of their own, take their steps in one
            program. With more than one, the state, the indices behind their first axis, and the metrics
            have an axis more, of the runs, in front.
        constants: how many arrays or trees of them the task's steps read and never change.
        stacked: of several runs, whether their steps are taken at once, and not in turn; by default as
            `devices.stacks` says.

    Returns:
        A function of the state (donated), all training images (uint8 [N, h, w, c], on every
        device), each device's batches as indices (int32 [devices, steps, batch / devices]) and the
        constants. In place of the images None may be given; the batches are then the images themselves
        (uint8 [devices, steps, batch / devices, h, w, c]), or, of data without end, still indices, whose
        images are rendered in the step. It returns the new state and each step's metrics, [steps].
    """
    if stacked is None:
        stacked = stacks(devices)
    return _program(task_of(config).step, _read_by_tasks(config), tuple(devices), runs, constants, stacked)


# Seeds that are trained one after another, and a run that goes on in the same process, compile once.
@lru_cache(maxsize=4)
def _program(
    step: Callable[..., tuple[State, Metrics]],
    config: Config,
    devices: tuple[jax.Device, ...],
    runs: int,
    constants: int,
    stacked: bool,
) -> jax.stages.Wrapped:
    """What `compile_steps` returns, of a configuration that says only what a step reads."""
    image = sources.endless(config.data)

    def seen(images: Array | None, batch: Array) -> Array:
        if image:
            # As many at a time as the task takes, so that a microbatch saves memory here too.
            at_once = (config.train.microbatch or config.train.batch) // len(devices)
            rendered: Array = jax.lax.map(image, batch, batch_size=at_once)
            return rendered
        return batch if images is None else images[batch]

    def steps(state: State, images: Array | None, batches: Array, *constants: Any) -> tuple[State, Metrics]:
        def one(state: State, batch: Array) -> tuple[State, Metrics]:
            return step(config, state, seen(images, batch), *constants)

        return jax.lax.scan(one, state, batches) if len(batches) > 1 else _loop_of_one(one, state, batches)

    def steps_of_each(
        states: State, images: Array | None, batches: Array, *constants: Any
    ) -> tuple[State, Metrics]:
        def of_one(run: tuple[State, Array]) -> tuple[State, Metrics]:
            return steps(run[0], images, run[1], *constants)

        return (jax.vmap(of_one) if stacked else partial(jax.lax.map, of_one))((states, batches))

    program: jax.stages.Wrapped = jax.pmap(
        steps if runs == 1 else steps_of_each,
        axis_name=AXIS,
        in_axes=(None, None, 0, *(None,) * constants),
        out_axes=(None, None),
        donate_argnums=0,
        devices=devices,
    )
    return program


def _loop_of_one(
    one: Callable[[State, Array], tuple[State, Metrics]], state: State, batches: Array
) -> tuple[State, Metrics]:
    """What `jax.lax.scan` gives for one batch, with the bits that the step has in a longer call.

    Of a loop that it knows to run once XLA takes the loop away, and fuses and rounds otherwise. It can't know
    that no step is negative.
    """
    once = 1 + jnp.minimum(state.step, 0)
    # Nor has a row of one place, of which it knows which place is meant.
    two = jnp.concatenate([batches, batches])
    _, shapes = jax.eval_shape(one, state, two[0])
    rows = jax.tree.map(lambda x: jnp.zeros((2, *x.shape), x.dtype), shapes)

    def body(i: Array, carry: tuple[State, Metrics]) -> tuple[State, Metrics]:
        state, metrics = one(carry[0], jax.lax.dynamic_index_in_dim(two, i, keepdims=False))
        put = jax.lax.dynamic_update_index_in_dim
        return state, jax.tree.map(lambda row, x: put(row, x, i, 0), carry[1], metrics)

    state, rows = jax.lax.fori_loop(0, once, body, (state, rows))
    return state, jax.tree.map(lambda row: row[:1], rows)


def own_rows(devices: Sequence[jax.Device]) -> list[int]:
    """The places, among devices that share each batch, of those that this process feeds."""
    return [i for i, device in enumerate(devices) if device.process_index == jax.process_index()]


def device_batches(config: Config, first: int, count: int, size: int, replicas: int) -> np.ndarray:
    """Which images the steps ``first`` to ``first + count`` see, int32 [replicas, count, share].

    They are of ``size`` images, or of data without end.
    """
    batch, seed = config.train.batch, config.seed

    def of_step(step: int) -> np.ndarray:
        if config.data.endless:
            return endless_indices(seed, step, batch)
        return batch_indices(seed, step, batch, size)

    indices = np.stack([of_step(step) for step in range(first, first + count)])
    return indices.reshape(count, replicas, batch // replicas).swapaxes(0, 1)


def call_batches(
    runs: Sequence[Run],
    starts: Sequence[int],
    devices: Sequence[jax.Device],
    images: np.ndarray,
    *,
    stream: bool,
) -> AbstractContextManager[Iterator[Any]]:
    """The batches of the calls that begin at ``starts``, for the program of `compile_steps`.

    Args:
        runs: one run, or several that differ in their seeds alone.
        starts: the first step of each call; those of the last end with ``train.steps``.
        devices: the devices that share each batch; of several processes, only this one's get theirs.
        images: all training images.
        stream: whether the batches are the images themselves, gathered ahead, and not their indices.
    """
    train, rows = runs[0].config.train, own_rows(devices)

    def indices(first: int) -> np.ndarray:
        count = min(train.steps_per_call, train.steps - first)
        batches = [device_batches(r.config, first, count, len(images), len(devices))[rows] for r in runs]
        return batches[0] if len(runs) == 1 else np.stack(batches, axis=1)

    if not stream:
        return nullcontext(map(indices, starts))
    if jax.process_count() > 1:
        return gathered(images, starts, indices)
    # As pmap lays out its arguments.
    shards = NamedSharding(Mesh(np.array(devices), (AXIS,)), PartitionSpec(AXIS))
    return gathered(images, starts, indices, lambda batches: jax.device_put(batches, shards))


def train(
    runs: Sequence[Run],
    dataset: Dataset,
    *,
    devices: Sequence[jax.Device] | None = None,
    console: Console | None = None,
    profile: Path | None = None,
    wandb: str | None = None,
) -> signal.Signals | None:
    """Trains to ``config.train.steps``, or until a signal asks it to stop.

    Args:
        runs: one run, or several that differ in their seeds alone and then take their steps in one program.
        dataset: images of the networks' shape.
        devices: the devices that share each batch, of all processes; all there are by default.
        console: where the progress line goes; of several runs it shows the means.
        profile: where a profile of the second call is written, the first that nothing is compiled in.
        wandb: a project of Weights & Biases that shows the runs too.

    Returns:
        The signal that came, or None. The states are saved in both cases.

    Raises:
        ValueError: the runs differ in more than their seeds, or don't start at the same step.
        UserError: the devices can't share the batch evenly.
        NonFiniteError: a loss or gradient stopped being finite; the checkpoints before it are kept.
    """
    config, step = _common(runs)
    devices = devices or jax.devices()
    console = console or Console(stderr=True, quiet=not processes.first())
    check_batch(config.train, devices)
    settings = config.train
    placement = replicated(devices)
    if processes.first():
        for run in runs:
            run.folder.mkdir(parents=True, exist_ok=True)
    stream = processes.any_of(streams(config, dataset.train.images.nbytes, devices))
    elsewhere = stream or config.data.endless
    images = None if elsewhere else jax.device_put(dataset.train.images, placement)
    constants = jax.device_put(constants_of(config), placement)
    run_steps = compile_steps(config, devices, len(runs), constants=len(constants))
    task = task_of(config)
    samples = [task.samples(run.config, dataset) for run in runs]
    apart = _apart(runs, placement)
    saved, second = step, step + settings.steps_per_call
    flops, peak_flops = None, peak(devices, config.model.dtype)
    with (
        # The first to be entered is the last to be left: a signal can't cut off a final save.
        Interrupts() as interrupts,
        ExitStack() as files,
        ProgressLine(start=step, total=settings.steps, console=console) as progress,
    ):
        checkpoints = [
            files.enter_context(Checkpoints(run.folder, keep=settings.keep, keep_every=settings.keep_every))
            for run in runs
        ]
        # One process tells what all of them do.
        told = runs if processes.first() else []
        shown = [files.enter_context(writers(run.folder, run.config, step, wandb)) for run in told]
        logs = [
            files.enter_context(Log(run.folder, start=step, writers=own))
            for run, own in zip(told, shown, strict=True)
        ]

        def save(step: int, state: State) -> None:
            for run, own_checkpoints, own in zip(runs, checkpoints, apart(state), strict=True):
                _check_finite_state(host_arrays(own), step, run.folder)
                own_checkpoints.save(step, own, run.config)

        state = _start(runs, checkpoints, devices)
        starts = range(step, settings.steps, settings.steps_per_call)
        calls = files.enter_context(call_batches(runs, starts, devices, dataset.train.images, stream=stream))
        while step < settings.steps and processes.signal_of_any(interrupts.received) is None:
            called = time.monotonic()
            count = min(settings.steps_per_call, settings.steps - step)
            batches = next(calls)
            if flops is None:
                # What is traced here serves the call too.
                arguments = (state, images, batches, *constants)
                flops = flops_of_step(
                    run_steps, arguments, settings, steps=count, devices=len(devices), runs=len(runs)
                )
            with jax.profiler.trace(str(profile)) if profile and step == second else nullcontext():
                state, metrics = run_steps(state, images, batches, *constants)
                state = _replaced(state, placement)
                # Reading the metrics also awaits the call: fake CPU devices must not run ahead.
                metrics = {k: np.asarray(values).reshape(len(runs), count) for k, values in metrics.items()}
            for own_checkpoints in checkpoints:
                own_checkpoints.check()
            for i, run in enumerate(runs):
                _check_finite({name: values[i] for name, values in metrics.items()}, step, run.folder)
            before, step = step, step + count
            rate = count / (time.monotonic() - called)
            record = {
                "step": step,
                "steps_per_second": round(rate, 3),
                **({"flops_per_second": round(rate * flops)} if flops else {}),
                **({"utilisation": round(rate * flops / peak_flops, 4)} if flops and peak_flops else {}),
            }
            for i, log in enumerate(logs):
                log.write(record | {name: float(values[i].mean()) for name, values in metrics.items()})
            means = {name: float(values.mean()) for name, values in metrics.items()}
            progress.show(record, task.describe(config, means))
            last = step == settings.steps
            if last or _passed(settings.sample_every, before, step):
                for i, own in enumerate(apart(state)):
                    _check_finite_state(host_arrays(own), step, runs[i].folder)
                    if told:
                        made, columns = samples[i](local_copy(own))
                        scale = max(1, math.ceil(24 / made.shape[1]))
                        logs[i].picture(step, "samples", tile(made, columns), scale)
            if last or _passed(settings.checkpoint_every, before, step):
                save(step, state)
                saved = step
        if step != saved:
            save(step, state)
    return processes.signal_of_any(interrupts.received)


def _common(runs: Sequence[Run]) -> tuple[Config, int]:
    """The configuration of the first run, and the step that all start from."""
    config, step = runs[0].config, runs[0].resume_from
    for run in runs[1:]:
        if set(differences(config, run.config)) - {"seed"}:
            raise ValueError(f"{run.folder} differs from {runs[0].folder} in more than its seed")
        if run.resume_from != step:
            raise ValueError(f"{run.folder} starts at step {run.resume_from}, {runs[0].folder} at {step}")
    return config, step or 0


def _start(runs: Sequence[Run], checkpoints: Sequence[Checkpoints], devices: Sequence[jax.Device]) -> State:
    """The state before the first step, new or restored; of several runs all states, stacked."""
    placement = replicated(devices)
    states = []
    for run, saved in zip(runs, checkpoints, strict=True):
        if run.resume_from is None:
            state = _first_state(run.config, devices)
            saved.save(0, state, run.config)
            # A log without a checkpoint would be of a run that can neither go on nor start anew.
            saved.wait()
        else:
            like = jax.eval_shape(lambda run=run: initial_state(run.config, devices))
            state = saved.state(run.resume_from, abstract(like, placement))
        states.append(state)
    if len(states) == 1:
        return states[0]
    stack = jax.jit(
        lambda *states: jax.tree.map(lambda *leaves: jnp.stack(leaves), *states), out_shardings=placement
    )
    return stack(*states)


def _first_state(config: Config, devices: Sequence[jax.Device]) -> State:
    """The state before the first step, with what it takes from an earlier run."""
    state = initial_state(config, devices)
    if not isinstance(config, SuperResolutionConfig) or config.init_from is None:
        return state
    folder = run_folder.of_seed(config.init_from, config.seed)
    _, earlier = restore(folder, run_folder.find_step(folder))
    return jax.device_put(task_of(config).take_over(state, earlier), replicated(devices))


def _apart(runs: Sequence[Run], placement: NamedSharding) -> Callable[[State], Iterator[State]]:
    """A function that yields the state of each run, one at a time, since each is a copy."""
    if len(runs) == 1:
        return lambda state: iter([state])
    one = jax.jit(lambda states, i: jax.tree.map(lambda leaves: leaves[i], states), out_shardings=placement)
    return lambda states: (one(states, i) for i in range(len(runs)))


def _replaced(state: State, placement: NamedSharding) -> State:
    """What pmap has returned, laid out as it was given.

    Before jax 0.8 pmap's results have a layout of their own, which Orbax does not know and for which the
    program would be compiled a second time; later this does nothing. Of several processes, each gets a copy
    on its own devices, and all of them together are the whole.
    """
    if jax.process_count() == 1:
        return jax.device_put(state, placement)

    def whole(leaf: Array) -> Array:
        copies = [shard.data for shard in leaf.addressable_shards]
        return jax.make_array_from_single_device_arrays(leaf.shape, placement, copies)

    return jax.tree.map(whole, state)


def _passed(every: int, before: int, after: int) -> bool:
    return after // every > before // every


def _check_finite(metrics: dict[str, np.ndarray], first: int, run_dir: Path) -> None:
    finite = {name: np.isfinite(values) for name, values in metrics.items()}
    bad = [int(np.argmin(ok)) for ok in finite.values() if not ok.all()]
    if bad:
        at = min(bad)
        names = ", ".join(f"{name} = {metrics[name][at]}" for name, ok in finite.items() if not ok[at])
        raise _not_finite(f"step {first + at + 1}: {names}", run_dir)


def _check_finite_state(arrays: dict[str, np.ndarray], step: int, run_dir: Path) -> None:
    """A step's losses and gradients may be finite where the update that it makes of them is not."""
    bad = [path for path, values in arrays.items() if not np.isfinite(values).all()]
    if bad:
        raise _not_finite(
            f"after step {step} the state is not finite: state{bad[0]} and {len(bad) - 1} more", run_dir
        )


def _not_finite(what: str, run_dir: Path) -> NonFiniteError:
    return NonFiniteError(
        f"{what}; stopped; the checkpoints in {run_dir} are from before. "
        "The usual cure: a lower learning rate in a new run",
        run_dir,
    )
