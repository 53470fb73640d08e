"""Several runs on one page, of one task or of two, as a user asks for it."""

import dataclasses
import json
import re

import jax
import pytest
from browser import CHROMIUM, Browser

from infogan_jax import cli
from infogan_jax.evaluation.comparison import curve_names, result_rows, setting_rows
from infogan_jax.experiments import DIGITS_AUTOENCODER
from infogan_jax.tasks.registry import task_of
from infogan_jax.training.checkpoints import Checkpoints


def run(folder, config, metrics, records):
    """A run that has been trained and measured."""
    state = jax.jit(task_of(config).init, static_argnums=0)(config, jax.random.key(config.seed))
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(40, state, config)
    (folder / "eval").mkdir()
    (folder / "eval/metrics.json").write_text(json.dumps({"step": 40} | metrics))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def table(page, heading):
    """The rows of a table by name, each a list of cells; the best are marked with a star."""
    part = page.split(f"<h2>{heading}</h2>")[1].split("</table>")[0]
    # Who listens to the page is told the same.
    assert part.count('<td class="best">') == part.count('<span class="spoken"> (best)</span></td>')
    part = part.replace('<td class="best">', "<td>*").replace('<span class="spoken"> (best)</span>', "")
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', part)
    return {name.replace("<wbr>", ""): re.findall("<td>(.*?)</td>", cells) for name, cells in rows}


def test_the_command_line_writes_one_page(tiny_config, tmp_path, capsys):
    records = [{"step": s, "seconds": 1.0, "loss_d": 1.0 / s, "mi_c1": s / 40} for s in (20, 40)]
    a = run(tmp_path / "a", tiny_config, {"code_error": 0.25, "nmi": 0.5}, records)
    other = dataclasses.replace(tiny_config, seed=3)
    b = run(tmp_path / "b<i>", other, {"code_error": 0.125, "nmi": 0.25, "extra": -1.5}, records)
    third = run(tmp_path / "c", DIGITS_AUTOENCODER, {"iou": 0.75}, [])
    page = tmp_path / "page.html"
    assert cli.evaluate([str(a), str(b), str(third), "--out", str(page)]) == 0
    assert capsys.readouterr().out == f"comparison: {page}\n"
    html = page.read_text()
    assert table(html, "Results") == {
        "code_error": ["0.2500", "*0.1250", "–"],
        "nmi": ["*0.5000", "0.2500", "–"],
        "extra": ["–", "−1.5000", "–"],
        "iou": ["–", "–", "0.7500"],
    }
    settings = table(html, "Settings that differ")
    assert settings["step"] == ["40", "40", "40"]
    assert settings["seed"] == ["0", "3", "0"]
    assert settings["experiment"] == ["tiny", "tiny", "digits-autoencoder"]
    assert "data.source" not in settings
    assert html.count("<img ") == 1 and str(tmp_path / "b&lt;i&gt;") in html
    assert "<script" not in html and "http" not in html.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["a", "a"], "named twice"),
        (["a", "b", "--step", "0"], "--step is of one run, but 2 folders are named"),
        (["a", "b", "--export", "x.jax"], "--export is of one run"),
        (["a", "nothing"], "nothing is no folder"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, told, tiny_config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        run(tmp_path / name, tiny_config, {}, [])
    assert cli.evaluate(arguments) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert not (tmp_path / "comparison.html").exists()


def test_the_best_is_the_lowest_error_and_the_highest_score():
    rows = result_rows([{"nmi": 1.0, "code_error": 2.0}, {"nmi": 3.0, "code_error": 4.0}])
    assert [(row.name, row.best) for row in rows] == [("nmi", {1}), ("code_error", {0})]
    (row,) = result_rows([{"nmi": 1.0}, {"nmi": 1.0}])
    assert row.best == frozenset()


@pytest.mark.parametrize(
    "name",
    [
        "continuous_codes.c2.angle.rank_correlation",
        "continuous_codes.c2.angle.traversal.inside",
        "continuous_codes.c2.path_length.inside",
        "mutual_information_standard_error.c1",
        "realism.pixels.kernel_standard_error",
        "prior_entropy.c1",
        "kmeans_error",
        "adversarial_weight",
        "y_psnr.bicubic",
    ],
)
def test_what_makes_no_run_better_has_no_best(name):
    (row,) = result_rows([{name: -0.9}, {name: 0.1}])
    assert row.best == frozenset() and row.cells == ["−0.9000", "0.1000"]


def test_settings_are_told_where_they_differ():
    configs = [{"a": 1, "b": {"c": [1, 2], "d": "x"}}, {"a": 1, "b": {"c": [1, 3], "d": "x"}, "e": None}]
    assert [(row.name, row.cells) for row in setting_rows(configs, [1000, 20])] == [
        ("step", ["1,000", "20"]),
        ("b.c", ["[1, 2]", "[1, 3]"]),
        ("e", ["–", "null"]),
    ]


def test_curves_are_of_what_two_runs_have():
    one = [{"step": 1, "seconds": 1.0, "loss_d": 1.0, "mi_c1": 0.0}]
    two = [{"step": 1, "steps_per_second": 1.0, "loss_d": 1.0, "loss": 0.0}]
    assert curve_names([one, two, []]) == ["loss_d"]
    assert curve_names([one]) == []


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
def test_on_a_phone_the_runs_scroll_and_the_page_does_not(tiny_config, tmp_path):
    measures = {"efficientnet_lite0_5_distance": {"super_resolved": 21074.978821}, "code_error": 0.25}
    runs = [run(tmp_path / f"s{seed}", tiny_config, measures, []) for seed in range(4)]
    page = tmp_path / "page.html"
    assert cli.evaluate([*map(str, runs), "--out", str(page)]) == 0
    browser = Browser(tmp_path / "chromium")
    phone = {"width": 375, "height": 700, "deviceScaleFactor": 1, "mobile": True}
    browser.call("Emulation.setDeviceMetricsOverride", **phone)
    browser.open(page.as_uri())
    wide = "document.querySelector('.wide')"
    assert browser.run("document.documentElement.scrollWidth") == 375
    assert browser.run(f"{wide}.scrollWidth > {wide}.clientWidth")
    # No number is broken before its last digits.
    cells = browser.run(
        """[...document.querySelectorAll('.measures tbody td')].map((cell) => {
          const text = document.createRange();
          text.selectNodeContents(cell.firstChild);
          return [text.toString(), text.getClientRects().length];
        })"""
    )
    assert ["21074.9788", 1] in cells and all(lines == 1 for _, lines in cells)
    # A row's name stays in sight beside the last of the runs.
    name = "document.querySelector('th[scope=row]').getBoundingClientRect().left"
    before = browser.run(name)
    assert browser.run(f"({wide}.scrollLeft = 1000, {name})") == before
    browser.close()
