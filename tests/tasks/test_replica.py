"""Microbatches: the update of the whole batch, where nothing looks at many examples at once."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infogan_jax.config import Objective
from infogan_jax.tasks import infogan
from infogan_jax.tasks.replica import AXIS, Part, accumulated, this_replica

pytestmark = pytest.mark.usefixtures("quick_compilation")

BATCH = 16


def on_replicas(function, count):
    return lambda images: jax.vmap(function, axis_name=AXIS)(images.reshape(count, -1, *images.shape[1:]))


@pytest.mark.parametrize(("replicas", "microbatch"), [(1, 0), (1, 16), (1, 4), (2, 4), (4, 8)])
def test_microbatches_are_those_of_the_batch_with_their_own_draws(replicas, microbatch):
    draws = jnp.arange(BATCH) ** 2.0

    def seen(images, part):
        assert len(images) == part.size == (microbatch or BATCH) // replicas
        return {"mean": (images * this_replica(draws, part)).mean(), "images": images.sum()}

    images = jnp.arange(BATCH) + 1.0
    found = on_replicas(lambda x: accumulated(seen, x, microbatch), replicas)(images)
    count = 1 if microbatch == 0 else BATCH // microbatch
    np.testing.assert_allclose(found["mean"].mean(), (images * draws).mean(), rtol=1e-6)
    np.testing.assert_allclose(found["images"].sum(), images.sum() / count, rtol=1e-6)


def test_a_part_is_the_replica_s(tiny_config):
    draw = {"a": jnp.arange(24).reshape(12, 2)}
    parts = jax.vmap(lambda _: this_replica(draw, Part(6, 4, 2)), axis_name=AXIS)(jnp.zeros(2))
    np.testing.assert_array_equal(parts["a"], [[[8, 9], [10, 11]], [[20, 21], [22, 23]]])


@pytest.fixture(scope="module")
def without_norm(tiny_config):
    """The bound and instance noise, on networks without batch norm."""
    networks = tiny_config.networks
    rows = {
        name: tuple(dataclasses.replace(row, norm=False) for row in getattr(networks, name))
        for name in ("generator", "trunk", "q_head")
    }
    return dataclasses.replace(
        tiny_config,
        networks=dataclasses.replace(networks, **rows),
        objective=Objective(instance_noise=0.1),
    )


@pytest.fixture(scope="module")
def step_of(digits):
    """A function of a configuration, a microbatch and replicas: the state after a step, and its metrics."""
    images = digits.train.images[:BATCH]

    def step(config, microbatch, replicas=1):
        config = dataclasses.replace(config, train=dataclasses.replace(config.train, microbatch=microbatch))
        state = jax.jit(partial(infogan.init, config))(jax.random.key(1))
        mapped = jax.vmap(partial(infogan.step, config), in_axes=(None, 0), axis_name=AXIS)
        new, metrics = jax.jit(mapped)(state, images.reshape(replicas, -1, *images.shape[1:]))
        state = jax.tree.map(lambda x: np.asarray(x[0]), (new.params, new.opt, new.stats))
        return state, {name: np.asarray(value[0]) for name, value in metrics.items()}

    return step


def test_the_update_is_that_of_the_whole_batch_without_batch_statistics(without_norm, step_of):
    (params, opt, _), metrics = step_of(without_norm, 0)
    (found, found_opt, _), found_metrics = step_of(without_norm, 8, replicas=2)
    for a, b in zip(jax.tree.leaves((params, metrics)), jax.tree.leaves((found, found_metrics)), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5)
    # Adam's first update hardly depends on a gradient's size: its means do. A bias's gradient is a small
    # difference of large numbers, so all are held against the largest.
    for name in opt:
        largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(opt[name][0].mu))
        for a, b in zip(jax.tree.leaves(opt[name]), jax.tree.leaves(found_opt[name]), strict=True):
            np.testing.assert_allclose(b, a, rtol=0, atol=1e-5 * largest)


def test_batch_norm_normalises_each_microbatch_by_itself(tiny_config, step_of):
    config = dataclasses.replace(tiny_config, objective=Objective())
    (_, _, whole), metrics = step_of(config, 0)
    (_, _, parts), found = step_of(config, 8)
    assert abs(metrics["loss_d"] - found["loss_d"]) > 1e-5
    # What comes to the trunk's first norm doesn't depend on how the batch is cut. So the mean is that of the
    # batch; the variance lacks that of the microbatches' means.
    whole, parts = (stats["real"]["trunk"]["BatchNorm_0"] for stats in (whole, parts))
    np.testing.assert_allclose(parts["mean"], whole["mean"], rtol=1e-4, atol=1e-7)
    assert (parts["var"] <= whole["var"]).all() and (parts["var"] < whole["var"]).any()
