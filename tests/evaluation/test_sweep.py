"""Runs of several seeds, measured by stand-ins whose numbers are known."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from infogan_jax.codes import Bernoulli, Categorical, LatentCodes, Uniform
from infogan_jax.evaluation import sweep
from infogan_jax.evaluation.direction import direction
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
    assert sweep.lines(summary)[-1] == (
        "chosen without labels (category_agreement): s1, code_error 0.0500; "
        "the best is s1, 0.0500: 0.0000 behind"
    )
    assert not summary.notes
    (written,) = json.loads((tmp_path / sweep.SWEEP_FILE).read_text())
    assert written["folders"] == ["s0", "s1", "s2", "s10"]
    assert written["choice"]["run"] == 1


def test_continuous_codes_are_ranked_by_what_they_tell(tiny_config, tmp_path, measured, monkeypatch):
    codes = LatentCodes(3, (Uniform(), Uniform()))
    config = dataclasses.replace(tiny_config, codes=codes, objective=type(tiny_config.objective)())
    save(config, tmp_path, (0, 1, 2))
    # On a grid the two factors' ranks are uncorrelated, exactly.
    factors = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), axis=-1).reshape(-1, 2)

    def readings(run, dataset):
        c1, c2 = factors.T
        return {0: {"c1": c1, "c2": c1 + c2}, 1: {"c1": -c2, "c2": c1}, 2: {"c1": c1, "c2": c2}}[seed_of(run)]

    monkeypatch.setattr(sweep, "_readings", readings)
    (summary,) = summarize(tmp_path)
    assert summary.choice.rule == "udr_spearman"
    # Seed 0's second code, which mixes both, is left out: its L_I is below the limit. Of the three codes in a
    # pair with it, the others' second ones have none to match; the median is between that 2/3 and 1.
    assert summary.choice.scores == pytest.approx([2 / 3, 5 / 6, 5 / 6], abs=1e-6)


@pytest.fixture
def reading_each_other(tiny_config, tmp_path, measured, monkeypatch):
    """A function that sums up runs of some codes, which read generated images as another function says."""

    def compared(codes, read, seeds=(0, 1, 2)):
        codes = LatentCodes(3, codes)
        config = dataclasses.replace(tiny_config, codes=codes, objective=type(tiny_config.objective)())
        save(config, tmp_path, seeds)

        def generate(config, state, draw):
            """An image's first pixels are its codes."""
            pixels = np.zeros((len(draw["c1"]), 8, 8, 1), np.float32)
            for i, name in enumerate(codes.named):
                pixels[:, 0, i, 0] = np.asarray(draw[name]) / 255
            return pixels

        def seen(config, state, images, stats):
            assert stats == "fake"
            return read(
                int(state), {name: images[:, 0, i, 0].astype(int) for i, name in enumerate(codes.named)}
            )

        monkeypatch.setattr(sweep, "restore", lambda run, step: (config, Numbered(seed_of(run))))
        monkeypatch.setattr(sweep, "generate_images", generate)
        monkeypatch.setattr(sweep, "read_codes", seen)
        (summary,) = summarize(tmp_path)
        return summary

    return compared


@pytest.mark.parametrize("last", [Categorical(2), Uniform(0, 200)])
def test_of_several_categories_the_run_that_the_others_understand_is_chosen(reading_each_other, last):
    def read(seed, seen):
        # Seeds 0 and 1 read what is there; seed 2 takes everything for one code.
        return seen if seed != 2 else {name: seen["c1"] for name in seen}

    summary = reading_each_other((Categorical(4), Categorical(3), last), read)
    assert summary.choice.rule == "model_centrality"
    first, second, third = summary.choice.scores
    assert first == pytest.approx(second, abs=0.02) and min(first, second) > third + 0.1


def test_of_runs_that_read_noise_from_each_other_none_is_chosen(reading_each_other):
    # FactorVAE's score of noise is not 0 but about 1/3, and above it as often as below.
    rng = np.random.default_rng(0)

    def read(seed, seen):
        return {name: rng.permutation(x) for name, x in seen.items()}

    assert reading_each_other((Categorical(4), Categorical(3), Categorical(2)), read).choice is None


def test_a_category_that_one_image_has_does_not_stop_the_comparison(reading_each_other, monkeypatch):
    # 60 images have some of 40 categories once only, as 2,000 have some of 300.
    monkeypatch.setattr(sweep, "_GENERATED", 60)
    summary = reading_each_other((Categorical(40), Categorical(2)), lambda seed, seen: seen)
    assert summary.choice.scores == pytest.approx([1, 1, 1], abs=0.1) and not summary.notes


@pytest.mark.parametrize("rare", [Categorical(250), Bernoulli(1e-6)])
def test_categories_that_hardly_two_images_share_leave_no_choice_and_a_line(
    reading_each_other, monkeypatch, rare
):
    monkeypatch.setattr(sweep, "_GENERATED", 60)
    summary = reading_each_other((Categorical(3), Categorical(2), rare), lambda seed, seen: seen)
    assert summary.choice is None
    (note,) = summary.notes
    assert "no run is chosen: among 60 generated images, values of a code are too rare" in note
    assert sweep.lines(summary)[-1] == note


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
    for number, broken in enumerate(("{", "[]", "3", '{"other": 0}'), start=1):
        (tmp_path / "s1/eval/metrics.json").write_text(broken)
        summarize(tmp_path)
        assert measured == [0, *[1] * (number + 1)]


def test_what_one_run_lacks_is_said_once_with_what_mends_it(tiny_config, tmp_path, measured):
    save(tiny_config, tmp_path, (0, 1))
    (summary,) = summarize(tmp_path)
    assert not summary.notes
    # As an earlier version left it: without one group, and with one measure less in another.
    file = tmp_path / "s1/eval/metrics.json"
    metrics = json.loads(file.read_text())
    del metrics["prior_entropy"], metrics["mutual_information"]["c2"]
    file.write_text(json.dumps(metrics))
    (summary,) = summarize(tmp_path)
    assert "mutual_information.c1" in summary.metrics and "mutual_information.c2" not in summary.metrics
    (note,) = summary.notes
    assert note == (
        "s1 lacks measures of mutual_information, prior_entropy, so that no row has all of them: "
        f"python eval.py {tmp_path / 's1'} measures it again"
    )
    assert sweep.lines(summary)[-1] == note
    assert json.loads((tmp_path / sweep.SWEEP_FILE).read_text())[0]["notes"] == [note]
    # What was measured and came to nothing isn't lacking.
    file.write_text(json.dumps(metrics | {"prior_entropy": None, "mutual_information": None}))
    assert not summarize(tmp_path)[0].notes


def test_features_that_one_run_was_asked_for_are_not_lacking_in_the_others():
    asked = {"realism": {"pixels": {"precision": 0.5}, "trunk-tiny-s0-7-0": {"precision": 0.5}}}
    assert sweep._lacking({"realism": {"pixels": {"precision": 0.1}}}, [asked]) == []
    assert sweep._lacking({"realism": {"precision": 0.1}}, [asked]) == ["realism"]


def test_how_far_the_choice_is_behind_is_told():
    metrics = {
        "recovery.size.best_code_flexible": [0.5, 0.9, 0.1],
        "recovery.turn.best_code_flexible": [0.1, 0.5, 0.2],
        "recovery.size.best_code_linear": [0.9, 0.0, 0.0],
        "disentanglement.dci_disentanglement": [0.2, 0.25, 0.6],
        "mutual_information.total": [1.0, 2.0, 3.0],
    }
    folders = [Path(f"s{seed}") for seed in range(3)]
    choice = sweep.Choice("udr_spearman", [0.9, 0.1, 0.1], 0)
    told = sweep.lines(sweep.Sweep("heads", 10, folders, [0, 1, 2], metrics, choice))[-2:]
    assert told == [
        "chosen without labels (udr_spearman): s0, disentanglement.dci_disentanglement 0.2000; "
        "the best is s2, 0.6000: 0.4000 behind",
        "chosen without labels (udr_spearman): s0, mean of recovery.*.best_code_flexible 0.3000; "
        "the best is s1, 0.7000: 0.4000 behind",
    ]
    # Of an error, less is better.
    errors = {"code_error": [0.107, 0.082, 0.5]} | metrics
    (told,) = sweep.lines(sweep.Sweep("mnist", 10, folders, [0, 1, 2], errors, choice))[-1:]
    assert told.endswith("s0, code_error 0.1070; the best is s1, 0.0820: 0.0250 behind")


def test_a_rank_correlation_is_better_the_higher_it_is():
    assert direction("recovery.turn.rank_correlation") == 1
    # Of a traversal it has a sign.
    assert direction("continuous_codes.c1.angle.rank_correlation") == 0


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
