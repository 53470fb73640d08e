"""The one shape of data that everything behind this package sees: uint8 images in two splits."""

import dataclasses
from typing import NamedTuple

import numpy as np


class Split(NamedTuple):
    """Images [N, H, W, C] as uint8 and, where the data has them, labels [N] as int32."""

    images: np.ndarray
    labels: np.ndarray | None


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A training split and a test split of images of one shape.

    Args:
        name: what the data set is called in reports.
        train: images uint8 [N, H, W, C] with C 1 or 3; labels int32 [N] in [0, num_classes), or None.
        test: the same for held-out images of the same shape.
        num_classes: number of classes, or None where there are no labels.

    Raises:
        ValueError: a split breaks one of the rules above or is empty.
    """

    name: str
    train: Split
    test: Split
    num_classes: int | None

    def __post_init__(self) -> None:
        """Checks the rules above."""
        if self.num_classes is not None and self.num_classes < 1:
            raise ValueError(f"num_classes is {self.num_classes}; it must be at least 1, or None")
        for title, split in (("train", self.train), ("test", self.test)):
            _check_images(title, split.images)
            _check_labels(title, split, self.num_classes)
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
    images, labels = split
    if (labels is None) != (num_classes is None):
        raise ValueError(f"{title} labels and num_classes must both be given or both be None")
    if labels is None:
        return
    if labels.dtype != np.int32 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"{title} labels are {labels.dtype} {labels.shape}; they must be int32 {images.shape[:1]}"
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"{title} labels run from {labels.min()} to {labels.max()}; they must be in 0..{num_classes - 1}"
        )
