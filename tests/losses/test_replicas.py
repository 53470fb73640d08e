"""Means over replicas: JAX's own up to rounding, in the order of the replicas on a CPU."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from losses.replicas import pmean, pmean_by_parts

# By the last digit kept: large numbers in the middle, so that every other order has other bits.
SPREAD = 10.0 ** np.array([0, 3, 7, 5, 1, 6, 2, 4])


def of_replicas(replicas, numbers):
    drawn = np.random.default_rng(replicas).normal(size=(replicas, numbers))
    return (drawn * SPREAD[:replicas, None]).astype(np.float32)


def in_order(x):
    total = np.zeros_like(x[0])
    for each in x:
        total = total + each
    return total / np.float32(len(x))


@pytest.mark.parametrize("mean", [pmean, pmean_by_parts])
@pytest.mark.parametrize(("replicas", "numbers"), [(2, 7), (4, 64), (8, 1), (8, 13), (1, 3)])
def test_each_replica_has_the_mean_in_the_order_of_the_replicas(mean, replicas, numbers):
    x = of_replicas(replicas, numbers)
    found = np.asarray(jax.pmap(lambda x: mean(x, "data"), axis_name="data")(x))
    np.testing.assert_array_equal(found, np.tile(in_order(x), (replicas, 1)))
    if (replicas, numbers) == (8, 13):
        # The test could tell another order.
        assert (in_order(x[::-1]) != in_order(x)).any()


@pytest.mark.parametrize("mean", [pmean, pmean_by_parts])
def test_accelerators_keep_their_own_reduction(mean, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    x = of_replicas(4, 9)
    program = jax.pmap(lambda x: mean(x, "data"), axis_name="data")
    assert program.lower(x).as_text().count("all_reduce") == 1
    np.testing.assert_allclose(np.asarray(program(x)), np.tile(x.mean(axis=0), (4, 1)), rtol=1e-5)


@pytest.mark.parametrize("mapped", [jax.vmap, jax.pmap])
def test_the_derivatives_are_those_of_jax(mapped):
    x = jax.random.normal(jax.random.key(0), (4, 3))

    def loss(mean, x):
        return jnp.sin(mean(x, "data") * x).sum()

    def slope(mean, x):
        return jax.grad(partial(loss, mean))(x)

    def slope_of_slope(mean, x):
        return jax.grad(lambda x: jnp.square(slope(mean, x)).sum())(x)

    for derivative in (slope, slope_of_slope):
        ours, theirs = (
            mapped(partial(derivative, each), axis_name="data")(x) for each in (pmean, jax.lax.pmean)
        )
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_several_seeds_in_one_program_keep_their_own():
    x = of_replicas(4, 3 * 5).reshape(4, 3, 5)
    for mean in (pmean, pmean_by_parts):
        found = jax.pmap(jax.vmap(lambda x, mean=mean: mean(x, "data")), axis_name="data")(x)
        np.testing.assert_array_equal(np.asarray(found), np.tile(in_order(x), (4, 1, 1)))
