"""Draws, gradients and data sets of every scene."""

import itertools
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from infogan_jax.data import scenes
from infogan_jax.data.scenes import SCENES, batches
from infogan_jax.errors import UserError

every_scene = pytest.mark.parametrize("name", SCENES)


@every_scene
def test_draws_are_uniform_in_their_ranges_and_independent(name):
    scene = SCENES[name]
    draws = np.asarray(jax.vmap(scene.draw)(jax.random.split(jax.random.key(0), 3000)))
    assert draws.dtype == np.float32 and draws.shape == (3000, len(scene.factors))
    for column, factor, (low, high) in zip(draws.T, scene.factors, scene.ranges, strict=True):
        if factor.kind == "category":
            assert scipy.stats.chisquare(np.bincount(column.astype(int), minlength=int(high))).pvalue > 1e-3
            assert set(column) == set(range(int(high)))
        else:
            assert scipy.stats.kstest(column, "uniform", (low, high - low)).pvalue > 1e-3
        if factor.kind == "angle":
            assert high - low == factor.period
    correlations = np.corrcoef(draws.T)[np.triu_indices(len(scene.factors), 1)]
    assert np.all(np.abs(correlations) < 0.08)  # 4.4 standard deviations


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(batches, "BATCH", 4)


def edges(scene, count):
    """Some of the combinations of categories, ends and middles of ranges, and quarters of angles."""
    values = []
    for factor, (low, high) in zip(scene.factors, scene.ranges, strict=True):
        counts = {"category": int(high), "angle": 5, "number": 3}
        end = high - 1 if factor.kind == "category" else high
        values.append(np.linspace(low, end, counts[factor.kind]))
    combinations = np.array(list(itertools.product(*values)), np.float32)
    return np.random.default_rng(0).permutation(combinations)[:count]


@every_scene
def test_images_and_gradients_are_finite_and_gradients_are_slopes(name):
    scene = SCENES[name]
    height, width, _ = scene.image_shape
    u, v = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    # A smooth weight makes of an image a number whose differences single pixels do not dominate.
    weight = jnp.asarray(np.sin(2 * u + 1) * np.cos(3 * v - 1) + u * v, jnp.float32)[..., jnp.newaxis]

    @jax.jit
    @jax.vmap
    def measure(factors):
        image, pull = jax.vjp(scene.render, factors)
        return jnp.sum(weight * image), *pull(weight), image.min(), image.max()

    batch = 12

    def measured(factors):
        parts = [measure(part) for part in np.split(factors, len(factors) // batch)]
        return [np.concatenate(column).astype(np.float64) for column in zip(*parts, strict=True)]

    drawn = np.asarray(jax.vmap(scene.draw)(jax.random.split(jax.random.key(1), batch)))
    _, gradients, low, high = measured(np.concatenate([drawn, edges(scene, 60)]))
    assert np.isfinite(gradients).all()
    assert low.min() >= 0 and high.max() <= 1

    for k, (factor, (least, most)) in enumerate(zip(scene.factors, scene.ranges, strict=True)):
        if factor.kind == "category":
            np.testing.assert_array_equal(gradients[:, k], 0)
            continue
        step = np.zeros_like(drawn)
        step[:, k] = 0.005 * (most - least)
        above, below = measured(drawn + step)[0], measured(drawn - step)[0]
        slopes = (above - below) / (2 * step[:, k])
        assert np.corrcoef(slopes, gradients[: len(drawn), k])[0, 1] > 0.97
        assert np.std(slopes - gradients[: len(drawn), k]) < 0.25 * np.std(slopes)


@every_scene
def test_a_data_set_is_a_function_of_the_seed_and_grows_at_its_end(name, small_batches):
    scene = SCENES[name]
    small, large = scenes.load(name, 3, 2), scenes.load(name, 9, 2)
    assert small.image_shape == scenes.image_shape(name) == scene.image_shape
    assert small.factors == scene.factors and small.num_classes is None and small.train.labels is None
    assert len(large.train.images) == len(large.train.factors) == 9
    np.testing.assert_array_equal(small.train.images, large.train.images[:3])
    np.testing.assert_array_equal(small.train.factors, large.train.factors[:3])
    np.testing.assert_array_equal(small.test.images, large.test.images)
    assert len(np.unique(np.concatenate([large.train.factors, large.test.factors]), axis=0)) == 11
    assert not np.array_equal(scenes.load(name, 3, 2, seed=1).train.images, small.train.images)


@every_scene
def test_images_are_those_of_their_factors_rounded(name, small_batches):
    split = scenes.load(name, 3, 1).train
    render = jax.jit(SCENES[name].render)
    for image, factors in zip(split.images, split.factors, strict=True):
        exact = 255 * np.asarray(render(factors))
        # Half a level by rounding, and what a program for one image rounds otherwise than one for many.
        assert abs(image - exact).max() < 0.52
        assert image.max() - image.min() > 100


@every_scene
def test_without_end_the_first_images_are_those_of_the_training_split(name, small_batches):
    images = jax.jit(jax.vmap(scenes.endless(name, seed=2)))
    split = scenes.load(name, 6, 1, seed=2).train
    first = np.asarray(images(np.arange(6, dtype=np.int32)))
    assert first.dtype == np.uint8
    # A grey level, where another program rounds otherwise.
    assert np.abs(first.astype(int) - split.images).max() <= 1
    far = np.asarray(images(np.arange(2**31 - 7, 2**31 - 1, dtype=np.int32)))
    assert len(np.unique(np.concatenate([first, far]), axis=0)) == 12


def test_another_name_or_an_empty_split_is_refused():
    by_name = (lambda name: scenes.load(name, 1, 1), scenes.image_shape, scenes.endless)
    for refused in [partial(function, "chairs") for function in by_name]:
        with pytest.raises(UserError, match=r"no scene 'chairs'.*sprites, heads, seats"):
            refused()
    with pytest.raises(UserError, match=r"0 training and 5 test images.*at least 1"):
        scenes.load("sprites", 0, 5)


def test_names_and_shapes_are_known_without_jax():
    program = (
        "import sys; from infogan_jax.data import scenes; scenes.image_shape('seats'); "
        "assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
