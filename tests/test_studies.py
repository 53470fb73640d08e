"""What the studies of reliability conclude from what they find; the trainings themselves are left out."""

import sys
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

STUDIES = Path(__file__).parents[1] / "docs" / "studies"


@pytest.fixture
def agreement(monkeypatch):
    monkeypatch.syspath_prepend(STUDIES)
    import agreement

    return agreement


@pytest.fixture
def faults(monkeypatch):
    monkeypatch.syspath_prepend(STUDIES)
    import faults

    return faults


@pytest.mark.parametrize(
    ("losses", "params", "status"),
    [(9e-6, 0, 0), (2e-5, 0, 1), (np.nan, 0, 1), (0, 1, 0)],
)
def test_layouts_of_as_many_devices_must_agree(agreement, losses, params, status, capsys):
    # Another number of devices may differ more, and so may later steps and what they lead to.
    found = {
        name: agreement.Found(np.full((9, 6), devices / 10), {".params.w": np.full(4, devices / 10)})
        for name, (_, devices) in agreement.LAYOUTS.items()
    }
    four = found["4"]
    found["2 x 2"] = found["4 x 1"] = four
    assert agreement.table(found) == 0
    changed = four.losses + np.array([losses] * 5 + [1] * 4)[:, None]
    found["4 x 1"] = agreement.Found(changed, {".params.w": four.arrays[".params.w"] + params})
    capsys.readouterr()
    assert agreement.table(found) == status
    output = capsys.readouterr().out
    assert ("more than 1e-05 from one process with as many devices: 4 x 1" in output) == bool(status)
    (line,) = [line for line in output.splitlines() if line.startswith("2 x 2 |")]
    assert "| 0.0e+00, 0.0e+00, 0.0e+00 | 4" in line


@pytest.mark.parametrize(("end", "stderr", "status"), [(0, "", 0), (1, "", 1), (0, "Traceback", 1)])
def test_a_fault_after_which_a_run_ends_otherwise_fails_the_study(
    faults, end, stderr, status, monkeypatch, capsys
):
    def call(line, cwd):
        run = Path(line[line.index("--run-dir") + 1])
        (run / f"checkpoints/{faults.STEPS}").mkdir(parents=True)
        return CompletedProcess(line, 0)

    def fault(run):
        """Something happens."""
        return CompletedProcess([], 0, "", stderr)

    # The run that is left alone has the state 0.
    monkeypatch.setattr(faults, "state", lambda run: {"w": 0 if run.name == "whole" else end})
    monkeypatch.setattr(faults, "call", call)
    monkeypatch.setattr(faults, "FAULTS", [fault])
    monkeypatch.setattr(sys, "argv", ["faults.py"])
    assert faults.main() == status
    assert f"the state is {'ANOTHER' if end else 'the same'}" in capsys.readouterr().out
