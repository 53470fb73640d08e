"""A trained model to call: images from noise and codes, and codes from images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from infogan_jax.codes import Categorical
from infogan_jax.config import InfoGANConfig
from infogan_jax.tasks import infogan
from infogan_jax.tasks.replica import to_float


@dataclass(frozen=True)
class Model:
    """G and Q of one checkpoint, as functions of any number of examples.

    Attributes:
        config: the configuration that they were trained with; ``config.codes`` says what they take and give.
        step: the checkpoint's.
        versions: of the libraries that wrote the file, by name; empty of a run that is at hand.
    """

    config: InfoGANConfig
    step: int
    versions: Mapping[str, str]
    _generate: Callable[[dict[str, Array]], Array] = field(repr=False)
    _read: Callable[[Array], dict[str, Array]] = field(repr=False)

    def __call__(self, noise: ArrayLike, codes: Mapping[str, ArrayLike]) -> np.ndarray:
        """Images for noise and codes.

            x = G(z, c)

        Args:
            noise: z, [n, noise_dim], any number of rows.
            codes: each code by name, [n]: of a categorical one its category in [0, K), of a binary one 0
                or 1.

        Returns:
            Float32 [n, h, w, c] in ``config.networks.image_range``.

        Raises:
            ValueError: a code is missing or unknown, or a shape or a category doesn't fit.
        """
        return np.asarray(self._generate(self._draw(noise, codes)))

    def sample_noise(self, n: int, *, seed: int = 0) -> np.ndarray:
        """Noise for ``n`` images from the prior of the training, float32 [n, noise_dim]."""
        spec = self.config.codes
        return np.asarray(spec.noise.sample(jax.random.key(seed), (n, spec.noise_dim)))

    def recognize(self, images: ArrayLike) -> dict[str, np.ndarray]:
        """The likeliest value of each code, argmax_c Q(c | x).

        Args:
            images: [n, h, w, c]: uint8, or floats in ``config.networks.image_range``.

        Returns:
            For each code by name: of a categorical or binary one int32 [n], of a continuous one its
            posterior's mean, float32 [n].

        Raises:
            ValueError: the images have another shape.
        """
        images = np.asarray(images)
        height, width, channels = self.config.networks.image_shape
        if images.ndim != 4 or images.shape[1:] != (height, width, channels) or not len(images):
            raise ValueError(f"images have shape {images.shape}, not [n, {height}, {width}, {channels}]")
        if images.dtype == np.uint8:
            x = to_float(self.config, jnp.asarray(images))
        elif np.issubdtype(images.dtype, np.floating):
            x = jnp.asarray(images, jnp.float32)
        else:
            raise ValueError(f"images are {images.dtype}: they must be uint8 or floats")
        return {name: np.asarray(value) for name, value in self._read(x).items()}

    def _draw(self, noise: ArrayLike, codes: Mapping[str, ArrayLike]) -> dict[str, Array]:
        spec = self.config.codes
        noise = np.asarray(noise, np.float32)
        if noise.ndim != 2 or noise.shape[1] != spec.noise_dim or not len(noise):
            raise ValueError(f"noise has shape {noise.shape}, not [n, {spec.noise_dim}]")
        if codes.keys() != spec.named.keys():
            wanted = ", ".join(spec.named) or "no code"
            raise ValueError(f"codes are {', '.join(codes) or 'none'}: this generator takes {wanted}")
        draw = {"noise": jnp.asarray(noise)}
        for name, code in spec.named.items():
            value = np.asarray(codes[name])
            if value.shape != noise.shape[:1]:
                raise ValueError(f"{name} has shape {value.shape}, not [{len(noise)}], as noise has rows")
            if isinstance(code, Categorical):
                # One-hot of what is no category would be zeros, and an image all the same.
                if not np.isin(value, np.arange(code.categories)).all():
                    raise ValueError(f"{name} is a category, a whole number from 0 to {code.categories - 1}")
                draw[name] = jnp.asarray(value, jnp.int32)
            else:
                draw[name] = jnp.asarray(value, jnp.float32)
        return draw


def model_of(config: InfoGANConfig, state: infogan.State, step: int) -> Model:
    """The model of a state that is at hand."""
    generator, discriminator = model_variables(state)
    exact = in_float32(config)
    return Model(
        config,
        step,
        {},
        partial(jax.jit(infogan.make_images, static_argnums=0), exact, generator),
        partial(jax.jit(infogan.read_images, static_argnums=0), exact, discriminator),
    )


def in_float32(config: InfoGANConfig) -> InfoGANConfig:
    """The configuration by which every model computes: in float32, whatever the run trained in.

    In bfloat16 a run's folder, its files and its page would differ by some hundredths: ONNX and the page know
    float32 alone, and each compiler rounds elsewhere.
    """
    return replace(config, model=replace(config.model, dtype="float32"))


def model_variables(state: infogan.State) -> tuple[dict[str, Any], dict[str, Any]]:
    """What G and Q need of a state; Q reads real images, with the statistics of real ones."""
    return infogan.generator_variables(state), infogan.discriminator_variables(state, "real")
