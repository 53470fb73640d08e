"""How well the shapes in two-valued images agree: areas, and the places of their edges."""

from typing import NamedTuple

import numpy as np


class EdgePlacement(NamedTuple):
    """Distances between the edges of a wanted and a made image, in pixels.

    Attributes:
        mean: over all edge points of both, the distance to the other's nearest.
        worst: the largest of them (the Hausdorff distance of the two edges).
    """

    mean: float
    worst: float


def pixel_error_rate(wanted: np.ndarray, made: np.ndarray) -> float:
    """The share of pixels that differ; both bool, of one shape."""
    _check(wanted, made)
    return float(np.mean(wanted != made))


def intersection_over_union(wanted: np.ndarray, made: np.ndarray) -> float:
    """Intersection over union of the shapes in two bool images; 1 where both are empty."""
    _check(wanted, made)
    union = np.count_nonzero(wanted | made)
    return np.count_nonzero(wanted & made) / union if union else 1.0


def edge_placement_error(wanted: np.ndarray, made: np.ndarray) -> EdgePlacement:
    """How far the edges of one image are from those of the other.

    An edge point lies between two neighbouring pixels of different value, in the middle of the line that
    parts them. From each edge point of each image, the distance to the nearest one of the other is taken.

    Args:
        wanted: bool [height, width].
        made: bool [height, width].

    Returns:
        Mean and worst distance in pixels; 0 where neither image has an edge, and the length of the diagonal
        where just one has.

    Raises:
        ValueError: the arguments are not two bool images of one shape.

    References:
        The edge placement error of lithography, e.g. Mack 2007, "Fundamental principles of optical
        lithography", with both directions taken, as Hausdorff's distance does.
    """
    from scipy.ndimage import distance_transform_edt

    _check(wanted, made)
    edges = [_edge_points(image) for image in (wanted, made)]
    if not any(points.any() for points in edges):
        return EdgePlacement(0.0, 0.0)
    if not all(points.any() for points in edges):
        diagonal = float(np.hypot(*wanted.shape))
        return EdgePlacement(diagonal, diagonal)
    # The grid of edge points is twice as fine as that of pixels.
    to_wanted, to_made = (distance_transform_edt(~points) / 2 for points in edges)
    distances = np.concatenate([to_made[edges[0]], to_wanted[edges[1]]])
    return EdgePlacement(float(distances.mean()), float(distances.max()))


def _edge_points(image: np.ndarray) -> np.ndarray:
    """Bool [2 height - 1, 2 width - 1]: pixels lie at even places, the lines between them at odd ones."""
    height, width = image.shape
    points = np.zeros((2 * height - 1, 2 * width - 1), bool)
    points[1::2, ::2] = image[1:] != image[:-1]
    points[::2, 1::2] = image[:, 1:] != image[:, :-1]
    return points


def _check(wanted: np.ndarray, made: np.ndarray) -> None:
    if wanted.dtype != bool or made.dtype != bool or wanted.ndim != 2 or wanted.shape != made.shape:
        raise ValueError(
            f"wanted is {wanted.dtype} {wanted.shape} and made {made.dtype} {made.shape}: "
            "both must be bool [height, width] of one shape"
        )
