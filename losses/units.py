"""The unit of information: nats, or that of another logarithm."""

import math

from jax import Array

from losses.checks import number


def in_base(nats: Array, base: float | None) -> Array:
    """Nats in the unit of a logarithm's base (2 for bits); None leaves them as they are.

    Raises:
        TypeError: ``base`` is not a number.
        ValueError: ``base`` is not above 0, or is 1.
    """
    if base is None:
        return nats
    number("base", base, above=0)
    if base == 1:
        raise ValueError("base is 1: it must be another number, above 0")
    return nats / math.log(base)
