"""What the trained networks say, over more examples than fit in one pass."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from infogan_jax.config import InfoGANConfig
from infogan_jax.tasks import infogan
from infogan_jax.tasks.infogan import State
from infogan_jax.tasks.replica import EVALUATION_STREAM, to_float

BATCH = 1000
DRAWS = 10_000

_generate = jax.jit(infogan.generate, static_argnums=0)


class Estimate(NamedTuple):
    """A mean over draws and its standard error as of independent ones, in nats.

    Those of a thousand share its batch statistics, which was measured to add nothing to the error
    (docs/batch-norm.md).
    """

    mean: float
    standard_error: float


def read_codes(
    config: InfoGANConfig, state: State, images: np.ndarray, stats: Literal["real", "fake"]
) -> dict[str, np.ndarray]:
    """What Q reads from images: the likeliest value of each code.

    Args:
        config: the run's configuration.
        state: the trained state.
        images: uint8 [N, H, W, C].
        stats: which of the discriminator's running statistics batch norm uses.

    Returns:
        For each code by name: of a categorical or binary one int32 [N], of a continuous one its posterior's
        mean, float32 [N].
    """

    return in_batches(lambda batch: _read(config, stats, state, batch), images)


@partial(jax.jit, static_argnums=(0, 1))
def _read(
    config: InfoGANConfig, stats: Literal["real", "fake"], state: State, images: Array
) -> dict[str, Array]:
    variables = infogan.discriminator_variables(state, stats)
    return infogan.read_images(config, variables, to_float(config, images))


def generate_images(config: InfoGANConfig, state: State, draw: dict[str, Array]) -> np.ndarray:
    """Generated images, float32 [N, H, W, C], for a draw of the codes."""
    return np.asarray(_generate(config, state, draw))


def estimate_information(config: InfoGANConfig, state: State, *, draws: int = DRAWS) -> dict[str, Estimate]:
    """L_I of each code and in all, on images generated for fresh draws of the codes.

    Q normalises each thousand of them, x_1 to x_n, by their own statistics, as it does a batch in training. G
    uses running ones, so x_1 depends on its own draw alone. The others say nothing of its code c, and

        L_I = E[log Q(c | x_1, ..., x_n)] + H(c) <= I(c; x_1, ..., x_n) = I(c; x_1)

    is a lower bound still.

    Args:
        config: the run's configuration.
        state: the trained state.
        draws: number of images.

    Returns:
        For each code by name, and under "total" for their sum: the mean and its standard error.
    """

    keys = jax.random.split(jax.random.fold_in(state.key, EVALUATION_STREAM), -(-draws // BATCH))
    batches = [jax.device_get(_information(config, state, key)) for key in keys]
    nats = {name: np.concatenate([batch[name] for batch in batches])[:draws] for name in batches[0]}
    return {
        name: Estimate(float(x.mean()), float(x.std(ddof=1) / np.sqrt(len(x)))) for name, x in nats.items()
    }


@partial(jax.jit, static_argnums=0)
def _information(config: InfoGANConfig, state: State, key: Array) -> dict[str, Array]:
    draw = config.codes.sample(key, BATCH)
    output = infogan.recognize_generated(config, state, infogan.generate(config, state, draw))
    nats = config.codes.information(output, draw)
    return nats | {"total": sum(nats.values(), jnp.zeros(BATCH))}


def in_batches(
    function: Callable[[np.ndarray], dict[str, Array]], images: np.ndarray
) -> dict[str, np.ndarray]:
    """Applies a function of `BATCH` images; the last batch is filled up, so that it compiles once."""
    parts = []
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        filled = np.concatenate([batch, np.repeat(batch[:1], BATCH - len(batch), axis=0)])
        parts.append({name: np.asarray(x)[: len(batch)] for name, x in function(filled).items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
