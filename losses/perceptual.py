"""SRGAN's perceptual error: content, by pixels or by features, and an adversarial term.

    l = l_content + 10^-3 l_adversarial

The terms are separate functions, one value per image; the feature network comes from outside. The
adversarial term of one image is `losses.generator_non_saturating`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from losses.adversarial import generator_non_saturating
from losses.checks import check_function, floats, jitted, number


def _error_over_area(x: Array, y: Array) -> Array:
    """The squared error summed over places and channels, over the number of places."""
    return jnp.sum((x - y) ** 2, axis=(1, 2, 3)) / (x.shape[1] * x.shape[2])


@jax.jit
def pixel_content_error(x: Array, y: Array) -> Array:
    """The squared error of the pixels over the area of the image.

        1 / (r^2 W H) sum_x,y |I_HR(x, y) - I_SR(x, y)|^2

    The high-resolution image is r W wide and r H high, so this divides by its own area. Channels
    are summed: for colour it is three times the mean squared error over all numbers (`losses.l2_mean`).

    Args:
        x: the super-resolved images, float [batch, height, width, channels], in any unit.
        y: the true high-resolution images, of the shape and unit of ``x``.

    Returns:
        In the square of the unit of ``x``, float [batch].

    Raises:
        TypeError: ``x`` or ``y`` is not a float array.
        ValueError: the shapes differ, or are not [batch, height, width, channels].

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.pixel_content_error(jnp.zeros((1, 2, 2, 3)), jnp.ones((1, 2, 2, 3))).tolist()
        [3.0]

    References:
        Ledig et al. 2017, "Photo-realistic single image super-resolution using a generative adversarial
        network", eq. 4.
    """
    x, y = floats("[batch, height, width, channels]", x=x, y=y)
    return _error_over_area(x, y)


def feature_content_error(features: Callable[[Array], Array], x: Array, y: Array, *, rescale: float) -> Array:
    """The squared distance between the feature maps of two images over the area of the maps.

        1 / (W_ij H_ij) sum_x,y |s phi_ij(I_HR)(x, y) - s phi_ij(I_SR)(x, y)|^2

    Channels are summed. The features are multiplied by ``rescale``, so the error is by its square: with
    the paper's 1 / 12.75 for VGG19 features that is 0.006.

    It takes a function and so isn't compiled by itself: call it inside ``jit``.

    Args:
        features: phi, from images to feature maps, float [batch, height', width', channels'].
        x: the super-resolved images, float [batch, height, width, channels], as phi wants them.
        y: the true high-resolution images, of the shape and unit of ``x``.
        rescale: s, above 0.

    Returns:
        In the square of the unit of the rescaled features, float [batch].

    Raises:
        TypeError: ``features`` is not a function, the images or their features are not float arrays, or
            ``rescale`` is not a number.
        ValueError: the shapes differ, images or features are not [batch, height, width, channels], or
            ``rescale`` is not above 0.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> x, y = jnp.zeros((1, 4, 4, 3)), jnp.ones((1, 4, 4, 3))
        >>> error = losses.feature_content_error(lambda image: image[:, ::2, ::2, :1], x, y, rescale=0.5)
        >>> error.tolist()
        [0.25]

    References:
        Ledig et al. 2017, "Photo-realistic single image super-resolution using a generative adversarial
        network", eq. 5; the rescaling in section 3.2.
    """
    check_function("features", features)
    x, y = floats("[batch, height, width, channels]", x=x, y=y)
    number("rescale", rescale, above=0)
    maps = {"features(x)": features(x), "features(y)": features(y)}
    feature_x, feature_y = floats("[batch, height', width', channels']", **maps)
    if len(feature_x) != len(x):
        raise ValueError(
            f"features returns {len(feature_x)} maps for {len(x)} images: it must keep the batch"
        )
    return _error_over_area(rescale * feature_x, rescale * feature_y)


@jax.jit
def crops_adversarial_error(fake_logits: Array) -> Array:
    """SRGAN's adversarial term as it is written: a sum over the N crops of a batch.

        sum_n -log D(G(I_LR_n)),  D = sigmoid(logit)

    One value for each crop is `losses.generator_non_saturating`.

    Args:
        fake_logits: D's logits for the super-resolved crops, float [..., crops].

    Returns:
        The sum in nats, float [...].

    Raises:
        TypeError: the argument is not a float array.
        ValueError: the argument has no axis.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.crops_adversarial_error(jnp.array([-1e4, -2e4, 1e4])).item()
        30000.0

    References:
        Ledig et al. 2017, "Photo-realistic single image super-resolution using a generative adversarial
        network", eq. 6.
    """
    (fake_logits,) = floats("[..., crops]", fake_logits=fake_logits)
    return jnp.sum(jax.nn.softplus(-fake_logits), axis=-1)


@jitted("adversarial_weight")
def perceptual_error(content: Array, fake_logits: Array, *, adversarial_weight: float = 1e-3) -> Array:
    """SRGAN's perceptual error: a content error and a little of the adversarial term.

        l_content + adversarial_weight (-log D(G(I_LR))),  D = sigmoid(logit)

    Args:
        content: a content error of each image, float [...]: `pixel_content_error` or
            `feature_content_error`.
        fake_logits: D's logits for the super-resolved images, of the shape of ``content``.
        adversarial_weight: the weight of the adversarial term, at least 0, in the unit of ``content`` per
            nat.

    Returns:
        In the unit of ``content``, float [...].

    Raises:
        TypeError: ``content`` or ``fake_logits`` is not a float array, or ``adversarial_weight`` not a
            number.
        ValueError: the shapes differ, or ``adversarial_weight`` is negative.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> losses.perceptual_error(jnp.array([0.5]), jnp.array([-1000.0])).tolist()
        [1.5]

    References:
        Ledig et al. 2017, "Photo-realistic single image super-resolution using a generative adversarial
        network", eq. 3.
    """
    content, fake_logits = floats("[...]", content=content, fake_logits=fake_logits)
    number("adversarial_weight", adversarial_weight, at_least=0)
    loss: Array = content + adversarial_weight * generator_non_saturating(fake_logits)
    return loss
