"""The site builds without a warning, its pages fetch nothing, and what they tell to type exists."""

import ast
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from documented import PAGES, STUDIES, commands, in_words, settings

import losses
from infogan_jax import cli
from infogan_jax.config import validate
from infogan_jax.training import processes

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site_pages():
    """The module that mkdocs is hooked to."""
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "docs/site_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built with warnings as errors."""
    pytest.importorskip("mkdocstrings", reason="the extra docs isn't installed")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_is_in_the_site_and_asks_the_network_for_nothing(site, record_property):
    record_property("mkdocs build --strict", f"{len(list(site.rglob('*.html')))} pages, no warning")
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix(".html")
        html = (site / name.with_name("index.html" if name.stem == "README" else name.name)).read_text()
        fetched = re.findall(
            r"<(?:script|img|iframe|link|source)\b[^>]*\b(?:src|href)=[\"']?([^\"' >]+)", html
        )
        assert fetched and not [address for address in fetched if re.match(r"(https?:)?//", address)]


def test_the_site_can_be_searched_from_disk(site):
    # Browsers start no worker there, and read no file but a script.
    assert (site / "search/search_index.js").read_text().startswith("var __index = {")
    for page, up in (("index.html", ""), ("reference/losses.html", "../")):
        assert f'src="{up}javascripts/iframe-worker.js"' in (site / page).read_text()
    assert "window.Worker = " in (site / "javascripts/iframe-worker.js").read_text()


def test_sections_of_the_readme_stand_in_the_site_with_its_links(site):
    results = (site / "results.html").read_text()
    assert "<code>python train.py mnist-invariant --seed 0</code>" in results
    assert 'src="images/heads-azimuth.png"' in results and 'href="natural-images.html"' in results
    assert 'href="reference/losses.html#losses.masks"' in (site / "questions.html").read_text()


def test_every_loss_is_in_the_reference(site):
    reference = (site / "reference/losses.html").read_text()
    for name in losses.__all__:
        assert f'id="{getattr(losses, name).__module__}.{name}"' in reference


def equations(function):
    """The indented block above the arguments in a docstring."""
    text = ast.get_docstring(function).split("\nArgs:")[0]
    return re.findall(r"^(?: {4}.+\n?)+", text, re.MULTILINE)


def test_the_page_of_maths_has_the_equations_of_the_docstrings_beside_their_functions():
    page = (ROOT / "docs/maths.md").read_text()
    seen = 0
    for file in sorted((ROOT / "losses").glob("*.py")):
        for part in ast.parse(file.read_text()).body:
            if isinstance(part, ast.FunctionDef) and part.name in losses.__all__ and equations(part):
                block = equations(part)[0].rstrip()
                assert f"[`{part.name}`](../losses/{file.name})\n\n{block}\n" in page
                seen += 1
    assert seen > 60


def test_a_link_that_leads_nowhere_is_refused(site_pages):
    folder = ROOT / "docs"
    with pytest.raises(ValueError, match="no section #nothing"):
        site_pages.in_the_site("[x](../README.md#nothing)", folder, None)
    with pytest.raises(ValueError, match=re.escape("no losses/nothing.py")):
        site_pages.in_the_site("[x](../losses/nothing.py)", folder, None)


def test_a_link_to_a_file_that_is_not_in_the_site_leads_into_the_repository_if_there_is_one(site_pages):
    link = "see [the steps](../benchmarks/step.py), [masks](masks.md)"
    assert site_pages.in_the_site(link, ROOT / "docs", None) == "see the steps, [masks](masks.md)"
    there = "see [the steps](https://host/a/blob/main/benchmarks/step.py), [masks](masks.md)"
    assert site_pages.in_the_site(link, ROOT / "docs", "https://host/a/blob/main") == there


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page):
    for path in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text()):
        assert (page.parent / path).exists()


class Parsed(Exception):
    """Everything about a command line was understood."""


def parsed(*_):
    raise Parsed


def validated(options, *_):
    validate(options.config)
    raise Parsed


@pytest.mark.parametrize(("page", "command"), [*commands("train.py"), *settings()])
def test_what_trains_can_be_typed(page, command, monkeypatch, capsys):
    words = in_words(command)
    monkeypatch.setattr(cli, "_train_parsed", validated)
    monkeypatch.setattr(processes, "join", lambda *_: None)
    monkeypatch.setattr(processes, "with_others", lambda call: call())
    if "--init-from" in words and words[-1] == "--init-from":
        words.append("runs/before")
    stop = SystemExit if "--help" in words else Parsed
    with pytest.raises(stop):
        assert cli.train(words) == 0, capsys.readouterr().err


@pytest.mark.parametrize(("page", "command"), commands("eval.py"))
def test_what_measures_can_be_typed(page, command, monkeypatch, capsys):
    parse = cli.parse
    monkeypatch.setattr(cli, "parse", lambda *words: parse(*words) and parsed())
    with pytest.raises(Parsed):
        assert cli.evaluate(in_words(command)) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("page", "command"),
    [(page, f"{script} {words}") for script in STUDIES for page, words in commands(script)],
)
def test_what_studies_has_the_options_that_are_named(page, command):
    script, *words = shlex.split(command)
    text = (ROOT / script).read_text()
    for option in (word for word in words if word.startswith("--")):
        # As argparse takes it, or as a parameter of the function that tyro calls.
        assert f'"{option}"' in text or f"{option[2:].replace('-', '_')}: " in text, option


def test_command_lines_are_found():
    assert ("README.md", "mnist --train.steps 5000 --run-dir runs/mnist") in commands("train.py")
    assert ("natural-images.md", "runs/wildlife/s0 --folder Set5") in commands("eval.py")
    process = "mnist --run-dir /shared/runs/mnist --resume-or-start --distributed --require-accelerator"
    assert ("distributed.md", process) in commands("train.py")
    assert ("results.md", "mnist-category --optimizer.lr-recognition 0") in settings()
