"""The forms of a convolution that are timed compute the same, at the shapes that the set-ups have."""

import json

import convolutions
import jax.numpy as jnp
import numpy as np
import pytest

from infogan_jax.experiments import EXPERIMENTS

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_the_layers_are_the_tables():
    mnist = EXPERIMENTS["mnist"]
    found = {layer.name: layer[1:] for layer in convolutions.convolutions(mnist)}
    n = mnist.train.batch
    assert found == {
        "G up (7, 7, 128) to (14, 14, 64)": ((n, 14, 14, 64), (n, 7, 7, 128), 2),
        "G up (14, 14, 64) to (28, 28, 1)": ((n, 28, 28, 1), (n, 14, 14, 64), 2),
        "D conv (28, 28, 1) to (14, 14, 64)": ((n, 28, 28, 1), (n, 14, 14, 64), 2),
        "D conv (14, 14, 64) to (7, 7, 128)": ((n, 14, 14, 64), (n, 7, 7, 128), 2),
    }


@pytest.mark.parametrize("stride", [1, 2])
def test_the_forms_agree(stride):
    rng = np.random.default_rng(0)
    shapes = ((2, 8, 8, 6), (2, 8 // stride, 8 // stride, 5), (4, 4, 6, 5))
    x, y, kernel = (jnp.asarray(rng.standard_normal(shape, np.float32)) for shape in shapes)
    by_form = {form: maps(x, y, kernel, stride) for form, maps in convolutions.FORMS.items()}
    assert [part.shape for part in by_form["lax"]] == [y.shape, x.shape, kernel.shape]
    for form, parts in by_form.items():
        for part, expected in zip(parts, by_form["lax"], strict=True):
            np.testing.assert_allclose(part, expected, atol=2e-4, err_msg=form)


def test_it_runs(monkeypatch, tmp_path, tiny_config, capsys):
    monkeypatch.setitem(EXPERIMENTS, "tiny", tiny_config)
    words = ("--set-up", "tiny", "--batch", "2", "--repeats", "1", "--rounds", "2")
    monkeypatch.setattr("sys.argv", ["convolutions.py", *words, "--json", str(tmp_path / "a.json")])
    convolutions.main()
    layers = json.loads((tmp_path / "a.json").read_text())["layers"]
    assert len(layers) == len(convolutions.convolutions(tiny_config)) > 0
    assert all(len(times) == 2 and min(times) > 0 for layer in layers for times in layer["ms"].values())
    assert "toom_cook, ms" in capsys.readouterr().out


def test_what_has_no_such_layers_is_refused(monkeypatch):
    monkeypatch.setattr("sys.argv", ["convolutions.py", "--set-up", "wildlife"])
    with pytest.raises(SystemExit, match="--set-up wildlife: it must be one of InfoGAN's"):
        convolutions.main()
