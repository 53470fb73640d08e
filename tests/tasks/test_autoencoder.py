"""The autoencoder's step, for one replica and for eight."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import losses
from infogan_jax.config import AutoencoderConfig, Data, Train
from infogan_jax.data.dataset import Dataset, Split
from infogan_jax.networks.tables import Autoencoder, Layer
from infogan_jax.tasks import autoencoder
from infogan_jax.tasks.replica import AXIS
from losses import masks

BATCH = 16
CONFIG = AutoencoderConfig(
    experiment="tiny",
    data=Data("digits", "digits"),
    networks=Autoencoder(
        encoder=(Layer("conv", (4,), 2, activation="lrelu"), Layer("dense", (6,), activation="linear")),
        decoder=(
            Layer("dense", (4, 4, 6), norm=True),
            Layer("up", (1,), 2, activation="linear"),
        ),
    ),
    train=Train(steps=10, batch=BATCH),
    error="edge",
)
IMAGES = np.where(np.random.default_rng(0).random((BATCH, 8, 8, 1)) > 0.5, 255, 0).astype(np.uint8)


@pytest.fixture(scope="module")
def initial():
    return jax.jit(partial(autoencoder.init, CONFIG))(jax.random.key(0))


def mapped(config, replicas):
    """The step on so many replicas; results are those of the first."""
    run = jax.jit(jax.vmap(partial(autoencoder.step, config), in_axes=(None, 0), axis_name=AXIS))

    def step(state, images):
        out = run(state, images.reshape(replicas, -1, *images.shape[1:]))
        return jax.tree.map(lambda x: np.asarray(x[0]), out)

    return step


@pytest.fixture(scope="module")
def one_step():
    return mapped(CONFIG, 1)


def test_the_metrics_are_the_error_and_the_wrong_pixels(initial, one_step):
    _, metrics = one_step(initial, IMAGES)
    x = IMAGES / np.float32(255)
    module = autoencoder._Autoencoder(CONFIG)
    variables = {"params": initial.params, "batch_stats": initial.stats}
    logits = jax.vmap(
        lambda x: module.apply(variables, x, train=True, mutable="batch_stats")[0], axis_name=AXIS
    )(x[None])[0]
    np.testing.assert_allclose(metrics["error"], masks.edge_error_from_logits(logits, x).mean(), rtol=1e-5)
    assert metrics["pixel_error"] == pytest.approx(np.mean((np.asarray(logits) > 0) != (x > 0.5)))
    assert metrics["grad_norm"] > 0


def test_the_first_update_is_adams(initial, one_step):
    after, _ = one_step(initial, IMAGES)
    assert after.step == 1
    for (path, old), new in zip(
        jax.tree.leaves_with_path(initial.params), jax.tree.leaves(after.params), strict=True
    ):
        moved = np.abs(np.asarray(new) - np.asarray(old))
        # Adam's first step has the learning rate's length in every weight with a slope.
        assert moved.max() == pytest.approx(CONFIG.learning_rate, rel=1e-2), jax.tree_util.keystr(path)
    assert optax.tree.norm(jax.tree.map(np.subtract, after.stats, initial.stats)) > 0


def test_eight_replicas_take_the_step_of_one(initial, one_step):
    # Up to rounding; in Adam's first step a slope that is all rounding would be as long as any other.
    one, eight = initial, initial
    eight_steps = mapped(CONFIG, 8)
    for i in range(3):
        images = np.roll(IMAGES, i, axis=1)
        one, alone = one_step(one, images)
        eight, together = eight_steps(eight, images)
        for name, value in alone.items():
            np.testing.assert_allclose(together[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


def test_microbatches_give_the_update_of_the_whole_batch_without_batch_statistics():
    decoder = tuple(dataclasses.replace(row, norm=False) for row in CONFIG.networks.decoder)
    config = dataclasses.replace(CONFIG, networks=dataclasses.replace(CONFIG.networks, decoder=decoder))
    state = jax.jit(partial(autoencoder.init, config))(jax.random.key(0))
    parts = dataclasses.replace(config, train=dataclasses.replace(config.train, microbatch=8))
    (whole, metrics), (found, of_parts) = mapped(config, 1)(state, IMAGES), mapped(parts, 2)(state, IMAGES)
    assert state.stats == {} and found.step == 1
    for a, b in zip(
        jax.tree.leaves((whole.params, metrics)), jax.tree.leaves((found.params, of_parts)), strict=True
    ):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5)
    # Adam's first update hardly depends on a gradient's size: its means do.
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(whole.opt[0].mu))
    for a, b in zip(jax.tree.leaves(whole.opt), jax.tree.leaves(found.opt), strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("l0", lambda p, z, x: losses.geman_mcclure_error(p, x, scale=0.25)),
        ("l1", lambda p, z, x: np.abs(p - x).sum(axis=(1, 2, 3))),
        ("l2", lambda p, z, x: ((p - x) ** 2).sum(axis=(1, 2, 3))),
        ("bce", lambda p, z, x: masks.binary_cross_entropy_from_logits(z, x)),
        ("dice", lambda p, z, x: masks.dice_error_from_logits(z, x)),
        ("edge", lambda p, z, x: masks.edge_error_from_logits(z, x)),
    ],
)
def test_each_name_is_its_error(error, expected):
    z = np.random.default_rng(1).normal(0, 2, IMAGES.shape).astype(np.float32)
    p, x = np.asarray(jax.nn.sigmoid(z)), IMAGES / np.float32(255)
    config = dataclasses.replace(CONFIG, error=error, scale=0.25)
    value = autoencoder.reconstruction_error(config, jnp.asarray(z), jnp.asarray(x))
    np.testing.assert_allclose(value, expected(p, z, x), rtol=1e-5)


def test_samples_put_reconstructions_below_their_images(initial):
    images = np.random.default_rng(2).integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
    dataset = Dataset("random", Split(IMAGES, None), Split(images, None), num_classes=None)
    pictures, columns = autoencoder.samples(CONFIG, dataset)(initial)
    assert columns == 8 and pictures.shape == (32, 8, 8, 1)
    np.testing.assert_array_equal(pictures[:8], images[:8])
    np.testing.assert_array_equal(pictures[16:24], images[8:16])
    made = 255 * np.asarray(autoencoder.reconstruct(CONFIG, initial, images[:16]))
    np.testing.assert_allclose(pictures[8:16], made[:8], atol=0.51)
    np.testing.assert_allclose(pictures[24:], made[8:], atol=0.51)


def test_described_in_words():
    assert autoencoder.describe(CONFIG, {"error": 0.51234, "pixel_error": 0.0123}) == (
        "edge 0.5123  wrong pixels 1.23%"
    )
