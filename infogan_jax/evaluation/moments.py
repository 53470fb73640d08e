"""The geometry of bright strokes on a dark ground: where they lie, how they lean, how wide they are.

With it the claims that InfoGAN's paper makes for MNIST can be measured: one continuous code turns the digit,
the other widens it (Chen et al. 2016, section 7.2).
"""

from typing import NamedTuple

import numpy as np


class StrokeGeometry(NamedTuple):
    """One number per image, each float64 [N]. A blank image has mass 0 and nan for all else.

    All but the mass are of the brightness relative to the image's largest, so that a dim image is measured
    as a bright one is; a faint ground counts in the moments by its share of the mass.
    """

    mass: np.ndarray
    """Sum of the pixels' brightness, in fully bright pixels: the strokes' area."""
    row: np.ndarray
    """Of the centroid, in pixels down from the centre of the topmost row."""
    column: np.ndarray
    """Of the centroid, in pixels to the right from the centre of the leftmost column."""
    angle: np.ndarray
    """Of the principal axis from the vertical, in radians in (-pi/2, pi/2], anticlockwise as the image is
    seen: italics, whose tops lean to the right, are below 0. Nan where no direction is longer."""
    anisotropy: np.ndarray
    """In [0, 1]: 1 for a line, 0 where all directions are alike; near 0 the angle means nothing."""
    width: np.ndarray
    """Of the bounding box, in pixels, between the places where the brightness passes the level."""
    height: np.ndarray
    """Likewise."""
    thickness: np.ndarray
    """Twice the area over the perimeter, in pixels: the stroke's thickness where it is long and at least two
    pixels thick (of a disc, the radius)."""


def stroke_geometry(images: np.ndarray, *, level: float = 0.5) -> StrokeGeometry:
    """Mass, centroid, principal axis, bounding box and thickness of the strokes in each image.

    mu_rr, mu_rc, mu_cc = central second moments of the brightness in rows and columns
    angle = atan2(2 mu_rc, mu_rr - mu_cc) / 2
    anisotropy = ((mu_rr - mu_cc)^2 + 4 mu_rc^2)^1/2 / (mu_rr + mu_cc), which is (l_1 - l_2) / (l_1 + l_2) of
    the covariance's eigenvalues l_1 >= l_2
    thickness = 2 sum x / sum |grad x|

    The angle has a period of pi: along a traversal, take `numpy.unwrap(angle, period=numpy.pi)`.

    Args:
        images: uint8 [N, H, W, 1], 255 for full brightness, or float of at least 0, 1 for full brightness.
        level: where the bounding box ends, as a share of the image's largest value, in (0, 1). The place is
            interpolated between pixels; at 1/2 a sharp bar of n pixels is n wide.

    Returns:
        The measures of each image.

    Raises:
        ValueError: shape, dtype or values are not as above.

    References:
        Hu 1962, "Visual pattern recognition by moment invariants"; Federer 1959, "Curvature
        measures", for the perimeter as the integral of |grad x| (the coarea formula).
    """
    x = _brightness(images)
    if not 0 < level < 1:
        raise ValueError(f"level is {level}: it is a share of the largest value, between 0 and 1")
    lit = x.any(axis=(1, 2))
    measures = StrokeGeometry(*(np.full(len(x), np.nan) for _ in StrokeGeometry._fields))
    for measure, values in zip(measures, _measure(x[lit], level), strict=True):
        measure[lit] = values
    measures.mass[~lit] = 0
    return measures


def _measure(x: np.ndarray, level: float) -> StrokeGeometry:
    """The measures of images that are not blank, float64 [N, H, W]."""
    mass = x.sum(axis=(1, 2))
    share = x / mass[:, None, None]
    rows, columns = np.arange(x.shape[1], dtype=float), np.arange(x.shape[2], dtype=float)
    row, column = share.sum(axis=2) @ rows, share.sum(axis=1) @ columns
    down, right = rows - row[:, None], columns - column[:, None]
    mu_rr = np.einsum("nij,ni->n", share, down**2)
    mu_cc = np.einsum("nij,nj->n", share, right**2)
    mu_rc = np.einsum("nij,ni,nj->n", share, down, right)
    spread, difference = mu_rr + mu_cc, np.hypot(mu_rr - mu_cc, 2 * mu_rc)
    angle = np.arctan2(2 * mu_rc, mu_rr - mu_cc) / 2
    relative = x / x.max(axis=(1, 2), keepdims=True)
    return StrokeGeometry(
        mass=mass,
        row=row,
        column=column,
        angle=np.where(difference > 0, np.where(angle > -np.pi / 2, angle, np.pi / 2), np.nan),
        # One pixel alone has no spread, and no direction either.
        anisotropy=difference / np.where(spread > 0, spread, 1),
        width=_extent(relative.max(axis=1), level),
        height=_extent(relative.max(axis=2), level),
        thickness=2 * relative.sum(axis=(1, 2)) / _perimeter(relative),
    )


def _brightness(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    is_bytes = images.dtype == np.uint8
    if not (is_bytes or np.issubdtype(images.dtype, np.floating)) or images.ndim != 4 or images.shape[3] != 1:
        raise ValueError(
            f"images are {images.dtype} {images.shape}: they must be uint8 or float [N, H, W, 1]"
        )
    if images.size == 0:
        raise ValueError(f"images are {images.shape}: there is nothing to measure")
    x = images[..., 0].astype(np.float64) / (255 if is_bytes else 1)
    if not np.isfinite(x).all() or x.min() < 0:
        raise ValueError(
            "images must be finite and at least 0: bring a range such as [-1, 1] to [0, 1] first"
        )
    return x


def _extent(profile: np.ndarray, level: float) -> np.ndarray:
    """The distance between the first and the last place where a profile [N, L] passes the level."""
    dark = np.pad(profile, ((0, 0), (1, 1)))
    extent: np.ndarray = (
        dark.shape[1] - 1 - _first_passing(dark, level) - _first_passing(dark[:, ::-1], level)
    )
    return extent


def _first_passing(profile: np.ndarray, level: float) -> np.ndarray:
    first = np.argmax(profile >= level, axis=1)
    after, before = (np.take_along_axis(profile, (first - k)[:, None], axis=1)[:, 0] for k in (0, 1))
    place: np.ndarray = first - (after - level) / (after - before)
    return place


def _perimeter(relative: np.ndarray) -> np.ndarray:
    """Sum of the gradient's length, taken between each four neighbours: right along and across the grid,
    and along its diagonals.
    """
    a = np.pad(relative, ((0, 0), (1, 1), (1, 1)))
    rising, falling = a[:, 1:, 1:] - a[:, :-1, :-1], a[:, 1:, :-1] - a[:, :-1, 1:]
    length: np.ndarray = np.sum(np.hypot(rising, falling), axis=(1, 2)) / np.sqrt(2)
    return length
