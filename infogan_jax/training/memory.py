"""Whether a training fits into memory, as far as that can be known before anything is compiled."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend import core

from infogan_jax.config import AutoencoderConfig, Config, InfoGANConfig, SuperResolutionConfig
from infogan_jax.errors import UserError
from infogan_jax.tasks.registry import constants_of, task_of
from infogan_jax.tasks.replica import AXIS
from infogan_jax.training.devices import stacks
from infogan_jax.training.stream import BUFFERED

# What a step keeps for each pixel of its images, at most, in the networks here. Where even that fits,
# nothing more exact is needed, which takes as long as tracing a step.
_MOST_BYTES_A_PIXEL = 2**16

# XLA writes out what these give, whatever it makes of the rest.
_WRITTEN = ("dot_general", "conv_general_dilated", "concatenate")


class Need(NamedTuple):
    """Bytes on each device, at least.

    Attributes:
        images: the training images; 0 where they are streamed, or rendered in the step.
        state: the states of all runs, and the gradients of those that take a step at once.
        calls: the indices of the images that a call sees; or where they are streamed, the images of that call
            and of those that are being gathered.
        step: what is kept for the backward pass of one step, of each run that takes it at once.
    """

    images: int
    state: int
    calls: int
    step: int


def check_data(nbytes: int, advice: str) -> None:
    """Refuses a data set that this machine's memory can't hold.

    Raises:
        UserError: names both sizes, and the advice.
    """
    there = host_memory()
    if there is not None and nbytes > there:
        raise UserError(f"the images take {_gib(nbytes)}, and there are {_gib(there)} of memory: {advice}")


def streams(config: Config, nbytes: int, devices: Sequence[jax.Device]) -> bool:
    """Whether training images of that many bytes are brought to the devices from this machine's memory."""
    if config.data.endless:
        return False
    if config.data.stream != "auto":
        return config.data.stream == "yes"
    there = device_memory(devices)
    return there is not None and nbytes > there / 2


def check(config: Config, images: np.ndarray, devices: Sequence[jax.Device]) -> None:
    """Refuses a training of one run that the devices' memory can't hold.

    Args:
        config: the configuration.
        images: the training images, uint8 [N, h, w, c].
        devices: the devices that share each batch, of all processes.

    Raises:
        UserError: says what is needed at least, what there is, and which option to lower.
    """
    there = device_memory(devices)
    if there is None:
        return
    need = _needed_of(there, config, images, devices, runs=1)
    total = sum(need)
    if total <= there:
        return
    train = config.train
    cures = {
        "images": "leave them in this machine's memory with --data.stream yes",
        "state": "take smaller networks",
        "calls": f"lower --train.steps-per-call {train.steps_per_call}",
        "step": f"lower --train.batch {train.batch}, or take it in parts with --train.microbatch",
    }
    largest = max(need._fields, key=lambda name: getattr(need, name))
    parts = ", ".join(f"{name} {_gib(size)}" for name, size in need._asdict().items())
    raise UserError(
        f"each device needs {_gib(total)} at least ({parts}), and has {_gib(there)}: {cures[largest]}"
    )


def holds(config: Config, images: np.ndarray, devices: Sequence[jax.Device], runs: int) -> bool:
    """Whether the devices' memory may hold runs that take their steps in one program.

    Args:
        config: what the runs share, all but their seeds.
        images: the training images, uint8 [N, h, w, c].
        devices: the devices that share each batch, of all processes.
        runs: how many there are.
    """
    there = device_memory(devices)
    return there is None or sum(_needed_of(there, config, images, devices, runs)) <= there


def _needed_of(
    there: int, config: Config, images: np.ndarray, devices: Sequence[jax.Device], runs: int
) -> Need:
    """What `needed` says; or more than that, where even that is no more than there is."""
    height, width, channels = _image_shape(config)
    at_once = (config.train.microbatch or config.train.batch) // len(devices)
    most = at_once * height * width * channels * _MOST_BYTES_A_PIXEL

    def need(step: int | None) -> Need:
        return needed(
            config,
            images,
            len(devices),
            runs,
            stacked=stacks(devices),
            step=step,
            streamed=streams(config, images.nbytes, devices),
        )

    roughly = need(most)
    return roughly if sum(roughly) <= there else need(None)


def needed(
    config: Config,
    images: np.ndarray,
    devices: int,
    runs: int = 1,
    *,
    stacked: bool = False,
    step: int | None = None,
    streamed: bool = False,
) -> Need:
    """What a training needs.

    Args:
        config: the configuration.
        images: the training images, uint8 [N, h, w, c].
        devices: how many devices share each batch.
        runs: how many runs take their steps in one program.
        stacked: whether the runs take them at once, not in turn.
        step: what one run's step keeps, where it is known.
        streamed: whether the images stay in this machine's memory.
    """
    task, train = task_of(config), config.train
    state = jax.eval_shape(lambda: task.init(config, jax.random.key(0)))
    share = train.batch // devices
    if step is None:
        batch = jax.ShapeDtypeStruct((share, *_image_shape(config)), "uint8")
        constants = constants_of(config)
        traced = jax.make_jaxpr(lambda s, x: task.step(config, s, x, *constants), axis_env=[(AXIS, devices)])(
            state, batch
        )
        step = written_at_once(traced.jaxpr)
    params = sum(map(_bytes, jax.tree.leaves(state.params)))
    seen = train.steps_per_call * share * runs
    # Of runs in turn one's gradients and activations are there at a time.
    at_once = runs if stacked else 1
    return Need(
        images=0 if streamed or config.data.endless else images.nbytes,
        state=runs * sum(map(_bytes, jax.tree.leaves(state))) + at_once * params,
        calls=seen * ((1 + BUFFERED) * images[0].nbytes if streamed else 4),
        step=at_once * step,
    )


def _image_shape(config: Config) -> tuple[int, int, int]:
    """Of what the networks see of an image."""
    if isinstance(config, SuperResolutionConfig):
        side = config.low_crop * config.networks.factor
        return side, side, 3
    assert isinstance(config, InfoGANConfig | AutoencoderConfig)
    return config.networks.image_shape


def written_at_once(jaxpr: core.Jaxpr) -> int:
    """The most bytes that a program has written and is yet to read, of what is always written.

    In the program's own order, in which the backward pass follows the forward pass whose results it reads.
    """
    last: dict[Any, int] = {}
    for place, equation in enumerate(jaxpr.eqns):
        last |= {v: place for v in equation.invars if not isinstance(v, core.Literal)}
    last |= {v: len(jaxpr.eqns) for v in jaxpr.outvars if not isinstance(v, core.Literal)}
    kept: dict[Any, int] = {}
    most = 0
    for place, equation in enumerate(jaxpr.eqns):
        inside = max((written_at_once(inner) for inner in _inside(equation)), default=0)
        most = max(most, sum(kept.values()) + inside)
        if inside or equation.primitive.name in _WRITTEN:
            kept |= {v: _bytes(v.aval) for v in equation.outvars if last.get(v, place) > place}
        most = max(most, sum(kept.values()))
        kept = {v: size for v, size in kept.items() if last[v] > place}
    return most


def _inside(equation: Any) -> list[Any]:
    """The programs that an equation calls."""
    found = []
    for value in equation.params.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(each, "jaxpr", each)
            if hasattr(inner, "eqns"):
                found.append(inner)
    return found


def _bytes(x: Any) -> int:
    # A key's own size is that of its bits.
    return x.size * getattr(x.dtype, "itemsize", 8) if hasattr(x, "size") else 0


def device_memory(devices: Sequence[jax.Device]) -> int | None:
    """Bytes that each device has; CPU devices share what this machine has. None where it isn't said."""
    own = [device for device in devices if device.process_index == jax.process_index()]
    if own[0].platform == "cpu":
        there = host_memory()
        return None if there is None else there // len(own)
    return (own[0].memory_stats() or {}).get("bytes_limit")


def host_memory() -> int | None:
    """Bytes of memory that this process can have, by Linux; None elsewhere."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
        # A container's own limit, of cgroups 2 and 1; "max" is none.
        for name in ("memory.max", "memory/memory.limit_in_bytes"):
            path = Path("/sys/fs/cgroup") / name
            if path.exists() and (limit := path.read_text().strip()).isdecimal():
                found.append(int(limit))
    except OSError:
        pass
    return min(found, default=None)


def _gib(nbytes: int) -> str:
    return f"{nbytes / 2**30:,.1f} GiB" if nbytes >= 2**27 else f"{nbytes / 2**20:,.1f} MiB"
