import dataclasses
import itertools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from infogan_jax.networks import tables
from infogan_jax.networks.superresolution import Discriminator, Generator, PReLU, ResidualBlock
from infogan_jax.networks.tables import SuperResolution

pytestmark = pytest.mark.usefixtures("quick_compilation")

TINY = SuperResolution(blocks=1, channels=4, factor=2, discriminator_channels=2)


def shapes(module, images):
    """Shapes of the outputs and of the variables, without computing either."""
    return jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), images, train=False))


def count(tree):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


# The paper's networks: Fig. 4.


def test_the_generator_is_the_papers():
    images, variables = shapes(Generator(tables.SRGAN), jnp.zeros((1, 24, 24, 3)))
    assert images.shape == (1, 96, 96, 3)
    first = 9 * 9 * 3 * 64 + 64 + 64  # weights, biases, slopes
    # Under batch norm there is an offset and a scale for each channel, and no bias.
    normed = 3 * 3 * 64 * 64 + 2 * 64
    double = 3 * 3 * 64 * 256 + 256 + 64
    last = 9 * 9 * 64 * 3 + 3
    assert count(variables["params"]) == first + 16 * (2 * normed + 64) + normed + 2 * double + last
    assert count(variables["batch_stats"]) == 33 * 2 * 64


def test_the_discriminator_is_the_papers_but_for_the_mean_over_the_places():
    logits, variables = shapes(Discriminator(tables.SRGAN), jnp.zeros((2, 96, 96, 3)))
    assert logits.shape == (2,)
    widths = [64, 64, 128, 128, 256, 256, 512, 512]
    first = 3 * 3 * 3 * 64 + 64
    normed = sum(3 * 3 * a * b + 2 * b for a, b in itertools.pairwise(widths))
    dense = 512 * 1024 + 1024 + 1024 * 1 + 1
    assert count(variables["params"]) == first + normed + dense
    assert count(variables["batch_stats"]) == 2 * sum(widths[1:])


def test_the_small_networks_are_as_their_table_says():
    images, variables = shapes(Generator(tables.SRGAN_SMALL), jnp.zeros((1, 8, 8, 3)))
    assert images.shape == (1, 32, 32, 3)
    normed = 9 * 32 * 32 + 2 * 32
    assert count(variables["params"]) == (
        (81 * 3 * 32 + 2 * 32)
        + 4 * (2 * normed + 32)
        + normed
        + 2 * (9 * 32 * 128 + 128 + 32)
        + (81 * 32 * 3 + 3)
    )
    _, variables = shapes(Discriminator(tables.SRGAN_SMALL), jnp.zeros((1, 32, 32, 3)))
    assert variables["params"]["hidden"]["kernel"].shape == (128, 256)


@pytest.mark.parametrize(
    ("shape", "factor"), [((2, 8, 8, 3), 4), ((1, 7, 5, 3), 2), ((1, 1, 13, 3), 2), ((3, 6, 9, 1), 8)]
)
def test_images_of_any_size_are_enlarged_and_judged(shape, factor):
    sizes = dataclasses.replace(TINY, factor=factor)
    images, _ = shapes(Generator(sizes), jnp.zeros(shape))
    batch, height, width, channels = shape
    assert (images.shape, images.dtype) == ((batch, factor * height, factor * width, channels), jnp.float32)
    logits, _ = shapes(Discriminator(sizes), jnp.zeros(images.shape))
    assert (logits.shape, logits.dtype) == ((batch,), jnp.float32)


def test_the_same_variables_serve_images_of_every_size():
    for module in (Generator(TINY), Discriminator(TINY)):
        _, square = shapes(module, jnp.zeros((2, 16, 16, 3)))
        _, odd = shapes(module, jnp.zeros((1, 5, 11, 3)))
        chex.assert_trees_all_equal_shapes_and_dtypes(square, odd)


def test_weights_keep_the_scale_and_slopes_start_at_a_quarter():
    sizes = SuperResolution(1, 32, 2, 8)
    init = jax.jit(lambda key: Generator(sizes).init(key, jnp.zeros((1, 2, 2, 3)), train=False))
    for path, values in jax.tree.leaves_with_path(init(jax.random.key(0))["params"]):
        name = jax.tree_util.keystr(path)
        if "kernel" in name:
            wanted = np.sqrt(2 / np.prod(values.shape[:3]))
            # 4 standard errors of a standard deviation.
            assert abs(np.std(values) / wanted - 1) < 4 / np.sqrt(2 * values.size), name
        else:
            start = 0.25 if "slope" in name else float("scale" in name)
            np.testing.assert_array_equal(values, np.full_like(values, start), err_msg=name)


# What the modules compute, against NumPy.


def convolved(x, kernel, stride=1):
    """A 3x3 or 9x9 convolution with padding "SAME", by its definition."""
    size, (height, width) = len(kernel), x.shape[1:3]
    rows, columns = -(-height // stride), -(-width // stride)
    above = max((rows - 1) * stride + size - height, 0) // 2
    left = max((columns - 1) * stride + size - width, 0) // 2
    x = np.pad(x, ((0, 0), (above, size), (left, size), (0, 0)))
    y = np.zeros((len(x), rows, columns, kernel.shape[-1]))
    for r, c in np.ndindex(rows, columns):
        seen = x[:, r * stride : r * stride + size, c * stride : c * stride + size]
        y[:, r, c] = np.einsum("nijk,ijko->no", seen, kernel)
    return y


def normalised(x, norm, mean, variance):
    return (x - mean) / np.sqrt(variance + 1e-5) * norm["scale"] + norm["bias"]


def leaky(x, slope):
    return np.where(x > 0, x, slope * x)


def shuffled(x):
    """The pixel shuffle by 2: a channel's four numbers become rows of two."""
    batch, height, width, channels = x.shape
    y = np.zeros((batch, 2 * height, 2 * width, channels // 4))
    for i, j in np.ndindex(2, 2):
        y[:, i::2, j::2] = x[..., 2 * i + j :: 4]
    return y


def randomised(variables, seed):
    """Variables in which nothing is zero or one: scales, offsets, slopes and running statistics too."""
    rng = np.random.default_rng(seed)

    def draw(path, x):
        name = jax.tree_util.keystr(path)
        if "var" in name:
            return rng.uniform(0.5, 2.0, x.shape).astype(np.float32)
        fan_in = np.prod(x.shape[:-1]) if "kernel" in name else 1
        return (rng.normal(size=x.shape) / np.sqrt(fan_in)).astype(np.float32)

    return jax.tree.map_with_path(draw, variables)


def build(module, shape, seed):
    _, variables = shapes(module, jnp.zeros(shape))
    images = np.random.default_rng(seed + 1).normal(size=shape).astype(np.float32)
    apply = jax.jit(module.apply, static_argnames=("train", "mutable"))
    return apply, randomised(variables, seed), images


def normed_convolution(x, params, stats, stride=1):
    """With the running statistics."""
    norm, kept = params["BatchNorm_0"], stats["BatchNorm_0"]
    x = convolved(x, params["_Convolution_0"]["kernel"], stride)
    return normalised(x, norm, kept["mean"], kept["var"])


def residual(x, params, stats):
    first, second = "_NormedConvolution_0", "_NormedConvolution_1"
    y = normed_convolution(x, params[first], stats[first])
    y = leaky(y, params["PReLU_0"]["slope"])
    return x + normed_convolution(y, params[second], stats[second])


def test_a_residual_block_is_the_papers():
    apply, variables, x = build(ResidualBlock(), (2, 4, 5, 6), 0)
    expected = residual(x, variables["params"], variables["batch_stats"])
    np.testing.assert_allclose(apply(variables, x, train=False), expected, rtol=1e-4, atol=1e-5)


def test_in_training_a_residual_block_uses_the_batchs_statistics_and_records_a_hundredth():
    apply, variables, x = build(ResidualBlock(), (2, 4, 5, 6), 0)
    params, expected, moved = variables["params"], x, {}
    for i, name in enumerate(("_NormedConvolution_0", "_NormedConvolution_1")):
        y = convolved(expected, params[name]["_Convolution_0"]["kernel"])
        mean, variance = y.mean(axis=(0, 1, 2)), y.var(axis=(0, 1, 2))
        old = variables["batch_stats"][name]["BatchNorm_0"]
        moved[name] = {
            "BatchNorm_0": {
                "mean": 0.99 * old["mean"] + 0.01 * mean,
                "var": 0.99 * old["var"] + 0.01 * variance,
            }
        }
        expected = normalised(y, params[name]["BatchNorm_0"], mean, variance)
        if i == 0:
            expected = leaky(expected, params["PReLU_0"]["slope"])
    y, new = apply(variables, x, train=True, mutable="batch_stats")
    np.testing.assert_allclose(y, x + expected, rtol=1e-4, atol=1e-5)
    chex.assert_trees_all_close(new["batch_stats"], moved, rtol=1e-4, atol=1e-5)


def test_the_generator_is_its_layers_one_after_the_other():
    sizes = SuperResolution(blocks=2, channels=4, factor=4, discriminator_channels=1)
    apply, variables, images = build(Generator(sizes), (2, 3, 4, 3), 2)
    params, stats = variables["params"], variables["batch_stats"]

    def affine(x, name):
        return convolved(x, params[name]["kernel"]) + params[name]["bias"]

    x = start = leaky(affine(images, "first"), params["PReLU_0"]["slope"])
    for name in ("block_0", "block_1"):
        x = residual(x, params[name], stats[name])
    x = start + normed_convolution(x, params["trunk_end"], stats["trunk_end"])
    x = leaky(shuffled(affine(x, "double_0")), params["PReLU_1"]["slope"])
    x = leaky(shuffled(affine(x, "double_1")), params["PReLU_2"]["slope"])
    expected = affine(x, "last")
    # Nothing bounds the output.
    assert np.abs(expected).max() > 1.5
    np.testing.assert_allclose(apply(variables, images, train=False), expected, rtol=1e-3, atol=1e-4)


def test_over_bicubic_the_generator_corrects_the_bicubic_enlargement_and_begins_with_it():
    sizes = dataclasses.replace(TINY, over_bicubic=True)
    images = np.random.default_rng(3).uniform(size=(1, 5, 4, 3)).astype(np.float32)
    planes = [Image.fromarray(images[0, :, :, c]).resize((8, 10), Image.Resampling.BICUBIC) for c in range(3)]
    bicubic = 2 * np.stack([np.asarray(plane) for plane in planes], axis=-1)[np.newaxis] - 1
    start, variables = jax.jit(lambda key: Generator(sizes).init_with_output(key, images, train=False))(
        jax.random.key(0)
    )
    np.testing.assert_allclose(start, bicubic, atol=1e-5)
    # The same weights as without, but for where the last ones start.
    assert not variables["params"]["last"]["kernel"].any()
    variables = randomised(variables, 3)
    alone, over = (
        jax.jit(lambda v, s=s: Generator(s).apply(v, images, train=False))(variables) for s in (TINY, sizes)
    )
    np.testing.assert_allclose(over, alone + bicubic, atol=1e-4)


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (2, 9, 5, 3)])
def test_the_discriminator_is_its_layers_one_after_the_other(shape):
    apply, variables, images = build(Discriminator(TINY), shape, 4)
    params, stats = variables["params"], variables["batch_stats"]
    x = leaky(convolved(images, params["first"]["kernel"]) + params["first"]["bias"], 0.2)
    for i, (width, stride) in enumerate([(2, 2), (4, 1), (4, 2), (8, 1), (8, 2), (16, 1), (16, 2)]):
        name = f"_NormedConvolution_{i}"
        x = leaky(normed_convolution(x, params[name], stats[name], stride), 0.2)
        assert x.shape[-1] == width
    x = x.mean(axis=(1, 2))
    x = leaky(x @ params["hidden"]["kernel"] + params["hidden"]["bias"], 0.2)
    expected = (x @ params["logit"]["kernel"] + params["logit"]["bias"])[:, 0]
    np.testing.assert_allclose(apply(variables, images, train=False), expected, rtol=1e-3, atol=1e-4)


def test_a_prelu_scales_what_is_negative_and_its_slope_learns_from_that_alone():
    x = np.array([[[[1.0, -2.0], [-3.0, 4.0]], [[-5.0, -6.0], [7.0, 8.0]]]], np.float32)
    slopes = {"params": {"slope": np.array([0.25, 0.5], np.float32).reshape(1, 1, 1, 2)}}
    weights = np.arange(1.0, 9.0, dtype=np.float32).reshape(x.shape)
    y, vjp = jax.vjp(PReLU().apply, slopes, x)
    np.testing.assert_array_equal(y, [[[[1.0, -1.0], [-0.75, 4.0]], [[-1.25, -3.0], [7.0, 8.0]]]])
    slope_gradient, x_gradient = vjp(jnp.array(weights))
    # Channel 0: 3 * -3 + 5 * -5; channel 1: 2 * -2 + 6 * -6.
    np.testing.assert_array_equal(slope_gradient["params"]["slope"].ravel(), [-34.0, -40.0])
    np.testing.assert_array_equal(x_gradient, [[[[1.0, 1.0], [0.75, 4.0]], [[1.25, 3.0], [7.0, 8.0]]]])


# Replicas, precision, bad input

NETWORKS = pytest.mark.parametrize(
    ("module", "shape"),
    [(Generator, (4, 3, 4, 3)), (Discriminator, (4, 8, 6, 3))],
    ids=["generator", "discriminator"],
)


@NETWORKS
def test_a_split_batch_is_normalised_as_a_whole(module, shape):
    """Batch norm's statistics are those of all replicas, and every replica records them."""
    apply, variables, images = build(module(TINY), shape, 6)
    whole, stats = apply(variables, images, train=True, mutable="batch_stats")
    split = jax.vmap(
        lambda x: module(TINY, axis_name="data").apply(variables, x, train=True, mutable="batch_stats"),
        axis_name="data",
    )
    halves, split_stats = jax.jit(split)(images.reshape(2, 2, *shape[1:]))
    np.testing.assert_allclose(halves.reshape(whole.shape), whole, rtol=1e-3, atol=1e-4)
    for a, b in zip(jax.tree.leaves(stats), jax.tree.leaves(split_stats), strict=True):
        np.testing.assert_allclose(b, np.stack([a, a]), rtol=1e-3, atol=1e-4)


@NETWORKS
def test_evaluation_needs_no_axis(module, shape):
    _, variables = shapes(module(TINY, axis_name="data"), jnp.zeros(shape))
    chex.assert_trees_all_equal_shapes(variables, shapes(module(TINY), jnp.zeros(shape))[1])


@NETWORKS
def test_bfloat16_is_for_products_and_activations_alone(module, shape):
    half = module(TINY, dtype="bfloat16")
    apply, variables, images = build(half, shape, 10)
    exact_apply, exact_variables, _ = build(module(TINY), shape, 10)
    # Its weights and statistics are those of float32.
    chex.assert_trees_all_equal_shapes_and_dtypes(variables, exact_variables)
    program = str(jax.make_jaxpr(lambda v, x: half.apply(v, x, train=False))(variables, images))
    products = [line for line in program.splitlines() if "dot_general[" in line or "conv_general" in line]
    assert products and all("bf16[" in line for line in products)
    trained, new = jax.eval_shape(lambda: half.apply(variables, images, train=True, mutable="batch_stats"))
    chex.assert_trees_all_equal_shapes_and_dtypes(new["batch_stats"], variables["batch_stats"])
    assert trained.dtype == np.float32
    rough, exact = apply(variables, images, train=False), exact_apply(variables, images, train=False)
    assert rough.dtype == np.float32
    # bfloat16 has 8 bits: a relative error of 1/256 in each of a dozen products.
    error = np.abs(rough - exact).max() / np.abs(exact).max()
    assert 1e-4 < error < 0.05


@pytest.mark.parametrize("module", [Generator, Discriminator])
@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((1, 4, 4, 3), np.uint8), TypeError, "images is uint8: it must be float"),
        (np.zeros((4, 4, 3), np.float32), ValueError, r"images has shape \(4, 4, 3\)"),
        (np.zeros((1, 0, 4, 3), np.float32), ValueError, r"images has shape \(1, 0, 4, 3\)"),
    ],
)
def test_what_is_no_batch_of_images_is_refused(module, images, error, message):
    with pytest.raises(error, match=message):
        shapes(module(TINY), images)
