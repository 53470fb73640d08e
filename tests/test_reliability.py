"""What the studies of docs/reliability.md judge by."""

import json
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[1] / "docs" / "studies"


@pytest.fixture
def soak(monkeypatch):
    monkeypatch.syspath_prepend(STUDIES)
    import soak

    return soak


@pytest.fixture
def long_run(monkeypatch):
    monkeypatch.syspath_prepend(STUDIES)
    import long_run

    return long_run


def log(folder, *steps, attempt):
    """The log after an attempt that goes on where `steps` begin."""
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in lines if steps and json.loads(line)["step"] < steps[0]]
    kept += [json.dumps({"step": step, "seconds": 100 * attempt + step}) for step in steps]
    path.write_text("".join(line + "\n" for line in kept))


def test_the_moment_of_a_kill_is_told_by_what_that_attempt_left(soak, tmp_path):
    unfinished = tmp_path / "checkpoints/60.orbax-checkpoint-tmp"
    before = soak.left(tmp_path)
    assert soak.moment(before, before, 80) == "before its first step (start, compilation)"
    log(tmp_path, 10, 20, 30, 40, 50, 60, attempt=1)
    unfinished.mkdir(parents=True)
    first = soak.left(tmp_path)
    assert soak.moment(before, first, 80) == "in a save"
    # What the first left in a save, the second isn't in.
    assert soak.moment(first, soak.left(tmp_path), 80) == "before its first step (start, compilation)"
    # It goes back to the checkpoint of step 40, and is killed before it is as far as the first was.
    log(tmp_path, 50, attempt=2)
    second = soak.left(tmp_path)
    assert soak.moment(first, second, 80) == "between steps, or in one"
    # The third clears the folder away, and is killed in the same save.
    log(tmp_path, 50, 60, attempt=3)
    unfinished.rename(tmp_path / "cleared")
    unfinished.mkdir()
    third = soak.left(tmp_path)
    assert soak.moment(second, third, 80) == "in a save"
    log(tmp_path, 70, 80, attempt=4)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9')
    assert soak.moment(third, soak.left(tmp_path), 80).startswith("after the last step")
    assert soak.logged(tmp_path) == [10, 20, 30, 40, 50, 60, 70, 80]


@pytest.mark.parametrize(
    ("name", "late", "told"),
    [
        *(("resident", 1020, False), ("resident", 1021, True), ("resident", 900, False)),
        *(("files", 1000, False), ("files", 1001, True), ("arrays", 1001, True)),
        *(("device", 1020, False), ("device", 1021, True)),
    ],
)
def test_what_grows_in_a_long_run_is_told(name, late, told, long_run):
    # The start may be anything.
    looks = [long_run.Look(step, *[5000 if step < 5 else 1000] * 4) for step in range(25)]
    assert not long_run.grown(looks)
    looks[-1] = looks[-1]._replace(**{name: late})
    assert list(long_run.grown(looks)) == [name] * told
