"""Batch norm over the whole batch of a step, however its images lie on replicas and processes."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from losses.replicas import pmean

_EPSILON = 1e-5
_DECAY = 0.99


class BatchNorm(nn.Module):
    """Normalises each channel by a mean and a variance, and gives it a scale and an offset that are learned.

        y = (x - mean) / sqrt(variance + 1e-5) scale + bias

    In training they are the batch's, its variance E[x^2] - E[x]^2, and the running ones, which are used
    elsewhere, keep 0.99 of what they were at each step. All of it is float32.

    It is what `flax.linen.BatchNorm` computes, with the same names, on one replica bit for bit; but that
    gradients with respect to bfloat16 inputs are rounded once, where Flax rounds both of their parts. Between
    replicas the means are those of `losses.replicas`.

    Attributes:
        axis_name: the pmapped axis that the batch is split over; None: the batch is all here.
        dtype: of what comes out.

    References:
        Ioffe and Szegedy 2015, "Batch normalization: accelerating deep network training by reducing internal
        covariate shift", algorithm 1.
    """

    axis_name: str | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """Normalises a batch, float [batch, ..., channels]; with ``train``, by its own statistics."""
        channels = x.shape[-1:]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
        running_var = self.variable("batch_stats", "var", jnp.ones, channels)
        x = x.astype(jnp.float32)
        if train:
            mean, var = self._statistics(x)
            if not self.is_initializing():
                running_mean.value = _DECAY * running_mean.value + (1 - _DECAY) * mean
                running_var.value = _DECAY * running_var.value + (1 - _DECAY) * var
        else:
            mean, var = running_mean.value, running_var.value
        mean, var, scale, bias = (
            jnp.expand_dims(each, range(x.ndim - 1))
            for each in (
                mean,
                var,
                self.param("scale", nn.initializers.ones, channels),
                self.param("bias", nn.initializers.zeros, channels),
            )
        )
        return ((x - mean) * (jax.lax.rsqrt(var + _EPSILON) * scale) + bias).astype(self.dtype)

    def _statistics(self, x: Array) -> tuple[Array, Array]:
        """The mean and the variance of each channel over the whole batch."""
        axes = tuple(range(x.ndim - 1))
        square = jnp.square(x)
        moments = x.mean(axes), square.mean(axes)
        if self.axis_name is not None and not self.is_initializing():
            # Both in one message, whose start takes longer than its bytes.
            both = pmean(jnp.stack(moments), self.axis_name)
            moments = both[0], both[1]
        mean, mean_square = moments
        # Rounding can take the difference below zero.
        return mean, jnp.maximum(0.0, mean_square - jnp.square(mean))
