"""The benchmarks of input, start-up and scaling run on tiny sizes and write what they print."""

import dataclasses
import importlib
import json
import statistics

import jax
import overhead
import pytest
import scaling
import set_ups
import startup

from infogan_jax.config import Objective
from infogan_jax.experiments import EXPERIMENTS

pytestmark = pytest.mark.usefixtures("quick_compilation")


def call(monkeypatch, name, *words):
    monkeypatch.setattr("sys.argv", [f"{name}.py", *map(str, words)])
    importlib.import_module(name).main()


def test_input(monkeypatch, tmp_path, capsys):
    counts = ("--batch", 8, "--images", 20, "--steps", 2, "--calls", 1, "--rounds", 3)
    words = ("--set-up", "digits-autoencoder", *counts, "--json", tmp_path / "a.json")
    call(monkeypatch, "input", *words)
    numbers = json.loads((tmp_path / "a.json").read_text())
    assert len(numbers["ratio_by_round"]) == 3 and min(numbers["ratio_by_round"]) > 0
    assert numbers["images"] == 20
    assert "streamed by grain" in capsys.readouterr().out


def test_scenes(monkeypatch, tmp_path, capsys, tiny_config):
    heads = EXPERIMENTS["heads"]
    tiny = dataclasses.replace(tiny_config, experiment="heads", data=heads.data, train=heads.train)
    monkeypatch.setitem(EXPERIMENTS, "heads", tiny)
    counts = ("--images", 128, "--rounds", 2)
    call(monkeypatch, "scenes", "--scenes", "heads", *counts, "--json", tmp_path / "a.json")
    numbers = json.loads((tmp_path / "a.json").read_text())["heads"]
    assert len(numbers["rendering"]) == len(numbers["step"]) == 2
    of_one = [statistics.median(numbers[task]) for task in ("rendering", "step")]
    rendering, training = 1.2 * heads.data.render * of_one[0], heads.train.steps * of_one[1]
    assert numbers["share"] == pytest.approx(rendering / (rendering + training)) and 0 < numbers["share"] < 1
    of_batch = heads.train.batch * of_one[0]
    assert numbers["share_endless"] == pytest.approx(of_batch / (of_batch + of_one[1]))
    told = capsys.readouterr().out
    assert f"{numbers['share']:.2%}" in told and f"{numbers['share_endless']:.2%}" in told


def test_a_scene_that_is_not_there(monkeypatch):
    with pytest.raises(SystemExit, match="--scenes mnist: each must be one of sprites, heads, seats"):
        call(monkeypatch, "scenes", "--scenes", "mnist")


def test_set_ups(monkeypatch, tmp_path, capsys):
    words = ("--set-ups", "digits", "--batch", 4, "--steps", 1, "--rounds", 2)
    call(monkeypatch, "set_ups", *words, "--json", tmp_path / "a.json")
    numbers = json.loads((tmp_path / "a.json").read_text())
    times = numbers["milliseconds_per_step"]["digits"]
    assert len(times) == 2 and min(times) > 0 and numbers["batch"] == 4
    monkeypatch.setattr(set_ups, "measure", lambda options: {"digits": [2.0, 4.0], "heads": [6.0, 12.0]})
    call(monkeypatch, "set_ups", "--set-ups", "digits", "heads")
    assert "3.00" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="--set-ups masks: it must be an InfoGAN experiment"):
        call(monkeypatch, "set_ups", "--set-ups", "digits", "masks")


def test_startup(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(startup, "seconds", lambda words, cache=None: float(len(words)))
    call(monkeypatch, "startup", "--rounds", 2, "--json", tmp_path / "a.json")
    numbers = json.loads((tmp_path / "a.json").read_text())
    assert numbers["seconds"]["train.py --help"] == [2.0, 2.0]
    assert "the first step of the next run" in capsys.readouterr().out


def test_a_program_that_is_only_traced_is_not_timed():
    timed = overhead.Timed(jax.jit(lambda x: x + 1))
    jax.make_jaxpr(timed)(1.0)
    assert timed.calls == [] and timed(1.0) == 2.0
    ((began, ended),) = timed.calls
    assert began < ended


def test_a_process_that_fails_says_why():
    with pytest.raises(SystemExit, match="nowhere"):
        startup.seconds(["-c", "import nowhere"])
    assert startup.seconds(["-c", "pass"]) > 0


def test_the_first_step_is_taken():
    startup.first_step("digits-autoencoder", 4)


def test_scaling(monkeypatch, tmp_path, capsys):
    def measured(point):
        return {"ms": point.batch * 2.0, "least_ms": 1.0, "most_ms": 9.0} | dict.fromkeys(
            ("peak_mib", "grew_mib", "program_mib"), 5.0
        )

    monkeypatch.setattr(scaling, "in_a_process", measured)
    call(monkeypatch, "scaling", "--sweep", "batch", "--batch", 4, 8, 16, "--json", tmp_path / "a.json")
    numbers = json.loads((tmp_path / "a.json").read_text())["batch"]
    assert numbers["sizes"] == [4, 8, 16]
    assert numbers["exponents"] == {"ms": pytest.approx(1), "peak_mib": pytest.approx(0, abs=1e-9)}
    assert "exponent of time 1.00" in capsys.readouterr().out


def test_a_point_is_measured_with_half_the_channels(tiny_config, monkeypatch):
    monkeypatch.setitem(EXPERIMENTS, "tiny", dataclasses.replace(tiny_config, objective=Objective()))
    point = scaling.Point("tiny", batch=4, width=0.5, images=9, steps=4, per_call=2)
    found = scaling.measure(point)
    assert found["ms"] > 0 and found["peak_mib"] > 10
    assert scaling.widened(tiny_config, 0.5).networks.image_shape == (8, 8, 1)


def test_what_cannot_be_timed_is_refused(monkeypatch):
    for name, words, message in (
        ("input", ("--set-up", "nothing"), "--set-up nothing: it must be one of"),
        ("input", ("--batch", 1), "--batch 1: it must be 2 or more"),
        ("startup", ("--rounds", 0), "--rounds 0: it must be 1 or more"),
        ("scaling", ("--steps", 5), "--steps 5: it must be 10 or more"),
        ("scaling", ("--set-up", "masks"), "--set-up masks: its layers can't be widened"),
    ):
        with pytest.raises(SystemExit, match=message):
            call(monkeypatch, name, *words)


def test_overhead(monkeypatch, tmp_path, capsys):
    words = ("--set-up", "digits-autoencoder", "--steps", 1, "--rounds", 2, "--json", tmp_path / "a.json")
    call(monkeypatch, "overhead", *words)
    numbers = json.loads((tmp_path / "a.json").read_text())
    per_call = EXPERIMENTS["digits-autoencoder"].train.steps_per_call
    assert numbers["steps"] == 2 * per_call and len(numbers["share"]) == 2
    assert all(
        0 < share < 1 and 0 < program < whole and 0 <= compilation < whole
        for share, (whole, program, compilation) in zip(numbers["share"], numbers["seconds"], strict=True)
    )
    assert "the loop's own" in capsys.readouterr().out
