"""The packages' types, by the checker and the settings that pyproject.toml names."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_types_agree(record_property):
    pytest.importorskip("mypy", reason="mypy isn't installed")
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    record_property("mypy --strict", done.stdout.strip().splitlines()[-1])
