"""What a scene is: images of one shape, drawn from named factors whose ranges are known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from infogan_jax.data.dataset import Factor

if TYPE_CHECKING:
    # Not at run time: a scene's name, shape and factors are read where JAX would take too long to import.
    from jax import Array


@dataclasses.dataclass(frozen=True)
class Scene:
    """A renderer with the factors that it reads.

    Args:
        name: what the data set is called.
        image_shape: height, width and channels of its images.
        factors: what the renderer reads, in its order.
        ranges: [low, high) of each factor, in its unit; a category takes the whole numbers in it.
        render: the image of given factors: float32 [F] in, float32 [H, W, C] in [0, 1] out. It is pure,
            can be jitted and vmapped, and its gradients are finite.
    """

    name: str
    image_shape: tuple[int, int, int]
    factors: tuple[Factor, ...]
    ranges: tuple[tuple[float, float], ...]
    render: Callable[[Array], Array]

    def draw(self, key: Array) -> Array:
        """Draws factors, independent of each other and uniform in their ranges.

        Args:
            key: a typed key.

        Returns:
            A value of each factor, float32 [F].
        """
        import jax
        import jax.numpy as jnp

        low, high = jnp.array(self.ranges, jnp.float32).T
        values = low + (high - low) * jax.random.uniform(key, low.shape, jnp.float32)
        is_category = jnp.array([factor.kind == "category" for factor in self.factors])
        return jnp.where(is_category, jnp.floor(values), values)
