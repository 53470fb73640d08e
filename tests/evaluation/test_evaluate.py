"""A saved state is measured as a finished run would be, for codes and data of every kind."""

import dataclasses
import json
import statistics

import jax
import numpy as np
import pytest
from PIL import Image

from infogan_jax.codes import Bernoulli, Categorical, LatentCodes, Uniform
from infogan_jax.data.dataset import Dataset, Factor, Split
from infogan_jax.evaluation import inference
from infogan_jax.evaluation import infogan as measuring
from infogan_jax.evaluation.evaluate import evaluate
from infogan_jax.tasks import infogan
from infogan_jax.tasks.replica import to_float
from infogan_jax.training.checkpoints import Checkpoints


def without_invariance(config, codes):
    return dataclasses.replace(config, codes=codes, objective=type(config.objective)())


def saved(config, folder):
    state = jax.jit(infogan.init, static_argnums=0)(config, jax.random.key(config.seed))
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(0, state, config)
    return state


@pytest.mark.parametrize(
    ("codes", "pictures"),
    [
        ((Categorical(3), Categorical(12)), {"confusion", "samples", "traversal-c1", "traversal-c2"}),
        ((Uniform(), Bernoulli()), {"samples", "traversal-c1", "traversal-c2"}),
        ((), {"samples"}),
    ],
    ids=["two categorical", "none categorical", "no codes"],
)
def test_every_kind_of_code_is_measured(codes, pictures, tiny_config, digits, tmp_path):
    config = without_invariance(tiny_config, LatentCodes(3, codes))
    config = dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, generator_ema=0.9))
    saved(config, tmp_path)
    record = {"step": 0, "seconds": 1.0, "loss_d": 1.0, "loss_g": 1.0}
    record |= {f"mi_{name}": 0.0 for name in config.codes.named}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    metrics = evaluate(tmp_path, dataset=digits).metrics
    assert json.loads((tmp_path / "eval/metrics.json").read_text()) == metrics
    pictures = pictures | {"curves", "training-images"}
    assert {path.stem for path in (tmp_path / "eval").glob("*.png")} == pictures
    names = {f"c{i}" for i in range(1, len(codes) + 1)} | {"total"}
    assert metrics["mutual_information"].keys() == metrics["prior_entropy"].keys() == names
    assert (metrics["code_error"] is None) == ("confusion" not in pictures)
    assert metrics["code"] in ((None,) if metrics["code_error"] is None else ("c1", "c2"))
    assert (tmp_path / "report.html").stat().st_size > 5000
    with Image.open(tmp_path / "eval/training-images.png") as image:
        sheet = np.asarray(image)
    scale = sheet.shape[1] // (10 * (8 + 2) - 2)
    first = sheet[: 8 * scale : scale, : 8 * scale : scale].reshape(8, 8)
    assert (digits.train.images[..., 0] == first).all((1, 2)).any()


def test_without_labels_what_needs_them_is_null(tiny_config, digits, tmp_path):
    saved(tiny_config, tmp_path)
    unlabelled = Dataset(
        "digits", Split(digits.train.images, None), Split(digits.test.images, None), num_classes=None
    )
    metrics = evaluate(tmp_path, dataset=unlabelled).metrics
    for name in ("code_error", "code_error_majority", "kmeans_error", "nmi", "ari"):
        assert metrics[name] is None
    assert metrics["mutual_information"]["c1"] < np.log(4)


def test_reading_in_batches_is_reading_at_once_with_the_statistics_asked_for(
    tiny_config, digits, tmp_path, monkeypatch
):
    state = saved(tiny_config, tmp_path)
    skewed = jax.tree.map(lambda x: x + 1, state.stats["fake"])
    state = dataclasses.replace(state, stats=state.stats | {"fake": skewed})
    images = digits.test.images[:50]
    for stats in ("real", "fake"):
        variables = infogan.discriminator_variables(state, stats)
        expected = infogan.read_images(tiny_config, variables, to_float(tiny_config, images))
        monkeypatch.setattr(inference, "BATCH", 16)
        read = inference.read_codes(tiny_config, state, images, stats)
        np.testing.assert_array_equal(read["c1"], expected["c1"])
        np.testing.assert_allclose(read["c2"], expected["c2"], rtol=1e-4, atol=1e-6)


def test_information_is_a_mean_with_its_standard_error(tiny_config, tmp_path):
    state = saved(tiny_config, tmp_path)
    few = inference.estimate_information(tiny_config, state, draws=2000)
    many = inference.estimate_information(tiny_config, state, draws=8000)
    assert few.keys() == {"c1", "c2", "total"}
    for name, estimate in few.items():
        assert abs(estimate.mean - many[name].mean) < 5 * estimate.standard_error
        assert estimate.standard_error == pytest.approx(2 * many[name].standard_error, rel=0.2)
    assert few["total"].mean == pytest.approx(few["c1"].mean + few["c2"].mean, abs=1e-5)


def test_information_does_not_depend_on_the_statistics_of_earlier_steps(tiny_config, tmp_path):
    state = saved(tiny_config, tmp_path)
    stale = state.stats | {"fake": jax.tree.map(lambda x: 3 * x + 1, state.stats["fake"])}
    expected, found = (
        inference.estimate_information(tiny_config, each, draws=1000)
        for each in (state, dataclasses.replace(state, stats=stale))
    )
    assert found == expected


def test_the_mean_and_its_standard_error_are_those_of_the_draws(tiny_config, tmp_path, monkeypatch):
    state, drawn = saved(tiny_config, tmp_path), []
    one_batch = inference._information

    def recorded(*arguments):
        drawn.append(one_batch(*arguments))
        return drawn[-1]

    monkeypatch.setattr(inference, "_information", recorded)
    # The second batch is cut short.
    estimates = inference.estimate_information(tiny_config, state, draws=1500)
    assert len(drawn) == 2 and estimates.keys() == {"c1", "c2", "total"}
    for name, estimate in estimates.items():
        nats = [float(x) for batch in drawn for x in batch[name]][:1500]
        assert estimate.mean == pytest.approx(statistics.fmean(nats), rel=1e-4)
        assert estimate.standard_error == pytest.approx(statistics.stdev(nats) / 1500**0.5, rel=1e-4)
    # Other draws each time, not the same again.
    assert not np.allclose(drawn[0]["total"], drawn[1]["total"])


def test_categories_are_matched_on_training_images_and_scored_on_test_images(
    tiny_config, digits, tmp_path, monkeypatch
):
    config = without_invariance(tiny_config, LatentCodes(3, (Categorical(10), Categorical(10))))
    saved(config, tmp_path)
    swapped = np.array([1, 0, *range(2, 10)])
    test_labels = digits.test.labels

    def read(config, state, images, stats):
        """c1 says nothing. c2 is the class, but "real" exchanges two in test images."""
        training = len(images) == len(digits.train.images)
        labels = digits.train.labels if training else test_labels
        c2 = swapped[labels] if stats == "real" and not training else labels
        return {"c1": np.zeros(len(images), int), "c2": (c2 + 3) % 10}

    monkeypatch.setattr(measuring, "read_codes", read)
    metrics = evaluate(tmp_path, dataset=digits).metrics
    assert metrics["code"] == "c2"
    exchanged = np.mean(test_labels < 2)
    assert 0.1 < exchanged < 0.3
    assert metrics["code_error"] == pytest.approx(exchanged, abs=1e-6)
    assert metrics["code_error_by_statistics"] == {"real": metrics["code_error"], "fake": 0.0}


def test_codes_are_measured_against_known_factors(tiny_config, digits, tmp_path):
    saved(tiny_config, tmp_path)
    rng = np.random.default_rng(0)

    def split(part):
        return Split(part.images, None, rng.random((len(part.images), 1)).astype(np.float32))

    known = Dataset("digits", split(digits.train), split(digits.test), None, (Factor("chance"),))
    metrics = evaluate(tmp_path, dataset=known).metrics
    assert metrics["code_error"] is None
    assert metrics["recovery"]["chance"]["all_codes"] < 0.2
    assert (tmp_path / "eval/factors.png").exists()
    assert "Chance" in (tmp_path / "report.html").read_text()
    assert json.loads((tmp_path / "eval/metrics.json").read_text()) == metrics
