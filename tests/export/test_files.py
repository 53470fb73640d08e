"""Where a model may be written to and read from, and what is said of the rest."""

import dataclasses

import numpy as np
import pytest

from infogan_jax import cli, load
from infogan_jax.codes import Normal, Uniform
from infogan_jax.errors import UserError
from infogan_jax.export.files import export_run
from infogan_jax.export.model import model_of
from infogan_jax.tasks import infogan
from infogan_jax.training.checkpoints import Checkpoints


def test_a_runs_folder_is_a_model(run_dir, draw, wanted):
    model = load(run_dir)
    assert model.step == 7
    np.testing.assert_allclose(model(*draw), wanted[0], rtol=0, atol=1e-5)
    for name, value in model.recognize(wanted[0]).items():
        np.testing.assert_allclose(value, wanted[1][name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("ending", ["jax", "onnx", "folder"])
def test_of_a_bfloat16_run_everything_computes_in_float32(ending, trained, draw, wanted, tmp_path):
    config, state = trained
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, dtype="bfloat16"))
    # In bfloat16 the images are others.
    rounded = infogan.generate(config, state, {"noise": draw[0]} | draw[1])
    assert np.abs(rounded - wanted[0]).max() > 1e-3
    if ending == "onnx":
        pytest.importorskip("onnxruntime", reason="ONNX needs the extra onnx: pip install '.[onnx]'")
    with Checkpoints(tmp_path / "run") as checkpoints:
        checkpoints.save(7, state, config)
    path = tmp_path / "run"
    if ending != "folder":
        path = tmp_path / f"generator.{ending}"
        export_run(tmp_path / "run", path)
    model = load(path)
    assert model.config.model.dtype == "bfloat16"
    np.testing.assert_allclose(model(*draw), wanted[0], rtol=0, atol=1e-5)
    for name, value in model.recognize(wanted[0]).items():
        np.testing.assert_allclose(value, wanted[1][name], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("prior", "low", "high"), [(Uniform(-1, 1), -1, 1), (Normal(5, 0.1), 4, 6)])
def test_noise_is_drawn_from_the_runs_own_prior(prior, low, high, trained):
    config, state = trained
    config = dataclasses.replace(config, codes=dataclasses.replace(config.codes, noise=prior))
    model = model_of(config, state, 7)
    noise = model.sample_noise(1000, seed=3)
    assert noise.shape == (1000, 2) and noise.dtype == np.float32
    assert low < noise.min() and noise.max() < high
    np.testing.assert_allclose(noise.mean(), (low + high) / 2, atol=0.1)
    np.testing.assert_array_equal(noise, model.sample_noise(1000, seed=3))
    assert (noise != model.sample_noise(1000, seed=4)).any()


def test_bytes_are_read_as_the_floats_that_they_stand_for(run_dir):
    model = load(run_dir)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    read, again = model.recognize(images), model.recognize(images / 127.5 - 1)
    for name in read:
        np.testing.assert_allclose(read[name], again[name], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("generator.pt", "must end in .jax or .onnx"),
        ("no/such/generator.jax", "is no folder"),
        ("there.jax", "is there already: delete it, or name another file"),
    ],
)
def test_where_nothing_can_be_written_nothing_is(name, told, run_dir, tmp_path, capsys):
    (tmp_path / "there.jax").write_bytes(b"mine")
    assert cli.evaluate([str(run_dir), "--export", str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("there.jax", b"mine")]


@pytest.mark.parametrize(
    ("name", "told"),
    [("nothing.jax", "isn't there"), ("nothing", "is no run's folder"), (".", "holds no finished")],
)
def test_what_is_no_model_is_named(name, told, tmp_path):
    with pytest.raises(UserError, match=told):
        load(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"noise": np.zeros((5, 3))}, r"noise has shape \(5, 3\), not \[n, 2\]"),
        ({"noise": np.zeros((0, 2))}, "noise has shape"),
        ({"c9": np.zeros(5)}, "this generator takes c1, c2, c3, c4"),
        ({"c2": np.zeros(4)}, r"c2 has shape \(4,\), not \[5\]"),
        ({"c1": np.full(5, 3)}, "c1 is a category, a whole number from 0 to 2"),
        ({"c1": np.full(5, 0.5)}, "c1 is a category"),
    ],
)
def test_what_the_generator_cannot_take_is_refused(change, told, run_dir, draw):
    given = {"noise": draw[0]} | draw[1] | change
    noise = given.pop("noise")
    with pytest.raises(ValueError, match=told):
        load(run_dir)(noise, given)


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (np.zeros((8, 8, 3)), r"not \[n, 8, 8, 3\]"),
        (np.zeros((1, 8, 8, 1)), r"not \[n, 8, 8, 3\]"),
        (np.zeros((1, 8, 8, 3), int), "must be uint8 or floats"),
    ],
)
def test_what_q_cannot_read_is_refused(images, told, run_dir):
    with pytest.raises(ValueError, match=told):
        load(run_dir).recognize(images)
