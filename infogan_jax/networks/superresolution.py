"""SRGAN's generator, which alone is SRResNet, and its discriminator: Linen modules for images of any size.

Each computes in its ``dtype``, float32 or bfloat16. Weights and batch norm's statistics are float32 in any
case, and so is what comes out: images and logits.

References:
    Ledig et al. 2017, "Photo-realistic single image super-resolution using a generative adversarial
    network", section 2.1.1 and Fig. 4.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from infogan_jax.data.bicubic import enlarge
from infogan_jax.networks.batch_norm import BatchNorm
from infogan_jax.networks.layers import conv, pixel_shuffle
from infogan_jax.networks.tables import SuperResolution
from losses.checks import floats

# SRGAN's paper doesn't say. This one keeps the scale of features whatever the width (He et al. 2015, eq. 10).
_init = nn.initializers.he_normal()


class _Convolution(nn.Module):
    """A convolution with its weights."""

    features: int
    size: int
    stride: int = 1
    bias: bool = True
    dtype: DTypeLike = jnp.float32
    kernel_init: nn.initializers.Initializer = _init

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param("kernel", self.kernel_init, (self.size, self.size, x.shape[-1], self.features))
        x = conv(x.astype(self.dtype), kernel.astype(self.dtype), stride=self.stride)
        if not self.bias:
            return x
        return x + self.param("bias", nn.initializers.zeros, (1, 1, 1, self.features)).astype(self.dtype)


class _NormedConvolution(nn.Module):
    """A 3x3 convolution and batch norm, which has an offset of its own."""

    features: int
    stride: int
    axis_name: str | None
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        x = _Convolution(self.features, 3, self.stride, bias=False, dtype=self.dtype)(x)
        return BatchNorm(self.axis_name, self.dtype)(x, train)


class PReLU(nn.Module):
    """max(0, x) + a_c min(0, x), with a learned slope a for each channel c, 0.25 at first.

    SRGAN's paper says "ParametricReLU" and no more. The paper that it cites has this form and one of a
    slope that the channels share.

    References:
        He et al. 2015, "Delving deep into rectifiers: surpassing human-level performance on ImageNet
        classification", eq. 1 and section 2.1.
    """

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps [batch, height, width, channels] to the same shape and dtype."""
        slope = self.param("slope", nn.initializers.constant(0.25), (1, 1, 1, x.shape[-1]))
        return jnp.where(x > 0, x, slope.astype(x.dtype) * x)


class ResidualBlock(nn.Module):
    """x + BN(conv(PReLU(BN(conv(x))))), its convolutions 3x3 and as wide as x.

    Attributes:
        axis_name: as in `Generator`.
        dtype: as in `Generator`.
    """

    axis_name: str | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """Maps [batch, height, width, channels] to the same shape."""
        options = x.shape[-1], 1, self.axis_name, self.dtype
        y = PReLU()(_NormedConvolution(*options)(x, train))
        return x + _NormedConvolution(*options)(y, train)


class Generator(nn.Module):
    """G, SRResNet: low-resolution images to images ``sizes.factor`` times as high and wide.

    What ends it is the last convolution, as in Fig. 4: nothing bounds the output, which learns the range
    [-1, 1] from the images that it is compared with. Clip it where it becomes a picture. With
    ``sizes.over_bicubic`` all this is a correction of the bicubic enlargement, which is none at first (as Kim
    et al. 2016, "Accurate image super-resolution using very deep convolutional networks", section 3.1, learn
    residuals).

    Attributes:
        sizes: how many blocks, how wide, how much larger.
        axis_name: the pmapped axis; batch norm then uses the statistics of the whole batch.
        dtype: what it computes in.
    """

    sizes: SuperResolution
    axis_name: str | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Array, train: bool) -> Array:
        """Enlarges a batch; with ``train``, batch norm uses and records the batch's statistics.

        Args:
            images: of low resolution, float [batch, height, width, channels] in [0, 1] (section 3.2).
            train: whether the statistics are the batch's.

        Returns:
            Float32 [batch, factor height, factor width, channels], in the unit where [-1, 1] is black to
            white.

        Raises:
            TypeError: the images are not float.
            ValueError: the images have another rank or none of some axis.
        """
        (x,) = floats("[batch, height, width, channels]", images=images)
        channels = self.sizes.channels
        x = start = PReLU()(_Convolution(channels, 9, dtype=self.dtype, name="first")(x))
        for i in range(self.sizes.blocks):
            x = ResidualBlock(self.axis_name, self.dtype, name=f"block_{i}")(x, train)
        x = start + _NormedConvolution(channels, 1, self.axis_name, self.dtype, name="trunk_end")(x, train)
        for i in range(self.sizes.factor.bit_length() - 1):
            x = _Convolution(4 * channels, 3, dtype=self.dtype, name=f"double_{i}")(x)
            x = PReLU()(pixel_shuffle(x, 2))
        over_bicubic = self.sizes.over_bicubic
        last_init = nn.initializers.zeros if over_bicubic else _init
        x = _Convolution(images.shape[-1], 9, dtype=self.dtype, kernel_init=last_init, name="last")(x)
        x = x.astype(jnp.float32)
        return x + 2 * enlarge(images, self.sizes.factor) - 1 if over_bicubic else x


class Discriminator(nn.Module):
    """D: high-resolution images to the logits [batch] that they are real.

    Eight 3x3 convolutions, of strides 1 and 2 in turn; with each pair they are twice as wide. The paper's
    dense layer reads all places of a 96x96 crop's features, and so one size of image. Here it reads their
    mean over the places, which lets D take any size.

    Attributes:
        sizes: how wide.
        axis_name: as in `Generator`.
        dtype: as in `Generator`.
    """

    sizes: SuperResolution
    axis_name: str | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Array, train: bool) -> Array:
        """Judges a batch; with ``train``, batch norm uses and records the batch's statistics.

        Args:
            images: of high resolution, float [batch, height, width, channels] in [-1, 1].
            train: whether the statistics are the batch's.

        Returns:
            Float32 [batch]: logits, where Fig. 4 ends with their sigmoid.

        Raises:
            TypeError: the images are not float.
            ValueError: the images have another rank or none of some axis.
        """
        (x,) = floats("[batch, height, width, channels]", images=images)
        channels = self.sizes.discriminator_channels
        x = _leaky_relu(_Convolution(channels, 3, dtype=self.dtype, name="first")(x))
        for width, stride in [(1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2)]:
            x = _NormedConvolution(width * channels, stride, self.axis_name, self.dtype)(x, train)
            x = _leaky_relu(x)
        x = x.mean(axis=(1, 2))
        x = _leaky_relu(nn.Dense(16 * channels, dtype=self.dtype, kernel_init=_init, name="hidden")(x))
        x = nn.Dense(1, dtype=self.dtype, kernel_init=_init, name="logit")(x)
        return x[:, 0].astype(jnp.float32)


def _leaky_relu(x: Array) -> Array:
    return nn.leaky_relu(x, 0.2)
