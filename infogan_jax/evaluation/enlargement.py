"""An image of any size super-resolved: whole, or in tiles that overlap by what the network sees."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from infogan_jax.config import SuperResolutionConfig
from infogan_jax.images import to_uint8
from infogan_jax.networks.tables import SuperResolution
from infogan_jax.tasks import superresolution

TILE = 128
"""Side in low-resolution pixels of what is enlarged in one pass."""

_enlarge = jax.jit(superresolution.super_resolve, static_argnums=0)


class _Span(NamedTuple):
    """A tile's first pixel, and which pixels of the image it makes."""

    start: int
    first: int
    last: int


def enlarge_image(config: SuperResolutionConfig, params: Any, stats: Any, image: np.ndarray) -> np.ndarray:
    """Super-resolves one image.

    In tiles it is the same, up to rounding, as whole: each pixel is taken from a tile in which the network
    sees all that it would see of the whole image.

    Args:
        config: the run's configuration.
        params: the generator's.
        stats: its running statistics.
        image: of low resolution, uint8 [height, width, 3].

    Returns:
        uint8 [factor height, factor width, 3].
    """
    factor, margin = config.networks.factor, reach(config.networks)
    side = max(TILE, 4 * margin)
    height, width, channels = image.shape
    made = np.empty((factor * height, factor * width, channels), np.uint8)
    for y in _spans(height, side, margin):
        for x in _spans(width, side, margin):
            tile = image[y.start : y.start + side, x.start : x.start + side]
            large = to_uint8(
                np.asarray(_enlarge(config, params, stats, tile[np.newaxis])[0]), *config.networks.image_range
            )
            made[factor * y.first : factor * y.last, factor * x.first : factor * x.last] = large[
                factor * (y.first - y.start) : factor * (y.last - y.start),
                factor * (x.first - x.start) : factor * (x.last - x.start),
            ]
    return made


def reach(sizes: SuperResolution) -> int:
    """How far away, in low-resolution pixels, a pixel can be that the generator's answer depends on.

    4 for the first 9x9 convolution, 2 for each block, 1 for the trunk's end; then 1, 1/2, 1/4, ... for those
    before each doubling, and 4 high-resolution pixels for the last.
    """
    return 4 + 2 * sizes.blocks + 1 + 2 + -(-4 // sizes.factor)


def _spans(length: int, side: int, margin: int) -> Iterator[_Span]:
    if length <= side:
        yield _Span(0, 0, length)
        return
    starts = [*range(0, length - side, side - 2 * margin), length - side]
    cuts = [0, *(start + margin for start in starts[1:]), length]
    yield from map(_Span, starts, cuts[:-1], cuts[1:])
