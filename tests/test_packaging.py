"""What a user installs: the wheel holds everything that the packages read, and nothing else."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from infogan_jax import __version__

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def test_holds_the_two_packages_whole_and_no_other(wheel):
    top = {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")}
    assert top == {"infogan_jax", "losses"}
    for package in top:
        ours = {
            path.relative_to(ROOT)
            for path in (ROOT / package).rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }
        there = {path.relative_to(wheel) for path in (wheel / package).rglob("*") if path.is_file()}
        assert there == ours
    assert (wheel / "infogan_jax/evaluation/report.html.jinja").exists()


def test_the_citation_is_of_this_version():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_what_contributing_runs_is_in_the_extra_dev():
    commands = set(re.findall(r"\.venv/bin/([\w-]+)", (ROOT / "CONTRIBUTING.md").read_text()))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    there = {re.match(r"[\w-]+", requirement)[0] for requirement in extras["dev"]}
    assert {"ruff", "mypy", "pre-commit"} <= commands
    assert commands - {"python", "pip"} <= there


def test_names_the_two_commands(wheel):
    (entry_points,) = wheel.glob("*.dist-info/entry_points.txt")
    assert entry_points.read_text().splitlines() == [
        "[console_scripts]",
        "infogan-eval = infogan_jax.cli:evaluate",
        "infogan-train = infogan_jax.cli:train",
    ]


@pytest.mark.parametrize(("command", "option"), [("train", "--train.steps"), ("evaluate", "--step")])
def test_its_commands_work_away_from_the_checkout(command, option, wheel, tmp_path):
    program = f"import sys; from infogan_jax import cli; sys.exit(cli.{command}(['--help']))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(wheel), "COLUMNS": "100"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert option in done.stdout
