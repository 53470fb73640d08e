import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infogan_jax.errors import UserError
from infogan_jax.tasks import infogan
from infogan_jax.tasks.replica import AXIS
from infogan_jax.training import memory


def written(function, *shapes):
    arguments = [jax.ShapeDtypeStruct(shape, "float32") for shape in shapes]
    return memory.written_at_once(jax.make_jaxpr(function)(*arguments).jaxpr)


def test_what_products_write_counts_until_it_is_read():
    x, a, b = (10, 20), (20, 30), (30, 40)
    assert written(lambda x: jnp.sin(x), x) == 0
    first, second = 4 * 10 * 30, 4 * 10 * 40
    assert written(lambda x, a, b: (x @ a) @ b, x, a, b) == first + second
    # One in four rows of the second is left, and no more of the first.
    third = 4 * 10 * 30
    assert written(lambda x, a, b: ((x @ a) @ b) @ b.T, x, a, b) == max(first + second, second + third)
    assert written(lambda x, a, b: (x @ a, (x @ a) @ b), x, a, b) >= first + second


def test_programs_inside_count_and_a_loop_s_body_once():
    a = (20, 20)
    inner = jax.jit(lambda x, a: (x @ a) @ a)
    one = 4 * 10 * 20
    assert written(lambda x, a: inner(x, a), (10, 20), a) == 2 * one

    def loop(x, a):
        return jax.lax.scan(lambda x, _: ((x @ a) @ a, None), x, None, length=9)[0]

    assert 2 * one <= written(loop, (10, 20), a) <= 3 * one


def images(nbytes):
    """Images that say they take so much, and don't."""
    return np.broadcast_to(np.uint8(0), (max(nbytes // 64, 1), 8, 8, 1))


def with_train(config, **train):
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **train))


def resident(config):
    return dataclasses.replace(config, data=dataclasses.replace(config.data, stream="no"))


def test_the_estimate_of_a_step_is_below_what_xla_takes(tiny_config):
    share = 64
    config = with_train(tiny_config, batch=share)
    need = memory.needed(config, images(1024), devices=1)
    state = jax.eval_shape(lambda: infogan.init(config, jax.random.key(0)))
    step = jax.vmap(lambda s, x: infogan.step(config, s, x), in_axes=(None, 0), axis_name=AXIS)
    batch = jax.ShapeDtypeStruct((1, share, 8, 8, 1), "uint8")
    taken = jax.jit(step).lower(state, batch).compile().memory_analysis().temp_size_in_bytes
    # Which is more: what comes between products, and what is kept twice.
    assert taken / 15 < need.step < taken
    assert need.images == 1024 and need.calls == 4 * config.train.steps_per_call * share
    # Weights, two means of Adam's and the gradients.
    weights = 4 * sum(leaf.size for leaf in jax.tree.leaves(state.params))
    assert 4 * weights < need.state < 4.5 * weights
    half = memory.needed(with_train(config, microbatch=share // 2), images(1024), devices=1)
    assert half.step < 0.7 * need.step


def test_runs_that_step_at_once_each_keep_their_own_and_runs_in_turn_share(tiny_config):
    alone = memory.needed(tiny_config, images(1024), devices=1)
    turns = memory.needed(tiny_config, images(1024), devices=1, runs=3)
    at_once = memory.needed(tiny_config, images(1024), devices=1, runs=3, stacked=True)
    assert turns.images == at_once.images == alone.images
    assert turns.calls == at_once.calls == 3 * alone.calls
    assert at_once.state == 3 * alone.state
    state = jax.eval_shape(lambda: infogan.init(tiny_config, jax.random.key(0)))
    gradients = 4 * sum(leaf.size for leaf in jax.tree.leaves(state.params))
    assert turns.state == at_once.state - 2 * gradients
    assert turns.step == alone.step
    # What JAX makes of three of them says the same.
    steps = jax.vmap(lambda s, x: infogan.step(tiny_config, s, x))
    states, batches = (
        jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((3, *leaf.shape), leaf.dtype), each)
        for each in (state, jax.ShapeDtypeStruct((tiny_config.train.batch, 8, 8, 1), "uint8"))
    )
    traced = jax.make_jaxpr(steps, axis_env=[(AXIS, 1)])(states, batches)
    assert at_once.step == pytest.approx(memory.written_at_once(traced.jaxpr), rel=0.05)


@pytest.mark.parametrize(
    ("train", "nbytes", "message"),
    [
        ({}, 2**40, r"images 1,024.0 GiB.*leave them in this machine's memory with --data.stream yes"),
        ({"steps_per_call": 2**30}, 0, r"lower --train.steps-per-call 1073741824"),
        ({"batch": 2**20}, 0, r"lower --train.batch 1048576, or take it in parts with --train.microbatch"),
    ],
)
def test_what_does_not_fit_is_refused_with_an_estimate(tiny_config, monkeypatch, train, nbytes, message):
    monkeypatch.setattr(memory, "host_memory", lambda: 2**29)
    devices = jax.devices()[:1]
    with pytest.raises(
        UserError, match=r"^each device needs [\d.,]+ .iB at least \(.*has 0\.5 GiB: "
    ) as error:
        memory.check(resident(with_train(tiny_config, **train)), images(nbytes), devices)
    assert re.search(message, str(error.value))
    memory.check(tiny_config, images(1024), devices)


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_whether_runs_fit_together_counts_what_their_program_keeps(tiny_config, monkeypatch, platform):
    monkeypatch.setattr(memory, "stacks", lambda devices: platform != "cpu")
    config, devices = with_train(tiny_config, batch=64), jax.devices()[:1]
    there = [0]
    monkeypatch.setattr(memory, "host_memory", lambda: there[0])
    need = memory.needed(config, images(1024), 1, 3, stacked=platform != "cpu")
    for there[0], fits in ((sum(need), True), (sum(need) - 1, False)):
        # On the brink nothing less than a trace says it.
        assert memory.holds(resident(config), images(1024), devices, 3) == fits
        memory.check(resident(config), images(1024), devices)
    monkeypatch.setattr(memory, "host_memory", lambda: None)
    assert memory.holds(config, images(1024), devices, 10**9)


def test_images_that_a_device_cannot_hold_are_streamed(tiny_config, monkeypatch):
    monkeypatch.setattr(memory, "host_memory", lambda: 2**29)
    devices = jax.devices()[:1]
    assert not memory.streams(tiny_config, 2**28, devices)
    assert memory.streams(tiny_config, 2**28 + 1, devices)
    assert not memory.streams(resident(tiny_config), 2**40, devices)
    memory.check(tiny_config, images(2**40), devices)
    need = memory.needed(tiny_config, images(2**40), 1, streamed=True)
    train = tiny_config.train
    # The call that runs, and two that wait.
    assert need.images == 0 and need.calls == 3 * 64 * train.steps_per_call * train.batch
    monkeypatch.setattr(memory, "host_memory", lambda: None)
    assert not memory.streams(tiny_config, 2**60, devices)


def test_images_that_are_rendered_in_the_step_need_no_memory(tiny_config, monkeypatch):
    monkeypatch.setattr(memory, "host_memory", lambda: 2**29)
    data = dataclasses.replace(tiny_config.data, endless=True)
    endless = dataclasses.replace(tiny_config, data=data)
    assert not memory.streams(endless, 2**40, jax.devices()[:1])
    assert memory.needed(endless, images(2**40), 1).images == 0
    memory.check(endless, images(2**40), jax.devices()[:1])


def test_images_that_memory_cannot_hold_are_refused(monkeypatch):
    monkeypatch.setattr(memory, "host_memory", lambda: 2**30)
    memory.check_data(2**29, "take fewer")
    with pytest.raises(
        UserError, match=r"the images take 2\.0 GiB, and there are 1\.0 GiB of memory: take fewer"
    ):
        memory.check_data(2**31, "take fewer")
    monkeypatch.setattr(memory, "host_memory", lambda: None)
    memory.check_data(2**60, "take fewer")


def test_this_machine_has_memory():
    found = memory.host_memory()
    assert found is None or 2**27 < found < 2**50
