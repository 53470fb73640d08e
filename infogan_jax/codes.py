"""The latent code specification: priors, sampling, Q's posteriors and traversals.

A *draw* of the codes is a dictionary: ``"noise"`` float [n, noise_dim], and one entry for each
code by name (``c1``, ``c2``, ... in the paper's order): int32 [n] for a categorical code, float
[n] for the others.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from infogan_jax.late import Late

if TYPE_CHECKING:
    import jax
    import jax.numpy as jnp
    from jax import Array

    from losses import information
else:
    # A specification of codes is part of a configuration, and that is read without them.
    jax, jnp, information = Late("jax"), Late("jax.numpy"), Late("losses.information")

# Q's learned sigma stays between exp(-4) = 0.018 and exp(4): on a code of U(-1, 1) that is one
# part in a hundred of its range, and L_I then cannot pass ln 2 - ln(0.018 sqrt(2 pi)) = 3.8 nats.
LOG_SCALE_LIMIT = 4.0


class CategoricalPosterior(NamedTuple):
    """Q(c | x) of a categorical code: logits, float [batch, categories]."""

    logits: Array

    def log_prob(self, value: Array) -> Array:
        """Log Q(c | x) in nats, float [batch]."""
        nats: Array = information.categorical_log_prob(self.logits, value)
        return nats

    @property
    def mode(self) -> Array:
        """The likeliest category, int32 [batch]."""
        return self.logits.argmax(axis=-1).astype(jnp.int32)


class BernoulliPosterior(NamedTuple):
    """Q(c | x) of a binary code: the log-odds of 1, float [batch]."""

    logit: Array

    def log_prob(self, value: Array) -> Array:
        """Log Q(c | x) in nats, float [batch]."""
        nats: Array = information.bernoulli_log_prob(self.logit, value)
        return nats

    @property
    def mode(self) -> Array:
        """The likelier of 0 and 1, int32 [batch]."""
        return (self.logit > 0).astype(jnp.int32)


class GaussianPosterior(NamedTuple):
    """Q(c | x) of a continuous code: a Gaussian's mean and log-scale, each float [batch]."""

    mean: Array
    log_scale: Array

    def log_prob(self, value: Array, scale_weighting: float = 0.0) -> Array:
        """Log Q(c | x) in nats, float [batch]; its gradients by `losses.scale_weighted`."""
        nats: Array = information.gaussian_log_prob(self.mean, self.log_scale, value)
        if not scale_weighting:
            return nats
        weighted: Array = information.scale_weighted(nats, self.log_scale, weighting=scale_weighting)
        return weighted

    @property
    def mode(self) -> Array:
        """The likeliest value, float [batch]."""
        return self.mean


Posterior = CategoricalPosterior | BernoulliPosterior | GaussianPosterior


@dataclass(frozen=True)
class Categorical:
    """A code uniform over ``categories`` values: Cat(K = categories, p = 1 / K)."""

    categories: int

    def __post_init__(self) -> None:
        if self.categories < 2:
            raise ValueError(f"Categorical({self.categories}): needs 2 categories or more")

    @property
    def label(self) -> str:
        """The code in the paper's notation."""
        return f"Cat({self.categories})"

    @property
    def input_dim(self) -> int:
        """Numbers that it adds to the generator's input (one-hot)."""
        return self.categories

    @property
    def posterior_dim(self) -> int:
        """Numbers that Q says of it."""
        return self.categories

    @property
    def entropy(self) -> float:
        """H(c) in nats."""
        return information.categorical_prior_entropy(self.categories)

    def sample(self, key: Array, shape: tuple[int, ...]) -> Array:
        """Draws int32 categories."""
        return jax.random.randint(key, shape, 0, self.categories)

    def encode(self, value: Array) -> Array:
        """One-hot, float [n, categories]."""
        return jax.nn.one_hot(value, self.categories)

    def posterior(self, output: Array) -> CategoricalPosterior:
        """Reads Q's output, float [batch, posterior_dim]."""
        return CategoricalPosterior(output)

    def traversal_values(self, columns: int) -> np.ndarray:
        """Every category in turn, whatever ``columns`` says."""
        return np.arange(self.categories, dtype=np.int32)


@dataclass(frozen=True)
class Bernoulli:
    """A binary code that is 1 with probability ``p``."""

    p: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.p < 1:
            raise ValueError(f"Bernoulli({self.p}): needs a probability inside (0, 1)")

    @property
    def label(self) -> str:
        """The code in the paper's notation."""
        return f"Bernoulli({self.p:g})"

    @property
    def input_dim(self) -> int:
        """Numbers that it adds to the generator's input."""
        return 1

    @property
    def posterior_dim(self) -> int:
        """Numbers that Q says of it."""
        return 1

    @property
    def entropy(self) -> float:
        """H(c) in nats."""
        return information.bernoulli_prior_entropy(self.p)

    def sample(self, key: Array, shape: tuple[int, ...]) -> Array:
        """Draws 0. and 1."""
        return jax.random.bernoulli(key, self.p, shape).astype(jnp.float32)

    def encode(self, value: Array) -> Array:
        """The value itself, float [n, 1]."""
        return value[:, None]

    def posterior(self, output: Array) -> BernoulliPosterior:
        """Reads Q's output, float [batch, posterior_dim]."""
        return BernoulliPosterior(output[:, 0])

    def traversal_values(self, columns: int) -> np.ndarray:
        """Both values, whatever ``columns`` says."""
        return np.array([0.0, 1.0], np.float32)


class _Continuous:
    """What the continuous codes share: a Gaussian posterior with a learned or a fixed sigma."""

    sigma: float | None

    @property
    def input_dim(self) -> int:
        """Numbers that it adds to the generator's input."""
        return 1

    @property
    def posterior_dim(self) -> int:
        """Numbers that Q says of it: the mean, and log sigma where that is learned."""
        return 2 if self.sigma is None else 1

    def encode(self, value: Array) -> Array:
        """The value itself, float [n, 1]."""
        return value[:, None]

    def posterior(self, output: Array) -> GaussianPosterior:
        """Reads Q's output, float [batch, posterior_dim]."""
        mean = output[:, 0]
        if self.sigma is None:
            return GaussianPosterior(mean, information.bounded_log_scale(output[:, 1], limit=LOG_SCALE_LIMIT))
        return GaussianPosterior(mean, jnp.full_like(mean, math.log(self.sigma)))

    def _check_sigma(self) -> None:
        if self.sigma is not None and not 0 < self.sigma < math.inf:
            raise ValueError(f"{self}: sigma is None (learned) or a number above 0")


@dataclass(frozen=True)
class Uniform(_Continuous):
    """A code uniform on [low, high); Q's Gaussian has scale ``sigma``, learned where None."""

    low: float = -1.0
    high: float = 1.0
    sigma: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"Uniform({self.low}, {self.high}): needs finite low < high")
        self._check_sigma()

    @property
    def label(self) -> str:
        """The code in the paper's notation."""
        return f"U({self.low:g}, {self.high:g})"

    @property
    def entropy(self) -> float:
        """H(c) in nats (differential)."""
        return information.uniform_prior_entropy(self.low, self.high)

    def sample(self, key: Array, shape: tuple[int, ...]) -> Array:
        """Draws float32 values."""
        return jax.random.uniform(key, shape, jnp.float32, self.low, self.high)

    def traversal_values(self, columns: int) -> np.ndarray:
        """Evenly spaced over twice the prior's range: -2 to 2 for U(-1, 1), as in the paper."""
        centre, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        return np.linspace(centre - 2 * half, centre + 2 * half, columns, dtype=np.float32)


@dataclass(frozen=True)
class Normal(_Continuous):
    """A Gaussian code N(mean, std); Q's Gaussian has scale ``sigma``, learned where None."""

    mean: float = 0.0
    std: float = 1.0
    sigma: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and 0 < self.std < math.inf):
            raise ValueError(f"Normal({self.mean}, {self.std}): needs a finite mean and std > 0")
        self._check_sigma()

    @property
    def label(self) -> str:
        """The code in the paper's notation."""
        return f"N({self.mean:g}, {self.std:g})"

    @property
    def entropy(self) -> float:
        """H(c) in nats (differential)."""
        return information.gaussian_prior_entropy(self.std)

    def sample(self, key: Array, shape: tuple[int, ...]) -> Array:
        """Draws float32 values."""
        return self.mean + self.std * jax.random.normal(key, shape)

    def traversal_values(self, columns: int) -> np.ndarray:
        """Evenly spaced over two standard deviations on either side of the mean."""
        return np.linspace(self.mean - 2 * self.std, self.mean + 2 * self.std, columns, dtype=np.float32)


Code = Categorical | Bernoulli | Uniform | Normal


@dataclass(frozen=True)
class LatentCodes:
    """The generator's input: incompressible noise and structured latent codes.

    Attributes:
        noise_dim: length of the noise vector z; 0 is allowed.
        codes: the structured codes; they are named c1, c2, ... in this order.
        noise: the prior of each noise variable.

    Raises:
        ValueError: there is neither noise nor a code, or a negative noise_dim.
    """

    noise_dim: int
    codes: tuple[Code, ...] = ()
    noise: Uniform | Normal = Uniform(-1.0, 1.0)

    def __post_init__(self) -> None:
        if self.noise_dim < 0:
            raise ValueError(f"noise_dim is {self.noise_dim}: it must be 0 or more")
        if self.input_dim == 0:
            raise ValueError("the generator needs noise or a code, and there is neither")

    @property
    def named(self) -> dict[str, Code]:
        """The codes by name, in order."""
        return {f"c{i}": code for i, code in enumerate(self.codes, start=1)}

    @property
    def categorical(self) -> tuple[str, ...]:
        """The names of the categorical codes."""
        return tuple(name for name, code in self.named.items() if isinstance(code, Categorical))

    @property
    def input_dim(self) -> int:
        """Length of the generator's input."""
        return self.noise_dim + sum(code.input_dim for code in self.codes)

    @property
    def posterior_dim(self) -> int:
        """Length of Q's output."""
        return sum(code.posterior_dim for code in self.codes)

    @property
    def entropy(self) -> dict[str, float]:
        """H(c) of each code in nats (for a continuous code, the differential entropy)."""
        return {name: code.entropy for name, code in self.named.items()}

    def sample(self, key: Array, n: int) -> dict[str, Array]:
        """Draws ``n`` independent noise vectors and codes from their priors."""
        return _compiled_draw()(self, key, n)

    def _draw(self, key: Array, n: int) -> dict[str, Array]:
        noise_key, *code_keys = jax.random.split(key, 1 + len(self.codes))
        draw = {"noise": self.noise.sample(noise_key, (n, self.noise_dim))}
        for (name, code), code_key in zip(self.named.items(), code_keys, strict=True):
            draw[name] = code.sample(code_key, (n,))
        return draw

    def encode(self, draw: dict[str, Array]) -> Array:
        """The generator's input for a draw: noise, then each code, float [n, input_dim]."""
        parts = [draw["noise"], *(code.encode(draw[name]) for name, code in self.named.items())]
        return jnp.concatenate(parts, axis=1)

    def posteriors(self, output: Array) -> dict[str, Posterior]:
        """Splits Q's output, float [batch, posterior_dim], into one posterior for each code."""
        if output.ndim != 2 or output.shape[1] != self.posterior_dim:
            raise ValueError(f"Q's output has shape {output.shape}, not [batch, {self.posterior_dim}]")
        ends = np.cumsum([code.posterior_dim for code in self.codes])
        return {
            name: code.posterior(output[:, end - code.posterior_dim : end])
            for (name, code), end in zip(self.named.items(), ends, strict=True)
        }

    def log_prob(
        self, output: Array, draw: dict[str, Array], scale_weighting: float = 0.0
    ) -> dict[str, Array]:
        """Log Q(c | x) of each code's drawn value under Q's output, in nats, each float [batch]."""
        return {
            name: q.log_prob(draw[name], scale_weighting)
            if isinstance(q, GaussianPosterior)
            else q.log_prob(draw[name])
            for name, q in self.posteriors(output).items()
        }

    def information(
        self, output: Array, draw: dict[str, Array], scale_weighting: float = 0.0
    ) -> dict[str, Array]:
        """L_I of each code, one value per example, in nats (InfoGAN, eq. 5).

        log Q(c | x) + H(c)
        """
        return information.information_per_code(self.log_prob(output, draw, scale_weighting), self.entropy)

    def traversal(self, name: str, key: Array, *, columns: int = 10, rows: int = 10) -> Traversal:
        """A grid of draws in which one code varies along the columns and nothing else does.

        The layout of the paper's Fig. 2. Where a continuous (or binary) code varies and there is a
        categorical code, each row holds one of its categories and all rows share one noise
        vector and the other codes; otherwise each row is a random draw of everything else.

        Args:
            name: the code that varies.
            key: a typed key for what the rows hold.
            columns: number of values of a continuous code.
            rows: number of random rows, where no category is held.

        Returns:
            The draw of rows x columns examples in row-major order, and what each row and column is.

        Raises:
            KeyError: no code has that name.
        """
        code = self.named[name]
        values = code.traversal_values(columns)
        sizes = {c: other.categories for c, other in self.named.items() if isinstance(other, Categorical)}
        held = next((c for c in sizes if c != name), None)
        if held is None or isinstance(code, Categorical):
            base = self.sample(key, rows)
            row_labels = tuple(f"draw {i}" for i in range(1, rows + 1))
        else:
            rows = sizes[held]
            base = {k: jnp.repeat(v, rows, axis=0) for k, v in self.sample(key, 1).items()}
            base[held] = jnp.arange(rows, dtype=jnp.int32)
            row_labels = tuple(f"{held} = {i}" for i in range(rows))
        draw = {k: jnp.repeat(v, len(values), axis=0) for k, v in base.items()}
        draw[name] = jnp.tile(jnp.asarray(values), rows)
        column_labels = tuple(f"{v:.3g}" if isinstance(v, float) else str(v) for v in values.tolist())
        return Traversal(draw, row_labels, column_labels)


@functools.cache
def _compiled_draw() -> Callable[..., dict[str, Array]]:
    return jax.jit(LatentCodes._draw, static_argnums=(0, 2))


class Traversal(NamedTuple):
    """A grid of draws in row-major order, with a label for each row and each column."""

    draw: dict[str, Array]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
