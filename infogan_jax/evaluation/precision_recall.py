"""How much of what is generated looks real, and how much of what is real is generated."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from infogan_jax.evaluation.distances import feature_pair

# Distances held at a time, 64 MiB of float64: memory is bounded whatever the number of examples.
BLOCK_ELEMENTS = 2**23


class PrecisionRecall(NamedTuple):
    """Shares in [0, 1]."""

    precision: float
    """Of the generated examples, those inside the estimated manifold of the real ones: fidelity."""
    recall: float
    """Of the real examples, those inside the estimated manifold of the generated ones: coverage."""


def precision_recall(real: ArrayLike, generated: ArrayLike, *, neighbours: int = 3) -> PrecisionRecall:
    """Improved precision and recall, by balls around the examples.

    precision = mean over y of 1[|y - x_i| <= r_i for some i],  r_i = distance from x_i to its k-th nearest x

    with real x and generated y; recall is the same with the sets exchanged. Both grow with k and depend on
    the numbers of examples, which should be equal and the same wherever models are compared.

    Args:
        real: float [N, D] features, N > neighbours.
        generated: float [M, D], M > neighbours.
        neighbours: k, at least 1; the paper takes 3.

    Returns:
        Precision and recall on these features.

    Raises:
        ValueError: the features or k are not as above.

    References:
        Kynkäänniemi et al. 2019, "Improved precision and recall metric for assessing generative models",
        eq. 1 and 2.
    """
    real, generated = feature_pair(real, generated)
    if not 1 <= neighbours < min(len(real), len(generated)):
        raise ValueError(
            f"neighbours is {neighbours} for {len(real)} real and {len(generated)} generated examples: "
            "it must be at least 1 and below both numbers"
        )
    # Distances are differences of squared norms: far from the origin these would be all rounding error.
    centre = real.mean(axis=0)
    here, there = real - centre, generated - centre
    return PrecisionRecall(
        precision=_share_inside(there, here, neighbours),
        recall=_share_inside(here, there, neighbours),
    )


def _share_inside(points: np.ndarray, centres: np.ndarray, neighbours: int) -> float:
    # The nearest of the sorted distances is that of a centre to itself.
    radii = np.concatenate(
        [
            np.partition(_squared_distances(block, centres), neighbours, axis=1)[:, neighbours]
            for block in _blocks(centres, len(centres))
        ]
    )
    inside = sum(
        np.count_nonzero((_squared_distances(block, centres) <= radii).any(axis=1))
        for block in _blocks(points, len(centres))
    )
    return inside / len(points)


def _blocks(points: np.ndarray, columns: int) -> list[np.ndarray]:
    rows = max(1, BLOCK_ELEMENTS // columns)
    return [points[start : start + rows] for start in range(0, len(points), rows)]


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|a_i - b_j|^2 by one matrix product; what lies below its rounding error is 0, so copies coincide."""
    norms = np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1)
    squared: np.ndarray = norms - 2 * (a @ b.T)
    squared[squared <= a.shape[1] * np.finfo(np.float64).eps * norms] = 0
    return squared
