"""Generator, and discriminator with the recognition network Q: Linen modules that read tables.

Each computes in its ``dtype``, float32 or bfloat16. Weights and batch norm's statistics are float32 in any
case, and so is what comes out: images, logits and posteriors.
"""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from infogan_jax.networks.batch_norm import BatchNorm
from infogan_jax.networks.layers import conv, conv_transpose
from infogan_jax.networks.tables import KERNEL_SIZE, Layer

# DCGAN (Radford et al. 2016) draws all weights with this deviation; the authors' code does too.
_init = nn.initializers.normal(0.02)

# The parts of the discriminator's weights that D's logit doesn't depend on.
Q_ALONE = ("q_head", "q_output")

# Those that end a network leave its dtype first.
_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": nn.relu,
    "lrelu": lambda x: nn.leaky_relu(x, 0.1),
    "sigmoid": lambda x: nn.sigmoid(x.astype(jnp.float32)),
    "tanh": lambda x: nn.tanh(x.astype(jnp.float32)),
    "linear": lambda x: x.astype(jnp.float32),
}


def _dense(features: int, dtype: DTypeLike, **options: Any) -> nn.Dense:
    return nn.Dense(features, dtype=dtype, kernel_init=_init, **options)


class _Convolution(nn.Module):
    """A convolution or transposed convolution with its weights."""

    layer: Layer
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Array) -> Array:
        (features,) = self.layer.features
        kernel = self.param("kernel", _init, (KERNEL_SIZE, KERNEL_SIZE, x.shape[-1], features))
        convolve = {"conv": conv, "up": conv_transpose}[self.layer.kind]
        x = convolve(x.astype(self.dtype), kernel.astype(self.dtype), stride=self.layer.stride)
        # Batch norm has an offset of its own.
        if self.layer.norm:
            return x
        return x + self.param("bias", nn.initializers.zeros, (1, 1, 1, features)).astype(self.dtype)


class Table(nn.Module):
    """Applies the rows of a table, one after the other.

    Attributes:
        layers: the rows.
        axis_name: the pmapped axis; batch norm then uses the statistics of the whole batch.
        dtype: what it computes in.
    """

    layers: tuple[Layer, ...]
    axis_name: str | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """Maps a batch; with ``train``, batch norm uses and records the batch's statistics."""
        for layer in self.layers:
            if layer.kind == "dense":
                x = x.reshape(x.shape[0], -1)
                x = _dense(math.prod(layer.features), self.dtype, use_bias=not layer.norm)(x)
                x = x.reshape(x.shape[0], *layer.features)
            else:
                x = _Convolution(layer, self.dtype)(x)
            if layer.norm:
                x = BatchNorm(self.axis_name, self.dtype)(x, train)
            x = _ACTIVATIONS[layer.activation](x)
        return x


class Generator(nn.Module):
    """G: noise and codes, float [batch, input_dim], to images, float [batch, h, w, c]."""

    layers: tuple[Layer, ...]
    axis_name: str | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, inputs: Array, train: bool) -> Array:
        """Makes images in the range of the last row's activation."""
        return Table(self.layers, self.axis_name, self.dtype, name="table")(inputs, train)


class Discriminator(nn.Module):
    """D and Q on a shared trunk: images to D's logits [batch] and Q's output [batch, posterior_dim].

    Attributes:
        trunk: the rows that D and Q share; one dense layer to D's logit follows.
        q_head: Q's own rows; one dense layer to ``posterior_dim`` numbers follows.
        posterior_dim: numbers that Q gives for all codes; 0: there is no Q.
        detached: Q's gradient stops at the trunk's features.
        axis_name: as in `Table`.
        dtype: as in `Table`.
    """

    trunk: tuple[Layer, ...]
    q_head: tuple[Layer, ...]
    posterior_dim: int
    detached: bool = False
    axis_name: str | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Array, train: bool) -> tuple[Array, Array]:
        """Returns D's logit that an image is real, and Q's numbers for all codes."""
        features = Table(self.trunk, self.axis_name, self.dtype, name="trunk")(images, train)
        features = features.reshape(features.shape[0], -1)
        logits = _dense(1, self.dtype, name="d_logit")(features)[:, 0].astype(jnp.float32)
        if self.posterior_dim == 0:
            return logits, jnp.zeros((images.shape[0], 0))
        if self.detached:
            features = jax.lax.stop_gradient(features)
        hidden = Table(self.q_head, self.axis_name, self.dtype, name="q_head")(features, train)
        return logits, _dense(self.posterior_dim, self.dtype, name="q_output")(hidden).astype(jnp.float32)
