import pytest

from infogan_jax.codes import Categorical, Uniform
from infogan_jax.experiments import EXPERIMENTS
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
