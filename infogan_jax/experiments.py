"""One preset for each experiment."""

import functools
import operator
import shlex
from dataclasses import replace

from infogan_jax.codes import Categorical, LatentCodes, Uniform
from infogan_jax.config import (
    AutoencoderConfig,
    Config,
    Content,
    Data,
    InfoGANConfig,
    Invariance,
    Objective,
    Optimizer,
    SuperResolutionConfig,
    Train,
    differences,
    flag,
    to_json,
)
from infogan_jax.networks import tables

# InfoGAN's MNIST experiment: section 7.2 and appendix C.1.
# Expected: 5 % error of the categorical code (the paper's figure; its seeds are not stated).
# Measured: 9.0 to 37.7 % in eight runs, 4.5 to 12.9 % in five with a tenth of the weights (docs/results.md).
# python train.py mnist --train.steps 5000
MNIST = InfoGANConfig(
    experiment="mnist",
    data=Data("tfds", "mnist"),
    codes=LatentCodes(62, (Categorical(10), Uniform(-1, 1), Uniform(-1, 1))),
    networks=tables.MNIST,
    train=Train(steps=5000),
)

# The same with code invariance, which settles the seeds that the paper's objective leaves confused. The
# shear is two deviations of the digits' slants, sigma_xy / sigma_yy of a training image's brightness, which
# deviate by 0.275. With half of that one seed in five keeps leaning and upright ones apart.
# python train.py mnist-invariant
MNIST_INVARIANT = replace(
    MNIST,
    experiment="mnist-invariant",
    objective=Objective(invariance=Invariance(weight=1.0, shear=0.55)),
    train=Train(steps=3000),
)

# The paper's Fig. 1: the one category alone. Q's own layers learn as fast as G: L_I then passes 2.2 of 2.303
# nats in 70 steps, and at D's rate in over 300.
# python train.py mnist-category
MNIST_CATEGORY = replace(
    MNIST,
    experiment="mnist-category",
    codes=LatentCodes(62, (Categorical(10),)),
    optimizer=Optimizer(lr_recognition=1e-3),
    train=Train(steps=900, steps_per_call=10),
)

# The other curve of Fig. 1: a plain GAN, of which Q can say little. L_I rises to 1 nat, then falls to 0.1.
# python train.py gan-baseline
GAN_BASELINE = replace(MNIST_CATEGORY, experiment="gan-baseline", objective=Objective(plain_gan=True))

# The paper's SVHN experiment: appendix C.2. Not run on SVHN yet. The steps are ours: the paper names none.
# python train.py svhn
SVHN = InfoGANConfig(
    experiment="svhn",
    data=Data("tfds", "svhn_cropped"),
    codes=LatentCodes(124, (Categorical(10),) * 4 + (Uniform(-1, 1),) * 4),
    networks=tables.SVHN,
    train=Train(steps=10_000),
    objective=Objective(lambda_continuous=1.0, scale_weighting=1.0),
)

# The same on MNIST-M, with instance noise: digits over photographs, in colour. Without it G makes one
# picture, in which Q reads the codes from differences that can't be seen; the noise drowns those.
# python train.py mnist-m
MNIST_M = replace(
    SVHN,
    experiment="mnist-m",
    data=Data("tfds", "mnist_m"),
    train=Train(steps=5000),
    objective=replace(SVHN.objective, instance_noise=0.1),
)

# The paper's CelebA experiment: appendix C.3. Not run on CelebA yet. The steps are ours.
# python train.py celeba
CELEBA = replace(
    SVHN,
    experiment="celeba",
    data=Data("tfds", "celeb_a", size=32),
    codes=LatentCodes(128, (Categorical(10),) * 10),
    train=Train(steps=20_000),
)


# The paper's 3D faces: appendix C.4, with rates and lambda for each factor that a code was to find. Not run
# on those faces, which their owners give out (README). The steps are ours.
# python train.py faces-azimuth --data.folder DIR
def _faces(factor: str, lr_discriminator: float, lr_generator: float, weight: float) -> InfoGANConfig:
    return InfoGANConfig(
        experiment=f"faces-{factor}",
        data=Data("folder", "faces", size=32, grey=True),
        codes=LatentCodes(128, (Uniform(-1, 1),) * 5),
        networks=tables.FACES,
        train=Train(steps=10_000),
        objective=Objective(lambda_continuous=weight, scale_weighting=1.0),
        optimizer=Optimizer(lr_discriminator=lr_discriminator, lr_generator=lr_generator),
    )


FACES = (
    _faces("azimuth", 2e-4, 5e-4, 0.2),
    _faces("elevation", 4e-4, 3e-4, 0.1),
    _faces("lighting", 8e-4, 3e-4, 0.1),
    _faces("width", 8e-4, 3e-4, 0.1),
)


# The paper's 3D chairs: appendix C.5, with weights for each factor. Not run on those chairs, which their
# owners give out (README). The steps are ours.
# python train.py chairs-rotation --data.folder DIR
def _chairs(factor: str, *, continuous: float, discrete: float) -> InfoGANConfig:
    return InfoGANConfig(
        experiment=f"chairs-{factor}",
        data=Data("folder", "chairs", size=64, grey=True),
        codes=LatentCodes(128, (Categorical(20),) * 3 + (Uniform(-1, 1),)),
        networks=tables.CHAIRS,
        train=Train(steps=10_000),
        objective=Objective(lambda_discrete=discrete, lambda_continuous=continuous, scale_weighting=1.0),
    )


CHAIRS = (
    _chairs("rotation", continuous=10.0, discrete=1.0),
    _chairs("width", continuous=0.05, discrete=2.0),
)

# The chairs' set-up on COIL-20: photographs of 20 objects on a turntable. Steps, batch, rates, weights and
# noise are ours: with the paper's G writes the codes into a texture, which D tells from photographs at once
# and for good. With these it does so too, and leaves it for objects by step 900.
# python train.py coil20 --data.folder DIR
COIL20 = replace(
    CHAIRS[0],
    experiment="coil20",
    data=Data("folder", "coil20", size=64, grey=True),
    train=Train(steps=2000, batch=32),
    objective=replace(CHAIRS[0].objective, lambda_discrete=0.3, lambda_continuous=0.3, instance_noise=0.2),
    optimizer=Optimizer(lr_discriminator=1e-4, lr_recognition=1e-3, lr_generator=4e-4),
)

# Rendered scenes, whose factors are known: what the codes have found can be measured. Steps, weights and
# rates are ours. Heads and seats stand in for the paper's faces and chairs, and have their networks.
# python train.py heads
HEADS = InfoGANConfig(
    experiment="heads",
    data=Data("scenes", "heads", render=50_000),
    codes=LatentCodes(128, (Uniform(-1, 1),) * 5),
    networks=tables.FACES,
    train=Train(steps=5000),
    objective=Objective(lambda_continuous=0.2),
    optimizer=Optimizer(lr_recognition=5e-4),
)

# Codes, weight and rates are those of heads, the networks the chairs', the instance noise COIL-20's. With the
# chairs' codes and COIL-20's weights and rates, 2,000 steps made few chairs (docs/results.md). For an
# accelerator.
# python train.py seats
SEATS = replace(
    HEADS,
    experiment="seats",
    data=Data("scenes", "seats", render=50_000, endless=True),
    networks=tables.CHAIRS,
    train=Train(steps=12_000, batch=64),
    objective=replace(HEADS.objective, instance_noise=0.2),
)

# After dSprites, with five codes and as many dimensions of noise as InfoGAN-CR (Lin et al. 2020) takes there.
# The weight is four times its 0.05, and images have instance noise: docs/results.md has what that changes.
# python train.py sprites
SPRITES = replace(
    HEADS,
    experiment="sprites",
    data=Data("scenes", "sprites", render=50_000),
    codes=LatentCodes(5, (Uniform(-1, 1),) * 5),
    networks=tables.SPRITES,
    train=Train(steps=5000, batch=64),
    objective=replace(HEADS.objective, instance_noise=0.1),
)

# Seats small enough for a CPU: all but images and instance noise is as in sprites.
# python train.py seats-small
SEATS_SMALL = replace(
    SPRITES,
    experiment="seats-small",
    data=SEATS.data,
    objective=SEATS.objective,
)

# scikit-learn's 8x8 digits: the whole job in about a minute on a laptop's CPU.
# python train.py
DIGITS = InfoGANConfig(
    experiment="digits",
    data=Data("digits", "digits"),
    codes=LatentCodes(16, (Categorical(10), Uniform(-1, 1), Uniform(-1, 1))),
    networks=tables.DIGITS,
    train=Train(steps=1800, batch=96, steps_per_call=50),
    objective=Objective(instance_noise=0.1, invariance=Invariance(weight=4.0, shift=0.7)),
    optimizer=Optimizer(lr_discriminator=5e-4, lr_generator=5e-4),
)

# An autoencoder of photolithography masks: which reconstruction error keeps their edges?
# python train.py masks --data.folder DIR
MASKS = AutoencoderConfig(
    experiment="masks",
    data=Data("folder", "masks", crop=64),
    networks=tables.MASKS,
    error="edge",
    train=Train(steps=1500, batch=32, steps_per_call=25),
)

# The same for natural strokes, which have soft edges: what do L0, L1 and L2 each keep?
# python train.py digits-autoencoder --error l1
DIGITS_AUTOENCODER = replace(
    MASKS,
    experiment="digits-autoencoder",
    data=Data("digits", "digits"),
    networks=tables.DIGITS_AUTOENCODER,
    error="l2",
)

MNIST_AUTOENCODER = replace(
    DIGITS_AUTOENCODER,
    experiment="mnist-autoencoder",
    data=Data("tfds", "mnist"),
    networks=tables.MNIST_AUTOENCODER,
    train=replace(MASKS.train, batch=128),
)

# Super-resolution of photographs, small enough for a CPU. First by content alone ...
# python train.py wildlife-content --data.folder DIR
WILDLIFE_CONTENT = SuperResolutionConfig(
    experiment="wildlife-content",
    data=Data("folder", "photographs", crop=160),
    networks=tables.SRGAN_SMALL,
    low_crop=16,
    learning_rate=1e-3,
    drop_after=2000,
    train=Train(steps=2400, batch=8, steps_per_call=20),
)

# ... then, from that run, by features and a discriminator. The rescaling gives bicubic enlargements of
# training crops as large an error by features as by pixels.
# python train.py wildlife --data.folder DIR --init-from runs/wildlife-content-s0
WILDLIFE = replace(
    WILDLIFE_CONTENT,
    experiment="wildlife",
    content=Content("efficientnet-lite0", "4", rescale=1 / 170),
    adversarial_weight=1e-3,
    learning_rate=1e-4,
    drop_after=0,
    train=replace(WILDLIFE_CONTENT.train, steps=900),
)

# SRGAN as its paper has it: section 3.2, there on 350,000 images of ImageNet. Not run: for an accelerator.
# python train.py srresnet --data.folder DIR
SRRESNET = replace(
    WILDLIFE_CONTENT,
    experiment="srresnet",
    networks=tables.SRGAN,
    low_crop=24,
    learning_rate=1e-4,
    drop_after=0,
    train=Train(steps=1_000_000, batch=16, checkpoint_every=5000, sample_every=5000),
)

# python train.py srgan --data.folder DIR --init-from runs/srresnet-s0 --content.weights vgg19.pth
SRGAN = replace(
    SRRESNET,
    experiment="srgan",
    content=Content("vgg19", "conv5_4", rescale=1 / 12.75),
    adversarial_weight=1e-3,
    drop_after=100_000,
    train=replace(SRRESNET.train, steps=200_000),
)

EXPERIMENTS = {
    preset.experiment: preset
    for preset in (
        DIGITS,
        MNIST,
        MNIST_INVARIANT,
        MNIST_CATEGORY,
        GAN_BASELINE,
        SVHN,
        MNIST_M,
        CELEBA,
        *FACES,
        *CHAIRS,
        COIL20,
        HEADS,
        SEATS,
        SPRITES,
        SEATS_SMALL,
        MASKS,
        DIGITS_AUTOENCODER,
        MNIST_AUTOENCODER,
        WILDLIFE_CONTENT,
        WILDLIFE,
        SRRESNET,
        SRGAN,
    )
}

DEFAULT = "digits"


def command_line(config: Config) -> str | None:
    """What to type to train a configuration: its preset, and the options in which it differs.

    None where no options can say it: it was made in Python, with networks or codes of its own.
    """
    preset = EXPERIMENTS.get(config.experiment)
    if type(preset) is not type(config):
        return None
    words = ["python", "train.py", config.experiment]
    values = to_json(config)
    for path in differences(preset, config):
        *parents, name = path.split(".")
        value = functools.reduce(operator.getitem, [*parents, name], values)
        of_tables = isinstance(config, InfoGANConfig | AutoencoderConfig) and path.startswith(
            ("codes", "networks")
        )
        if of_tables or isinstance(value, dict | list):
            return None
        if isinstance(value, bool):
            words.append(flag(".".join([*parents, name if value else f"no_{name}"])))
        else:
            words += [flag(path), str(value)]
    return shlex.join(words)
