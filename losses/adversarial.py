"""Discriminator and generator objectives, each as a pair, and penalties on a critic's gradient.

| pair | discriminator | generator |
|---|---|---|
| minimax | `discriminator_logistic` | `generator_minimax` |
| non-saturating | `discriminator_logistic` | `generator_non_saturating` |
| least squares | `discriminator_least_squares` | `generator_least_squares` |
| hinge | `discriminator_hinge` | `generator_hinge` |
| Wasserstein | `discriminator_wasserstein` | `generator_wasserstein` |

All are elementwise, for outputs of any shape (a D of patches has several for an image), and minimised in the
mean. The logistic ones read D's output as the log-odds of a real image, the others as a score without a unit.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from losses import stable
from losses.checks import check_function, check_key, floats, jitted, number

Critic = Callable[[Array], Array]
"""A function of images, float [batch, ...], to one score for each, float [batch]."""


@jax.jit
def discriminator_logistic(real_logits: Array, fake_logits: Array) -> Array:
    """The discriminator's logistic loss, an example's real and fake halves added.

        -log D(x) - log(1 - D(G(z))),  D = sigmoid(logit)

    Minimising its mean maximises the GAN's value function V(D, G).

    Args:
        real_logits: D's logits for real images, float [...].
        fake_logits: D's logits for generated images, of the shape of ``real_logits``.

    Returns:
        The loss in nats, float [...].

    Raises:
        TypeError: an argument is not a float array.
        ValueError: the shapes differ.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.discriminator_logistic(jnp.array([1e4, -1e4]), jnp.array([-1e4, 1e4])).tolist()
        [0.0, 20000.0]

    References:
        Goodfellow et al. 2014, "Generative adversarial nets", eq. 1.
    """
    real_logits, fake_logits = floats("[...]", real_logits=real_logits, fake_logits=fake_logits)
    return jax.nn.softplus(-real_logits) + jax.nn.softplus(fake_logits)


@jax.jit
def generator_minimax(fake_logits: Array) -> Array:
    """The generator's side of the minimax game.

        log(1 - D(G(z))),  D = sigmoid(logit)

    Its gradient vanishes where D is sure that an image is generated.

    Args:
        fake_logits: D's logits for generated images, float [...].

    Returns:
        The loss in nats, at most 0, float [...].

    Raises:
        TypeError: the argument is not a float array.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.generator_minimax(jnp.array([1e4, 2e4])).tolist()
        [-10000.0, -20000.0]

    References:
        Goodfellow et al. 2014, "Generative adversarial nets", eq. 1.
    """
    (fake_logits,) = floats("[...]", fake_logits=fake_logits)
    return -jax.nn.softplus(fake_logits)


@jax.jit
def generator_non_saturating(fake_logits: Array) -> Array:
    """The generator's non-saturating loss.

        -log D(G(z)),  D = sigmoid(logit)

    It has the fixed point of the minimax loss and a gradient where D is sure of itself.

    Args:
        fake_logits: D's logits for generated images, float [...].

    Returns:
        The loss in nats, float [...].

    Raises:
        TypeError: the argument is not a float array.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.generator_non_saturating(jnp.array([-1e4, 1e4])).tolist()
        [10000.0, 0.0]

    References:
        Goodfellow et al. 2014, "Generative adversarial nets", section 3.
    """
    (fake_logits,) = floats("[...]", fake_logits=fake_logits)
    return jax.nn.softplus(-fake_logits)


@jitted("real_label", "fake_label")
def discriminator_least_squares(
    real_scores: Array, fake_scores: Array, *, real_label: float = 1.0, fake_label: float = 0.0
) -> Array:
    """The discriminator's least-squares loss.

        (D(x) - b)^2 / 2 + (D(G(z)) - a)^2 / 2

    Args:
        real_scores: D's scores for real images, float [...].
        fake_scores: D's scores for generated images, of the shape of ``real_scores``.
        real_label: what D should say of a real image (the paper's b).
        fake_label: what D should say of a generated image (the paper's a).

    Returns:
        The loss without a unit, float [...].

    Raises:
        TypeError: the scores are not float arrays, or a label is not a number.
        ValueError: the shapes differ, or a label is not finite.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.discriminator_least_squares(jnp.array([1.0, 0.0]), jnp.array([0.0, 2.0])).tolist()
        [0.0, 2.5]

    References:
        Mao et al. 2017, "Least squares generative adversarial networks", eq. 2; with the default labels
        eq. 9.
    """
    real_scores, fake_scores = floats("[...]", real_scores=real_scores, fake_scores=fake_scores)
    number("real_label", real_label)
    number("fake_label", fake_label)
    return ((real_scores - real_label) ** 2 + (fake_scores - fake_label) ** 2) / 2


@jitted("target_label")
def generator_least_squares(fake_scores: Array, *, target_label: float = 1.0) -> Array:
    """The generator's least-squares loss.

        (D(G(z)) - c)^2 / 2

    Args:
        fake_scores: D's scores for generated images, float [...].
        target_label: what D should be made to say of them (the paper's c).

    Returns:
        The loss without a unit, float [...].

    Raises:
        TypeError: the scores are not a float array, or the label is not a number.
        ValueError: the label is not finite.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.generator_least_squares(jnp.array([1.0, -1.0])).tolist()
        [0.0, 2.0]

    References:
        Mao et al. 2017, "Least squares generative adversarial networks", eq. 2; with the default label
        eq. 9.
    """
    (fake_scores,) = floats("[...]", fake_scores=fake_scores)
    number("target_label", target_label)
    return (fake_scores - target_label) ** 2 / 2


@jax.jit
def discriminator_hinge(real_scores: Array, fake_scores: Array) -> Array:
    """The discriminator's hinge loss.

        max(0, 1 - D(x)) + max(0, 1 + D(G(z)))

    Args:
        real_scores: D's scores for real images, float [...].
        fake_scores: D's scores for generated images, of the shape of ``real_scores``.

    Returns:
        The loss without a unit, float [...].

    Raises:
        TypeError: an argument is not a float array.
        ValueError: the shapes differ.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.discriminator_hinge(jnp.array([3.0, 0.5]), jnp.array([-3.0, 0.5])).tolist()
        [0.0, 2.0]

    References:
        Lim and Ye 2017, "Geometric GAN"; Miyato et al. 2018, "Spectral normalization for generative
        adversarial networks", eq. 16.
    """
    real_scores, fake_scores = floats("[...]", real_scores=real_scores, fake_scores=fake_scores)
    return jax.nn.relu(1 - real_scores) + jax.nn.relu(1 + fake_scores)


@jax.jit
def generator_hinge(fake_scores: Array) -> Array:
    """The generator's loss against a hinge discriminator.

        -D(G(z))

    Args:
        fake_scores: D's scores for generated images, float [...].

    Returns:
        The loss without a unit, float [...].

    Raises:
        TypeError: the argument is not a float array.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.generator_hinge(jnp.array([3.0, -1.0])).tolist()
        [-3.0, 1.0]

    References:
        Lim and Ye 2017, "Geometric GAN"; Miyato et al. 2018, "Spectral normalization for generative
        adversarial networks", eq. 17.
    """
    (fake_scores,) = floats("[...]", fake_scores=fake_scores)
    return -fake_scores


@jax.jit
def discriminator_wasserstein(real_scores: Array, fake_scores: Array) -> Array:
    """The critic's loss in the Wasserstein GAN.

        D(G(z)) - D(x)

    Where D is 1-Lipschitz, the least of its mean is minus the Wasserstein-1 distance between real and
    generated images. Something else must keep D so, as `gradient_penalty` does.

    Args:
        real_scores: the critic's scores for real images, float [...].
        fake_scores: the critic's scores for generated images, of the shape of ``real_scores``.

    Returns:
        The loss, in the unit of distance between images, float [...].

    Raises:
        TypeError: an argument is not a float array.
        ValueError: the shapes differ.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.discriminator_wasserstein(jnp.array([3.0]), jnp.array([1.0])).tolist()
        [-2.0]

    References:
        Arjovsky et al. 2017, "Wasserstein generative adversarial networks", eqs. 2 and 3.
    """
    real_scores, fake_scores = floats("[...]", real_scores=real_scores, fake_scores=fake_scores)
    return fake_scores - real_scores


@jax.jit
def generator_wasserstein(fake_scores: Array) -> Array:
    """The generator's loss in the Wasserstein GAN.

        -D(G(z))

    Args:
        fake_scores: the critic's scores for generated images, float [...].

    Returns:
        The loss, in the unit of distance between images, float [...].

    Raises:
        TypeError: the argument is not a float array.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.generator_wasserstein(jnp.array([3.0, -1.0])).tolist()
        [-3.0, 1.0]

    References:
        Arjovsky et al. 2017, "Wasserstein generative adversarial networks", theorem 3.
    """
    (fake_scores,) = floats("[...]", fake_scores=fake_scores)
    return -fake_scores


def _squared_slope(critic: Critic, images: Array) -> Array:
    """|grad D(x)|^2 of each image, float [batch]."""

    def total(images: Array) -> Array:
        scores = critic(images)
        if jnp.shape(scores) != images.shape[:1]:
            raise ValueError(f"critic returns the shape {jnp.shape(scores)}: it must be {images.shape[:1]}")
        return scores.sum()

    slopes = jax.grad(total)(images)
    return jnp.sum(slopes**2, axis=tuple(range(1, slopes.ndim)))


def r1_penalty(critic: Critic, real: Array) -> Array:
    """The squared slope of D at real images.

        |grad_x D(x)|^2

    The paper adds gamma / 2 times its mean to D's loss.

    It takes a function and so isn't compiled by itself: call it inside ``jit``.

    Args:
        critic: D, from images to one logit or score for each, float [batch]; that of one image must not
            depend on the others (no batch norm over this batch).
        real: real images, float [batch, ...].

    Returns:
        In the square of D's unit over the images' unit, float [batch].

    Raises:
        TypeError: ``critic`` is not a function, or ``real`` not a float array.
        ValueError: ``real`` has no batch axis, or the critic doesn't return [batch].

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.r1_penalty(lambda x: 3 * x[:, 0] + 4 * x[:, 1], jnp.zeros((1, 2))).tolist()
        [25.0]

    References:
        Mescheder et al. 2018, "Which training methods for GANs do actually converge?", eq. 9.
    """
    check_function("critic", critic)
    (real,) = floats("[batch, ...]", real=real)
    return _squared_slope(critic, real)


def r2_penalty(critic: Critic, fake: Array) -> Array:
    """The squared slope of D at generated images.

        |grad_x D(x)|^2,   x = G(z)

    The paper adds gamma / 2 times its mean to D's loss.

    It takes a function and so isn't compiled by itself: call it inside ``jit``.

    Args:
        critic: D, from images to one logit or score for each, float [batch]; that of one image must not
            depend on the others (no batch norm over this batch).
        fake: generated images, float [batch, ...].

    Returns:
        In the square of D's unit over the images' unit, float [batch].

    Raises:
        TypeError: ``critic`` is not a function, or ``fake`` not a float array.
        ValueError: ``fake`` has no batch axis, or the critic doesn't return [batch].

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.r2_penalty(lambda x: x[:, 0] ** 2, jnp.array([[3.0]])).tolist()
        [36.0]

    References:
        Mescheder et al. 2018, "Which training methods for GANs do actually converge?", eq. 10.
    """
    check_function("critic", critic)
    (fake,) = floats("[batch, ...]", fake=fake)
    return _squared_slope(critic, fake)


def gradient_penalty(critic: Critic, key: Array, real: Array, fake: Array, *, slope: float = 1.0) -> Array:
    """How far the critic's slope is from 1 between real and generated images.

        (|grad_x D(x)| - 1)^2,   x = u x_real + (1 - u) x_fake,   u ~ U(0, 1)

    The paper adds 10 times its mean to D's loss. Where D is flat the slope's norm has no derivative, and
    zero is given.

    It takes a function and so isn't compiled by itself: call it inside ``jit``.

    Args:
        critic: D, from images to one score for each, float [batch]; that of one image must not depend on
            the others (no batch norm over this batch).
        key: a typed key for the points between; each pair of images has its own.
        real: real images, float [batch, ...].
        fake: generated images, of the shape of ``real``.
        slope: the norm of the gradient that is free of charge, at least 0.

    Returns:
        In the square of D's unit over the images' unit, float [batch].

    Raises:
        TypeError: ``critic`` is not a function, ``key`` not a typed key, the images are not float arrays,
            or ``slope`` is not a number.
        ValueError: the shapes differ or have no batch axis, ``key`` is several keys, the critic doesn't
            return [batch], or ``slope`` is negative.

    Examples:
        >>> import jax
        >>> import losses
        >>> real, fake = jax.numpy.ones((1, 2)), jax.numpy.zeros((1, 2))
        >>> critic = lambda x: 3 * x[:, 0] + 4 * x[:, 1]
        >>> losses.gradient_penalty(critic, jax.random.key(0), real, fake).tolist()
        [16.0]

    References:
        Gulrajani et al. 2017, "Improved training of Wasserstein GANs", eq. 3.
    """
    check_function("critic", critic)
    check_key("key", key)
    real, fake = floats("[batch, ...]", real=real, fake=fake)
    number("slope", slope, at_least=0)
    u = jax.random.uniform(key, (len(real),) + (1,) * (real.ndim - 1), real.dtype)
    return (stable.sqrt(_squared_slope(critic, u * real + (1 - u) * fake)) - slope) ** 2
