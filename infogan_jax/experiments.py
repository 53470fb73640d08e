"""One preset for each experiment."""

from dataclasses import replace

from infogan_jax.codes import Categorical, LatentCodes, Uniform
from infogan_jax.config import AutoencoderConfig, Data, InfoGANConfig, Invariance, Objective, Optimizer, Train
from infogan_jax.networks import tables

# InfoGAN's MNIST experiment: section 7.2 and appendix C.1.
# Expected: 5 % error of the categorical code (the paper's figure; its seeds are not stated).
# python train.py mnist --train.steps 5000
MNIST = InfoGANConfig(
    experiment="mnist",
    data=Data("tfds", "mnist"),
    codes=LatentCodes(62, (Categorical(10), Uniform(-1, 1), Uniform(-1, 1))),
    networks=tables.MNIST,
    train=Train(steps=5000),
)

# The same with code invariance, which settles the seeds that the paper's objective leaves confused.
# python train.py mnist-invariant
MNIST_INVARIANT = replace(
    MNIST,
    experiment="mnist-invariant",
    objective=Objective(invariance=Invariance(weight=1.0)),
    train=Train(steps=3000),
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

EXPERIMENTS = {
    preset.experiment: preset
    for preset in (DIGITS, MNIST, MNIST_INVARIANT, MASKS, DIGITS_AUTOENCODER, MNIST_AUTOENCODER)
}

DEFAULT = "digits"
