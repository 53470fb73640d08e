"""The PyTorch step of SRGAN that ours is timed against computes the same numbers."""

import dataclasses
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch_superresolution

from infogan_jax.config import Content, Data, SuperResolutionConfig, Train
from infogan_jax.networks import superresolution as networks
from infogan_jax.networks.features import efficientnet_lite0
from infogan_jax.networks.tables import SuperResolution
from infogan_jax.tasks import superresolution
from infogan_jax.tasks.replica import AXIS

pytestmark = pytest.mark.usefixtures("quick_compilation")

BATCH = 4
CONFIG = SuperResolutionConfig(
    experiment="torch",
    data=Data("folder", "noise", crop=20),
    networks=SuperResolution(blocks=1, channels=4, factor=4, discriminator_channels=2, over_bicubic=True),
    content=Content("l2"),
    adversarial_weight=100.0,
    init_from=Path("earlier"),
    low_crop=5,
    train=Train(steps=1, batch=BATCH),
)


@pytest.fixture(scope="module")
def features():
    """EfficientNet-Lite0's first stages with drawn weights: its own may not be installed."""
    rng = np.random.default_rng(1)

    def layer(size, inputs, outputs):
        kernel = rng.normal(0, (2 / (size * size * inputs)) ** 0.5, (size, size, inputs, outputs))
        bias = rng.normal(0, 0.1, outputs)
        return {"kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.asarray(bias, jnp.float32)}

    stages, inputs = [], 32
    for row in efficientnet_lite0._STAGES:
        blocks = []
        for _ in range(row.blocks if row.channels <= 24 else 0):
            inner = inputs * row.expansion
            parts = {"expand": layer(1, inputs, inner)} if row.expansion > 1 else {}
            blocks.append(
                parts | {"depthwise": layer(row.size, 1, inner), "project": layer(1, inner, row.channels)}
            )
            inputs = row.channels
        stages.append(blocks)
    return {"stem": layer(3, 3, 32), "stages": stages, "head": layer(1, 8, 8)}


@pytest.fixture(scope="module")
def ours():
    """A state, a batch in low and high resolution, and what our step makes of them."""
    rng = np.random.default_rng(0)
    state = jax.eval_shape(partial(superresolution.init, CONFIG), jax.random.key(0))
    # Drawn away from zero offsets and equal slopes, which would hide a wrong order of channels.
    params = jax.tree.map(lambda x: rng.normal(0, 0.3, x.shape).astype(np.float32), state.params)
    stats = jax.tree.map(lambda x: np.ones(x.shape, np.float32), state.stats)
    state = state.replace(step=np.int32(0), key=jax.random.key(0), params=params, stats=stats)
    images = rng.integers(0, 256, (BATCH, 20, 20, 3), np.uint8)

    def run(params, images):
        part = superresolution.Part(BATCH, 0, BATCH)
        made_of = state.replace(params=params, opt=None, start=None)
        key = jax.random.fold_in(state.key, 0)
        pairs = superresolution._pairs(CONFIG, key, images, part)
        return pairs, superresolution.gradients(CONFIG, made_of, images)

    def convolve(x, kernel, *, stride):
        dimensions = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=dimensions)

    mapped = jax.jit(jax.vmap(run, in_axes=(None, 0), axis_name=AXIS))
    with pytest.MonkeyPatch.context() as patch:
        # As on an accelerator, which compiles in half the time (tests/networks/test_layers.py has both).
        patch.setattr(networks, "conv", convolve)
        found = jax.tree.map(lambda x: x[0], mapped(params, images[None]))
    (low, high), (grads, _, metrics) = found
    return state, (low, high), grads, metrics


def channels_first(x):
    return torch.from_numpy(np.asarray(x).transpose(0, 3, 1, 2).copy())


def test_losses_and_gradients_are_ours(ours):
    state, (low, high), grads, metrics = ours
    peer = torch_superresolution.Peer(CONFIG, state)
    found, losses = peer.gradients(channels_first(low), channels_first(high))
    assert set(losses) == {"content", "adversarial", "loss_g", "loss_d"}
    for name, value in losses.items():
        np.testing.assert_allclose(value.item(), metrics[name], rtol=1e-4, err_msg=name)
    # No term hides behind another.
    assert 0.1 < metrics["content"] / (100 * metrics["adversarial"]) < 10
    for player, tree in grads.items():
        wanted = torch_superresolution.leaves(torch_superresolution.as_torch(tree))
        for i, (a, b) in enumerate(zip(found[player], wanted, strict=True)):
            assert a.shape == b.shape
            error = (a - b).norm() / b.norm()
            assert error < 2e-3, f"{player}, leaf {i} of shape {tuple(b.shape)}: relative error {error:.1e}"


def test_every_content_error_is_ours(ours, features):
    state, (_, high), _, _ = ours
    made = 0.5 * np.asarray(high)[::-1]
    by_features = Content("efficientnet-lite0", "3", rescale=0.1)
    for content, constants in ((Content("l1"), ()), (Content("l2"), ()), (by_features, (features,))):
        config = dataclasses.replace(CONFIG, content=content)
        peer = torch_superresolution.Peer(config, state, *constants)
        found = peer.content_error(channels_first(made), channels_first(high)).detach()
        expected = jax.jit(partial(superresolution.content_error, config))(made, high, *constants)
        np.testing.assert_allclose(found, expected, rtol=1e-4, err_msg=content.error)


def test_pairs_are_ours_and_a_step_moves_every_weight(ours):
    state, (low, high), _, _ = ours
    peer = torch_superresolution.Peer(CONFIG, state)
    crops = channels_first(np.rint((np.asarray(high) + 1) * 127.5).astype(np.uint8))
    found_low, found_high = peer.pairs(crops)
    # A half may be rounded either way.
    np.testing.assert_allclose(255 * found_low, 255 * channels_first(low), atol=1.01)
    assert (255 * (found_low - channels_first(low)).abs() > 0.5).float().mean() < 0.01
    np.testing.assert_allclose(found_high, channels_first(high), atol=1e-5)
    before = [leaf.detach().clone() for leaf in torch_superresolution.leaves(peer.params)]
    peer.step(crops)
    for old, new in zip(before, torch_superresolution.leaves(peer.params), strict=True):
        assert 0 < (old - new).abs().max() < 1.01 * CONFIG.learning_rate


def test_it_refuses_what_it_lacks(ours):
    state, *_ = ours
    for changed, message in (
        ({"content": Content("vgg19", "conv5_4")}, "VGG19 is not in the peer"),
        ({"drop_after": 5}, "at one learning rate"),
    ):
        with pytest.raises(ValueError, match=message):
            torch_superresolution.Peer(dataclasses.replace(CONFIG, **changed), state)
