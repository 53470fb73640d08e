import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from infogan_jax import cli
from infogan_jax.codes import Categorical, LatentCodes, Uniform
from infogan_jax.experiments import EXPERIMENTS, command_line
from infogan_jax.networks import tables


@pytest.mark.parametrize(
    ("name", "categories", "continuous", "noise", "inputs"),
    [
        ("mnist", (10,), 2, 62, 74),
        ("svhn", (10,) * 4, 4, 124, 168),
        ("celeba", (10,) * 10, 0, 128, 228),
        ("faces-azimuth", (), 5, 128, 133),
        ("chairs-rotation", (20,) * 3, 1, 128, 189),
    ],
)
def test_the_papers_codes(name, categories, continuous, noise, inputs):
    """Appendix C: codes, noise and the length of G's input."""
    codes = EXPERIMENTS[name].codes
    assert tuple(code.categories for code in codes.codes if isinstance(code, Categorical)) == categories
    uniform = [code for code in codes.codes if isinstance(code, Uniform)]
    assert len(uniform) == continuous and all((code.low, code.high) == (-1, 1) for code in uniform)
    assert (codes.noise_dim, codes.input_dim) == (noise, inputs)


@pytest.mark.parametrize(
    ("name", "lr_d", "lr_g", "discrete", "continuous"),
    [
        ("svhn", 2e-4, 1e-3, 1.0, 1.0),
        ("celeba", 2e-4, 1e-3, 1.0, 1.0),
        ("faces-azimuth", 2e-4, 5e-4, 1.0, 0.2),
        ("faces-elevation", 4e-4, 3e-4, 1.0, 0.1),
        ("faces-lighting", 8e-4, 3e-4, 1.0, 0.1),
        ("faces-width", 8e-4, 3e-4, 1.0, 0.1),
        ("chairs-rotation", 2e-4, 1e-3, 1.0, 10.0),
        ("chairs-width", 2e-4, 1e-3, 2.0, 0.05),
    ],
)
def test_the_papers_rates_and_weights(name, lr_d, lr_g, discrete, continuous):
    """Appendix C: Adam's rates of D with Q and of G, and lambda."""
    config = EXPERIMENTS[name]
    assert (config.optimizer.lr_discriminator, config.optimizer.lr_generator) == (lr_d, lr_g)
    assert config.optimizer.beta1 == 0.5 and config.train.batch == 128
    assert (config.objective.lambda_discrete, config.objective.lambda_continuous) == (discrete, continuous)
    # The lambdas of a sigma that is fixed at 1.
    assert config.objective.scale_weighting == 1


def test_sets_of_one_kind_share_their_networks():
    same = {
        tables.MNIST: ("mnist", "mnist-invariant", "mnist-category", "gan-baseline"),
        tables.SVHN: ("svhn", "mnist-m", "celeba"),
        tables.CHAIRS: ("chairs-rotation", "chairs-width", "coil20"),
    }
    for networks, names in same.items():
        assert all(EXPERIMENTS[name].networks == networks for name in names)


def test_the_baseline_differs_from_the_infogan_in_the_bound_alone():
    infogan, plain = EXPERIMENTS["mnist-category"], EXPERIMENTS["gan-baseline"]
    assert (plain.codes, plain.networks, plain.train) == (infogan.codes, infogan.networks, infogan.train)
    assert plain.objective.plain_gan and not infogan.objective.plain_gan


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
