"""Networks as data: a layer is a row, a network a tuple of rows."""

from dataclasses import dataclass
from typing import Literal

Activation = Literal["relu", "lrelu", "sigmoid", "tanh", "linear"]

KERNEL_SIZE = 4
"""All convolutions of the InfoGAN paper have 4x4 kernels."""


@dataclass(frozen=True)
class Layer:
    """One row of a table: an affine map, batch norm where asked for, an activation.

    Attributes:
        kind: "dense", "conv" (strided convolution) or "up" (transposed convolution).
        features: channels of the output; a dense layer may name an image shape (h, w, c).
        stride: of a convolution.
        norm: whether batch norm comes between the map and the activation.
        activation: "lrelu" has the slope 0.1.
    """

    kind: Literal["dense", "conv", "up"]
    features: tuple[int, ...]
    stride: int = 1
    norm: bool = False
    activation: Activation = "relu"


@dataclass(frozen=True)
class Networks:
    """The networks of one set-up.

    Attributes:
        generator: from noise and codes to an image.
        trunk: what D and Q share, from an image to features. D adds one dense layer to a logit.
        q_head: Q's own hidden layers; one dense layer to the posteriors' numbers follows.
    """

    generator: tuple[Layer, ...]
    trunk: tuple[Layer, ...]
    q_head: tuple[Layer, ...] = ()

    @property
    def image_range(self) -> tuple[float, float]:
        """The lowest and highest value of an image: the range of G's output activation."""
        return {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}[self.generator[-1].activation]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the generator's images."""
        return _image_shape(self.generator)


@dataclass(frozen=True)
class Autoencoder:
    """The networks of an autoencoder.

    Attributes:
        encoder: from an image to its code.
        decoder: from the code to the logits of an image with values in [0, 1].
    """

    encoder: tuple[Layer, ...]
    decoder: tuple[Layer, ...]

    @property
    def image_range(self) -> tuple[float, float]:
        """The lowest and highest value of an image."""
        return (0.0, 1.0)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the images."""
        return _image_shape(self.decoder)


@dataclass(frozen=True)
class SuperResolution:
    """The networks of a super-resolver, for images of any size.

    Attributes:
        blocks: the generator's residual blocks.
        channels: of the generator's features.
        factor: the enlargement in both directions: 2, 4, 8, ...
        discriminator_channels: of the discriminator's first convolution; its last one has eight times as
            many, its hidden dense layer sixteen times.
        over_bicubic: whether the generator's output is added to the bicubic enlargement, from which it then
            begins; the paper's makes the whole image.
    """

    blocks: int
    channels: int
    factor: int
    discriminator_channels: int
    over_bicubic: bool = False

    def __post_init__(self) -> None:
        for name, least in (("blocks", 1), ("channels", 1), ("discriminator_channels", 1), ("factor", 2)):
            value = getattr(self, name)
            if not isinstance(value, int):
                raise TypeError(f"{name} is {type(value).__name__}: it must be a Python integer")
            if value < least:
                raise ValueError(f"{name} is {value}: it must be at least {least}")
        if self.factor & (self.factor - 1):
            raise ValueError(f"factor is {self.factor}: it must be a power of two, as each block doubles")

    @property
    def image_range(self) -> tuple[float, float]:
        """The lowest and highest value of a high-resolution image; low-resolution ones lie in [0, 1]."""
        return (-1.0, 1.0)


def _image_shape(rows: tuple[Layer, ...]) -> tuple[int, int, int]:
    """Height, width and channels of what a generator's rows make."""
    shape: tuple[int, ...] = ()
    for layer in rows:
        if layer.kind == "dense":
            shape = layer.features
        else:
            shape = (shape[0] * layer.stride, shape[1] * layer.stride, *layer.features)
    height, width, channels = shape
    return height, width, channels


def _dense(*features: int, norm: bool = False, activation: Activation = "relu") -> Layer:
    return Layer("dense", features, norm=norm, activation=activation)


def _up(features: int, *, stride: int = 2, norm: bool = False, activation: Activation = "relu") -> Layer:
    return Layer("up", (features,), stride, norm, activation)


def _conv(features: int, *, stride: int = 2, norm: bool = False) -> Layer:
    return Layer("conv", (features,), stride, norm, "lrelu")


MNIST = Networks(
    generator=(
        _dense(1024, norm=True),
        _dense(7, 7, 128, norm=True),
        _up(64, norm=True),
        _up(1, activation="sigmoid"),
    ),
    trunk=(_conv(64), _conv(128, norm=True), _dense(1024, norm=True, activation="lrelu")),
    q_head=(_dense(128, norm=True, activation="lrelu"),),
)
"""InfoGAN, appendix C.1 (28x28x1). The output's sigmoid is from the authors' code."""

SVHN = Networks(
    generator=(
        _dense(2, 2, 448, norm=True),
        _up(256, norm=True),
        _up(128),
        _up(64),
        _up(3, activation="tanh"),
    ),
    trunk=(_conv(64), _conv(128, norm=True), _conv(256, norm=True)),
    q_head=(_dense(128, norm=True, activation="lrelu"),),
)
"""InfoGAN, appendices C.2 and C.3: SVHN and CelebA (32x32x3)."""

FACES = Networks(
    generator=(
        _dense(1024, norm=True),
        _dense(8, 8, 128, norm=True),
        _up(64, norm=True),
        _up(1, activation="sigmoid"),
    ),
    trunk=MNIST.trunk,
)
"""InfoGAN, appendix C.4: 3D faces (32x32x1). D and Q are read from the trunk by one layer."""

CHAIRS = Networks(
    generator=(
        _dense(1024, norm=True),
        _dense(8, 8, 256, norm=True),
        _up(256, stride=1, norm=True),
        _up(256, stride=1, norm=True),
        _up(128, norm=True),
        _up(64, norm=True),
        _up(1, activation="sigmoid"),
    ),
    trunk=(
        _conv(64),
        _conv(128, norm=True),
        _conv(256, norm=True),
        _conv(256, stride=1, norm=True),
        _conv(256, stride=1, norm=True),
        _dense(1024, norm=True, activation="lrelu"),
    ),
)
"""InfoGAN, appendix C.5: 3D chairs (64x64x1). D and Q are read from the trunk by one layer."""

SPRITES = Networks(
    generator=(
        _dense(128, norm=True),
        _dense(8, 8, 64, norm=True),
        _up(64, norm=True),
        _up(32, norm=True),
        _up(1, activation="sigmoid"),
    ),
    trunk=(
        _conv(32),
        _conv(64, norm=True),
        _conv(64, norm=True),
        _dense(128, norm=True, activation="lrelu"),
    ),
)
"""For sprites of 64x64x1; ours, small enough for a CPU."""

DIGITS = Networks(
    generator=(
        _dense(256, norm=True),
        _dense(2, 2, 64, norm=True),
        _up(32, norm=True),
        _up(1, activation="sigmoid"),
    ),
    trunk=(_conv(32), _conv(64, norm=True), _dense(256, norm=True, activation="lrelu")),
    q_head=(_dense(64, norm=True, activation="lrelu"),),
)
"""The same for 8x8x1, with convolutions half as wide and dense layers a quarter."""

MASKS = Autoencoder(
    encoder=(
        _conv(16),
        _conv(32, norm=True),
        _conv(64, norm=True),
        _dense(128, activation="linear"),
    ),
    decoder=(
        _dense(8, 8, 64, norm=True),
        _up(32, norm=True),
        _up(16, norm=True),
        _up(1, activation="linear"),
    ),
)
"""64x64x1 through 128 numbers: one for 32 pixels."""

MNIST_AUTOENCODER = Autoencoder(
    encoder=(_conv(16), _conv(32, norm=True), _dense(32, activation="linear")),
    decoder=(_dense(7, 7, 32, norm=True), _up(16, norm=True), _up(1, activation="linear")),
)
"""28x28x1 through 32 numbers."""

DIGITS_AUTOENCODER = Autoencoder(
    encoder=(_conv(16), _conv(32, norm=True), _dense(8, activation="linear")),
    decoder=(_dense(2, 2, 32, norm=True), _up(16, norm=True), _up(1, activation="linear")),
)
"""8x8x1 through 8 numbers."""

SRGAN = SuperResolution(blocks=16, channels=64, factor=4, discriminator_channels=64)
"""SRGAN (Ledig et al. 2017), Fig. 4: x4, for colour images."""

SRGAN_SMALL = SuperResolution(blocks=4, channels=32, factor=4, discriminator_channels=16, over_bicubic=True)
"""The same for a CPU: G half as wide, with a quarter of the residual blocks, D a quarter as wide. G corrects
the bicubic enlargement, which a short training would otherwise spend its time on."""
