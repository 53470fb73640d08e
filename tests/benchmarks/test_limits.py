"""The products whose time is the floor are those of a step."""

import dataclasses

import jax
import limits
import numpy as np

from infogan_jax.experiments import EXPERIMENTS
from infogan_jax.tasks import infogan

MNIST = EXPERIMENTS["mnist"]


def test_the_products_of_the_mnist_step_are_counted_by_hand():
    generator = 74 * 1024 + 1024 * 6272 + 49 * 128 * (16 * 64) + 196 * 64 * 16
    trunk = 196 * 16 * 64 + 49 * (16 * 64) * 128 + 6272 * 1024
    # Forward, weights, inputs. The codes and real images have no gradient; generated images have G's.
    expected = 3 * generator - 74 * 1024
    expected += (2 + 2 + 3) * trunk - 2 * 196 * 16 * 64
    expected += (2 + 2 + 3) * 1024
    expected += (2 + 1 + 2) * 1024 * 128 + (1 + 1 + 2) * 128 * 14
    found = sum(p.flops * count for p, count in limits.products(MNIST).items())
    assert found == 2 * MNIST.train.batch * expected


def test_a_program_counts_nearly_the_same(tiny_config):
    """XLA's own count has the activations and the norms on top, and the borders of convolutions."""
    config = dataclasses.replace(tiny_config, train=dataclasses.replace(tiny_config.train, batch=64))
    shapes = jax.eval_shape(lambda key: infogan.init(config, key), jax.random.key(0))
    images = jax.ShapeDtypeStruct((64, 8, 8, 1), np.uint8)
    step = jax.vmap(lambda s, x: infogan.step(config, s, x), in_axes=(None, 0), axis_name=infogan.AXIS)
    program = jax.jit(lambda s, x: step(s, x[None])).lower(shapes, images)
    found = sum(p.flops * count for p, count in limits.products(config).items())
    assert 1 < program.cost_analysis()["flops"] / found < 2.5


def test_weights_are_those_of_both_players(tiny_config):
    state = jax.jit(infogan.init, static_argnums=0)(tiny_config, jax.random.key(0))
    assert limits.weights(tiny_config) == sum(x.size for x in jax.tree.leaves(state.params))


def test_the_floor_runs(tiny_config):
    *_, adam = limits.compile_floor(tiny_config)()
    # A gradient of ones moves each weight by the learning rate.
    np.testing.assert_allclose(adam, np.full(limits.weights(tiny_config), 1 - 1e-3), rtol=1e-5)
