"""A super-resolver is measured by what it makes of held-out images, beside the simplest ways."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from infogan_jax.config import Content
from infogan_jax.data.bicubic import low_resolution
from infogan_jax.data.dataset import Dataset, Split
from infogan_jax.errors import NotInstalled, UserError
from infogan_jax.evaluation import superresolution as measuring
from infogan_jax.evaluation.enlargement import enlarge_image
from infogan_jax.evaluation.evaluate import evaluate
from infogan_jax.evaluation.image_quality import luma
from infogan_jax.networks.features import phi

pytestmark = pytest.mark.usefixtures("quick_compilation")


class Loaded:
    """A feature network's weights: a number, with which `stand_in` multiplies images."""

    params = np.float32(3)
    sha256 = "0" * 64


@pytest.fixture
def stand_in(monkeypatch):
    """A network of one layer in EfficientNet-Lite0's place, by whichever stage it is asked for."""
    monkeypatch.setattr(phi, "load", lambda network, layer, weights: Loaded)
    monkeypatch.setattr(phi, "features", lambda network, layer, params, images: params * images[:, ::2])


def test_an_enlarger_gets_the_figures_that_it_must(enlarging, colours, stand_in):
    # Rows and columns beyond a multiple of the factor, 2, are cut off.
    images = [colours(21, 22, 0), colours(20, 23, 1)]
    truths = [image[:20, :22] for image in images]
    by_low = {low_resolution(true[np.newaxis], 2).tobytes(): i for i, true in enumerate(truths)}

    def perfect(low):
        return truths[by_low[low.tobytes()]]

    def light(i):
        return np.minimum(truths[i], 250) + np.uint8(1 + 3 * i)

    def lighter(low):
        return light(by_low[low.tobytes()])

    def wrong_at_the_border(low):
        made = 255 - perfect(low)
        made[4:-4, 4:-4] = perfect(low)[4:-4, 4:-4]
        return made

    ways = {"perfect": perfect, "lighter": lighter, "border": wrong_at_the_border}
    distance = measuring._distances(enlarging[0])[0][0]
    scores = measuring.score_images(ways, iter(images), 2, [distance])
    assert scores["images"] == 2
    assert scores["y_psnr"]["perfect"] == scores["y_psnr"]["border"] == pytest.approx(58.92, abs=0.005)
    assert scores["y_ssim"]["perfect"] == pytest.approx(1, abs=1e-5)
    psnr, features = [], []
    for i, true in enumerate(truths):
        made = light(i)
        off = np.asarray(luma(made) - luma(true), float)[4:-4, 4:-4]
        psnr.append(10 * np.log10(255**2 / np.mean(off**2)))
        residual = (made.astype(float) - true)[::2] / 255
        features.append(9 * np.mean((residual**2).sum(-1)))
    assert scores["y_psnr"]["lighter"] == pytest.approx(np.mean(psnr), abs=1e-3)
    measured = scores[distance.name]
    assert measured["perfect"] == 0 and measured["border"] > 0.1
    assert measured["lighter"] == pytest.approx(np.mean(features), rel=1e-3)


def test_a_black_image_among_others_leaves_every_figure_finite(enlarging, colours, stand_in):
    config, state = enlarging
    ways = measuring.enlargers(config, state)
    images = [np.zeros((20, 20, 3), np.uint8), colours(20, 20)]
    scores = measuring.score_images({"bicubic": ways["bicubic"]}, images, 2, measuring._distances(config)[0])
    # RFC 8259 has no infinity.
    json.dumps(scores, allow_nan=False)
    assert 29.46 < scores["y_psnr"]["bicubic"] < 58.92


def test_the_ways_of_enlarging_are_what_their_names_say(enlarging, colours):
    config, state = enlarging
    low = colours(9, 7)
    ways = measuring.enlargers(config, state)
    assert list(ways) == ["nearest", "bicubic", "content_only", "super_resolved"]
    made = {name: way(low) for name, way in ways.items()}
    for name, by_pillow in (("nearest", Image.Resampling.NEAREST), ("bicubic", Image.Resampling.BICUBIC)):
        # Plane by plane, of floats: those Pillow doesn't round.
        planes = [
            Image.fromarray(low[..., c].astype(np.float32)).resize((14, 18), by_pillow) for c in range(3)
        ]
        expected = np.stack([np.asarray(plane) for plane in planes], axis=-1).clip(0, 255)
        np.testing.assert_allclose(made[name], expected, atol=0.51)
    for name, params in (
        ("content_only", state.start["params"]),
        ("super_resolved", state.params["generator"]),
    ):
        np.testing.assert_array_equal(made[name], enlarge_image(config, params, state.stats, low))
    assert not np.array_equal(made["content_only"], made["super_resolved"])
    without_start = dataclasses.replace(state, start=None)
    assert list(measuring.enlargers(config, without_start)) == ["nearest", "bicubic", "super_resolved"]


def test_a_run_is_measured_on_whole_held_out_files(enlarging_run, colours, stand_in, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "earlier").mkdir()
    files = [colours(25 - i, 22, i) for i in range(7)]
    for i, image in enumerate(files):
        Image.fromarray(image).save(tmp_path / "earlier" / f"{i}.png")
    crops = Split(np.stack([colours(20, 20, i) for i in range(6)]), None)
    dataset = Dataset("noise", crops, crops, num_classes=None)
    seen = []
    score = measuring.score_images

    def noted(ways, images, factor, distances):
        seen.extend(images)
        # What two images show, one small one shows too, and it takes half the time.
        return score(ways, seen[1:], factor, distances)

    monkeypatch.setattr(measuring, "score_images", noted)
    record = {"step": 10, "seconds": 1.0, "content": 0.5, "psnr": 20.0}
    (enlarging_run / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    measured = evaluate(enlarging_run, dataset=dataset)
    assert measured.pictures[-1] == ("Training: content, psnr", enlarging_run / "eval/curves.png")
    # Every fifth file, and not the crops of it.
    assert len(seen) == 2
    np.testing.assert_array_equal(seen[0], files[0])
    np.testing.assert_array_equal(seen[1], files[5])
    metrics = measured.metrics
    assert json.loads((enlarging_run / "eval/metrics.json").read_text()) == metrics
    assert (metrics["experiment"], metrics["step"], metrics["images"]) == ("tiny", 10, 1)
    assert metrics["feature_weights_sha256"] == {
        f"efficientnet_lite0_{stage}_distance": "0" * 64 for stage in "35"
    }
    for measure in ("y_psnr", "y_ssim", "efficientnet_lite0_3_distance"):
        assert list(metrics[measure]) == ["nearest", "bicubic", "content_only", "super_resolved"]
    assert metrics["y_psnr"]["bicubic"] > metrics["y_psnr"]["nearest"] > metrics["y_psnr"]["super_resolved"]
    first, *rest = measured.headline
    assert first == f"Y-PSNR in dB on 1 held-out images: {by_way(metrics['y_psnr'])}"
    assert [line.split(":")[0] for line in rest] == [
        "Y-SSIM",
        "efficientnet lite0 3 distance",
        "efficientnet lite0 5 distance",
    ]
    with Image.open(enlarging_run / "eval/crops.png") as sheet:
        assert sheet.size == (2 * (6 * 20 + 5 * 2), 2 * (5 * 20 + 4 * 2))
    page = (enlarging_run / "report.html").read_text()
    assert "the generator at the start" in page
    assert page.count("sha256 000000000000…") == 1 and "0" * 13 not in page.split("<summary>Configuration")[0]


def by_way(values):
    return ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in values.items())


def test_a_distance_is_of_each_layer_that_can_be_had_and_named_for_it(enlarging, stand_in, monkeypatch):
    config, _ = enlarging

    def names(content):
        found, left_out = measuring._distances(dataclasses.replace(config, content=content))
        return [each.name for each in found], left_out

    by_vgg = Content("vgg19", "conv5_4", rescale=0.1)
    lite0 = [f"efficientnet_lite0_{stage}_distance" for stage in "345"]
    assert names(config.content) == ([lite0[0], lite0[2]], [])
    assert names(Content("efficientnet-lite0", "4")) == (lite0, [])
    assert names(by_vgg) == ([lite0[0], lite0[2], "vgg19_conv5_4_distance"], [])

    def only_vgg(network, layer, weights):
        if network != "vgg19":
            raise NotInstalled("the extra features is missing")
        return Loaded

    monkeypatch.setattr(phi, "load", only_vgg)
    told = "Feature distances of efficientnet-lite0 are left out: the extra features is missing"
    assert names(by_vgg) == (["vgg19_conv5_4_distance"], [told])


def test_the_report_says_whose_weights_measured_and_what_is_left_out(
    enlarging, colours, stand_in, tmp_path, monkeypatch
):
    config, state = enlarging
    images = np.stack([colours(20, 20)])

    by_vgg = dataclasses.replace(config, content=Content("vgg19", "conv5_4"))
    both = "efficientnet-lite0 (sha256 000000000000…), vgg19 (sha256 000000000000…)"
    assert measuring._weights(measuring._distances(by_vgg)[0]) == [("Weights of the feature networks", both)]

    def missing(network, layer, weights):
        raise NotInstalled("the extra features is missing")

    monkeypatch.setattr(phi, "load", missing)
    report = measuring.measure_images(config, state, images, images, tmp_path, told="held-out")
    assert report.headline[-1].endswith("left out: the extra features is missing")
    assert not any("Weights" in name for name, _ in report.summary)
    assert report.metrics["feature_weights_sha256"] == {}


def test_weights_that_are_not_there_or_not_the_runs_are_no_distance_less(enlarging, stand_in, monkeypatch):
    config, _ = enlarging
    for content in (Content("vgg19", "conv5_4"), Content("efficientnet-lite0", "3")):
        noted = dataclasses.replace(config, content=dataclasses.replace(content, weights_sha256="0" * 64))
        assert len(measuring._distances(noted)[0]) >= 2
        other = dataclasses.replace(config, content=dataclasses.replace(content, weights_sha256="1" * 64))
        with pytest.raises(UserError, match=r"0000, but --content\.weights-sha256 is 1111"):
            measuring._distances(other)

    def broken(network, layer, weights):
        raise UserError(f"{network} is cut short")

    monkeypatch.setattr(phi, "load", broken)
    with pytest.raises(UserError, match="efficientnet-lite0 is cut short"):
        measuring._distances(config)
