import jax
import pytest

from infogan_jax.experiments import EXPERIMENTS
from infogan_jax.networks import tables
from infogan_jax.networks.infogan import Generator
from infogan_jax.networks.tables import Layer, Networks, SuperResolution
from infogan_jax.tasks import autoencoder


@pytest.mark.parametrize(
    ("networks", "shape", "value_range"),
    [(tables.MNIST, (28, 28, 1), (0.0, 1.0)), (tables.DIGITS, (8, 8, 1), (0.0, 1.0))],
    ids=["mnist", "digits"],
)
def test_shape_and_range_of_the_images(networks, shape, value_range):
    assert networks.image_shape == shape
    assert networks.image_range == value_range
    # What the generator really makes.
    generator = Generator(networks.generator)
    images, _ = jax.eval_shape(
        lambda: generator.init_with_output(jax.random.key(0), jax.numpy.zeros((2, 9)), train=False)
    )
    assert images.shape == (2, *shape)


@pytest.mark.parametrize("experiment", ["masks", "digits-autoencoder", "mnist-autoencoder"])
def test_an_autoencoder_makes_images_of_the_shape_that_it_reads(experiment):
    config = EXPERIMENTS[experiment]
    images = jax.numpy.zeros((2, *config.networks.image_shape))
    # As in training, but for the mapped axis.
    module = autoencoder._Autoencoder(config)
    logits, variables = jax.eval_shape(
        lambda: module.init_with_output(jax.random.key(0), images, train=False)
    )
    assert logits.shape == images.shape
    assert "batch_stats" in variables


def test_image_shape_follows_strides_and_ends_with_the_last_rows_channels():
    generator = (
        Layer("dense", (3, 5, 8)),
        Layer("up", (8,), stride=1),
        Layer("up", (4,), stride=2),
        Layer("up", (3,), stride=3, activation="tanh"),
    )
    networks = Networks(generator, trunk=())
    assert networks.image_shape == (3 * 2 * 3, 5 * 2 * 3, 3)
    assert networks.image_range == (-1.0, 1.0)


def test_a_dense_last_row_may_name_an_image_shape():
    networks = Networks((Layer("dense", (6, 4, 3), activation="sigmoid"),), trunk=())
    assert networks.image_shape == (6, 4, 3)


@pytest.mark.parametrize("networks", [tables.MNIST, tables.DIGITS], ids=["mnist", "digits"])
def test_neither_the_images_nor_what_the_discriminator_sees_is_normalised(networks):
    assert not networks.generator[-1].norm
    assert not networks.trunk[0].norm
    assert all(layer.norm for layer in networks.generator[:-1] + networks.trunk[1:] + networks.q_head)
    assert {layer.activation for layer in networks.generator[:-1]} == {"relu"}
    assert {layer.activation for layer in networks.trunk + networks.q_head} == {"lrelu"}


@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ((0, 8, 2, 8), ValueError, "blocks is 0: it must be at least 1"),
        ((1, 0, 2, 8), ValueError, "channels is 0"),
        ((1, 8, 2, 0), ValueError, "discriminator_channels is 0"),
        ((1, 8, 1, 8), ValueError, "factor is 1: it must be at least 2"),
        ((1, 8, 3, 8), ValueError, "factor is 3: it must be a power of two"),
        ((1, 8, 6, 8), ValueError, "factor is 6: it must be a power of two"),
        ((1, 8, 4.0, 8), TypeError, "factor is float"),
    ],
)
def test_sizes_that_no_super_resolver_can_have_are_refused(sizes, error, message):
    with pytest.raises(error, match=message):
        SuperResolution(*sizes)
