"""Training on images that the devices don't hold.

On streamed ones it is training on those that they do hold; of data without end each step renders its own.
"""

import dataclasses
import io
import threading

import flax.struct
import jax
import numpy as np
import pytest
from rich.console import Console

from infogan_jax.config import Data
from infogan_jax.data import scenes, sources
from infogan_jax.data.order import endless_indices
from infogan_jax.tasks.replica import replica_mean
from infogan_jax.training import loop
from infogan_jax.training.logging import read_records
from infogan_jax.training.run_folder import Run
from infogan_jax.training.stream import gathered


@flax.struct.dataclass
class State:
    step: jax.Array
    key: jax.Array
    seen: jax.Array


class Task:
    """What hangs on which images a step sees, and in which order, and compiles in no time."""

    @staticmethod
    def init(config, key):
        return State(np.int32(0), key, np.zeros(sources.check(config.data), np.float32))

    @staticmethod
    def step(config, state, images):
        mean = replica_mean(images.astype(np.float32).mean(axis=0))
        state = State(state.step + 1, state.key, 0.9 * state.seen + mean)
        return state, {"loss": replica_mean(state.seen.mean())}

    @staticmethod
    def samples(config, dataset):
        return lambda state: (dataset.test.images[:4], 2)

    @staticmethod
    def describe(config, metrics):
        return ""


@pytest.fixture(autouse=True)
def task(monkeypatch):
    monkeypatch.setattr(loop, "task_of", lambda config: Task)


@pytest.fixture(scope="module")
def config(tiny_config):
    """Three calls, the last of them shorter."""
    train = dataclasses.replace(tiny_config.train, steps=12, checkpoint_every=5, keep=3)
    return dataclasses.replace(tiny_config, train=train)


def streamed(config, stream="yes", **train):
    data, train = (
        dataclasses.replace(config.data, stream=stream),
        dataclasses.replace(config.train, **train),
    )
    return dataclasses.replace(config, data=data, train=train)


def train(runs, dataset, devices=1):
    console = Console(file=io.StringIO())
    return loop.train(runs, dataset, devices=jax.devices()[:devices], console=console)


def losses(folder):
    clock = ("seconds", "steps_per_second", "flops_per_second", "utilisation")
    return [{k: v for k, v in record.items() if k not in clock} for record in read_records(folder)]


def grain_threads():
    """The threads that are left of a stream once those that are ending have ended."""
    threads = [t for t in threading.enumerate() if t.name.startswith("grain")]
    for thread in threads:
        thread.join(timeout=5)
    return [thread for thread in threads if thread.is_alive()]


def assert_same(folder, other, step, checkpoint_arrays):
    assert losses(folder) == losses(other)
    arrays = checkpoint_arrays(folder, step)
    for name, values in checkpoint_arrays(other, step).items():
        np.testing.assert_array_equal(arrays[name], values, err_msg=name)


@pytest.fixture(params=[1, 2])
def resident(request, config, digits, tmp_path):
    """A run whose images are on the devices, and how many devices there are."""
    folder = tmp_path / "resident"
    train([Run(streamed(config, "no"), folder)], digits, request.param)
    return folder, request.param


def test_the_numbers_are_those_of_images_on_the_devices(
    resident, config, digits, tmp_path, checkpoint_arrays
):
    folder, devices = resident
    train([Run(streamed(config), tmp_path / "run")], digits, devices)
    assert_same(tmp_path / "run", folder, 12, checkpoint_arrays)
    assert not grain_threads()


def test_a_run_goes_on_with_streamed_images(resident, config, digits, tmp_path, checkpoint_arrays):
    folder, devices = resident
    train([Run(streamed(config, "no", steps=5), tmp_path / "run")], digits, devices)
    train([Run(streamed(config), tmp_path / "run", 5)], digits, devices)
    assert_same(tmp_path / "run", folder, 12, checkpoint_arrays)


def test_several_seeds_in_one_program(resident, config, digits, tmp_path, checkpoint_arrays):
    folder, devices = resident
    runs = [Run(dataclasses.replace(streamed(config), seed=s), tmp_path / f"s{s}") for s in (3, 0)]
    train(runs, digits, devices)
    assert losses(tmp_path / "s3") != losses(tmp_path / "s0")
    assert_same(tmp_path / "s0", folder, 12, checkpoint_arrays)


@pytest.fixture
def endless(config):
    data = Data("scenes", "sprites", render=4, endless=True)
    return dataclasses.replace(config, data=data, train=dataclasses.replace(config.train, batch=4))


@pytest.mark.parametrize(("devices", "microbatch"), [(1, 0), (2, 0), (2, 2)])
def test_each_step_renders_its_own_images(endless, tmp_path, devices, microbatch, checkpoint_arrays):
    endless = dataclasses.replace(endless, train=dataclasses.replace(endless.train, microbatch=microbatch))
    runs = [Run(dataclasses.replace(endless, seed=seed), tmp_path / f"s{seed}") for seed in (0, 3)]
    train(runs, scenes.load("sprites", 4, 4), devices)
    image = jax.jit(jax.vmap(scenes.endless("sprites")))
    for run in runs:
        seen = 0.0
        for step in range(12):
            images = np.asarray(image(endless_indices(run.config.seed, step, 4)), np.float32)
            assert len({image.tobytes() for image in images}) == 4
            seen = 0.9 * seen + images.mean(axis=0)
        # A pixel's grey level may round otherwise in another program.
        (kept,) = [a for name, a in checkpoint_arrays(run.folder, 12).items() if "seen" in name]
        np.testing.assert_allclose(kept, seen, atol=0.3)
        assert np.ptp(seen) > 100


def test_runs_that_take_a_step_at_once_render_what_they_do_in_turn(endless):
    devices, seeds = jax.devices()[:1], (0, 3)
    batches = [loop.device_batches(dataclasses.replace(endless, seed=seed), 0, 2, 1, 1) for seed in seeds]
    seen = []
    for stacked in (True, False):
        state = jax.tree.map(lambda x: np.stack([x, x]), Task.init(endless, np.uint32(0)))
        program = loop.compile_steps(endless, devices, 2, stacked=stacked)
        after, _ = program(state, None, np.stack(batches, axis=1))
        seen.append(np.asarray(after.seen))
    np.testing.assert_allclose(*seen, atol=0.6)
    assert np.abs(seen[0][0] - seen[0][1]).max() > 10


def test_of_data_without_end_the_devices_hold_no_images(endless, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(
        loop, "flops_of_step", lambda program, arguments, *_, **__: given.append(arguments[1])
    )
    train([Run(endless, tmp_path / "run")], scenes.load("sprites", 4, 4))
    assert given and all(images is None for images in given)


def test_a_run_on_data_without_end_goes_on_as_if_it_had_not_stopped(endless, tmp_path, checkpoint_arrays):
    dataset = scenes.load("sprites", 4, 4)
    train([Run(endless, tmp_path / "whole")], dataset)
    stopped = dataclasses.replace(endless, train=dataclasses.replace(endless.train, steps=5))
    train([Run(stopped, tmp_path / "parts")], dataset)
    train([Run(endless, tmp_path / "parts", 5)], dataset)
    assert_same(tmp_path / "parts", tmp_path / "whole", 12, checkpoint_arrays)


def test_no_thread_is_left_of_a_run_that_fails(config, digits, tmp_path, monkeypatch):
    class Poisoned(Task):
        @staticmethod
        def step(config, state, images):
            return state, {"loss": jax.numpy.nan}

    monkeypatch.setattr(loop, "task_of", lambda config: Poisoned)
    with pytest.raises(loop.NonFiniteError):
        train([Run(streamed(config), tmp_path / "run")], digits)
    assert not grain_threads()


def test_what_goes_wrong_on_the_thread_is_raised_where_images_are_asked_for():
    def indices(start):
        if start:
            raise MemoryError("no room")
        return np.array([[1, 2]])

    images = np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1)
    with (
        pytest.raises(MemoryError, match="no room"),
        gathered(images, range(0, 10, 5), indices) as calls,
    ):
        np.testing.assert_array_equal(next(calls), images[None, 1:])
        next(calls)
    assert not grain_threads()


def test_it_ends_with_the_last_call():
    images = np.zeros((3, 2, 2, 1), np.uint8)
    with gathered(images, range(7, 9), lambda start: np.full((2, 1), start - 7)) as calls:
        assert [each.shape for each in calls] == [(2, 1, 2, 2, 1)] * 2
    assert not grain_threads()
