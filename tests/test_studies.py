"""What the studies of reliability conclude from what they find; the trainings themselves are left out."""

import importlib
import json
import sys
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

STUDIES = Path(__file__).parents[1] / "docs" / "studies"


@pytest.fixture
def study(monkeypatch):
    """A function of a study's name: its module."""
    monkeypatch.syspath_prepend(STUDIES)
    return importlib.import_module


@pytest.mark.parametrize(("losses", "params", "status"), [(0, 0, 0), (6e-8, 0, 1), (0, 6e-8, 1)])
def test_layouts_of_as_many_devices_must_give_the_same_bits(study, losses, params, status, capsys):
    agreement = study("agreement")
    # Another number of devices may differ.
    found = {
        name: agreement.Found(
            [{"loss_d": devices / 10}], np.full((9, 6), devices / 10), {".params.w": np.full(4, devices / 10)}
        )
        for name, (_, devices) in agreement.LAYOUTS.items()
    }
    four = found["4"]
    found["2 x 2"] = found["4 x 1"] = four
    assert agreement.table(found) == 0
    records = [{"loss_d": four.records[0]["loss_d"] + losses}]
    found["4 x 1"] = agreement.Found(records, four.losses, {".params.w": four.arrays[".params.w"] + params})
    capsys.readouterr()
    assert agreement.table(found) == status
    output = capsys.readouterr().out
    assert ("not the same bits as one process with as many devices: 4 x 1" in output) == bool(status)
    (line,) = [line for line in output.splitlines() if line.startswith("2 x 2 |")]
    assert line.endswith("| 4, 4 x 1" if status == 0 else "| 4")


@pytest.mark.parametrize(("end", "stderr", "status"), [(0, "", 0), (1, "", 1), (0, "Traceback", 1)])
def test_a_fault_after_which_a_run_ends_otherwise_fails_the_study(
    study, end, stderr, status, monkeypatch, capsys
):
    faults = study("faults")

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


def log(folder, *steps, attempt):
    """The log after an attempt that goes on where `steps` begin."""
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in lines if steps and json.loads(line)["step"] < steps[0]]
    kept += [json.dumps({"step": step, "seconds": 100 * attempt + step}) for step in steps]
    path.write_text("".join(line + "\n" for line in kept))


def test_the_moment_of_a_kill_is_told_by_what_that_attempt_left(study, tmp_path):
    soak = study("soak")
    unfinished = tmp_path / "checkpoints/60.orbax-checkpoint-tmp"
    before = soak.left(tmp_path)
    assert soak.moment(before, before, 80, ready=False) == "at its start"
    log(tmp_path, 10, 20, 30, 40, 50, 60, attempt=1)
    unfinished.mkdir(parents=True)
    first = soak.left(tmp_path)
    assert soak.moment(before, first, 80, ready=True) == "in a save"
    # What the first left in a save, the second isn't in.
    compiling = "while its program was compiled, or read from the cache"
    assert soak.moment(first, soak.left(tmp_path), 80, ready=True) == compiling
    # It goes back to the checkpoint of step 40, and is killed before it is as far as the first was.
    log(tmp_path, 50, attempt=2)
    second = soak.left(tmp_path)
    assert soak.moment(first, second, 80, ready=True) == "between steps, or in one"
    # The third clears the folder away, and is killed in the same save.
    log(tmp_path, 50, 60, attempt=3)
    unfinished.rename(tmp_path / "cleared")
    unfinished.mkdir()
    third = soak.left(tmp_path)
    assert soak.moment(second, third, 80, ready=True) == "in a save"
    log(tmp_path, 70, 80, attempt=4)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9')
    assert soak.moment(third, soak.left(tmp_path), 80, ready=True).startswith("after the last step")
    assert soak.logged(tmp_path) == [10, 20, 30, 40, 50, 60, 70, 80]


@pytest.mark.parametrize(
    ("name", "late", "told"),
    [
        *(("allocated", 1010, False), ("allocated", 1011, True)),
        *(("resident", 1050, False), ("resident", 1051, True), ("resident", 900, False)),
        *(("files", 1000, False), ("files", 1001, True), ("arrays", 1001, True)),
        ("device", 1001, True),
    ],
)
def test_what_grows_in_a_long_run_is_told(name, late, told, study):
    long_run = study("long_run")
    # The start may be anything.
    looks = [long_run.Look(step, *[5000 if step < 5 else 1000] * 5) for step in range(25)]
    assert not long_run.grown(looks)
    looks[-1] = looks[-1]._replace(**{name: 9000})
    assert not long_run.grown(looks)
    looks[-3:] = [look._replace(**{name: late}) for look in looks[-3:]]
    assert list(long_run.grown(looks)) == [name] * told


def test_what_malloc_gave_out_is_counted(study):
    long_run = study("long_run")
    before = long_run.allocated()
    held = np.ones(10**8, np.uint8)
    assert 0.99e8 < long_run.allocated() - before < 1.1e8
    del held
    assert abs(long_run.allocated() - before) < 1e7
