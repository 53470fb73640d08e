"""The training step as several libraries do it, timed in turn.

Each side runs in a process of its own, which stands still while another is timed: libraries keep
threads that would otherwise take each other's cores. The sides alternate, so a slow spell of the
machine meets all of them, and the rate of a plain matrix product next to each says how fast the
machine was.
"""

import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Literal, NamedTuple

import machine
import numpy as np

from infogan_jax.config import InfoGANConfig
from infogan_jax.experiments import EXPERIMENTS

Device = Literal["cpu", "gpu"]

Side = Literal[
    "ours",
    "ours_bfloat16",
    "eager",
    "channels_last",
    "compile",
    "compile_channels_last",
    "cuda_graph",
    "channels_last_cuda_graph",
    "compile_cuda_graph",
    "compile_channels_last_cuda_graph",
    "plain_flax",
    "floor",
]

NAMES: dict[Side, str] = {
    "ours": "ours (JAX)",
    "ours_bfloat16": "ours in bfloat16",
    "eager": "eager PyTorch",
    "channels_last": "PyTorch, channels last",
    "compile": "PyTorch, torch.compile",
    "compile_channels_last": "PyTorch, both",
    "cuda_graph": "eager PyTorch as a CUDA graph",
    "channels_last_cuda_graph": "PyTorch, channels last as a CUDA graph",
    "compile_cuda_graph": "PyTorch, torch.compile as a CUDA graph",
    "compile_channels_last_cuda_graph": "PyTorch, both as a CUDA graph",
    "plain_flax": "plain Flax, a call a step",
    "floor": "the step's products and Adam alone",
}

IMAGES = 4096
"""Random images that the batches are taken from."""

MATRIX = 2048


@dataclass(frozen=True)
class Job:
    """What is timed: an experiment's step at a batch size, several of them at a time."""

    experiment: str
    batch: int
    steps: int
    rounds: int
    device: Device = "cpu"

    @property
    def config(self) -> InfoGANConfig:
        """The experiment's configuration at this batch size."""
        config = EXPERIMENTS[self.experiment]
        # Every side reads its images; none renders them.
        data = replace(config.data, endless=False)
        return replace(config, data=data, train=replace(config.train, batch=self.batch))


class Work(NamedTuple):
    """What a side can be asked to do; each call returns when it is done."""

    steps: Callable[[], Any]
    matrix_product: Callable[[], Any]


def prepare_ours(job: Job, dtype: Literal["float32", "bfloat16"] = "float32") -> Work:
    """Our step as a run calls it: one compiled program for all steps, on one device."""
    jax = _start_jax(job)
    from infogan_jax.training.loop import compile_steps, device_batches, initial_state, replicated

    config = replace(job.config, model=replace(job.config.model, dtype=dtype))
    devices = jax.local_devices()[:1]
    images = jax.device_put(_random_images(config), replicated(devices))
    run = compile_steps(config, devices)
    state = initial_state(config, devices)
    done = 0

    def steps() -> None:
        nonlocal state, done
        batches = device_batches(config, done, job.steps, IMAGES, len(devices))
        state, metrics = run(state, images, batches)
        jax.block_until_ready((state, metrics))
        done += job.steps

    return Work(steps, _jax_product())


def prepare_plain_flax(job: Job) -> Work:
    """The same in Flax's own layers, called from Python once a step with images from the host."""
    jax = _start_jax(job)
    import flax_step

    from infogan_jax.training.loop import device_batches

    images, state, step = (
        _random_images(job.config),
        flax_step.init(job.config),
        flax_step.compile(job.config),
    )
    done = 0

    def steps() -> None:
        nonlocal state, done
        for batch in device_batches(job.config, done, job.steps, IMAGES, 1)[0]:
            state, metrics = step(state, images[batch])
        jax.block_until_ready((state, metrics))
        done += job.steps

    return Work(steps, _jax_product())


def prepare_floor(job: Job) -> Work:
    """The step's matrix products, each at its own shape, and Adam's memory traffic, nothing else.

    A convolution is counted as one product of its patches; ours makes fewer products where channels are many
    (`infogan_jax.networks.toom_cook`), and may go below.
    """
    jax = _start_jax(job)
    import limits

    floor = limits.compile_floor(job.config)
    return Work(lambda: [jax.block_until_ready(floor()) for _ in range(job.steps)], _jax_product())


def prepare_torch(
    job: Job, *, channels_last: bool = False, compiled: bool = False, captured: bool = False
) -> Work:
    """The same step in PyTorch."""
    import torch
    import torch_step

    from infogan_jax.training.loop import device_batches

    device, wait = "cpu", lambda: None
    if job.device == "gpu":
        if not torch.cuda.is_available():
            sys.exit(
                "--device gpu: PyTorch finds none; `python -c 'import torch; torch.cuda.init()'` says why"
            )
        device, wait = "cuda", torch.cuda.synchronize
        # As XLA does with float32 on a GPU; PyTorch's convolutions do so without being asked.
        torch.set_float32_matmul_precision("high")
    torch.set_num_threads(machine.threads())
    peer = torch_step.Peer(job.config, channels_last=channels_last, compiled=compiled, device=device)
    images = torch.from_numpy(_random_images(job.config)).permute(0, 3, 1, 2).contiguous().to(device)
    if captured:
        step = peer.captured(job.batch)
    else:

        def step(real: torch.Tensor) -> dict[str, torch.Tensor]:
            return peer.step(real, torch_step.sample(job.config, job.batch, device))

    done = 0

    def steps() -> None:
        nonlocal done
        (batches,) = torch.from_numpy(device_batches(job.config, done, job.steps, IMAGES, 1)).to(device)
        for batch in batches:
            step(images[batch])
        wait()
        done += job.steps

    a = torch.from_numpy(np.random.default_rng(0).standard_normal((MATRIX, MATRIX), np.float32)).to(device)

    def product() -> None:
        torch.mm(a, a)
        wait()

    return Work(steps, product)


_PREPARE: dict[Side, Callable[[Job], Work]] = {
    "ours": prepare_ours,
    "ours_bfloat16": partial(prepare_ours, dtype="bfloat16"),
    "eager": prepare_torch,
    "channels_last": partial(prepare_torch, channels_last=True),
    "compile": partial(prepare_torch, compiled=True),
    "compile_channels_last": partial(prepare_torch, channels_last=True, compiled=True),
    "cuda_graph": partial(prepare_torch, captured=True),
    "channels_last_cuda_graph": partial(prepare_torch, channels_last=True, captured=True),
    "compile_cuda_graph": partial(prepare_torch, compiled=True, captured=True),
    "compile_channels_last_cuda_graph": partial(
        prepare_torch, channels_last=True, compiled=True, captured=True
    ),
    "plain_flax": prepare_plain_flax,
    "floor": prepare_floor,
}


def measure(job: Job, sides: Sequence[Side]) -> dict[str, dict[Side, list[float]]]:
    """Milliseconds of a "step" and GFLOP/s of a "product" of each side, one number for each round."""
    # On a GPU all sides' memory is there at once.
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    context = multiprocessing.get_context("spawn")
    pipes: dict[Side, Connection] = {}
    for side in sides:
        pipes[side], theirs = context.Pipe()
        context.Process(target=_work, args=(side, job, theirs), daemon=True).start()
        theirs.close()
        try:
            pipes[side].recv()
        except EOFError:
            sys.exit(f"{NAMES[side]} could not start: its error is above")
    found: dict[str, dict[Side, list[float]]] = {
        name: {side: [] for side in sides} for name in ("step", "product")
    }
    for _ in range(job.rounds):
        for side, pipe in pipes.items():
            found["product"][side].append(2e-9 * MATRIX**3 / _time(pipe, "matrix_product"))
            found["step"][side].append(1e3 * _time(pipe, "steps") / job.steps)
    for pipe in pipes.values():
        pipe.send(None)
    return found


def in_turn(tasks: dict[str, tuple[Callable[[], Any], int]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of one of each task, by round, in this process: what is called, and how many that is."""
    found: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, (work, count) in tasks.items():
            started = time.perf_counter()
            work()
            found[name].append(1e3 * (time.perf_counter() - started) / count)
    return found


def ratios(of: Sequence[float], to: Sequence[float]) -> list[float]:
    """The ratio in each round."""
    return [a / b for a, b in zip(of, to, strict=True)]


def median_min_max(values: Iterable[float], form: str) -> tuple[str, str, str]:
    """For a table's three columns."""
    values = list(values)
    return (format(statistics.median(values), form), format(min(values), form), format(max(values), form))


def check(experiment: str, **counts: int) -> None:
    """Refuses what can't be timed, before a process starts."""
    known = [name for name, config in EXPERIMENTS.items() if isinstance(config, InfoGANConfig)]
    if experiment not in known:
        sys.exit(f"{experiment!r}: it must be one of {', '.join(known)}")
    for name, count in counts.items():
        least = 2 if name == "batch" else 1
        if count < least:
            sys.exit(f"--{name} {count}: it must be {least} or more")
    import torch_step

    try:
        torch_step.check(EXPERIMENTS[experiment])
    except ValueError as error:
        sys.exit(f"{experiment!r}: {error}")


def _work(side: Side, job: Job, requests: Connection) -> None:
    """A side's process: does what it is asked to, says how long it took, and waits."""
    work = _PREPARE[side](job)
    # Compiles, and lets a library choose its kernels.
    for task in (*work, *work):
        task()
    requests.send("ready")
    while (name := requests.recv()) is not None:
        started = time.perf_counter()
        getattr(work, name)()
        requests.send(time.perf_counter() - started)


def _time(pipe: Connection, task: str) -> float:
    # A library's threads spin for some milliseconds before they sleep.
    time.sleep(0.2)
    pipe.send(task)
    return pipe.recv()


def _start_jax(job: Job) -> Any:
    import jax

    if job.device == "gpu":
        if jax.default_backend() != "gpu":
            sys.exit(
                f"--device gpu: JAX finds {jax.devices()} alone; for NVIDIA's: pip install 'jax[cuda13]'"
            )
        return jax
    jax.config.update("jax_platforms", "cpu")
    os.environ["NPROC"] = str(machine.threads())  # The number of XLA's threads, read when its client starts.
    return jax


def _jax_product() -> Callable[[], Any]:
    import jax

    a = jax.numpy.asarray(np.random.default_rng(0).standard_normal((MATRIX, MATRIX), np.float32))
    product = jax.jit(lambda x: x @ x)
    return lambda: product(a).block_until_ready()


def _random_images(config: InfoGANConfig) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (IMAGES, *config.networks.image_shape), np.uint8)
