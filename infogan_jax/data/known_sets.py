"""What the features of TensorFlow Datasets' sets mean, where their types alone don't say it."""

import math
from typing import NamedTuple

from infogan_jax.data.dataset import Factor


class Column(NamedTuple):
    """A factor and the feature that has its values: value = first + step * feature."""

    feature: str
    factor: Factor
    first: float = 0.0
    step: float = 1.0


class KnownSet(NamedTuple):
    """What is known of a data set, by the names that its TFDS builder gives to its features."""

    label: str = "label"
    """The feature that holds the class."""
    columns: tuple[Column, ...] = ()
    """The factors of variation."""
    binary: bool = False
    """Whether pixels are 0 or 1, which 0 and 255 then stand for."""


# Squares and ellipses look the same after a quarter and half a turn; the period is that of the hearts.
# Matthey, Higgins, Hassabis and Lerchner, dSprites: Disentanglement testing Sprites dataset, 2017.
_DSPRITES = KnownSet(
    columns=(
        Column("label_shape", Factor("shape", "category")),
        Column("value_scale", Factor("scale")),
        Column("value_orientation", Factor("orientation", "angle", "radians", 2 * math.pi)),
        Column("value_x_position", Factor("x")),
        Column("value_y_position", Factor("y")),
    ),
    binary=True,
)

# The room turns by 30 degrees at most, so its orientation is a number; hues go round from 0 to 1.
# Burgess and Kim, 3D Shapes Dataset, 2018.
_SHAPES3D = KnownSet(
    columns=(
        Column("value_floor_hue", Factor("floor hue", "angle", "turns", 1.0)),
        Column("value_wall_hue", Factor("wall hue", "angle", "turns", 1.0)),
        Column("value_object_hue", Factor("object hue", "angle", "turns", 1.0)),
        Column("value_scale", Factor("scale")),
        Column("label_shape", Factor("shape", "category")),
        Column("value_orientation", Factor("orientation", "number", "degrees")),
    )
)

# The instance is no factor: those of the test images are not among the training images.
# LeCun, Huang and Bottou, Learning Methods for Generic Object Recognition with Invariance to Pose and
# Lighting, CVPR 2004: elevations from 30 to 70 degrees in steps of 5, azimuths in steps of 20.
_SMALLNORB = KnownSet(
    label="label_category",
    columns=(
        Column("label_category", Factor("category", "category")),
        Column("label_elevation", Factor("elevation", "number", "degrees"), first=30.0, step=5.0),
        Column("label_azimuth", Factor("azimuth", "angle", "degrees", 360.0), step=20.0),
        Column("label_lighting", Factor("lighting", "category")),
    ),
)

_SETS = {"dsprites": _DSPRITES, "shapes3d": _SHAPES3D, "smallnorb": _SMALLNORB}


def find(name: str) -> KnownSet:
    """What is known of a data set; of most, that the feature `label` holds the class.

    Args:
        name: of its TFDS builder, for example "dsprites".
    """
    return _SETS.get(name, KnownSet())
