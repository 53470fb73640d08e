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
    assert memory.needed(config, images(1024), devices=1, runs=3).state == pytest.approx(
        3 * need.state, rel=0.5
    )


@pytest.mark.parametrize(
    ("train", "nbytes", "runs", "message"),
    [
        ({}, 2**40, 1, r"images 1,024.0 GiB.*leave them in this machine's memory with --data.stream yes"),
        ({"steps_per_call": 2**30}, 0, 1, r"lower --train.steps-per-call 1073741824"),
        ({"batch": 2**20}, 0, 1, r"lower --train.batch 1048576, or take it in parts with --train.microbatch"),
        ({}, 0, 100_000, r"--no-together trains the seeds one by one"),
    ],
)
def test_what_does_not_fit_is_refused_with_an_estimate(
    tiny_config, monkeypatch, train, nbytes, runs, message
):
    monkeypatch.setattr(memory, "host_memory", lambda: 2**29)
    devices = jax.devices()[:1]
    with pytest.raises(
        UserError, match=r"^each device needs [\d.,]+ .iB at least \(.*has 0\.5 GiB: "
    ) as error:
        memory.check(resident(with_train(tiny_config, **train)), images(nbytes), devices, runs)
    assert re.search(message, str(error.value))
    memory.check(tiny_config, images(1024), devices)


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
