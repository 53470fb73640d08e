"""The one shape of data that everything behind this package sees: uint8 images in two splits."""

import dataclasses
from typing import Literal, NamedTuple, get_args

import numpy as np

FactorKind = Literal["number", "angle", "category"]


@dataclasses.dataclass(frozen=True)
class Factor:
    """One way in which images are known to vary.

    Args:
        name: what reports call it, for example "azimuth".
        kind: "number", whose values have an order; "angle", which comes round again after its period;
            "category", whose values are whole numbers from 0 without an order.
        unit: of its values, for example "degrees"; "" where there is none.
        period: of an angle, in its unit: 360 for a turntable, 90 for a square's rotation.

    Raises:
        ValueError: an angle without a period above 0, another kind with one, or an unknown kind.
    """

    name: str
    kind: FactorKind = "number"
    unit: str = ""
    period: float = 0.0

    def __post_init__(self) -> None:
        """Checks the rules above."""
        if self.kind not in get_args(FactorKind):
            raise ValueError(f"factor {self.name}: kind is {self.kind!r}; one of {get_args(FactorKind)}")
        if (self.period > 0) != (self.kind == "angle"):
            raise ValueError(f"factor {self.name}: an angle has a period above 0, and nothing else has one")


class Split(NamedTuple):
    """Images [N, H, W, C] as uint8 and, where the data has them, labels and factors of variation.

    Labels are int32 [N]; factors float32 [N, F], a column for each `Factor` of the data set.
    """

    images: np.ndarray
    labels: np.ndarray | None
    factors: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A training split and a test split of images of one shape.

    Args:
        name: what the data set is called in reports.
        train: images uint8 [N, H, W, C] with C 1 or 3; labels int32 [N] in [0, num_classes), or None.
        test: the same for held-out images of the same shape.
        num_classes: number of classes, or None where there are no labels.
        factors: what the columns of the splits' factors are; empty where they have none.

    Raises:
        ValueError: a split breaks one of the rules above or is empty.
    """

    name: str
    train: Split
    test: Split
    num_classes: int | None
    factors: tuple[Factor, ...] = ()

    def __post_init__(self) -> None:
        """Checks the rules above."""
        if self.num_classes is not None and self.num_classes < 1:
            raise ValueError(f"num_classes is {self.num_classes}; it must be at least 1, or None")
        for title, split in (("train", self.train), ("test", self.test)):
            _check_images(title, split.images)
            _check_labels(title, split, self.num_classes)
            _check_factors(title, split, self.factors)
        if self.train.images.shape[1:] != self.test.images.shape[1:]:
            raise ValueError(
                f"train images are {self.train.images.shape[1:]} but test images are "
                f"{self.test.images.shape[1:]}; both must be of one shape"
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels


def _check_images(title: str, images: np.ndarray) -> None:
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(f"{title} images are {images.dtype} {images.shape}; they must be uint8 [N, H, W, C]")
    if images.shape[3] not in (1, 3):
        raise ValueError(f"{title} images have {images.shape[3]} channels; they must have 1 or 3")
    if images.size == 0:
        raise ValueError(f"{title} images are empty, of shape {images.shape}")


def _check_labels(title: str, split: Split, num_classes: int | None) -> None:
    images, labels = split.images, split.labels
    if (labels is None) != (num_classes is None):
        raise ValueError(f"{title} labels and num_classes must both be given or both be None")
    if labels is None or num_classes is None:
        return
    if labels.dtype != np.int32 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"{title} labels are {labels.dtype} {labels.shape}; they must be int32 {images.shape[:1]}"
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"{title} labels run from {labels.min()} to {labels.max()}; they must be in 0..{num_classes - 1}"
        )


def _check_factors(title: str, split: Split, factors: tuple[Factor, ...]) -> None:
    values = split.factors
    if (values is None) != (not factors):
        raise ValueError(f"{title} factors and the data set's factors must both be given or both be absent")
    if values is None:
        return
    if values.dtype != np.float32 or values.shape != (len(split.images), len(factors)):
        raise ValueError(
            f"{title} factors are {values.dtype} {values.shape}; "
            f"they must be float32 {(len(split.images), len(factors))}"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{title} factors have values that are not finite numbers")
    for column, factor in zip(values.T, factors, strict=True):
        if factor.kind == "category" and ((column < 0) | (column != np.rint(column))).any():
            raise ValueError(f"{title} factor {factor.name} has values that are not whole numbers from 0")
