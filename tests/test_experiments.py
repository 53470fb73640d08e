import math
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import pytest

from infogan_jax import cli
from infogan_jax.codes import Categorical, LatentCodes
from infogan_jax.config import Data
from infogan_jax.experiments import EXPERIMENTS, command_line
from infogan_jax.networks import tables
from infogan_jax.networks.infogan import Generator
from infogan_jax.tasks import infogan


class Networks(NamedTuple):
    """A table of the paper's appendix C, its rows in order; s2: of stride 2, BN: with batch norm."""

    image: tuple[int, int, int]
    trunk: str
    q_head: str
    generator: str


class Preset(NamedTuple):
    """What a preset must be: codes by their labels, rates of D with Q and of G, lambda of discrete and of
    continuous codes."""

    codes: list[str]
    noise: int
    inputs: int
    networks: Networks
    rates: tuple[float, float]
    lambdas: tuple[float, float]
    data: Data


ON_MNIST = Networks(
    (28, 28, 1),
    "conv64 s2; conv128 s2 BN; FC1024 BN",
    "FC128 BN",
    "FC1024 BN; FC7·7·128 BN; up64 s2 BN; up1 s2",
)
ON_SVHN = Networks(
    (32, 32, 3),
    "conv64 s2; conv128 s2 BN; conv256 s2 BN",
    "FC128 BN",
    "FC2·2·448 BN; up256 s2 BN; up128 s2; up64 s2; up3 s2",
)
ON_FACES = Networks(
    (32, 32, 1),
    "conv64 s2; conv128 s2 BN; FC1024 BN",
    "",
    "FC1024 BN; FC8·8·128 BN; up64 s2 BN; up1 s2",
)
ON_CHAIRS = Networks(
    (64, 64, 1),
    "conv64 s2; conv128 s2 BN; conv256 s2 BN; conv256 BN; conv256 BN; FC1024 BN",
    "",
    "FC1024 BN; FC8·8·256 BN; up256 BN; up256 BN; up128 s2 BN; up64 s2 BN; up1 s2",
)
TEN, TWENTY, UNIFORM = "Cat(10)", "Cat(20)", "U(-1, 1)"
FACES = ([UNIFORM] * 5, 128, 133, ON_FACES)
CHAIRS = ([TWENTY] * 3 + [UNIFORM], 128, 189, ON_CHAIRS)
FACE_DATA = Data("folder", "faces", size=32, grey=True)
CHAIR_DATA = Data("folder", "chairs", size=64, grey=True)
USUAL = (2e-4, 1e-3)

# lambda of MNIST's continuous codes is ours, for a sigma that is learned (README, departures); all others are
# the paper's, for a sigma that is fixed at 1.
PAPER = {
    "mnist": Preset([TEN, UNIFORM, UNIFORM], 62, 74, ON_MNIST, USUAL, (1.0, 0.1), Data("tfds", "mnist")),
    "svhn": Preset(
        [TEN] * 4 + [UNIFORM] * 4, 124, 168, ON_SVHN, USUAL, (1.0, 1.0), Data("tfds", "svhn_cropped")
    ),
    "celeba": Preset([TEN] * 10, 128, 228, ON_SVHN, USUAL, (1.0, 1.0), Data("tfds", "celeb_a", size=32)),
    "faces-azimuth": Preset(*FACES, (2e-4, 5e-4), (1.0, 0.2), FACE_DATA),
    "faces-elevation": Preset(*FACES, (4e-4, 3e-4), (1.0, 0.1), FACE_DATA),
    "faces-lighting": Preset(*FACES, (8e-4, 3e-4), (1.0, 0.1), FACE_DATA),
    "faces-width": Preset(*FACES, (8e-4, 3e-4), (1.0, 0.1), FACE_DATA),
    "chairs-rotation": Preset(*CHAIRS, USUAL, (1.0, 10.0), CHAIR_DATA),
    "chairs-width": Preset(*CHAIRS, USUAL, (2.0, 0.05), CHAIR_DATA),
}


def parameters(table, shape):
    """How many weights the rows of a table have, and the shape of what they make; all kernels are 4x4."""
    total = 0
    for row in table.split("; ") if table else []:
        kind, features, options = re.fullmatch(r"(FC|conv|up)([\d·]+)(.*)", row).groups()
        made = tuple(map(int, features.split("·")))
        if kind == "FC":
            total += math.prod(shape) * math.prod(made)
            shape = made
        else:
            total += 4 * 4 * shape[-1] * made[0]
            stride = 2 if "s2" in options else 1
            sides = (side * stride if kind == "up" else side // stride for side in shape[:2])
            shape = (*sides, *made)
        # Batch norm's offset and scale in place of a bias.
        total += (2 if "BN" in options else 1) * shape[-1]
    return total, shape


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_codes_and_networks(name):
    """Appendix C: codes, noise, the length of G's input, its images, and the sums of the tables' weights."""
    config, paper = EXPERIMENTS[name], PAPER[name]
    assert [code.label for code in config.codes.codes] == paper.codes
    key = jax.random.key(0)
    inputs = jax.eval_shape(lambda: config.codes.encode(config.codes.sample(key, 3)))
    assert (config.codes.noise_dim, inputs.shape) == (paper.noise, (3, paper.inputs))

    params = jax.eval_shape(lambda: infogan.init(config, key)).params
    count = {part: sum(leaf.size for leaf in jax.tree.leaves(tree)) for part, tree in params.items()}
    weights, image = parameters(paper.networks.generator, (paper.inputs,))
    assert count["generator"] == weights and image == paper.networks.image
    generator = Generator(config.networks.generator)
    images, _ = jax.eval_shape(lambda x: generator.init_with_output(key, x, train=False), inputs)
    assert images.shape == (3, *paper.networks.image)

    trunk, features = parameters(paper.networks.trunk, paper.networks.image)
    head, read = parameters(paper.networks.q_head, features)
    # A probability of each category; a mean and a sigma of each continuous code.
    outputs = sum({TEN: 10, TWENTY: 20, UNIFORM: 2}[code] for code in paper.codes)
    d_alone, q_alone = (parameters(f"FC{n}", shape)[0] for n, shape in ((1, features), (outputs, read)))
    assert count["discriminator"] == trunk + d_alone + head + q_alone


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_rates_weights_and_data(name):
    """Appendix C: Adam's rates and first decay, the batch, lambda, and what is trained on."""
    config, paper = EXPERIMENTS[name], PAPER[name]
    optimizer, objective = config.optimizer, config.objective
    assert (optimizer.lr_discriminator, optimizer.lr_generator) == paper.rates
    assert (optimizer.beta1, optimizer.lr_recognition, optimizer.generator_ema) == (0.5, 0, 0)
    assert (config.train.batch, config.train.microbatch) == (128, 0)
    assert (objective.lambda_discrete, objective.lambda_continuous) == paper.lambdas
    assert objective.scale_weighting == (0 if name == "mnist" else 1)
    # What the paper hasn't is off.
    assert (objective.instance_noise, objective.plain_gan, objective.invariance.weight) == (0, False, 0)
    assert config.data == paper.data


def test_sets_of_one_kind_share_their_networks():
    same = {
        tables.MNIST: ("mnist", "mnist-invariant", "mnist-category", "gan-baseline"),
        tables.SVHN: ("svhn", "mnist-m", "celeba"),
        tables.CHAIRS: ("chairs-rotation", "chairs-width", "coil20"),
    }
    for networks, names in same.items():
        assert all(EXPERIMENTS[name].networks == networks for name in names)


def test_the_baseline_differs_from_the_infogan_in_the_bound_alone():
    category, plain = EXPERIMENTS["mnist-category"], EXPERIMENTS["gan-baseline"]
    assert not category.objective.plain_gan
    assert plain == replace(
        category, experiment="gan-baseline", objective=replace(category.objective, plain_gan=True)
    )


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_resized_set_has_the_size_of_the_networks_images(name):
    config = EXPERIMENTS[name]
    assert not config.data.size or config.data.size == config.networks.image_shape[0]


def changed(name, **parts):
    preset = EXPERIMENTS[name]
    return replace(
        preset,
        **{k: replace(getattr(preset, k), **v) if isinstance(v, dict) else v for k, v in parts.items()},
    )


@pytest.mark.parametrize(
    "config",
    [
        EXPERIMENTS["digits"],
        changed("mnist", seed=3, train={"steps": 7, "batch": 64}, optimizer={"lr_recognition": 1e-3}),
        changed("mnist", objective={"plain_gan": True}, data={"stream": "yes"}),
        changed(
            "coil20", data={"folder": Path("a folder/it's here"), "grey": False, "skip_unreadable": True}
        ),
        changed("masks", error="l0", pixel_size=4.0),
        changed("wildlife", init_from=Path("content"), content={"error": "l2", "layer": ""}),
        changed("wildlife", networks={"blocks": 2, "over_bicubic": False}, adversarial_weight=0.01),
    ],
    ids=lambda config: config.experiment,
)
def test_the_command_line_says_the_configuration(config):
    python, script, name, *options = shlex.split(command_line(config))
    assert (python, script) == ("python", "train.py")
    assert cli._parse_train(name, EXPERIMENTS[name], options).config == config


def test_no_command_line_says_other_codes_networks_or_experiments():
    assert command_line(changed("digits", codes=LatentCodes(3, (Categorical(4),)))) is None
    assert command_line(changed("digits", codes={"noise_dim": 5})) is None
    assert command_line(changed("digits", networks=EXPERIMENTS["mnist"].networks)) is None
    assert command_line(changed("digits", experiment="mine")) is None
    assert command_line(changed("digits", experiment="masks")) is None
