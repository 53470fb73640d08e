"""A trained autoencoder is measured by what it makes of held-out images."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from infogan_jax.config import AutoencoderConfig, Data, Train
from infogan_jax.data.dataset import Dataset, Split
from infogan_jax.evaluation import autoencoder as measuring
from infogan_jax.evaluation.evaluate import evaluate
from infogan_jax.networks.tables import Autoencoder, Layer
from infogan_jax.tasks import autoencoder
from infogan_jax.training.checkpoints import Checkpoints

CONFIG = AutoencoderConfig(
    experiment="tiny",
    data=Data("digits", "digits"),
    networks=Autoencoder((Layer("dense", (4,)),), (Layer("dense", (8, 8, 1), activation="linear"),)),
    train=Train(steps=10, batch=16),
    error="dice",
)


def halves(columns):
    """An image that is light, 200 of 255, in so many columns."""
    image = np.zeros((8, 8, 1), np.uint8)
    image[:, :columns] = 200
    return image


DATASET = Dataset(
    "halves",
    Split(np.stack([halves(3)]), None),
    Split(np.stack([halves(2), halves(4), halves(6)]), None),
    num_classes=None,
)


@pytest.fixture
def saved(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        state = jax.jit(autoencoder.init, static_argnums=0)(CONFIG, jax.random.key(0))
        checkpoints.save(0, state, CONFIG)
    return tmp_path


def test_a_known_mistake_gets_the_figures_that_it_must(saved, monkeypatch):
    # Whatever it is shown, this one makes white of four columns.
    made = np.broadcast_to((halves(4) > 0).astype(np.float32), (1000, 8, 8, 1))
    monkeypatch.setattr(measuring, "_reconstruct", lambda config, state, batch: made)
    measured = evaluate(saved, dataset=DATASET)
    metrics = measured.metrics
    assert json.loads((saved / "eval/metrics.json").read_text()) == metrics
    assert (metrics["experiment"], metrics["error"]) == ("tiny", "dice")
    assert metrics["pixel_error_rate"] == pytest.approx((2 / 8 + 0 + 2 / 8) / 3, abs=1e-6)
    assert metrics["iou"] == pytest.approx((2 / 4 + 1 + 4 / 6) / 3, abs=1e-6)
    assert metrics["edge_placement_error"] == {
        "unit": "pixels",
        "mean": pytest.approx(4 / 3, abs=1e-6),
        "worst": pytest.approx(4 / 3, abs=1e-6),
    }
    off = 1 - 200 / 255
    l1 = (np.array([2 * off + 2, 4 * off, 4 * off + 2 * (1 - off)]) / 8).mean()
    assert metrics["errors_per_pixel"]["l1"] == pytest.approx(l1, abs=1e-5)
    assert metrics["errors_per_pixel"]["l0"] == pytest.approx((4 + 4 + 6) / 24, abs=1e-5)
    assert "16.67% wrong pixels, IoU 0.7222, edges off by 1.33 pixels" in measured.headline[0]
    page = (saved / "report.html").read_text()
    assert "1.33 pixels" in page and page.count("data:image/png") == 1
    assert f"<p>{measured.headline[0]}</p>" in page
    assert f"jax {jax.__version__}" in page and "h:min:s" not in page


def test_the_log_is_drawn_and_how_long_it_took_is_told(saved):
    record = {"step": 0, "seconds": 3671.4, "steps_per_second": 2.0, "error": 0.5, "pixel_error": 0.25}
    (saved / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    measured = evaluate(saved, dataset=DATASET)
    assert measured.pictures[1:] == [("Training: error, pixel_error", saved / "eval/curves.png")]
    page = (saved / "report.html").read_text()
    assert page.count("data:image/png") == 2 and "<dd>1:01:11</dd>" in page


def test_distances_are_in_nanometres_where_a_pixels_size_is_known(saved, monkeypatch):
    made = np.broadcast_to((halves(4) > 0).astype(np.float32), (1000, 8, 8, 1))
    monkeypatch.setattr(measuring, "_reconstruct", lambda config, state, batch: made)
    config = dataclasses.replace(CONFIG, pixel_size=4.0)
    state = jax.jit(autoencoder.init, static_argnums=0)(config, jax.random.key(0))
    measured = measuring.measure(config, state, DATASET, [], saved)
    assert measured.metrics["edge_placement_error"]["unit"] == "nm"
    assert measured.metrics["edge_placement_error"]["mean"] == pytest.approx(4 * 4 / 3, abs=1e-6)
