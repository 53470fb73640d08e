"""What images are compared by."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infogan_jax.errors import UserError
from infogan_jax.evaluation import image_features
from infogan_jax.evaluation.distances import frechet_distance
from infogan_jax.evaluation.evaluate import evaluate
from infogan_jax.networks.features import phi
from infogan_jax.networks.infogan import Discriminator
from infogan_jax.tasks import infogan
from infogan_jax.training.checkpoints import Checkpoints

pytestmark = pytest.mark.usefixtures("quick_compilation")

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def drawn(tiny_config):
    """A state in which no weight is what another one is."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: infogan.init(tiny_config, jax.random.key(0)))

    def draw(tree):
        return jax.tree.map(lambda x: np.abs(rng.normal(0, 0.5, x.shape)).astype(np.float32), tree)

    opt = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes.opt)
    return infogan.State(np.int32(7), jax.random.key(0), draw(shapes.params), draw(shapes.stats), opt, None)


@pytest.fixture
def run(tiny_config, drawn, tmp_path):
    """The folder of a run that ended with that state."""
    with Checkpoints(tmp_path / "a.reference") as checkpoints:
        checkpoints.save(7, drawn, tiny_config)
    return tmp_path / "a.reference"


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (5, *SHAPE), np.uint8)


def test_pixels(images):
    assert image_features.PIXELS.of(images) == pytest.approx(images.reshape(5, -1) / 255)


def test_the_trunk_is_what_d_and_q_look_at(run, drawn, tiny_config, images):
    found = image_features.find(str(run), SHAPE)
    assert re.fullmatch(r"trunk-tiny-s0-7-[0-9a-f]{8}", found.name)
    assert "D's trunk of tiny, seed 0, step 7" in found.told
    features = found.of(images)
    assert features.shape == (5, 2 * 2 * 8)
    # D's logit is one dense layer on them: on real images' statistics, and on no others.
    dense = drawn.params["discriminator"]["d_logit"]
    logits = features @ dense["kernel"][:, 0] + dense["bias"]
    d = Discriminator(
        tiny_config.networks.trunk, tiny_config.networks.q_head, tiny_config.codes.posterior_dim
    )
    for stats, same in (("real", True), ("fake", False)):
        variables = infogan.discriminator_variables(drawn, stats)
        expected, _ = d.apply(variables, images / jnp.float32(255), train=False)
        assert np.allclose(logits, expected, rtol=1e-4) == same


def test_a_network_sees_three_equal_colours_of_grey_images(monkeypatch, images):
    calls = []

    def features(network, layer, params, rgb):
        calls.append((network, layer, params))
        return jnp.concatenate([rgb, 2 * rgb], axis=-1)

    monkeypatch.setattr(
        phi, "load", lambda network, layer, weights: phi.EfficientNetLite0({"w": 1.0}, "abcdef0123")
    )
    monkeypatch.setattr(phi, "features", features)
    found = image_features.find("efficientnet-lite0", SHAPE)
    means = images.astype(np.float32).mean((1, 2)) / 255
    assert found.of(images) == pytest.approx(np.concatenate([means] * 3 + [2 * means] * 3, axis=1), rel=1e-5)
    assert found.name == "efficientnet-lite0-9-abcdef01" and calls[0][:2] == ("efficientnet-lite0", "9")


def test_what_can_not_be_used_is_refused(run, tmp_path):
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"")
    for named, shape, message in (
        ("nowhere", SHAPE, "--features nowhere is not there: name a run's folder, a file of VGG19's weights"),
        (run, (28, 28, 1), r"looks at images of 8x8x1, and these are of 28x28x1"),
        (tmp_path, SHAPE, "holds no finished checkpoint"),
        (weights, SHAPE, "VGG19 needs images of 16x16 pixels or more"),
        (weights, (16, 16, 1), "weights.pt"),
        (weights, (16, 16, 2), "takes grey or RGB images, and these have 2 channels"),
    ):
        with pytest.raises(UserError, match=message):
            image_features.find(str(named), shape)


def test_a_run_is_measured_by_another_ones_trunk(run, drawn, tiny_config, digits, tmp_path):
    config = dataclasses.replace(tiny_config, seed=3)
    with Checkpoints(tmp_path / "run") as checkpoints:
        checkpoints.save(7, drawn, config)
    measured = evaluate(tmp_path / "run", dataset=digits, features=[str(run)])
    found = json.loads((tmp_path / "run/eval/metrics.json").read_text())["realism"]
    name = image_features.find(str(run), SHAPE).name
    assert found.keys() == {"pixels", name} and found == measured.metrics["realism"]
    by_trunk = found[name]
    assert by_trunk["frechet_distance"] > 0 and by_trunk["examples"] == 360
    rows = [row for row in measured.results if "by D's trunk of tiny, seed 0, step 7" in row[2]]
    assert [row[0] for row in rows] == ["Fréchet distance", "Kernel distance", "Precision", "Recall"]


def test_a_run_without_codes_has_no_such_features(enlarging_run):
    with pytest.raises(UserError, match=r"--features is for runs of an InfoGAN; .*run is one of tiny"):
        evaluate(enlarging_run, features=["efficientnet-lite0"])
    with pytest.raises(UserError, match=r"--features .*run is a run of tiny: it must be one of an InfoGAN"):
        image_features.find(str(enlarging_run), SHAPE)


def test_runs_of_several_seeds_have_features_of_different_names(run, drawn, tiny_config, tmp_path):
    names = {image_features.find(str(run), SHAPE).name}
    for n in (1, 2):
        with Checkpoints(tmp_path / f"{n}/s0") as checkpoints:
            checkpoints.save(7, drawn, dataclasses.replace(tiny_config, seed=n))
        names.add(image_features.find(str(tmp_path / f"{n}/s0"), SHAPE).name)
    assert len(names) == 3


def test_the_distance_is_of_the_features(run, images):
    look = image_features.find(str(run), SHAPE).of
    far = 255 - images
    assert frechet_distance(look(images), look(images)) == pytest.approx(0, abs=1e-3)
    assert frechet_distance(look(images), look(far)) > 1e-2
