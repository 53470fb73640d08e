"""Whether a continuous code goes on to vary the image beyond the range that it was trained on.

InfoGAN's figures show codes trained on [-1, 1] at values from -2 to 2 (Chen et al. 2016, section 7.2). Two
numbers say what an eye sees there: how fast the image changes, and whether what the code stands for goes on
in the same direction. Neither says that the images are good.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr

TRAINED = (-1.0, 1.0)
"""The range of the paper's continuous codes."""


class PathLength(NamedTuple):
    """Length of the image's path in pixel space per unit of code: mean over the examples.

    `below / inside` and `above / inside` are about 1 where the code goes on to act as it was trained to,
    0 where the image stands still, and large where it breaks up.
    """

    below: float
    inside: float
    above: float


class RankCorrelation(NamedTuple):
    """Spearman's correlation of a measured property with the code: mean over the examples, in [-1, 1].

    The property goes on in its direction where `below` and `above` have the sign of `inside` and about its
    size; `whole` alone can be large though the property stands still outside.
    """

    below: float
    inside: float
    above: float
    whole: float
    unmeasured: float
    """Share of the examples that are left out, as the property is nan at some value of the code."""


def path_length(
    values: ArrayLike, images: np.ndarray, *, trained: tuple[float, float] = TRAINED
) -> PathLength:
    """How far an image moves per unit of code below, inside and above the trained range.

    mean over n of sum_k |x_n(v_{k+1}) - x_n(v_k)| / sum_k (v_{k+1} - v_k), k over the steps of each part

    A path in steps is shorter than the curve: space the values evenly, or the parts do not compare.

    Args:
        values: float [V], the code's values, rising; both ends of the trained range among them, and values
            on either side of it.
        images: uint8 or float [V, N, H, W, C], all else the same along the first axis; uint8 is taken as
            [0, 1].
        trained: the range that the code was drawn from in training.

    Returns:
        The three lengths, in the images' unit (the Euclidean norm over pixels and channels).

    Raises:
        ValueError: the values or the images are not as above.
    """
    values, parts = _parts(values, trained)
    images = np.asarray(images)
    is_bytes = images.dtype == np.uint8
    if not (is_bytes or np.issubdtype(images.dtype, np.floating)) or images.ndim != 5:
        raise ValueError(
            f"images are {images.dtype} {images.shape}: they must be uint8 or float [V, N, H, W, C]"
        )
    if len(images) != len(values) or images.size == 0:
        raise ValueError(f"images are {images.shape} for {len(values)} values: V must be that, and N above 0")
    if not np.isfinite(images).all():
        raise ValueError("images must be finite")
    # One step at a time: all differences at once would be another copy of the images, in float64.
    steps = np.array(
        [
            np.linalg.norm((after.astype(np.float64) - before).reshape(len(after), -1), axis=1).mean()
            for before, after in pairwise(images)
        ]
    ) / (255 if is_bytes else 1)
    lengths = (
        steps[part.start : part.stop - 1].sum() / (values[part.stop - 1] - values[part.start])
        for part in parts
    )
    return PathLength(*(float(length) for length in lengths))


def rank_correlation(
    values: ArrayLike, measured: ArrayLike, *, trained: tuple[float, float] = TRAINED
) -> RankCorrelation:
    """Whether a measured property follows the code below, inside and above the trained range.

    mean over n of Spearman's rho of (v_k, m_kn), k over the values of each part, its ends included

    A property that does not change at all within a part has no rank correlation and counts as 0.

    Args:
        values: float [V], as for `path_length`; a part of fewer than 3 values says little.
        measured: float [V, N], for example `moments.stroke_geometry`'s width of each image; an angle
            unwrapped along the first axis.
        trained: the range that the code was drawn from in training.

    Returns:
        The correlations; nan where no example is measured throughout.

    Raises:
        ValueError: the values or the measures are not as above.

    References:
        Spearman 1904, "The proof and measurement of association between two things".
    """
    values, parts = _parts(values, trained)
    measured = np.asarray(measured, np.float64)
    if measured.ndim != 2 or len(measured) != len(values) or measured.size == 0:
        raise ValueError(f"measured is {measured.shape}: it must be [{len(values)}, N], a row for each value")
    complete = measured[:, ~np.isnan(measured).any(axis=0)]
    below, inside, above, whole = (
        _mean_spearman(values[part], complete[part]) for part in (*parts, slice(None))
    )
    return RankCorrelation(below, inside, above, whole, unmeasured=1 - complete.shape[1] / measured.shape[1])


def _mean_spearman(values: np.ndarray, measured: np.ndarray) -> float:
    if measured.shape[1] == 0:
        return np.nan
    # scipy warns of a constant and gives nan.
    each = [spearmanr(values, column).statistic if np.ptp(column) else 0.0 for column in measured.T]
    return float(np.mean(each))


def _parts(values: ArrayLike, trained: Sequence[float]) -> tuple[np.ndarray, tuple[slice, slice, slice]]:
    """The values, and which of them are below, inside and above: each part has both of its ends."""
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not (np.diff(values) > 0).all():
        raise ValueError("values must be a rising vector")
    # Relative to the range: far from 0 its two ends may be alike in most of their digits.
    tolerance = 1e-5 * (trained[1] - trained[0])
    ends = [np.flatnonzero(np.abs(values - end) <= tolerance) for end in trained]
    if not all(len(end) == 1 for end in ends):
        raise ValueError(f"values must have {trained[0]:g} and {trained[1]:g}, the ends of the trained range")
    low, high = (int(end[0]) for end in ends)
    if not 0 < low < high < len(values) - 1:
        raise ValueError(
            f"values go from {values[0]:g} to {values[-1]:g}: they must go beyond both ends of the trained "
            f"range, {trained[0]:g} and {trained[1]:g}"
        )
    return values, (slice(0, low + 1), slice(low, high + 1), slice(high, len(values)))
