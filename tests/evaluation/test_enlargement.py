from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from infogan_jax.config import Data, SuperResolutionConfig, Train
from infogan_jax.evaluation import enlargement
from infogan_jax.evaluation.enlargement import enlarge_image, reach
from infogan_jax.networks.superresolution import Generator
from infogan_jax.networks.tables import SuperResolution

pytestmark = pytest.mark.usefixtures("quick_compilation")

CONFIG = SuperResolutionConfig(
    experiment="tiny",
    data=Data("folder", "noise", Path("none")),
    networks=SuperResolution(blocks=1, channels=4, factor=2, discriminator_channels=2),
    train=Train(steps=1),
)
IMAGE = np.random.default_rng(0).integers(0, 256, (101, 50, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def generator():
    """Weights and statistics that let every layer show in the image."""
    variables = jax.jit(
        lambda key: Generator(CONFIG.networks).init(key, np.zeros((1, 4, 4, 3), np.float32), train=False)
    )(jax.random.key(0))
    variables["params"]["last"]["kernel"] *= 0.2
    return variables["params"], variables["batch_stats"]


@pytest.mark.parametrize("over_bicubic", [False, True])
def test_in_tiles_an_image_is_what_it_is_whole(generator, over_bicubic, monkeypatch):
    config = replace(CONFIG, networks=replace(CONFIG.networks, over_bicubic=over_bicubic))
    monkeypatch.setattr(enlargement, "TILE", 128)
    whole = enlarge_image(config, *generator, IMAGE)
    assert whole.shape == (202, 100, 3) and whole.dtype == np.uint8
    assert whole.std() > 10 and np.mean((whole == 0) | (whole == 255)) < 0.5
    passes = []
    enlarge = enlargement._enlarge

    def noted(config, params, stats, tile):
        passes.append(tile.shape[1:3])
        return enlarge(config, params, stats, tile)

    monkeypatch.setattr(enlargement, "_enlarge", noted)
    monkeypatch.setattr(enlargement, "TILE", 1)
    tiled = enlarge_image(config, *generator, IMAGE)
    side = 4 * reach(config.networks)
    assert set(passes) == {(side, side)} and len(passes) > 4
    # A sum in another order may round to the next byte.
    assert np.abs(tiled.astype(int) - whole).max() <= 1 and np.mean(tiled != whole) < 0.01


def test_the_generator_sees_as_far_as_is_said_and_no_farther():
    factor = 4
    sizes = SuperResolution(blocks=2, channels=2, factor=factor, discriminator_channels=1)
    module, distance = Generator(sizes), reach(sizes)
    length = 2 * distance + 3
    # A strip: the rows are all alike.
    images = np.full((1, 1, length, 3), 0.5, np.float32)
    variables = jax.jit(lambda: module.init(jax.random.key(1), images, train=False))()
    # Of a sum of the colours, by weights that no two of its terms cancel by.
    weights = np.array([1, 0.7, -0.4], np.float32)
    gradient = jax.jit(
        jax.grad(lambda x: module.apply(variables, x, train=False)[0, 0, factor * (length // 2)] @ weights)
    )
    seen = np.abs(gradient(images)).sum((0, 1, 3))
    middle = length // 2
    assert (seen[: middle - distance] == 0).all() and (seen[middle + distance + 1 :] == 0).all()
    farthest = np.abs(np.flatnonzero(seen) - middle).max()
    assert distance - 2 <= farthest <= distance


@pytest.mark.parametrize("length", [1, 43, 44, 45, 66, 67, 88, 1000])
def test_spans_cover_every_pixel_once_and_away_from_their_tiles_inner_ends(length):
    spans = list(enlargement._spans(length, 44, 11))
    assert [i for span in spans for i in range(span.first, span.last)] == list(range(length))
    for span in spans:
        assert 0 <= span.start <= max(length - 44, 0)
        assert span.first == 0 or span.first >= span.start + 11
        assert span.last == length or span.last <= span.start + 44 - 11
