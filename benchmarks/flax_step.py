"""InfoGAN's training step in Flax's own layers, one jitted call a step, as JAX's tutorials write it.

The modules are built from the tables that ours read, with `nn.Conv` and `nn.ConvTranspose`; each
player's gradient is a `jax.grad` of its own loss. No scan, no pmap, no data on the device. The same
losses and schedule as ours: both players are updated together.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from infogan_jax.config import InfoGANConfig
from infogan_jax.networks.tables import KERNEL_SIZE, Layer
from infogan_jax.tasks import infogan
from losses.adversarial import discriminator_logistic, generator_non_saturating
from losses.information import weighted_information

_ACTIVATIONS = {
    "relu": nn.relu,
    "lrelu": lambda x: nn.leaky_relu(x, 0.1),
    "sigmoid": nn.sigmoid,
    "tanh": nn.tanh,
}


class Table(nn.Module):
    """Applies the rows of a table; its weights have the names of ours."""

    layers: tuple[Layer, ...]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps a batch and records batch norm's statistics."""
        convolutions = 0
        for layer in self.layers:
            if layer.kind == "dense":
                x = nn.Dense(math.prod(layer.features), use_bias=not layer.norm)(x.reshape(len(x), -1))
                x = x.reshape(len(x), *layer.features)
            else:
                convolution = {"conv": nn.Conv, "up": nn.ConvTranspose}[layer.kind]
                x = convolution(
                    layer.features[0],
                    (KERNEL_SIZE, KERNEL_SIZE),
                    (layer.stride, layer.stride),
                    use_bias=not layer.norm,
                    name=f"_Convolution_{convolutions}",
                )(x)
                convolutions += 1
            if layer.norm:
                x = nn.BatchNorm(use_running_average=False, momentum=0.99)(x)
            x = _ACTIVATIONS[layer.activation](x)
        return x


class Generator(nn.Module):
    """Noise and codes to images."""

    config: InfoGANConfig

    @nn.compact
    def __call__(self, inputs: Array) -> Array:
        """Makes a batch of images."""
        return Table(self.config.networks.generator, name="table")(inputs)


class Discriminator(nn.Module):
    """Images to D's logits and Q's output."""

    config: InfoGANConfig

    @nn.compact
    def __call__(self, images: Array) -> tuple[Array, Array]:
        """Reads a batch of images."""
        networks = self.config.networks
        features = Table(networks.trunk, name="trunk")(images).reshape(len(images), -1)
        hidden = Table(networks.q_head, name="q_head")(features)
        logits = nn.Dense(1, name="d_logit")(features)[:, 0]
        return logits, nn.Dense(self.config.codes.posterior_dim, name="q_output")(hidden)


def init(config: InfoGANConfig) -> infogan.State:
    """Our first state, as these modules hold it."""
    return adapt(infogan.init(config, jax.random.key(config.seed)))


def adapt(state: infogan.State) -> infogan.State:
    """A state of ours for these modules: Flax's biases are vectors."""
    return jax.tree.map(lambda x: x.reshape(-1) if x.shape[:-1] == (1, 1, 1) else x, state)


def compile(
    config: InfoGANConfig,
) -> Callable[[infogan.State, Array], tuple[infogan.State, dict[str, Array]]]:
    """The jitted step: a state and images uint8 [batch, h, w, c] to the next state and the loss terms."""
    return jax.jit(partial(_step, config))


def _step(
    config: InfoGANConfig, state: infogan.State, images: Array
) -> tuple[infogan.State, dict[str, Array]]:
    generator, discriminator = Generator(config), Discriminator(config)
    low, high = config.networks.image_range
    real = low + (high - low) / 255 * images.astype(jnp.float32)
    key = jax.random.split(jax.random.fold_in(state.key, state.step), 5)[0]
    draw = config.codes.sample(key, len(images))

    def apply(module: nn.Module, params: Any, stats: str, x: Array) -> tuple[Any, Any]:
        variables = {"params": params, "batch_stats": state.stats[stats]}
        outputs, new = module.apply(variables, x, mutable="batch_stats")
        return outputs, new["batch_stats"]

    def forward(params: dict[str, Any]) -> tuple[dict[str, Array], Array, dict[str, Any]]:
        fake, g_stats = apply(generator, params["generator"], "generator", config.codes.encode(draw))
        (real_logits, _), real_stats = apply(discriminator, params["discriminator"], "real", real)
        (fake_logits, q), fake_stats = apply(discriminator, params["discriminator"], "fake", fake)
        nats = config.codes.information(q, draw, config.objective.scale_weighting)
        information = {name: values.mean() for name, values in nats.items()}
        terms = {
            "loss_d": discriminator_logistic(real_logits, fake_logits).mean(),
            "loss_g": generator_non_saturating(fake_logits).mean(),
        } | {f"mi_{name}": value for name, value in information.items()}
        bound = weighted_information(information, infogan.information_weights(config))
        return terms, bound, {"generator": g_stats, "real": real_stats, "fake": fake_stats}

    def loss(player: str, own: Any) -> tuple[Array, Any]:
        terms, bound, stats = forward(state.params | {player: own})
        return terms[{"discriminator": "loss_d", "generator": "loss_g"}[player]] - bound, (terms, stats)

    o = config.optimizer
    params, opt = {}, {}
    for player, rate in (("discriminator", o.lr_discriminator), ("generator", o.lr_generator)):
        tx = optax.adam(rate, b1=o.beta1)
        own = state.params[player]
        grads, (terms, stats) = jax.grad(partial(loss, player), has_aux=True)(own)
        updates, opt[player] = tx.update(grads, state.opt[player], own)
        params[player] = optax.apply_updates(own, updates)
    return state.replace(step=state.step + 1, params=params, stats=stats, opt=opt), terms
