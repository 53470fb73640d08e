"""Batch norm: Flax's bit for bit on one replica, and the whole batch's on several."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infogan_jax.networks.batch_norm import BatchNorm

SHAPES = [(6, 5), (4, 3, 3, 2)]


def images(shape):
    return 3 * jax.random.normal(jax.random.key(0), shape) + 1


def variables_of(x):
    """Of no value that a fresh network has."""
    channels = x.shape[-1]
    mean, var, scale, bias = jax.random.uniform(jax.random.key(1), (4, channels)) + 0.5
    return {"params": {"scale": scale, "bias": bias}, "batch_stats": {"mean": mean, "var": var}}


def flax_applied(variables, x, train, dtype):
    module = nn.BatchNorm(not train, momentum=0.99, dtype=dtype)
    return module.apply(variables, x, mutable="batch_stats")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_statistics_and_gradients_are_flax_s(shape, train, dtype):
    x = images(shape)

    def ours(variables, x):
        return BatchNorm(dtype=dtype).apply(variables, x, train, mutable="batch_stats")

    def theirs(variables, x):
        return flax_applied(variables, x, train, dtype)

    def slopes(apply):
        return jax.grad(lambda v, x: jnp.sin(apply(v, x)[0].astype(jnp.float32)).sum(), (0, 1))

    variables = variables_of(x)
    for function in (lambda apply: apply, slopes):
        found, wanted = (jax.jit(function(apply))(variables, x) for apply in (ours, theirs))
        assert jax.tree.structure(found) == jax.tree.structure(wanted)
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def test_gradients_of_bfloat16_inputs_are_rounded_once():
    x = images((6, 5)).astype("bfloat16")
    variables = variables_of(x)

    def ours(x):
        return BatchNorm(dtype="bfloat16").apply(variables, x, True, mutable="batch_stats")

    def theirs(x):
        return flax_applied(variables, x, True, "bfloat16")

    jax.tree.map(np.testing.assert_array_equal, jax.jit(ours)(x), jax.jit(theirs)(x))

    def slope(apply, x):
        return jax.grad(lambda x: jnp.sin(apply(x)[0].astype(jnp.float32)).sum())(x).astype(jnp.float32)

    exact = slope(lambda x: BatchNorm().apply(variables, x, True, mutable="batch_stats"), x.astype("float32"))
    rounded, twice = (np.abs(slope(apply, x) - exact).max() for apply in (ours, theirs))
    assert rounded <= twice < 0.05


def test_a_fresh_one_has_flax_s_names_shapes_and_values():
    x = images((4, 3, 3, 2))
    ours = BatchNorm(axis_name="data").init(jax.random.key(0), x, True)
    theirs = nn.BatchNorm(use_running_average=False).init(jax.random.key(0), x)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize("replicas", [2, 8])
def test_replicas_normalise_by_the_whole_batch(replicas):
    x = images((16, 3, 3, 2))
    variables = variables_of(x)
    y, stats = flax_applied(variables, x, True, None)

    def slopes(variables, x, axis_name):
        def loss(x):
            return jnp.sin(BatchNorm(axis_name).apply(variables, x, True, mutable="batch_stats")[0]).sum()

        return jax.grad(loss)(x)

    split = x.reshape(replicas, -1, *x.shape[1:])
    module = BatchNorm("data")
    mapped = jax.pmap(lambda x: module.apply(variables, x, True, mutable="batch_stats"), axis_name="data")
    found_y, found_stats = mapped(split)
    np.testing.assert_allclose(found_y.reshape(y.shape), y, rtol=1e-5, atol=1e-5)
    for a, b in zip(jax.tree.leaves(found_stats), jax.tree.leaves(stats), strict=True):
        np.testing.assert_allclose(a, np.tile(b, (replicas, 1)), rtol=1e-6)
    found = jax.pmap(lambda x: slopes(variables, x, "data"), axis_name="data")(split)
    np.testing.assert_allclose(found.reshape(x.shape), slopes(variables, x, None), rtol=1e-4, atol=1e-5)


def test_a_channel_that_never_changes_becomes_its_offset():
    x = jnp.full((5, 2), 1e4)
    variables = {
        "params": {"scale": jnp.ones(2), "bias": jnp.array([0.25, -3.0])},
        "batch_stats": {"mean": jnp.zeros(2), "var": jnp.ones(2)},
    }
    y, stats = BatchNorm().apply(variables, x, True, mutable="batch_stats")
    np.testing.assert_allclose(y, np.tile([0.25, -3.0], (5, 1)), atol=1e-6)
    np.testing.assert_allclose(stats["batch_stats"]["var"], 0.99)
