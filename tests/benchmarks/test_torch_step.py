"""The eager PyTorch step that ours is timed against computes the same numbers."""

import dataclasses
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sides
import torch
import torch_step

from infogan_jax.codes import Bernoulli, Categorical, LatentCodes, Normal, Uniform
from infogan_jax.config import Data, InfoGANConfig, Invariance, Objective, Optimizer, Train
from infogan_jax.experiments import EXPERIMENTS
from infogan_jax.networks import tables
from infogan_jax.tasks import infogan
from infogan_jax.tasks.replica import AXIS
from infogan_jax.training.loop import compile_steps

BATCH = 8
CODES = LatentCodes(5, (Categorical(10), Uniform(-1, 1), Normal(0, 2, sigma=0.5), Bernoulli(0.3)))
CONFIG = InfoGANConfig(
    experiment="torch",
    data=Data("tfds", "mnist"),
    codes=CODES,
    networks=tables.MNIST,
    train=Train(steps=1, batch=BATCH),
)
PLAYERS = ("discriminator", "generator")


@pytest.fixture(scope="module")
def ours():
    """A state, its images, and what our step makes of them."""
    state = jax.jit(infogan.init, static_argnums=0)(CONFIG, jax.random.key(0))
    rng = np.random.default_rng(0)
    # Away from zero offsets and unit scales, which would hide a wrong order of channels.
    moved = jax.tree.map(
        lambda x: x + 0.1 * rng.standard_normal(x.shape, np.float32) if x.size < 10_000 else x, state.params
    )
    state = state.replace(params=moved)
    images = rng.integers(0, 256, (BATCH, 28, 28, 1), np.uint8)

    before = jax.tree.map(jnp.copy, state)  # The state is donated.
    order = np.arange(BATCH, dtype=np.int32)[None, None]
    after, metrics = compile_steps(CONFIG, jax.local_devices()[:1])(before, images, order)
    # Adam's mean after one update is (1 - beta1) times the gradient.
    grads = {
        k: jax.tree.map(lambda m: m / (1 - CONFIG.optimizer.beta1), v[0].mu) for k, v in after.opt.items()
    }
    return state, images, grads, {k: float(v[0]) for k, v in metrics.items()}, after


@pytest.fixture
def theirs(ours):
    """The peer with the same weights, its images, and the draw that our step makes."""
    state, images, *_ = ours
    peer = torch_step.Peer(CONFIG)
    torch_step.load_weights(peer, state)
    code_key = jax.random.split(jax.random.fold_in(state.key, state.step), 5)[0]
    draw = {name: torch.tensor(np.array(v)) for name, v in CODES.sample(code_key, BATCH).items()}
    draw["c1"] = draw["c1"].long()
    return peer, torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), draw


def layout(player, tree):
    return torch_step.torch_layout(CONFIG, player, tree)


def test_the_losses_are_ours(ours, theirs):
    _, _, _, metrics, _ = ours
    peer, images, draw = theirs
    _, found = peer.gradients(images, draw)
    assert found.keys() == {k for k in metrics if not k.startswith("grad_norm")}
    for name, value in found.items():
        np.testing.assert_allclose(value.item(), metrics[name], atol=1e-4, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("player", PLAYERS)
def test_the_gradients_are_ours(ours, theirs, player):
    _, _, grads, _, _ = ours
    peer, images, draw = theirs
    found, _ = peer.gradients(images, draw)
    for i, (a, b) in enumerate(zip(found[player], layout(player, grads[player]), strict=True)):
        error = np.linalg.norm(a.numpy() - b) / np.linalg.norm(b)
        assert error < 1e-3, f"leaf {i} of shape {b.shape}: relative error {error:.1e}"


@pytest.mark.parametrize("player", PLAYERS)
def test_one_update_is_ours(ours, theirs, player):
    """Adam's first update is lr * g / (|g| + 1e-8), nearly lr * sign(g): rounding shows where g is near 0.

    Where the gradient is well above its rounding error the weights agree closely; elsewhere they
    may have gone either way, and then differ by twice the learning rate at most.
    """
    _, _, grads, _, after = ours
    peer, images, draw = theirs
    peer.step(images, draw)
    rate = {"discriminator": CONFIG.optimizer.lr_discriminator, "generator": CONFIG.optimizer.lr_generator}
    module = getattr(peer, player)
    expected = layout(player, after.params[player])
    for found, want, grad in zip(module.parameters(), expected, layout(player, grads[player]), strict=True):
        apart = np.abs(found.detach().numpy() - want)
        sure = np.abs(grad) > 1e-2 * np.sqrt(np.mean(grad**2))
        assert sure.mean() > 0.5
        assert apart[sure].max() < 0.01 * rate[player]
        assert apart.max() < 2.01 * rate[player]


@pytest.mark.parametrize("experiment", ["svhn", "chairs-rotation"])
def test_the_larger_set_ups_lose_and_learn_the_same(experiment):
    """The layers as the paper has them, on fewer channels."""

    def narrow(rows):
        last = rows[-1].features if rows and rows[-1].activation in ("sigmoid", "tanh") else None
        made = [dataclasses.replace(r, features=(*r.features[:-1], -(-r.features[-1] // 16))) for r in rows]
        return tuple(made if last is None else [*made[:-1], rows[-1]])

    config = EXPERIMENTS[experiment]
    n = config.networks
    networks = tables.Networks(narrow(n.generator), narrow(n.trunk), narrow(n.q_head))
    config = dataclasses.replace(config, networks=networks, train=Train(steps=1, batch=BATCH))
    state = jax.jit(infogan.init, static_argnums=0)(config, jax.random.key(0))
    # Weights that make the losses depend on every layer.
    state = state.replace(params=jax.tree.map(lambda x: 10 * x, state.params))
    images = np.random.default_rng(0).integers(0, 256, (BATCH, *networks.image_shape), np.uint8)
    mapped = jax.vmap(lambda s, x: infogan.gradients(config, s, x), (None, 0), axis_name=AXIS)
    grads, _, metrics = jax.tree.map(lambda x: x[0], jax.jit(mapped)(state, images[None]))

    peer = torch_step.Peer(config)
    torch_step.load_weights(peer, state)
    code_key = jax.random.split(jax.random.fold_in(state.key, state.step), 5)[0]
    draw = {name: torch.tensor(np.array(v)) for name, v in config.codes.sample(code_key, BATCH).items()}
    draw |= {name: draw[name].long() for name in config.codes.categorical}
    found, losses = peer.gradients(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), draw)
    for name, value in losses.items():
        np.testing.assert_allclose(value.item(), metrics[name], atol=1e-4, rtol=1e-4, err_msg=name)
    for player in PLAYERS:
        wanted = torch_step.torch_layout(config, player, grads[player])
        for i, (a, b) in enumerate(zip(found[player], wanted, strict=True)):
            error = np.linalg.norm(a.numpy() - b) / np.linalg.norm(b)
            assert error < 2e-3, f"{player}, leaf {i} of shape {b.shape}: relative error {error:.1e}"


def test_running_statistics_are_copied(ours, theirs):
    state, *_ = ours
    peer, _, _ = theirs
    marked = jax.tree.map(lambda x: x + 0.5, state.stats)
    torch_step.load_weights(peer, state.replace(stats=marked))
    norm = next(m for m in peer.generator.modules() if isinstance(m, torch.nn.BatchNorm1d))
    np.testing.assert_array_equal(norm.running_mean, np.full(1024, 0.5))
    np.testing.assert_array_equal(norm.running_var, np.full(1024, 1.5))


def test_its_own_draw_is_from_the_priors():
    torch.manual_seed(0)
    draw = torch_step.sample(CONFIG, 4000)
    like = CODES.sample(jax.random.key(0), 4000)
    assert draw.keys() == like.keys()
    for name, values in draw.items():
        assert values.shape == like[name].shape
        np.testing.assert_allclose(values.double().mean(), np.mean(like[name]), atol=0.2)
        np.testing.assert_allclose(values.double().std(), np.std(like[name]), atol=0.2)


def test_it_refuses_what_it_lacks():
    with pytest.raises(ValueError, match="code invariance"):
        torch_step.Peer(dataclasses.replace(CONFIG, objective=Objective(invariance=Invariance(weight=1.0))))
    with pytest.raises(ValueError, match="a plain GAN is not in it"):
        torch_step.Peer(dataclasses.replace(CONFIG, objective=Objective(plain_gan=True)))
    with pytest.raises(ValueError, match="Q has D's learning rate"):
        torch_step.Peer(dataclasses.replace(CONFIG, optimizer=Optimizer(lr_recognition=1e-3)))


def test_a_gpu_that_is_not_there_is_named(monkeypatch):
    job = sides.Job("mnist", 2, 1, 1, "gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    for prepare in (sides.prepare_torch, sides.prepare_ours):
        with pytest.raises(SystemExit, match="--device gpu: "):
            prepare(job)


def test_both_networks_are_compiled_where_that_is_asked_for():
    compiled = []
    with patch.object(torch.nn.Module, "compile", lambda network: compiled.append(network)):
        peer = torch_step.Peer(CONFIG)
        assert compiled == []
        peer = torch_step.Peer(CONFIG, compiled=True)
    assert compiled == [peer.generator, peer.discriminator]
    peer = torch_step.Peer(CONFIG)
    noise = torch.zeros(2, CODES.input_dim)
    for network, inputs in ((peer.generator, noise), (peer.discriminator, torch.zeros(2, 1, 28, 28))):
        torch._dynamo.reset()
        counters = torch._dynamo.utils.counters
        counters.clear()
        # The compiler's own work takes long; whether it is given the network doesn't depend on it.
        network.compile(backend="eager")
        network(inputs)
        assert counters["stats"]["unique_graphs"] >= 1, network
