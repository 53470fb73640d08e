"""Errors for sharp-edged images of two values, such as photolithography masks, from logits.

Of a mask two things matter: which side of 1/2 a pixel is on, and where the border between the sides runs.
The squared error is a Gaussian's likelihood, which no two-valued image is drawn from, and behind a sigmoid
it has next to no gradient at a pixel that is wrong and sure of it. The cross-entropy is the Bernoulli's
likelihood, and has one. But nearly all pixels of a mask lie far from any edge and are soon right, so a
plain sum over pixels cares little for the border: `edge_error_from_logits` weights it.

Targets are taken as they come. `losses.check_unit_interval` refuses what isn't in [0, 1], outside ``jit``.
"""

from typing import cast

import jax
import jax.numpy as jnp
from jax import Array

from losses import stable
from losses.checks import check_count, floats, jitted, number


def _sum(x: Array) -> Array:
    return jnp.sum(x, axis=tuple(range(1, x.ndim)))


@jax.jit
def binary_cross_entropy_from_logits(logits: Array, target: Array) -> Array:
    """The cross-entropy of a two-valued image and independent pixels, summed over the pixels.

        -sum_i (x_i log p_i + (1 - x_i) log(1 - p_i)),   p = sigmoid(logits)

    Its slope in a logit is p - x: a pixel that is wrong and sure of it is pulled back at full strength.

    Args:
        logits: log-odds of 1, float [batch, ...].
        target: x in [0, 1], float, of the shape of ``logits``.

    Returns:
        Nats, float [batch].

    Raises:
        TypeError: an argument is not a float array.
        ValueError: the shapes differ or there is no batch axis.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> logits, target = jnp.array([[0.0, 1e4]]), jnp.array([[1.0, 1.0]])
        >>> [round(nats, 4) for nats in losses.binary_cross_entropy_from_logits(logits, target).tolist()]
        [0.6931]

    References:
        Bishop 2006, "Pattern recognition and machine learning", eq. 4.90.
    """
    logits, target = floats("[batch, ...]", logits=logits, target=target)
    return _sum(stable.binary_cross_entropy(logits, target))


@jax.jit
def dice_error_from_logits(logits: Array, target: Array) -> Array:
    """One minus the overlap of two shapes by Dice, with probabilities for the predicted shape.

        1 - 2 sum_i p_i x_i / (sum_i p_i + sum_i x_i),   p = sigmoid(logits)

    It is a ratio of areas, so a small shape counts as much as a large one; where both are empty it is 0.

    Args:
        logits: log-odds of 1, float [batch, ...].
        target: x in [0, 1], float, of the shape of ``logits``.

    Returns:
        Between 0 and 1, float [batch].

    Raises:
        TypeError: an argument is not a float array.
        ValueError: the shapes differ or there is no batch axis.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> target = jnp.array([[1.0, 1.0, 0.0, 0.0]])
        >>> losses.dice_error_from_logits(jnp.array([[1e4, -1e4, -1e4, 1e4]]), target).tolist()
        [0.5]

    References:
        Milletari et al. 2016, "V-Net", section 3 (which squares p in the denominator); Dice 1945.
    """
    logits, target = floats("[batch, ...]", logits=logits, target=target)
    return _dice(jax.nn.sigmoid(logits), target)


def _dice(p: Array, x: Array) -> Array:
    area = _sum(p) + _sum(x)
    return (area - 2 * _sum(p * x)) / jnp.where(area > 0, area, 1)


@jax.jit
def iou_error_from_logits(logits: Array, target: Array) -> Array:
    """One minus the intersection of two shapes over their union, with probabilities for the predicted one.

        1 - I / U,   I = sum_i p_i x_i,   U = sum_i p_i + sum_i x_i - I,   p = sigmoid(logits)

    Where both shapes are empty it is 0. It is a monotone function of the Dice error d: 2 d / (1 + d).

    Args:
        logits: log-odds of 1, float [batch, ...].
        target: x in [0, 1], float, of the shape of ``logits``.

    Returns:
        Between 0 and 1, float [batch].

    Raises:
        TypeError: an argument is not a float array.
        ValueError: the shapes differ or there is no batch axis.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> target = jnp.array([[1.0, 1.0, 0.0, 0.0]])
        >>> error = losses.iou_error_from_logits(jnp.array([[1e4, -1e4, -1e4, 1e4]]), target)
        >>> [round(e, 4) for e in error.tolist()]
        [0.6667]

    References:
        Rahman and Wang 2016, "Optimizing intersection-over-union in deep neural networks", eq. 3.
    """
    logits, target = floats("[batch, ...]", logits=logits, target=target)
    dice = _dice(jax.nn.sigmoid(logits), target)
    return 2 * dice / (1 + dice)


@jitted("radius", "strength")
def edge_weights(target: Array, *, radius: int, strength: float) -> Array:
    """Weights that single out the pixels about the edges of a two-valued image.

        w_i = 1 + 4 strength m_i (1 - m_i),   m = mean of x over the square of 2 radius + 1 pixels about i

    m (1 - m) is the variance of x in that square: 0 where it holds one value, and at most 1/4. So w is 1 away
    from edges. A straight edge never quite halves a square of odd side: beside it w is
    1 + strength (1 - 1 / (2 radius + 1)^2), which is 4.84 for a strength of 4 and a radius of 2. Beyond the
    border the image goes on with its outermost pixels: the border itself is no edge.

    Args:
        target: x in [0, 1], float [batch, height, width, channels].
        radius: half the square's side in pixels, at least 1.
        strength: how much more an edge pixel weighs, at least 0.

    Returns:
        Float of the shape of ``target``, at least 1.

    Raises:
        TypeError: ``target`` is not a float array, ``radius`` no integer or ``strength`` no number.
        ValueError: ``target`` has another rank, ``radius`` is below 1 or ``strength`` negative.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> row = jnp.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
        >>> weights = losses.edge_weights(jnp.tile(row, (1, 6, 1))[..., None], radius=1, strength=9.0)
        >>> [round(w, 4) for w in weights[0, 3, :, 0].tolist()]
        [1.0, 1.0, 9.0, 9.0, 1.0, 1.0]

    References:
        Ronneberger et al. 2015, "U-Net", eq. 2, weights borders by their distance; this is the same idea
        with a local variance, which needs no distance transform.
    """
    (target,) = floats("[batch, height, width, channels]", target=target)
    check_count("radius", radius, at_least=1)
    number("strength", strength, at_least=0)
    size = 2 * radius + 1
    padded = jnp.pad(target, ((0, 0), (radius, radius), (radius, radius), (0, 0)), mode="edge")
    height, width = target.shape[1:3]
    rows = cast(Array, sum(padded[:, i : i + height] for i in range(size))) / size
    # The mean of ones may be rounded to more than 1, and the weight then to less.
    mean = cast(Array, sum(rows[:, :, j : j + width] for j in range(size))) / size
    mean = jnp.clip(mean, 0, 1)
    return 1 + 4 * strength * mean * (1 - mean)


@jitted("radius", "strength")
def edge_error_from_logits(logits: Array, target: Array, *, radius: int = 2, strength: float = 4.0) -> Array:
    """The error for sharp-edged, high-contrast images: cross-entropy weighted towards edges, plus Dice.

        sum_i w_i H(x_i, p_i) / sum_i w_i + Dice(p, x),   p = sigmoid(logits)

    H is a pixel's binary cross-entropy in nats and w that of `edge_weights`. The first term says which side
    each pixel is on and where the border runs, the second compares areas, so that thin shapes are not lost
    among the background.

    Args:
        logits: log-odds of 1, float [batch, height, width, channels].
        target: x in [0, 1], float, of the shape of ``logits``.
        radius: of the weights, in pixels, at least 1.
        strength: of the weights, at least 0.

    Returns:
        Float [batch], at least 0.

    Raises:
        TypeError: an array is not float, ``radius`` no integer or ``strength`` no number.
        ValueError: the shapes differ or have another rank, ``radius`` is below 1 or ``strength`` negative.

    Examples:
        >>> import jax.numpy as jnp
        >>> import losses
        >>> target = jnp.tile(jnp.array([0.0, 0.0, 1.0, 1.0]), (1, 4, 1))[..., None]
        >>> losses.edge_error_from_logits(2e4 * (target - 0.5), target).tolist()
        [0.0]
    """
    logits, target = floats("[batch, height, width, channels]", logits=logits, target=target)
    w = edge_weights(target, radius=radius, strength=strength)
    weighted = _sum(w * stable.binary_cross_entropy(logits, target)) / _sum(w)
    return weighted + _dice(jax.nn.sigmoid(logits), target)
