"""Convolutions with half of the products and fewer: Toom and Cook's, as Winograd cut them into tiles.

By blocks of `stride` x `stride` pixels a kernel steps by one, and has r taps in each direction. Of m
outputs in a row, the outputs y, taps k and blocks x are tied by one trilinear form, and so are the three
maps that are its derivatives; it is a sum of n = m + r - 1 products and not of m r:

    sum_{i,j} y_i k_j x_{i+j} = sum_p (A y)_p (G k)_p (B x)_p

    y = A' [(G k) (B x)]      x = B' [(G k) (A y)]      k = G' [(A y) (B x)]

A and G hold the powers of n points, the last of them infinite: where the polynomials that have y and k for
coefficients are evaluated. B is the transposed inverse of the n x n matrix of powers. Of an image the same
is done to columns, then rows. Each p is a matrix product over the channels, of all tiles.

Five points: 2.56 times fewer products for 2 or 4 taps, 3.24 times for 3. Of normal numbers in float32 the
outputs' root mean square error is 1e-6 to 2e-6 and the largest 7e-6 of the largest output, where `lax`'s
convolution has 4e-7 and 9e-7; where large terms cancel it may pass 1e-5. Four points would be as exact as
`lax`, for fewer products saved.

References:
    Winograd 1980, "Arithmetic complexity of computations"; Lavin and Gray 2016, "Fast algorithms for
    convolutional neural networks".
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from infogan_jax.networks.patches import same

_POINTS = (0.0, 1.0, -1.0, 2.0)
_TAPS = (2, 3, 4)
# With fewer channels moving the tiles takes about as long as the products that are saved.
_CHANNELS = 32


class _Algorithm(NamedTuple):
    outputs: np.ndarray
    """A [n, m]."""
    taps: np.ndarray
    """G [n, r]."""
    blocks: np.ndarray
    """B [n, n]."""

    @property
    def tile(self) -> int:
        """m, the outputs of a tile in one direction."""
        width: int = self.outputs.shape[1]
        return width

    @property
    def points(self) -> int:
        """The number n."""
        return len(self.blocks)


@lru_cache
def _algorithm(taps: int) -> _Algorithm:
    def powers(count: int) -> np.ndarray:
        infinite = [0.0] * (count - 1) + [1.0]
        return np.array([*([x**i for i in range(count)] for x in _POINTS), infinite])

    n = len(_POINTS) + 1
    return _Algorithm(powers(n + 1 - taps), powers(taps), np.linalg.inv(powers(n)).T.round(15))


def suits(shape: Sequence[int], kernel: Array, stride: int) -> bool:
    """Whether it is faster than products with patches, and exact enough; the shape is the larger image's."""
    size, _, channels, features = kernel.shape
    taps = -(-size // stride)
    if taps not in _TAPS or min(channels * stride**2, features) < _CHANNELS:
        return False
    algorithm = _algorithm(taps)
    ours = algorithm.points**2 * math.prod(_tiles(shape, stride, algorithm.tile))
    # In small images a tile is mostly border.
    patches = taps**2 * math.prod(math.ceil(length / stride) for length in shape[1:3])
    return 3 * ours <= 2 * patches and jnp.finfo(kernel.dtype).bits >= 32


def of_image(x: Array, size: int, stride: int) -> Array:
    """B x: [n * n, batch * tiles, stride * stride * c] of the larger image [batch, height, width, c]."""
    algorithm = _algorithm(-(-size // stride))
    n, m = algorithm.points, algorithm.tile
    batch, height, width, channels = x.shape
    rows, columns = _tiles(x.shape, stride, m)
    high, wide = (m * tiles + n - m for tiles in (rows, columns))
    top, left = _corner(x.shape, size, stride)
    bottom, right = high * stride - height - top, wide * stride - width - left
    x = jnp.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    x = x.reshape(batch, high, stride, wide, stride, channels).transpose(0, 1, 3, 2, 4, 5)
    # Of what stands in memory XLA makes sums of long rows; of a transposition that it works in, it doesn't.
    x = jax.lax.optimization_barrier(x.reshape(batch, high, wide, -1))
    x = _sums(algorithm.blocks, [_every(x, p, m, columns, 2) for p in range(n)])
    x = _sums(algorithm.blocks, [_every(x, p, m, rows, 2) for p in range(n)])
    x = jax.lax.optimization_barrier(x.reshape(n * n, batch * rows * columns, -1))
    return x


def of_output(y: Array, size: int, stride: int) -> Array:
    """A y: [n * n, batch * tiles, o] of the smaller image [batch, height, width, o]."""
    algorithm = _algorithm(-(-size // stride))
    n, m = algorithm.points, algorithm.tile
    height, width = y.shape[1:3]
    y = jnp.pad(y, ((0, 0), (0, -height % m), (0, -width % m), (0, 0)))
    y = _sums(algorithm.outputs, [y[:, :, p::m] for p in range(m)])
    y = _sums(algorithm.outputs, [y[:, :, p::m] for p in range(m)])
    y = jax.lax.optimization_barrier(y.reshape(n * n, -1, y.shape[-1]))
    return y


def convolve(blocks: Array, kernel: Array, stride: int, shape: Sequence[int]) -> Array:
    """A' [(G k) (B x)]: the smaller image, of the larger one's tiles and its shape."""
    algorithm = _algorithm(-(-len(kernel) // stride))
    n, m = algorithm.points, algorithm.tile
    batch, height, width, _ = shape
    rows, columns = _tiles(shape, stride, m)
    y = (blocks @ _of_kernel(kernel, stride)).reshape(n, n, batch, rows, columns, -1)
    y = _sums(algorithm.outputs.T, list(y))
    y = _sums(algorithm.outputs.T, [y[:, p] for p in range(n)])
    # By column and row in a tile: [m, m, batch, rows, columns, o].
    y = y.transpose(2, 3, 1, 4, 0, 5).reshape(batch, rows * m, columns * m, -1)
    return y[:, : -(-height // stride), : -(-width // stride)]


def spread(outputs: Array, kernel: Array, stride: int, shape: Sequence[int]) -> Array:
    """B' [(G k) (A y)]: the larger image, of its shape and the smaller one's tiles."""
    algorithm = _algorithm(-(-len(kernel) // stride))
    batch, height, width, channels = shape
    x = outputs @ _of_kernel(kernel, stride).swapaxes(1, 2)
    x = x.reshape(algorithm.points, algorithm.points, batch, *_tiles(shape, stride, algorithm.tile), -1)
    x = _side_by_side(_sums(algorithm.blocks.T, list(x)), algorithm.tile)
    x = _side_by_side(_sums(algorithm.blocks.T, list(x)), algorithm.tile)
    high, wide = x.shape[1:3]
    x = x.reshape(batch, high, wide, stride, stride, channels).transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(batch, high * stride, wide * stride, channels)
    top, left = _corner(shape, len(kernel), stride)
    return x[:, top : top + height, left : left + width]


def kernel_gradient(blocks: Array, outputs: Array, size: int, stride: int) -> Array:
    """G' [(A y) (B x)]: the kernel's gradient [size, size, c, o], of both images' tiles."""
    taps = -(-size // stride)
    algorithm = _algorithm(taps)
    n = algorithm.points
    # The one with fewer channels is turned, behind a barrier: XLA would turn what is larger.
    k = jax.lax.optimization_barrier(outputs.swapaxes(1, 2)) @ blocks
    k = k.reshape(n, n, outputs.shape[-1], -1)
    k = _sums(algorithm.taps.T, list(k))
    k = _sums(algorithm.taps.T, [k[:, p] for p in range(n)])
    # By column and row of blocks: [taps, taps, o, stride * stride * c].
    k = k.reshape(taps, taps, outputs.shape[-1], stride, stride, -1).transpose(1, 3, 0, 4, 5, 2)
    return k.reshape(taps * stride, taps * stride, *k.shape[-2:])[:size, :size]


def _of_kernel(kernel: Array, stride: int) -> Array:
    """G k: [n * n, stride * stride * c, o]."""
    size, _, channels, features = kernel.shape
    taps = -(-size // stride)
    algorithm = _algorithm(taps)
    missing = (0, taps * stride - size)
    k = jnp.pad(kernel, (missing, missing, (0, 0), (0, 0)))
    k = k.reshape(taps, stride, taps, stride, channels, features).transpose(0, 2, 1, 3, 4, 5)
    k = _sums(algorithm.taps, [k[:, p] for p in range(taps)])
    k = _sums(algorithm.taps, [k[:, p] for p in range(taps)])
    return k.reshape(algorithm.points**2, -1, features)


def _tiles(shape: Sequence[int], stride: int, tile: int) -> tuple[int, int]:
    """How many tiles hold the smaller image's rows, and its columns; the shape is the larger one's."""
    rows, columns = (math.ceil(math.ceil(length / stride) / tile) for length in shape[1:3])
    return rows, columns


def _corner(shape: Sequence[int], size: int, stride: int) -> tuple[int, int]:
    """Where the larger image begins in its padded one: row and column."""
    (top, _), (left, _) = (same(length, size, stride) for length in shape[1:3])
    return top, left


def _sums(matrix: np.ndarray, parts: Sequence[Array]) -> Array:
    """The matrix times the parts: sums of a few arrays each, for most entries are 0 or 1."""

    def total(row: np.ndarray) -> Array:
        terms = [
            part if factor == 1 else part * factor for factor, part in zip(row, parts, strict=True) if factor
        ]
        return sum(terms[1:], terms[0])

    return jnp.stack([total(row.tolist()) for row in matrix])


def _every(x: Array, start: int, step: int, count: int, axis: int) -> Array:
    """So many slices, a step apart."""
    return jax.lax.slice_in_dim(x, start, start + step * (count - 1) + 1, step, axis)


def _side_by_side(parts: Array, tile: int) -> Array:
    """The sum of tiles of which the last n - m places are the next ones' first.

    Of [n, a, b, tiles, ...], by the place in a tile, it makes [a, b, m tiles + n - m, ...].
    """
    n, count = parts.shape[0], parts.shape[3]
    most = (n - 1) // tile

    def shifted(part: Array, by: int) -> Array:
        return jnp.pad(part, ((0, 0), (0, 0), (by, most - by), *((0, 0) for _ in part.shape[3:])))

    places = [
        sum((shifted(parts[q], q // tile) for q in range(p + tile, n, tile)), shifted(parts[p], 0))
        for p in range(tile)
    ]
    x = jnp.stack(places, 3)
    x = x.reshape(*x.shape[:2], -1, *x.shape[4:])
    return x[:, :, : tile * count + n - tile]
