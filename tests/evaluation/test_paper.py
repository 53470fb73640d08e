import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from infogan_jax.config import Objective, to_json
from infogan_jax.errors import UserError
from infogan_jax.evaluation.paper import draw_figures
from infogan_jax.experiments import EXPERIMENTS


def make_run(folder, config, nats=(0.0,), traversals=()):
    """A run's folder as far as the figures look at it."""
    for item in ("run", "state"):
        (folder / "checkpoints/20" / item).mkdir(parents=True)
    (folder / "checkpoints/20/run/run.json").write_text(json.dumps({"config": to_json(config)}))
    codes = config.codes.named if hasattr(config, "codes") else ()
    names = [f"mi_{name}" for name in codes]
    lines = [
        {"step": 10 * i, "seconds": i, **dict.fromkeys(names, value)} for i, value in enumerate(nats, start=1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "eval").mkdir()
    for name, size in traversals:
        Image.fromarray(np.full((*size, 3), 7, np.uint8)).save(folder / f"eval/traversal-{name}.png")


@pytest.fixture
def config(tiny_config):
    return dataclasses.replace(tiny_config, objective=Objective())


def test_figure_1_has_every_run(tmp_path, config):
    for seed, last in ((0, 1.9), (1, 1.2)):
        make_run(tmp_path / f"runs/s{seed}", dataclasses.replace(config, seed=seed), [0.5, last])
    plain = dataclasses.replace(config, objective=Objective(plain_gan=True))
    make_run(tmp_path / "plain", plain, [0.1, 0.0])
    (path,) = draw_figures([tmp_path / "runs", tmp_path / "plain"], tmp_path / "out")
    assert path.name == "information.png"
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    blue, orange = (
        np.argwhere((np.abs(pixels - colour) < 12).all(-1)) for colour in ((31, 119, 180), (255, 127, 14))
    )
    assert len(blue) > 200 and len(orange) > 100
    # The plain GAN's curve is below those of the InfoGANs.
    assert np.median(orange[:, 0]) > np.median(blue[:, 0])


def test_a_run_of_figure_1_that_was_measured_shows_its_codes_too(tmp_path, config):
    grid = [("c1", (3, 4)), ("c2", (3, 4))]
    plain = dataclasses.replace(config, experiment="plain", objective=Objective(plain_gan=True))
    make_run(tmp_path / "runs/s0", config, traversals=grid)
    make_run(tmp_path / "runs/s1", dataclasses.replace(config, seed=1))
    make_run(tmp_path / "plain", plain, traversals=grid)
    # Each run is drawn once, however often it is named.
    named = [tmp_path / "runs", tmp_path / "runs/s0", tmp_path / "plain", tmp_path / "plain/../plain"]
    paths = draw_figures(named, tmp_path / "out")
    assert [path.name for path in paths] == ["information.png", "tiny-s0.png", "plain-s0.png"]


def test_manipulations_are_laid_out_in_two_columns(tmp_path, config):
    make_run(tmp_path / "run", config, traversals=[("c1", (30, 40)), ("c2", (20, 50))])
    (path,) = draw_figures([tmp_path / "run"], tmp_path / "out")
    assert path.name == "tiny-s0.png"
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape == (30, 100, 3)
    assert (pixels[:30, :40] == 7).all() and (pixels[:20, 50:] == 7).all() and (pixels[20:, 50:] == 255).all()


def test_figure_1_is_of_one_kind_of_run(tmp_path, config):
    plain = dataclasses.replace(config, objective=Objective(plain_gan=True))
    other = dataclasses.replace(plain, codes=dataclasses.replace(plain.codes, noise_dim=9))
    make_run(tmp_path / "a", plain)
    make_run(tmp_path / "b", other)
    with pytest.raises(UserError, match="plain GANs are of more than one kind"):
        draw_figures([tmp_path / "a", tmp_path / "b"], tmp_path / "out")


def test_pictures_of_one_name_are_not_drawn_over_each_other(tmp_path, config):
    for name in "ab":
        make_run(tmp_path / name, config, traversals=[("c1", (3, 4)), ("c2", (3, 4))])
    with pytest.raises(UserError, match=r"2 runs would be drawn as tiny-s0\.png: draw them apart, by --out"):
        draw_figures([tmp_path / "a", tmp_path / "b"], tmp_path / "out")


def test_what_cannot_be_drawn_is_refused_and_nothing_is_written(tmp_path, config):
    make_run(tmp_path / "unmeasured", config)
    make_run(tmp_path / "masks", dataclasses.replace(EXPERIMENTS["masks"], seed=0), [])
    for name, message in (
        ("unmeasured", r"has not been measured: run `eval\.py .*unmeasured` first"),
        ("absent", "is no folder"),
        ("masks", "a run of masks, which has no codes"),
    ):
        with pytest.raises(UserError, match=message):
            draw_figures([tmp_path / name], tmp_path / "out")
    assert not (tmp_path / "out").exists()
