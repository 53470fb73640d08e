"""Runs of several seeds, measured by stand-ins whose numbers are known."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from infogan_jax.codes import Categorical, LatentCodes, Uniform
from infogan_jax.evaluation import sweep
from infogan_jax.evaluation.report import Measurement
from infogan_jax.tasks import infogan
from infogan_jax.training import run_folder
from infogan_jax.training.checkpoints import Checkpoints

ERRORS = {0: 0.25, 1: 0.05, 2: 0.10, 10: 0.60}


def save(config, folder, seeds, step=0):
    init = jax.jit(infogan.init, static_argnums=0)
    for seed in seeds:
        own = dataclasses.replace(config, seed=seed)
        with Checkpoints(folder / f"s{seed}") as checkpoints:
            checkpoints.save(step, init(own, jax.random.key(seed)), own)


def summarize(folder):
    return sweep.summarize(run_folder.runs_in(folder), folder)


def seed_of(run):
    return int(run.name.removeprefix("s"))


@pytest.fixture
def measured(monkeypatch):
    """The runs that were measured; each run's error is that of `ERRORS`."""
    done = []

    def evaluate(run, *, dataset, wandb):
        done.append(seed_of(run))
        information = {"c1": 1.0, "c2": 0.5 if seed_of(run) else 0.001}
        metrics = {
            "seed": seed_of(run),
            "step": 0,
            "code_error": ERRORS[seed_of(run)],
            "nmi": 1 - ERRORS[seed_of(run)],
            "ari": None,
            "mutual_information": information,
            "prior_entropy": {"c1": 1.1},
        }
        (run / "eval").mkdir(exist_ok=True)
        (run / "eval/metrics.json").write_text(json.dumps(metrics))
        return Measurement(metrics, [], [], [], [], [])

    monkeypatch.setattr(sweep, "evaluate", evaluate)
    return done


def test_means_spread_best_and_the_choice(tiny_config, tmp_path, measured, monkeypatch):
    save(tiny_config, tmp_path, ERRORS)
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 500)

    def readings(run, dataset):
        # Seeds 0, 1 and 2 agree with the truth, and so with each other, but for some; seed 10 not at all.
        wrong = rng.random(500) < (1.0 if seed_of(run) == 10 else ERRORS[seed_of(run)])
        return {"c1": np.where(wrong, rng.integers(0, 4, 500), truth), "c2": rng.random(500)}

    monkeypatch.setattr(sweep, "_readings", readings)
    (summary,) = summarize(tmp_path)
    assert summary.seeds == [0, 1, 2, 10]  # by number
    assert summary.metrics["code_error"] == list(ERRORS.values())
    assert "seed" not in summary.metrics and "ari" not in summary.metrics
    assert (summary.best("code_error"), summary.best("nmi")) == (1, 1)
    assert summary.best("prior_entropy.c1") is None
    assert summary.choice.rule == "category_agreement"
    assert summary.choice.run == 1 and np.argmin(summary.choice.scores) == 3

    text = "\n".join(sweep.lines(summary))
    assert f"{np.mean(list(ERRORS.values())):.4f}" in text
    assert f"{np.std(list(ERRORS.values()), ddof=1):.4f}" in text
    assert "chosen without labels (category_agreement): s1, code_error 0.0500; the best is s1" in text
    (written,) = json.loads((tmp_path / sweep.SWEEP_FILE).read_text())
    assert written["folders"] == ["s0", "s1", "s2", "s10"]
    assert written["choice"]["run"] == 1


def test_continuous_codes_are_ranked_by_what_they_tell(tiny_config, tmp_path, measured, monkeypatch):
    codes = LatentCodes(3, (Uniform(), Uniform()))
    config = dataclasses.replace(tiny_config, codes=codes, objective=type(tiny_config.objective)())
    save(config, tmp_path, (0, 1, 2))
    rng = np.random.default_rng(1)
    factors = rng.random((300, 2))

    def readings(run, dataset):
        c1, c2 = factors.T
        return {0: {"c1": c1, "c2": c1 + c2}, 1: {"c1": -c2, "c2": c1}, 2: {"c1": c1, "c2": c2}}[seed_of(run)]

    monkeypatch.setattr(sweep, "_readings", readings)
    (summary,) = summarize(tmp_path)
    assert summary.choice.rule == "udr_spearman"
    # Seed 0's second code, which mixes both, is left out: its L_I is below the limit.
    assert summary.choice.scores[1] == pytest.approx(summary.choice.scores[2], abs=0.05)


@pytest.mark.parametrize("last", [Categorical(2), Uniform(0, 200)])
def test_of_several_categories_the_run_that_the_others_understand_is_chosen(
    tiny_config, tmp_path, measured, monkeypatch, last
):
    codes = LatentCodes(3, (Categorical(4), Categorical(3), last))
    config = dataclasses.replace(tiny_config, codes=codes, objective=type(tiny_config.objective)())
    save(config, tmp_path, (0, 1, 2))

    def generate(config, state, draw):
        """An image's first pixels are its codes."""
        pixels = np.zeros((len(draw["c1"]), 8, 8, 1), np.float32)
        for i, name in enumerate(("c1", "c2", "c3")):
            pixels[:, 0, i, 0] = np.asarray(draw[name]) / 255
        return pixels

    def read(config, state, images, stats):
        assert stats == "fake"
        seen = {name: images[:, 0, i, 0].astype(int) for i, name in enumerate(("c1", "c2", "c3"))}
        # Seeds 0 and 1 read what is there; seed 2 takes everything for one code.
        return seen if int(state) != 2 else {name: seen["c1"] for name in seen}

    monkeypatch.setattr(sweep, "restore", lambda run, step: (config, Numbered(seed_of(run))))
    monkeypatch.setattr(sweep, "generate_images", generate)
    monkeypatch.setattr(sweep, "read_codes", read)
    (summary,) = summarize(tmp_path)
    assert summary.choice.rule == "model_centrality"
    first, second, third = summary.choice.scores
    assert first == pytest.approx(second, abs=0.02) and min(first, second) > third + 0.1


class Numbered(int):
    """A state that is its seed."""

    @property
    def key(self):
        return jax.random.key(self)


def test_what_is_measured_is_not_measured_again(tiny_config, tmp_path, measured):
    save(tiny_config, tmp_path, (0, 1))
    summarize(tmp_path)
    (summary,) = summarize(tmp_path)
    assert measured == [0, 1]
    assert summary.choice is None  # of two runs neither is nearer to the other
    (tmp_path / "s1/eval/metrics.json").write_text("{")
    summarize(tmp_path)
    assert measured == [0, 1, 1]


def test_other_configurations_are_told_apart(tiny_config, tmp_path, measured):
    save(tiny_config, tmp_path, (0, 1))
    other = dataclasses.replace(tiny_config, codes=LatentCodes(5, (Categorical(4), Uniform())))
    save(other, tmp_path, (2,))
    first, second = summarize(tmp_path)
    assert (first.seeds, second.seeds) == ([0, 1], [2])
    assert "nan" in "\n".join(sweep.lines(second))  # one run has no spread


def test_columns_of_the_table_stand_apart_whatever_the_numbers():
    values = [1074.9757, 99_999.5]
    summary = sweep.Sweep("wildlife", 10, [Path("s0"), Path("s1")], [0, 1], {"distance": values}, None)
    _, heads, row = sweep.lines(summary)
    assert row.split()[:3] == ["distance", "1074.9757", "99999.5000"] and len(row.split()) == 6
    assert row.endswith("–")  # of no such measure it is known which way is better
    assert len(heads) == len(row) and heads.split() == ["s0", "s1", "mean", "sd", "best"]


def test_runs_at_other_steps_are_told_apart(tiny_config, tmp_path, measured):
    save(tiny_config, tmp_path, (0,))
    save(tiny_config, tmp_path, (1,), step=7)
    assert [(each.seeds, each.step) for each in summarize(tmp_path)] == [([0], 0), ([1], 7)]


def test_where_no_run_says_anything_none_is_chosen(tiny_config, tmp_path, measured, monkeypatch):
    save(tiny_config, tmp_path, (0, 1, 2))
    collapsed = {"c1": np.zeros(50, int), "c2": np.zeros(50)}
    monkeypatch.setattr(sweep, "_readings", lambda run, dataset: collapsed)
    (summary,) = summarize(tmp_path)
    assert summary.choice is None
