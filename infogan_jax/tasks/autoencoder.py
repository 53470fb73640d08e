"""The step of an autoencoder, for one replica: which reconstruction error is minimised is a name.

min_theta  E error(decoder(encoder(x)), x)
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from infogan_jax.config import AutoencoderConfig
from infogan_jax.data.dataset import Dataset
from infogan_jax.images import to_uint8
from infogan_jax.networks.infogan import Table
from infogan_jax.tasks.replica import (
    AXIS,
    INIT_STREAM,
    Metrics,
    Part,
    accumulated,
    norm,
    replica_mean,
    to_float,
)
from losses import masks, reconstruction

_SAMPLES = 32
_SAMPLE_COLUMNS = 8


@flax.struct.dataclass
class State:
    """Everything that a step reads and writes.

    Attributes:
        step: updates so far, int32.
        params: of the "encoder" and the "decoder".
        stats: batch norm's running statistics of both.
        opt: the optimiser's state.
    """

    step: Array
    params: dict[str, Any]
    stats: dict[str, Any]
    opt: optax.OptState


class _Autoencoder(nn.Module):
    """Encoder and decoder: images, float [batch, h, w, c], to the logits of their reconstructions."""

    config: AutoencoderConfig

    @nn.compact
    def __call__(self, images: Array, train: bool) -> Array:
        networks, dtype = self.config.networks, self.config.model.dtype
        code = Table(networks.encoder, AXIS, dtype, name="encoder")(images, train)
        return Table(networks.decoder, AXIS, dtype, name="decoder")(code, train)


def _optimizer(config: AutoencoderConfig) -> optax.GradientTransformation:
    return optax.adam(config.learning_rate)


def reconstruction_error(config: AutoencoderConfig, logits: Array, images: Array) -> Array:
    """The error that the configuration names, one value per image.

    Args:
        config: the run's configuration.
        logits: of the reconstructions, float [batch, h, w, c].
        images: float [batch, h, w, c] in [0, 1].

    Returns:
        Float [batch].
    """
    errors: dict[str, Callable[[Array, Array], Array]] = {
        "l0": lambda z, x: reconstruction.geman_mcclure_error(nn.sigmoid(z), x, scale=config.scale),
        "l1": lambda z, x: reconstruction.l1_error(nn.sigmoid(z), x),
        "l2": lambda z, x: reconstruction.l2_error(nn.sigmoid(z), x),
        "bce": masks.binary_cross_entropy_from_logits,
        "dice": masks.dice_error_from_logits,
        "edge": masks.edge_error_from_logits,
    }
    return errors[config.error](logits, images)


def init(config: AutoencoderConfig, key: Array) -> State:
    """The state before the first step.

    Args:
        config: the run's configuration.
        key: the run's base key (typed).
    """
    images = jnp.zeros((1, *config.networks.image_shape))
    variables = _Autoencoder(config).init(jax.random.fold_in(key, INIT_STREAM), images, train=False)
    params = variables["params"]
    opt = _optimizer(config).init(params)
    return State(jnp.zeros((), jnp.int32), params, variables.get("batch_stats", {}), opt)


def step(config: AutoencoderConfig, state: State, images: Array) -> tuple[State, Metrics]:
    """One update on this replica's share of the batch; runs inside a mapped axis named `replica.AXIS`.

    Args:
        config: the run's configuration.
        state: the state, the same on every replica.
        images: this replica's images, uint8 [batch / replicas, h, w, c].

    Returns:
        The next state and the step's scalars, both the same on every replica: "error", the one that is
        minimised, "pixel_error", the share of pixels on the wrong side of 1/2, and "grad_norm".
    """

    def loss(params: Any, x: Array) -> tuple[Array, tuple[Any, Metrics]]:
        variables = {"params": params, "batch_stats": state.stats}
        logits, new = _Autoencoder(config).apply(variables, x, train=True, mutable="batch_stats")
        error = reconstruction_error(config, logits, x).mean()
        wrong = ((logits > 0) != (x > 0.5)).mean()
        return error, (new.get("batch_stats", {}), {"error": error, "pixel_error": wrong})

    def gradients(images: Array, _: Part) -> tuple[Any, tuple[Any, Metrics]]:
        result: tuple[Any, tuple[Any, Metrics]] = jax.grad(loss, has_aux=True)(
            state.params, to_float(config, images)
        )
        return result

    grads, (stats, metrics) = accumulated(gradients, images, config.train.microbatch)
    grads, metrics = replica_mean((grads, metrics))
    updates, opt = _optimizer(config).update(grads, state.opt, state.params)
    metrics["grad_norm"] = norm(grads)
    return State(state.step + 1, optax.apply_updates(state.params, updates), stats, opt), metrics


def reconstruct(config: AutoencoderConfig, state: State, images: Array) -> Array:
    """The reconstructions of images uint8 [n, h, w, c], float in [0, 1], by running statistics."""
    variables = {"params": state.params, "batch_stats": state.stats}
    logits = _Autoencoder(config).apply(variables, to_float(config, images), train=False)
    return nn.sigmoid(cast(Array, logits))


def samples(config: AutoencoderConfig, dataset: Dataset) -> Callable[[State], tuple[np.ndarray, int]]:
    """Held-out images and, in the row below, their reconstructions.

    Returns:
        A function of the state: images uint8 [n, h, w, c], and the number of columns.
    """
    images = dataset.test.images[:_SAMPLES]
    images = images[: max(len(images) // _SAMPLE_COLUMNS, 1) * _SAMPLE_COLUMNS]
    columns = min(_SAMPLE_COLUMNS, len(images))
    apply: Any = jax.jit(partial(reconstruct, config))

    def make(state: State) -> tuple[np.ndarray, int]:
        made = to_uint8(np.asarray(apply(state, images)), *config.networks.image_range)
        rows = [np.stack([a, b]) for a, b in zip(_rows(images, columns), _rows(made, columns), strict=True)]
        return np.concatenate(rows).reshape(-1, *images.shape[1:]), columns

    return make


def _rows(images: np.ndarray, columns: int) -> np.ndarray:
    return images.reshape(-1, columns, *images.shape[1:])


def describe(config: AutoencoderConfig, metrics: Mapping[str, float]) -> str:
    """The error that is minimised, and the share of wrong pixels."""
    return f"{config.error} {metrics['error']:.4g}  wrong pixels {metrics['pixel_error']:.2%}"
