"""A notebook's way through: train, go on, measure, load; and not a word that wasn't asked for."""

import base64
import html
import json
import re
import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest

import infogan_jax
from infogan_jax import (
    compare,
    draw_figures,
    evaluate,
    experiments,
    export_run,
    library,
    load,
    summarize,
    train,
    train_seeds,
)
from infogan_jax.data import sources
from infogan_jax.errors import NonFiniteError, UserError
from infogan_jax.tasks import infogan
from infogan_jax.training import loop, memory, run_folder, writers
from infogan_jax.training.checkpoints import Checkpoints


def pictures(page):
    return [base64.b64decode(data) for data in re.findall(r'src="data:image/png;base64,([^"]+)"', page)]


@pytest.fixture(scope="module")
def config(tiny_config):
    return replace(tiny_config, train=replace(tiny_config.train, steps=10))


def test_a_run_is_trained_resumed_measured_and_loaded_in_silence(config, tmp_path, capfd):
    folder = tmp_path / "run"
    run = train(config, folder)
    assert (run.folder, run.step, run.stopped) == (folder, 10, None)
    assert [record["step"] for record in run.records] == [5, 10]
    longer = replace(config, train=replace(config.train, steps=20))
    # Of a run that went on after its last checkpoint.
    with (folder / "metrics.jsonl").open("a") as log:
        log.write('{"step": 15, "seconds": 9.0, "loss_d": 0.0}\n')
    run = train(longer, folder, resume=True)
    assert (run.step, [record["step"] for record in run.records]) == (20, [5, 10, 15, 20])
    assert pictures(run._repr_html_()) == [(folder / "samples/0000020.png").read_bytes()]

    measured = evaluate(run.folder)
    assert measured.metrics == json.loads((folder / "eval/metrics.json").read_text())
    assert measured.report.exists() and measured.explorer.file.exists()
    shown = measured._repr_html_()
    assert pictures(shown) == [path.read_bytes() for _, path in measured.pictures]
    assert all(name in shown for name, _, _ in measured.results)
    assert [html.unescape(alt) for alt in re.findall(r'<img alt="([^"]+)"', shown)] == [
        told for told, _ in measured.pictures
    ]
    assert 'alt="Samples at step 20"' in run._repr_html_()

    model = load(folder)
    images = model(np.zeros((2, 3)), {"c1": [0, 3], "c2": [-1.0, 1.0]})
    assert images.shape == (2, 8, 8, 1) and set(model.recognize(images)) == {"c1", "c2"}
    assert capfd.readouterr() == ("", "")


def test_seeds_are_trained_together_summed_up_compared_drawn_and_exported_in_silence(
    config, tmp_path, monkeypatch, capfd
):
    folder, trainings = tmp_path / "runs", []
    real = loop.train
    monkeypatch.setattr(
        loop,
        "train",
        lambda runs, *args, **options: (
            trainings.append([run.config.seed for run in runs]) or real(runs, *args, **options)
        ),
    )
    runs = train_seeds(config, folder, (3, 1))
    assert [(run.folder, run.config.seed, run.step) for run in runs] == [
        (folder / "s3", 3, 10),
        (folder / "s1", 1, 10),
    ]
    # Those that have begun go on, and a new one begins; one after another where it is asked for.
    longer = replace(config, train=replace(config.train, steps=20))
    runs = train_seeds(longer, folder, (1, 3, 2), resume=True, together=False)
    assert [(run.config.seed, run.step, run.stopped, run.failed) for run in runs] == [
        (1, 20, None, None),
        (3, 20, None, None),
        (2, 20, None, None),
    ]
    assert trainings == [[3, 1], [1], [3], [2]]

    found = summarize(folder)
    (sweep,) = found.sweeps
    assert sweep.seeds == [1, 2, 3]
    (written,) = json.loads(found.file.read_text())
    assert written["metrics"] == sweep.metrics and written["folders"] == ["s1", "s2", "s3"]
    shown = found._repr_html_()
    assert "3 runs of 20 steps" in shown and "code_error" in shown

    page = compare(str(folder), tmp_path / "new" / "compared.html")
    shown = page._repr_html_()
    assert page.file == tmp_path / "new/compared.html" and page.title == "3 runs compared"
    assert html.unescape(re.search(r'srcdoc="([^"]+)"', shown)[1]) == page.file.read_text()
    with pytest.raises(UserError, match="a run is named twice"):
        compare([folder, folder / "s1"])

    drawn = draw_figures([folder / "s1"], tmp_path / "figures")
    assert drawn.files == [(f"{config.experiment}-s1", tmp_path / f"figures/{config.experiment}-s1.png")]
    assert pictures(drawn._repr_html_()) == [drawn.files[0][1].read_bytes()]

    assert export_run(folder / "s2", tmp_path / "generator.jax") == [tmp_path / "generator.jax"]
    noise, codes = np.ones((2, 3)), {"c1": [0, 3], "c2": [-1.0, 1.0]}
    np.testing.assert_allclose(
        load(tmp_path / "generator.jax")(noise, codes), load(folder / "s2")(noise, codes), atol=1e-6
    )
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("progress", [False, True])
def test_seeds_that_memory_cannot_hold_together_are_trained_one_by_one(
    progress, config, tmp_path, monkeypatch, capfd
):
    trainings = []
    monkeypatch.setattr(loop, "train", lambda runs, *_, **__: trainings.append(len(runs)) and None)
    monkeypatch.setattr(memory, "holds", lambda config, images, devices, runs: runs == 1)
    train_seeds(config, tmp_path / "runs", (1, 2), progress=progress)
    assert trainings == [1, 1]
    line = "2 runs in one program don't fit into memory: they are trained one after another\n"
    assert capfd.readouterr() == ("", line if progress else "")


@pytest.mark.parametrize(
    ("seeds", "told"),
    [((), "seeds is empty"), ((1, 1), "name each seed once"), ((1, -1), "--seeds has -1")],
)
def test_seeds_that_make_no_runs_are_refused(seeds, told, config, tmp_path):
    with pytest.raises(UserError, match=told):
        train_seeds(config, tmp_path / "runs", seeds)
    assert not list(tmp_path.iterdir())


def test_a_seed_that_fails_says_so_and_the_others_are_trained(config, tmp_path, monkeypatch, capfd):
    check = loop._check_finite

    def failing(metrics, first, run_dir):
        spoilt = run_dir.name == "s2" and first == 5
        check({"loss_d": np.full(5, np.nan)} if spoilt else metrics, first, run_dir)

    monkeypatch.setattr(loop, "_check_finite", failing)
    runs = train_seeds(config, tmp_path / "runs", (2, 4))
    assert [(run.config.seed, run.step, run.stopped) for run in runs] == [(2, 0, None), (4, 10, None)]
    assert "loss_d" in runs[0].failed and runs[1].failed is None
    shown = runs._repr_html_()
    assert "seed 2: step 0; " in shown and "seed 4: step 10</p>" in shown
    assert pictures(shown) == [(tmp_path / "runs/s4/samples/0000010.png").read_bytes()]
    with pytest.raises(NonFiniteError, match="loss_d"):
        train(replace(config, seed=2), tmp_path / "runs/s2", resume=True)
    assert capfd.readouterr() == ("", "")


def test_what_can_be_neither_named_nor_written_is_told_before_anything_is_measured(
    config, tmp_path, monkeypatch
):
    monkeypatch.setattr(library.measuring, "evaluate", lambda *_, **__: pytest.fail("it was measured"))
    monkeypatch.setattr(library.comparison, "write_comparison", lambda *_: pytest.fail("it was measured"))
    with pytest.raises(UserError, match="holds no runs"):
        summarize(tmp_path)
    train_seeds(replace(config, train=replace(config.train, steps=5)), tmp_path / "runs", np.arange(1))
    for nothing in (compare, draw_figures):
        with pytest.raises(UserError, match="nothing is named"):
            nothing([])
    with pytest.raises(UserError, match="is a folder: name a file for the page"):
        compare(tmp_path / "runs", tmp_path)

    def missing():
        raise UserError("wandb is not installed")

    monkeypatch.setattr(library, "wandb_module", missing)
    monkeypatch.setattr(writers, "wandb_module", missing)
    for call in (
        lambda: evaluate(tmp_path / "runs/s0", wandb="mine"),
        lambda: summarize(tmp_path / "runs", wandb="mine"),
        lambda: train(config, tmp_path / "other", wandb="mine"),
    ):
        with pytest.raises(UserError, match="wandb is not installed"):
            call()
    assert not (tmp_path / "other").exists() and not (tmp_path / "runs/s0/eval").exists()


def test_a_profile_and_the_dashboard_are_what_the_command_line_makes(config, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(writers, "wandb_module", lambda: asked.append("wandb"))
    monkeypatch.setattr(loop, "train", lambda runs, *_, **options: asked.append(options) and None)
    train_seeds(config, tmp_path / "runs", (0,), profile=tmp_path / "profile", wandb="mine")
    assert asked[0] == "wandb"
    assert (asked[1]["profile"], asked[1]["wandb"]) == (tmp_path / "profile", "mine")
    short = replace(config, train=replace(config.train, steps=5))
    with pytest.raises(UserError, match="--profile shows the program's second call"):
        train(short, tmp_path / "short", profile=tmp_path / "profile")


def test_progress_is_told_where_it_is_asked_for(config, tmp_path, capfd):
    train(config, tmp_path / "run", progress=True)
    out, err = capfd.readouterr()
    assert out == "" and "step 10/10" in err
    with (tmp_path / "run/metrics.jsonl").open("a") as log:
        log.write('{"step": 15, "seconds": 9.0, "loss_d": 0.0}\n')
    train(config, tmp_path / "run", progress=True, resume=True)
    out, err = capfd.readouterr()
    assert out == "" and f"{tmp_path / 'run'} goes on from step 10; steps 11 to 15 come again\n" in err


@pytest.mark.parametrize("resume", [False, True])
def test_a_training_that_came_and_went_meanwhile_is_not_cut(resume, config, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "train", lambda *_, **__: pytest.fail("it was trained"))
    load, state = sources.load, jax.jit(infogan.init, static_argnums=0)(config, jax.random.key(0))
    folder = tmp_path / "run"

    def save(step):
        with Checkpoints(folder, keep=2) as checkpoints:
            checkpoints.save(step, state, config)

    def while_another_trains(data):
        save(10)
        return load(data)

    if resume:
        save(0)
    monkeypatch.setattr(sources, "load", while_another_trains)
    with pytest.raises(UserError, match=r"was trained meanwhile|is there already and not empty"):
        train(config, folder, resume=resume)
    assert run_folder.newest_whole(folder) == (10, {})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seed": -1}, "--seed is -1"),
        ({"data": experiments.MASKS.data}, "--data.folder"),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_written(change, told, config, tmp_path):
    with pytest.raises(UserError, match=told):
        train(replace(config, **change), tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_taken_is_refused(config, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is there already and not empty"):
        train(config, tmp_path)


def test_what_it_offers_is_there_and_what_it_does_not_is_not():
    assert infogan_jax.experiments is experiments and experiments.DIGITS.experiment == "digits"
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = infogan_jax.nothing


@pytest.mark.parametrize(
    "call", ["train(['--help'])", "train(['mnist', '--nothing'])", "evaluate(['--help'])"]
)
def test_the_command_lines_answer_without_jax(call):
    heavy = ("jax", "flax", "orbax", "grain", "tensorflow", "tensorflow_datasets", "sklearn", "matplotlib")
    script = (
        f"import sys; from infogan_jax import cli\ntry: cli.{call}\nexcept SystemExit: pass\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


def test_importing_the_package_imports_nothing_heavy():
    heavy = ("jax", "sklearn", "matplotlib", "orbax")
    script = f"import sys, infogan_jax; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
