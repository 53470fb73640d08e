"""Discriminator and generator objectives, each as a pair of functions of the logits."""

import chex
import jax
from jax import Array


def _check_logits(logits: Array) -> None:
    chex.assert_rank(logits, 1)
    chex.assert_type(logits, float)


@jax.jit
def discriminator_logistic(real_logits: Array, fake_logits: Array) -> Array:
    """The discriminator's logistic loss, an example's real and fake halves added.

        -log D(x) - log(1 - D(G(z))),  D = sigmoid(logit)

    Minimising its mean maximises the GAN's value function V(D, G).

    Args:
        real_logits: D's logits for real images, float [batch].
        fake_logits: D's logits for generated images, float [batch].

    Returns:
        The loss in nats, float [batch].

    Raises:
        AssertionError: the arguments are not two float vectors of one length.

    References:
        Goodfellow et al. 2014, "Generative adversarial nets", eq. 1.
    """
    _check_logits(real_logits)
    _check_logits(fake_logits)
    chex.assert_equal_shape([real_logits, fake_logits])
    return jax.nn.softplus(-real_logits) + jax.nn.softplus(fake_logits)


@jax.jit
def generator_non_saturating(fake_logits: Array) -> Array:
    """The generator's non-saturating loss.

        -log D(G(z)),  D = sigmoid(logit)

    It has the fixed point of the minimax loss and a gradient where D is sure of itself.

    Args:
        fake_logits: D's logits for generated images, float [batch].

    Returns:
        The loss in nats, float [batch].

    Raises:
        AssertionError: the argument is not a float vector.

    References:
        Goodfellow et al. 2014, "Generative adversarial nets", section 3.
    """
    _check_logits(fake_logits)
    return jax.nn.softplus(-fake_logits)
