"""The super-resolver's step, on one replica and on eight; its start from another run; one image learned."""

import dataclasses
from functools import partial
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infogan_jax.config import Content, Data, SuperResolutionConfig, Train
from infogan_jax.data.bicubic import enlarge, low_resolution
from infogan_jax.data.dataset import Dataset, Split
from infogan_jax.networks.features import phi
from infogan_jax.networks.superresolution import Discriminator, Generator
from infogan_jax.networks.tables import SuperResolution
from infogan_jax.tasks import superresolution
from infogan_jax.tasks.replica import AXIS, Part

pytestmark = pytest.mark.usefixtures("quick_compilation")

BATCH = 8
CONTENT = SuperResolutionConfig(
    experiment="tiny-content",
    data=Data("folder", "noise", crop=12),
    networks=SuperResolution(blocks=1, channels=4, factor=2, discriminator_channels=2),
    low_crop=4,
    learning_rate=1e-3,
    train=Train(steps=10, batch=BATCH),
)
SRGAN = dataclasses.replace(
    CONTENT,
    experiment="tiny",
    content=Content("efficientnet-lite0", "3", rescale=0.5),
    adversarial_weight=0.1,
    init_from=Path("earlier"),
)
IMAGES = np.random.default_rng(0).integers(0, 256, (BATCH, 12, 10, 3), dtype=np.uint8)
SCALE = np.array([1.0, -2.0, 3.0], np.float32)


@pytest.fixture(autouse=True, scope="module")
def stand_in():
    """A network of one layer in EfficientNet-Lite0's place: values times a scale, of every other row."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            phi, "features", lambda network, layer, params, x: (x * params.reshape(1, 1, 1, 3))[:, ::2]
        )
        yield


@pytest.fixture(scope="module")
def state():
    return jax.jit(partial(superresolution.init, SRGAN))(jax.random.key(0))


def of_content(state):
    """What `init` makes of `CONTENT`."""
    return state.replace(
        params={"generator": state.params["generator"]},
        opt={"generator": state.opt["generator"]},
        start=None,
    )


def mapped(replicas):
    """`gradients` of `SRGAN` on so many replicas; results are those of the first."""
    run = partial(superresolution.gradients, SRGAN)
    run = jax.jit(jax.vmap(run, in_axes=(None, 0, None), axis_name=AXIS))

    def gradients(state, images):
        out = run(state, images.reshape(replicas, -1, *images.shape[1:]), SCALE)
        return jax.tree.map(lambda x: x[0], out)

    return gradients


@pytest.fixture(scope="module")
def alone(state):
    return mapped(1)(state, IMAGES)


def pairs(config, state, images):
    """The step's crops."""
    key = jax.random.fold_in(state.key, state.step)
    whole = Part(len(images), 0, len(images))
    one = jax.vmap(lambda x: superresolution._pairs(config, key, x, whole), axis_name=AXIS)
    return [x[0] for x in jax.jit(one)(images[None])]


def test_pairs_are_crops_and_the_same_made_small(state):
    low, high = pairs(SRGAN, state, IMAGES)
    assert low.shape == (BATCH, 4, 4, 3) and high.shape == (BATCH, 8, 8, 3)
    in_bytes = np.rint((np.asarray(high) + 1) * 127.5).astype(np.uint8)
    np.testing.assert_allclose(high, in_bytes / np.float32(127.5) - 1, atol=1e-6)
    np.testing.assert_array_equal(np.rint(255 * low).astype(np.uint8), low_resolution(in_bytes, 2))
    np.testing.assert_allclose(255 * low, np.rint(255 * low), atol=1e-4)
    for image, crop in zip(IMAGES, in_bytes, strict=True):
        positions = [np.rot90(side, n) for side in (crop, crop.swapaxes(0, 1)) for n in range(4)]
        places = [image[y : y + 8, x : x + 8] for y in range(5) for x in range(3)]
        assert any((a == b).all() for a in positions for b in places)
    # Another step, other crops.
    assert not np.array_equal(high, pairs(SRGAN, state.replace(step=state.step + 1), IMAGES)[1])


@pytest.mark.slow
def test_each_player_gets_the_gradient_of_its_own_loss(state, alone):
    low, high = pairs(SRGAN, state, IMAGES)
    grads, stats, metrics = alone

    def play(g, d):
        variables = {"params": g, "batch_stats": state.stats}
        made, new = Generator(SRGAN.networks).apply(variables, low, train=True, mutable="batch_stats")
        judge = partial(Discriminator(SRGAN.networks).apply, {"params": d}, train=True, mutable="batch_stats")
        (real, _), (fake, _) = judge(high), judge(made)
        # Eq. 5 of the stand-in, written out: features of images in [0, 1], every other row.
        difference = SCALE * ((made - high) / 2)[:, ::2] * 0.5
        content = (difference**2).sum((1, 2, 3)) / (4 * 8)
        return content, real, fake, new["batch_stats"]

    def loss_g(g, d):
        content, _, fake, _ = play(g, d)
        return (content + 0.1 * -jax.nn.log_sigmoid(fake)).mean()

    def loss_d(d, g):
        _, real, fake, _ = play(g, d)
        return -(jax.nn.log_sigmoid(real) + jax.nn.log_sigmoid(-fake)).mean()

    @jax.jit
    def everything(g, d):
        return jax.value_and_grad(loss_g)(g, d), jax.value_and_grad(loss_d)(d, g), play(g, d)

    with jax.numpy_rank_promotion("allow"):
        of_g, of_d, played = everything(state.params["generator"], state.params["discriminator"])
    (value_g, expected_g), (value_d, expected_d) = of_g, of_d
    content, _, fake, expected_stats = played
    chex.assert_trees_all_close(grads["generator"], expected_g, rtol=1e-3, atol=1e-5)
    chex.assert_trees_all_close(grads["discriminator"], expected_d, rtol=1e-3, atol=1e-5)
    chex.assert_trees_all_close(stats, expected_stats, rtol=1e-4, atol=1e-6)
    expected = {
        "loss_g": value_g,
        "loss_d": value_d,
        "content": content.mean(),
        "adversarial": -jax.nn.log_sigmoid(fake).mean(),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-4, err_msg=name)


def test_each_player_is_updated_by_adam_with_its_own_gradient(state, monkeypatch):
    grads = jax.tree.map(lambda x: jnp.full(x.shape, -2.0), state.params)
    stats = jax.tree.map(lambda x: x + 1, state.stats)
    monkeypatch.setattr(superresolution, "gradients", lambda *_: (grads, stats, {"content": 5.0}))
    config = dataclasses.replace(SRGAN, drop_after=1)
    step = jax.jit(partial(superresolution.step, config))
    one, metrics = step(state, IMAGES, SCALE)
    two, _ = step(one, IMAGES, SCALE)
    assert (one.step, two.step) == (1, 2) and metrics["content"] == 5
    for player, name in (("generator", "grad_norm_g"), ("discriminator", "grad_norm_d")):
        numbers = sum(x.size for x in jax.tree.leaves(state.params[player]))
        assert metrics[name] == pytest.approx(2 * np.sqrt(numbers), rel=1e-5)
    for before, after, rate in ((state, one, 1e-3), (one, two, 1e-4)):
        # Of a constant gradient each of Adam's steps has the learning rate's length.
        moved = jax.tree.map(lambda b, a: np.asarray(a - b), before.params, after.params)
        for x in jax.tree.leaves(moved):
            np.testing.assert_allclose(x, np.full_like(x, rate), rtol=1e-2)
    chex.assert_trees_all_equal(two.stats, stats)
    chex.assert_trees_all_equal(two.start, state.start)


@pytest.mark.slow
def test_eight_replicas_have_the_gradients_of_one(state, alone):
    for one, eight in zip(jax.tree.leaves(alone), jax.tree.leaves(mapped(8)(state, IMAGES)), strict=True):
        np.testing.assert_allclose(eight, one, rtol=5e-3, atol=1e-4)


def test_microbatches_are_normalised_apart_and_their_updates_and_statistics_are_means(state):
    half = BATCH // 2
    config = dataclasses.replace(CONTENT, train=dataclasses.replace(CONTENT.train, microbatch=half))
    begun = of_content(state)

    @jax.jit
    @partial(jax.value_and_grad, has_aux=True)
    def by_hand(params, low, high):
        variables = {"params": params, "batch_stats": begun.stats}
        made, new = Generator(CONTENT.networks).apply(variables, low, train=True, mutable="batch_stats")
        return 3 * ((made - high) ** 2).mean(), new["batch_stats"]

    low, high = pairs(CONTENT, begun, IMAGES)
    with jax.numpy_rank_promotion("allow"):
        halves = [
            by_hand(begun.params["generator"], low[part], high[part])
            for part in (slice(half), slice(half, BATCH))
        ]
    (error, stats), of_generator = jax.tree.map(lambda a, b: (a + b) / 2, *halves)
    run = jax.vmap(partial(superresolution.gradients, config), in_axes=(None, 0), axis_name=AXIS)
    grads, found_stats, metrics = jax.tree.map(lambda x: x[0], jax.jit(run)(begun, IMAGES[None]))
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(of_generator))
    chex.assert_trees_all_close(grads["generator"], of_generator, rtol=0, atol=1e-5 * largest)
    chex.assert_trees_all_close(found_stats, stats, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(metrics["content"], error, rtol=1e-5)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("l1", lambda made, true: np.abs(made - true).mean((1, 2, 3))),
        ("l2", lambda made, true: 3 * ((made - true) ** 2).mean((1, 2, 3))),
    ],
)
def test_a_content_error_of_pixels_is_what_its_name_says(error, expected):
    made, true = np.random.default_rng(1).normal(size=(2, 3, 4, 5, 3)).astype(np.float32)
    config = dataclasses.replace(CONTENT, content=Content(error))
    assert superresolution.constants(config) == ()
    value = superresolution.content_error(config, made, true)
    np.testing.assert_allclose(value, expected(made, true), rtol=1e-5)


def test_a_crop_that_is_made_exactly_leaves_every_metric_finite(state):
    # Over bicubic, as it begins: what is black is made black, and of another crop there is an error.
    config = dataclasses.replace(CONTENT, networks=dataclasses.replace(CONTENT.networks, over_bicubic=True))
    begun, weights = of_content(state), state.params["generator"]
    without = weights | {"last": jax.tree.map(jnp.zeros_like, weights["last"])}
    begun = begun.replace(params={"generator": without})
    images = np.stack([np.zeros_like(IMAGES[0]), IMAGES[1]])
    run = jax.vmap(partial(superresolution.gradients, config), in_axes=(None, 0), axis_name=AXIS)
    black, mixed = (
        {name: x[0] for name, x in jax.jit(run)(begun, of[None])[2].items()}
        for of in (images[[0, 0]], images)
    )
    assert black["content"] == 0 and black["psnr"] == pytest.approx(58.92, abs=0.005)
    assert mixed["content"] > 0 and 29.46 < mixed["psnr"] < 58.92


def test_it_learns_one_image_better_than_bicubic_enlarges_it(state):
    # Bars of a width that bicubic blurs, in three colours.
    image = np.zeros((1, 8, 8, 3), np.uint8)
    image[:, :, 1:4, 0], image[:, 2:5, :, 1], image[:, :, :, 2] = 255, 200, 90
    config = dataclasses.replace(CONTENT, learning_rate=5e-3, train=Train(steps=300, batch=1))
    run = jax.vmap(partial(superresolution.step, config), in_axes=(None, 0), axis_name=AXIS)

    @jax.jit
    def train(state):
        def update(state, _):
            state, metrics = run(state, image[None])
            return jax.tree.map(lambda x: x[0], (state, metrics))

        return jax.lax.scan(update, state, length=300)

    trained, metrics = train(of_content(state))
    low, high = pairs(config, trained, image)
    bicubic = 2 * enlarge(low, 2) - 1
    of_bicubic = -10 * np.log10(np.mean((np.asarray(bicubic - high) / 2) ** 2))
    assert metrics["psnr"][-20:].mean() > of_bicubic + 6
    assert metrics["content"][-20:].mean() < metrics["content"][0] / 20
    assert set(metrics) == {"content", "psnr", "grad_norm_g"}


def test_a_run_takes_over_an_earlier_generator_and_nothing_else(state):
    earlier = of_content(jax.tree.map(lambda x: x + 1 if x.dtype == np.float32 else x, state))
    begun = superresolution.take_over(state, earlier)
    chex.assert_trees_all_equal(begun.params["generator"], earlier.params["generator"])
    chex.assert_trees_all_equal(begun.params["discriminator"], state.params["discriminator"])
    chex.assert_trees_all_equal(begun.stats, earlier.stats)
    chex.assert_trees_all_equal(begun.start, {"params": earlier.params["generator"], "stats": earlier.stats})
    chex.assert_trees_all_equal(begun.opt, state.opt)
    assert begun.step == 0


def test_the_state_is_of_the_players_that_there_are(state):
    alone = jax.eval_shape(partial(superresolution.init, CONTENT), jax.random.key(0))
    chex.assert_trees_all_equal_shapes_and_dtypes(alone, of_content(state))


def test_samples_are_rows_of_each_way_of_enlarging(state):
    images = np.random.default_rng(2).integers(0, 256, (7, 11, 9, 3), dtype=np.uint8)
    dataset = Dataset("noise", Split(images, None), Split(images, None), num_classes=None)
    begun = superresolution.take_over(
        state, of_content(jax.tree.map(lambda x: 1.1 * x if x.ndim else x, state))
    )
    begun = begun.replace(params=state.params, stats=state.stats)
    pictures, columns = superresolution.samples(SRGAN, dataset)(begun)
    assert columns == 6 and pictures.shape == (5 * 6, 8, 8, 3)
    nearest, bicubic, start, own, high = pictures.reshape(5, 6, 8, 8, 3)
    np.testing.assert_array_equal(high, images[:6, 1:9, 0:8])
    low = np.asarray(low_resolution(high, 2))
    np.testing.assert_array_equal(nearest[:, ::2, 1::2], low)
    np.testing.assert_allclose(
        bicubic, np.asarray(enlarge(low.astype(np.float32), 2)).clip(0, 255), atol=0.51
    )
    super_resolve = jax.jit(partial(superresolution.super_resolve, SRGAN))
    made = super_resolve(state.params["generator"], state.stats, low)
    np.testing.assert_allclose(own, 127.5 * (np.asarray(made).clip(-1, 1) + 1), atol=0.51)
    assert not np.array_equal(start, own)
    assert len(superresolution.samples(CONTENT, dataset)(of_content(state))[0]) == 4 * 6


def test_described_in_words():
    metrics = {"content": 0.01234, "psnr": 24.567, "loss_g": 0.02, "loss_d": 1.234, "adversarial": 0.5}
    assert superresolution.describe(SRGAN, metrics) == (
        "efficientnet-lite0 0.01234  PSNR 24.57 dB  D 1.23  G 0.50"
    )
    del metrics["loss_d"]
    assert superresolution.describe(CONTENT, metrics) == "l2 0.01234  PSNR 24.57 dB"
