"""The step in Flax's own layers, which ours is timed against, computes the same numbers."""

import dataclasses

import flax_step
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infogan_jax.config import Objective
from infogan_jax.tasks import infogan
from infogan_jax.training.loop import compile_steps

BATCH = 16


@pytest.fixture(scope="module")
def steps(tiny_config):
    """What one step of ours and one of theirs makes of the same state and images."""
    config = dataclasses.replace(tiny_config, objective=Objective())
    state = jax.jit(infogan.init, static_argnums=0)(config, jax.random.key(0))
    rng = np.random.default_rng(0)
    # Away from zero offsets and from weights so small that every gradient is rounding.
    moved = jax.tree.map(lambda x: x + 0.3 * rng.standard_normal(x.shape, np.float32), state.params)
    state = state.replace(params=moved)
    images = rng.integers(0, 256, (BATCH, 8, 8, 1), np.uint8)
    theirs = flax_step.compile(config)(flax_step.adapt(state), images)
    order = np.arange(BATCH, dtype=np.int32)[None, None]
    after, metrics = compile_steps(config, jax.local_devices()[:1])(
        jax.tree.map(jnp.copy, state), images, order
    )
    return (flax_step.adapt(after), {name: values[0] for name, values in metrics.items()}), theirs


def test_the_losses_are_ours(steps):
    (_, ours), (_, theirs) = steps
    assert theirs.keys() == {name for name in ours if not name.startswith("grad_norm")}
    for name, value in theirs.items():
        np.testing.assert_allclose(value, ours[name], rtol=1e-4, atol=1e-4, err_msg=name)


def test_the_gradients_and_statistics_are_ours(steps):
    (ours, _), (theirs, _) = steps
    # After one update Adam's mean is the gradient, but for a factor.
    for a, b in ((ours.opt, theirs.opt), (ours.stats, theirs.stats)):
        for (path, x), y in zip(jax.tree.leaves_with_path(a), jax.tree.leaves(b), strict=True):
            error = np.linalg.norm(np.asarray(x) - np.asarray(y)) / max(np.linalg.norm(x), 1e-6)
            assert error < 1e-3, (jax.tree_util.keystr(path), error)
