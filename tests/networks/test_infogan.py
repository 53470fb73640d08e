import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infogan_jax.codes import Categorical, LatentCodes, Uniform
from infogan_jax.networks import tables
from infogan_jax.networks.infogan import Discriminator, Generator
from infogan_jax.networks.tables import Layer

pytestmark = pytest.mark.usefixtures("quick_compilation")


def shapes(module, *inputs):
    """Shapes of the outputs and of the variables, without computing either."""
    return jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), *inputs, train=False))


def count(tree):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


# The paper's MNIST set-up: section 7.2 and appendix C.1.

CODES = LatentCodes(62, (Categorical(10), Uniform(-1, 1), Uniform(-1, 1)))
INPUTS, OUTPUTS = 62 + 10 + 1 + 1, 10 + 2 + 2  # each continuous code has a mean and a sigma


def test_mnist_generator_is_the_papers():
    images, variables = shapes(Generator(tables.MNIST.generator), jnp.zeros((3, CODES.input_dim)))
    assert images.shape == (3, 28, 28, 1)
    # Under batch norm there is an offset and a scale for each channel, and no bias.
    fc1 = INPUTS * 1024 + 2 * 1024
    fc2 = 1024 * 7 * 7 * 128 + 2 * 128
    up1 = 4 * 4 * 128 * 64 + 2 * 64
    up2 = 4 * 4 * 64 * 1 + 1
    assert count(variables["params"]) == fc1 + fc2 + up1 + up2
    assert count(variables["batch_stats"]) == 2 * (1024 + 128 + 64)


def test_mnist_discriminator_is_the_papers():
    networks = tables.MNIST
    module = Discriminator(networks.trunk, networks.q_head, CODES.posterior_dim)
    (logits, q), variables = shapes(module, jnp.zeros((3, 28, 28, 1)))
    assert (logits.shape, q.shape) == ((3,), (3, OUTPUTS))
    conv1 = 4 * 4 * 1 * 64 + 64
    conv2 = 4 * 4 * 64 * 128 + 2 * 128
    fc = 7 * 7 * 128 * 1024 + 2 * 1024
    d_head = 1024 * 1 + 1
    q_head = 1024 * 128 + 2 * 128 + 128 * OUTPUTS + OUTPUTS
    params = variables["params"]
    assert {name: count(p) for name, p in params.items() if not name.startswith("q_")} == {
        "trunk": conv1 + conv2 + fc,
        "d_logit": d_head,
    }
    assert count(params["q_head"]) + count(params["q_output"]) == q_head
    assert count(params) == conv1 + conv2 + fc + d_head + q_head
    assert count(variables["batch_stats"]) == 2 * (128 + 1024 + 128)


# The paper's other set-ups (appendices C.2 to C.5), by the sums of their tables. Each term is a layer:
# weights, and a bias, or batch norm's offset and scale.

SETUPS = {
    "svhn": (
        tables.SVHN,
        LatentCodes(124, (Categorical(10),) * 4 + (Uniform(),) * 4),
        168,
        (32, 32, 3),
        (168 * 1792 + 2 * 448)
        + (16 * 448 * 256 + 2 * 256)
        + (16 * 256 * 128 + 128)
        + (16 * 128 * 64 + 64)
        + (16 * 64 * 3 + 3),
        (16 * 3 * 64 + 64) + (16 * 64 * 128 + 2 * 128) + (16 * 128 * 256 + 2 * 256),
        (4096 * 128 + 2 * 128) + (128 * 48 + 48),
        4096,
    ),
    "celeba": (
        tables.SVHN,
        LatentCodes(128, (Categorical(10),) * 10),
        228,
        (32, 32, 3),
        (228 * 1792 + 2 * 448)
        + (16 * 448 * 256 + 2 * 256)
        + (16 * 256 * 128 + 128)
        + (16 * 128 * 64 + 64)
        + (16 * 64 * 3 + 3),
        (16 * 3 * 64 + 64) + (16 * 64 * 128 + 2 * 128) + (16 * 128 * 256 + 2 * 256),
        (4096 * 128 + 2 * 128) + (128 * 100 + 100),
        4096,
    ),
    "faces": (
        tables.FACES,
        LatentCodes(128, (Uniform(),) * 5),
        133,
        (32, 32, 1),
        (133 * 1024 + 2 * 1024) + (1024 * 8192 + 2 * 128) + (16 * 128 * 64 + 2 * 64) + (16 * 64 * 1 + 1),
        (16 * 1 * 64 + 64) + (16 * 64 * 128 + 2 * 128) + (8192 * 1024 + 2 * 1024),
        1024 * 10 + 10,
        1024,
    ),
    "chairs": (
        tables.CHAIRS,
        LatentCodes(128, (Categorical(20),) * 3 + (Uniform(),)),
        189,
        (64, 64, 1),
        (189 * 1024 + 2 * 1024)
        + (1024 * 16384 + 2 * 256)
        + 2 * (16 * 256 * 256 + 2 * 256)
        + (16 * 256 * 128 + 2 * 128)
        + (16 * 128 * 64 + 2 * 64)
        + (16 * 64 * 1 + 1),
        (16 * 1 * 64 + 64)
        + (16 * 64 * 128 + 2 * 128)
        + (16 * 128 * 256 + 2 * 256)
        + 2 * (16 * 256 * 256 + 2 * 256)
        + (16384 * 1024 + 2 * 1024),
        1024 * 62 + 62,
        1024,
    ),
}


@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
def test_the_papers_other_set_ups(setup):
    networks, codes, inputs, image_shape, generator_sum, trunk_sum, q_sum, features = setup
    assert codes.input_dim == inputs
    assert networks.image_shape == image_shape
    images, variables = shapes(Generator(networks.generator), jnp.zeros((3, codes.input_dim)))
    assert images.shape == (3, *image_shape)
    assert count(variables["params"]) == generator_sum
    module = Discriminator(networks.trunk, networks.q_head, codes.posterior_dim)
    (logits, q), variables = shapes(module, jnp.zeros(images.shape))
    assert (logits.shape, q.shape) == ((3,), (3, codes.posterior_dim))
    params = variables["params"]
    assert count(params["trunk"]) == trunk_sum
    assert count(params["d_logit"]) == features + 1
    assert count(params) - trunk_sum - features - 1 == q_sum


def test_without_codes_there_is_no_recognition_network():
    networks = tables.MNIST
    (logits, q), variables = shapes(
        Discriminator(networks.trunk, networks.q_head, 0), jnp.zeros((3, 28, 28, 1))
    )
    assert (logits.shape, q.shape) == ((3,), (3, 0))
    assert set(variables["params"]) == {"trunk", "d_logit"}


def test_a_detached_q_reads_the_same_and_sends_no_gradient_to_the_trunk():
    arguments = (Layer("conv", (4,), 2, activation="lrelu"),), (Layer("dense", (3,)),), 5
    images = jax.random.normal(jax.random.key(1), (3, 8, 8, 1))
    attached, detached = Discriminator(*arguments), Discriminator(*arguments, detached=True)
    variables = attached.init(jax.random.key(0), images, train=False)
    np.testing.assert_array_equal(
        attached.apply(variables, images, train=False)[1], detached.apply(variables, images, train=False)[1]
    )

    def slopes(module):
        q = jax.grad(lambda v: module.apply(v, images, train=False)[1].sum())(variables)["params"]
        return {name: max(float(jnp.abs(x).max()) for x in jax.tree.leaves(part)) for name, part in q.items()}

    assert slopes(attached)["trunk"] > 0
    assert slopes(detached)["trunk"] == 0 and slopes(detached)["q_head"] > 0


def test_q_may_read_the_trunk_directly():
    (_, q), variables = shapes(Discriminator((Layer("conv", (4,), 2),), (), 5), jnp.zeros((3, 8, 8, 1)))
    assert q.shape == (3, 5)
    assert count(variables["params"]["q_output"]) == 4 * 4 * 4 * 5 + 5


# What the rows compute, on networks of a few units.

GENERATOR = (Layer("dense", (2, 2, 3), norm=True), Layer("up", (1,), 2, norm=True, activation="tanh"))
TRUNK = (Layer("conv", (4,), 2, activation="lrelu"), Layer("conv", (5,), 2, norm=True, activation="lrelu"))
Q_HEAD = (Layer("dense", (3,), norm=True, activation="lrelu"),)


def randomised(variables, seed):
    """Variables in which nothing is zero or one: scales, offsets and running statistics too."""
    rng = np.random.default_rng(seed)
    return jax.tree.map_with_path(
        lambda path, x: (
            rng.uniform(0.5, 2.0, x.shape) if "var" in str(path) else rng.normal(size=x.shape)
        ).astype(np.float32),
        variables,
    )


def build(module, shape, seed):
    _, variables = shapes(module, jnp.zeros((2, *shape)))
    inputs = np.random.default_rng(seed + 1).normal(size=(4, *shape)).astype(np.float32)
    apply = jax.jit(module.apply, static_argnames=("train", "mutable"))
    return apply, randomised(variables, seed), inputs


@pytest.fixture(scope="module", params=["generator", "discriminator"])
def network(request):
    """A module's `apply`, its variables and a batch of four."""
    if request.param == "generator":
        return build(Generator(GENERATOR), (5,), 0)
    return build(Discriminator(TRUNK, Q_HEAD, 4), (8, 8, 1), 2)


def outputs(apply, variables, inputs, train):
    """The outputs of a batch, an example's in a row."""
    out = apply(variables, inputs, train=train, mutable="batch_stats")[0]
    return np.concatenate([np.asarray(x).reshape(len(inputs), -1) for x in jax.tree.leaves(out)], axis=1)


def test_in_evaluation_an_example_does_not_depend_on_its_neighbours(network):
    apply, variables, inputs = network
    whole = outputs(apply, variables, inputs, False)
    alone = np.concatenate([outputs(apply, variables, inputs[i : i + 1], False) for i in range(4)])
    np.testing.assert_allclose(whole, alone, rtol=1e-4, atol=1e-5)
    assert np.abs(np.diff(whole, axis=0)).max() > 1e-2


def test_in_training_an_example_depends_on_its_neighbours(network):
    apply, variables, inputs = network
    whole = outputs(apply, variables, inputs, True)
    pair = outputs(apply, variables, inputs[:2], True)
    assert np.abs(whole[:2] - pair).max() > 1e-2


def test_only_training_changes_the_statistics(network):
    apply, variables, inputs = network
    _, kept = apply(variables, inputs, train=False, mutable="batch_stats")
    _, moved = apply(variables, inputs, train=True, mutable="batch_stats")
    for before, same, after in zip(
        *(jax.tree.leaves(v["batch_stats"]) for v in (variables, kept, moved)), strict=True
    ):
        np.testing.assert_array_equal(before, same)
        assert np.all(before != after)


def dense_row(activation):
    layers = (Layer("dense", (7,), norm=True, activation=activation),)
    apply, variables, inputs = build(Generator(layers), (5,), 4)
    (table,), (stats,) = variables["params"].values(), variables["batch_stats"].values()
    product = inputs @ table["Dense_0"]["kernel"]
    return apply, variables, inputs, product, table["BatchNorm_0"], stats["BatchNorm_0"]


def test_batch_norm_comes_between_the_product_and_the_activation():
    apply, variables, inputs, product, norm, stats = dense_row("lrelu")
    normalised = (product - stats["mean"]) / np.sqrt(stats["var"] + 1e-5) * norm["scale"] + norm["bias"]
    expected = np.where(normalised > 0, normalised, 0.1 * normalised)
    assert np.any(normalised < 0)
    np.testing.assert_allclose(apply(variables, inputs, train=False), expected, rtol=1e-4, atol=1e-5)


def test_running_statistics_move_a_hundredth_of_the_way_to_the_batchs():
    apply, variables, inputs, product, _, stats = dense_row("relu")
    _, new = apply(variables, inputs, train=True, mutable="batch_stats")
    moved = new["batch_stats"]["table"]["BatchNorm_0"]
    np.testing.assert_allclose(
        moved["mean"], 0.99 * stats["mean"] + 0.01 * product.mean(axis=0), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(moved["var"], 0.99 * stats["var"] + 0.01 * product.var(axis=0), rtol=1e-4)


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("relu", lambda x: np.maximum(x, 0)),
        ("lrelu", lambda x: np.where(x > 0, x, 0.1 * x)),
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
        ("tanh", np.tanh),
    ],
)
def test_activations(activation, function):
    layers = (Layer("dense", (2, 3, 1), activation=activation),)
    apply, variables, inputs = build(Generator(layers), (5,), 6)
    dense = variables["params"]["table"]["Dense_0"]
    expected = function(inputs @ dense["kernel"] + dense["bias"]).reshape(4, 2, 3, 1)
    np.testing.assert_allclose(apply(variables, inputs, train=False), expected, rtol=1e-4, atol=1e-5)


def test_weights_start_as_dcgans():
    module = Discriminator((Layer("conv", (64,), 2), Layer("dense", (64,))), Q_HEAD, 4)
    params = jax.jit(lambda key: module.init(key, jnp.zeros((1, 8, 8, 4)), train=False))(jax.random.key(0))
    for path, values in jax.tree.leaves_with_path(params["params"]):
        name = jax.tree_util.keystr(path)
        if "kernel" in name:
            # 3.5 standard errors of a standard deviation.
            error = 3.5 * 0.02 / np.sqrt(2 * values.size)
            assert abs(np.sqrt(np.mean(np.square(values))) - 0.02) < error, name
        else:
            np.testing.assert_array_equal(values, np.full_like(values, "scale" in name), err_msg=name)


def test_a_split_batch_is_normalised_as_a_whole():
    """Batch norm's statistics are those of all replicas, and every replica records them."""
    apply, variables, inputs = build(Discriminator(TRUNK, Q_HEAD, 4), (8, 8, 1), 8)
    (logits, q), stats = apply(variables, inputs, train=True, mutable="batch_stats")
    module = Discriminator(TRUNK, Q_HEAD, 4, axis_name="data")
    split = jax.vmap(
        lambda x: module.apply(variables, x, train=True, mutable="batch_stats"), axis_name="data"
    )
    (split_logits, split_q), split_stats = jax.jit(split)(inputs.reshape(2, 2, 8, 8, 1))
    np.testing.assert_allclose(split_logits.reshape(4), logits, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(split_q.reshape(4, -1), q, rtol=1e-3, atol=1e-4)
    for a, b in zip(jax.tree.leaves(stats), jax.tree.leaves(split_stats), strict=True):
        np.testing.assert_allclose(b, np.stack([a, a]), rtol=1e-4, atol=1e-5)


# Mixed precision


@pytest.mark.parametrize(
    ("half", "full", "shape"),
    [
        (Generator(GENERATOR, dtype="bfloat16"), Generator(GENERATOR), (5,)),
        (Discriminator(TRUNK, Q_HEAD, 4, dtype="bfloat16"), Discriminator(TRUNK, Q_HEAD, 4), (8, 8, 1)),
    ],
    ids=["generator", "discriminator"],
)
def test_bfloat16_is_for_products_and_activations_alone(half, full, shape):
    apply, variables, inputs = build(half, shape, 10)
    # Its weights and statistics are those of float32.
    chex.assert_trees_all_equal_shapes_and_dtypes(variables, build(full, shape, 10)[1])
    program = str(jax.make_jaxpr(lambda v, x: half.apply(v, x, train=False))(variables, inputs))
    products = [line for line in program.splitlines() if "dot_general[" in line or "conv_general" in line]
    assert products and all("bf16[" in line for line in products)
    _, new = apply(variables, inputs, train=True, mutable="batch_stats")
    chex.assert_trees_all_equal_shapes_and_dtypes(new["batch_stats"], variables["batch_stats"])
    rough = outputs(apply, variables, inputs, False)
    exact = outputs(build(full, shape, 10)[0], variables, inputs, False)
    assert rough.dtype == np.float32
    # bfloat16 has 8 bits: a relative error of 1/256 in each of a few products.
    error = np.abs(rough - exact).max() / np.abs(exact).max()
    assert 1e-4 < error < 0.05
