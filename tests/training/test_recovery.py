import dataclasses
import json
import shutil
import subprocess

import jax
import numpy as np
import pytest

from infogan_jax.errors import UserError
from infogan_jax.training import checksums, loop, run_folder
from infogan_jax.training.checkpoints import Checkpoints
from infogan_jax.training.checksums import DamagedCheckpoint
from infogan_jax.training.recovery import go_back, holding
from infogan_jax.training.run_folder import Run

STEPS = [10, 20]


@pytest.fixture(scope="module")
def saved(tiny_config, tmp_path_factory):
    """A run's folder with the checkpoints of steps 10 and 20, and a log to step 25."""
    folder = tmp_path_factory.mktemp("saved") / "run"
    state = loop.initial_state(tiny_config, jax.devices()[:1])
    with Checkpoints(folder, keep=2) as checkpoints:
        for step in STEPS:
            state = dataclasses.replace(state, step=state.step * 0 + step)
            checkpoints.save(step, state, tiny_config)
    lines = [json.dumps({"step": step, "seconds": 1.0}) + "\n" for step in range(5, 30, 5)]
    (folder / "metrics.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture
def run(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "run")


def gone_back(run):
    """The step that a run goes on from, and what is told of that."""
    told = []
    return go_back(run, told.append), "\n".join(told)


def test_a_run_that_is_whole_goes_on_from_the_newest(run, capfd):
    assert gone_back(run) == (20, f"{run} goes on from step 20; steps 21 to 25 come again")
    assert capfd.readouterr() == ("", "")


def damaged(content, kind):
    middle = len(content) // 2
    flipped = bytes([content[middle] ^ 1])
    return {"truncated": content[:middle], "flipped": content[:middle] + flipped + content[middle + 1 :]}[
        kind
    ]


@pytest.mark.parametrize("kind", ["truncated", "flipped", "deleted"])
def test_whichever_file_is_damaged_the_run_goes_back(kind, run, saved, checkpoint_arrays, tried):
    files = [f for f in (saved / "checkpoints/20").rglob("*") if f.is_file() and f.stat().st_size]
    assert len(files) >= 8
    for original in files:
        file = run / original.relative_to(saved)
        if kind == "deleted":
            file.unlink()
        else:
            file.write_bytes(damaged(original.read_bytes(), kind))
        # Orbax can do without files of its own.
        orbax = file.parent.name == "20" and file.name != checksums.SUMS_FILE
        step, told = gone_back(run)
        assert step == (20 if orbax else 10), original
        if orbax:
            assert checkpoint_arrays(run, 20)[".step"] == 20
        else:
            aside = run / "damaged/20"
            assert "20: the checkpoint is damaged" in told and f"it is in {aside} now" in told
            assert "from step 10; steps 11 to 25 come again" in told
            assert run_folder.steps(run) == [10]
            shutil.rmtree(run / "damaged")
        shutil.rmtree(run / "checkpoints")
        shutil.copytree(saved / "checkpoints", run / "checkpoints")
    # How many files there are is Orbax's affair.
    tried("checkpoints without a file, or with one cut short or of a flipped bit", len(files), 3 * 8)


def test_every_byte_counts(run, tried):
    file = max((run / "checkpoints/20/state").rglob("*"), key=lambda f: f.is_file() and f.stat().st_size)
    content = file.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(content), 20):
        file.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        assert run_folder.newest_whole(run)[0] == 10, place
    file.write_bytes(content)
    assert run_folder.newest_whole(run) == (20, {})
    tried("checkpoints with a flipped bit in their largest file", 20)


def test_the_checksums_are_those_of_the_coreutils(run):
    if shutil.which("sha256sum") is None:
        pytest.skip("there is no sha256sum")
    done = subprocess.run(["sha256sum", "-c", checksums.SUMS_FILE], cwd=run / "checkpoints/20", check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("kept", [0, 1, -1])
def test_checksums_that_have_lost_lines_are_damaged(kept, run):
    file = run / "checkpoints/20" / checksums.SUMS_FILE
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:kept]))
    with pytest.raises(DamagedCheckpoint, match=r"SHA256SUMS has no line for (run|state)/"):
        run_folder.check(run, 20)
    assert gone_back(run)[0] == 10


def test_what_a_file_manager_leaves_is_no_damage(run):
    (run / "checkpoints/20/state/.DS_Store").touch()
    run_folder.check(run, 20)


@pytest.mark.parametrize("line", ["0  ../../../secret", "0  /etc/passwd", "nonsense", "0  a\0b"])
def test_checksums_stay_in_their_folder(line, run, monkeypatch):
    (run / "checkpoints/20" / checksums.SUMS_FILE).write_text(line + "\n")
    monkeypatch.setattr(checksums, "_sum", lambda path: pytest.fail(f"{path} was read"))
    with pytest.raises(DamagedCheckpoint, match="SHA256SUMS can't be read"):
        run_folder.check(run, 20)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("30", "30 is a checkpoint of step 20, which was renamed"),
        ("20.old", "goes on from step 10; steps 11 to 25 come again"),
    ],
)
def test_a_checkpoint_that_was_renamed_is_not_taken(name, message, run):
    (run / "checkpoints/20").rename(run / "checkpoints" / name)
    step, told = gone_back(run)
    assert step == 10 and message in told


def test_one_that_lost_an_item_does_not_stand_in_the_way(run):
    shutil.rmtree(run / "checkpoints/20/run")
    step, told = gone_back(run)
    assert step == 10 and "checkpoints/20 has lost a part; it is in" in told
    assert not (run / "checkpoints/20").exists()


def test_what_was_put_aside_before_stays(run, saved):
    for name in ("20", "20-2"):
        (run / "checkpoints/20/state/manifest.ocdbt").unlink()
        step, told = gone_back(run)
        assert step == 10 and f"it is in {run / 'damaged' / name} now" in told
        shutil.copytree(saved / "checkpoints/20", run / "checkpoints/20")


def test_where_none_is_whole_nothing_is_moved(run):
    for step in STEPS:
        (run / f"checkpoints/{step}/state/manifest.ocdbt").write_bytes(b"")
    with pytest.raises(DamagedCheckpoint, match=r"checkpoints/20: the checkpoint is damaged, state/manifest"):
        gone_back(run)
    assert run_folder.steps(run) == STEPS and not (run / "damaged").exists()


def change(run, step, *without, **values):
    """Another run.json, which is then as it was saved."""
    file = run / f"checkpoints/{step}/run/run.json"
    stored = json.loads(file.read_text()) | values
    file.write_text(json.dumps({name: value for name, value in stored.items() if name not in without}))
    checksums.write(run / f"checkpoints/{step}")


def test_a_newer_schema_is_told(run):
    change(run, 20, schema=3, versions={"infogan-jax": "9.1"})
    with pytest.raises(UserError, match=r"schema 3, written by infogan-jax 9\.1; this version reads 1 and 2"):
        gone_back(run)


def test_the_first_schema_is_read(run, tiny_config):
    change(run, 20, "schema", "step")
    (run / "checkpoints/20" / checksums.SUMS_FILE).unlink()
    assert gone_back(run)[0] == 20
    assert run_folder.config(run, 20) == tiny_config


# Another training between the look at a folder and its lock


def test_a_run_that_went_on_meanwhile_is_not_cut(run, tiny_config):
    with (
        pytest.raises(UserError, match="run was trained meanwhile: start again"),
        holding(Run(tiny_config, run, resume_from=10), [].append),
    ):
        pass
    assert run_folder.steps(run) == STEPS


def test_a_run_that_was_begun_meanwhile_is_not_begun_again(run, tiny_config):
    with (
        pytest.raises(UserError, match="run is there already and not empty: --resume goes on"),
        holding(Run(tiny_config, run), pytest.fail),
    ):
        pass


def test_a_run_is_held_until_it_ends(run, tiny_config, tmp_path):
    told = []
    for each in (Run(tiny_config, run, resume_from=20), Run(tiny_config, tmp_path / "new")):
        with (
            holding(each, told.append),
            pytest.raises(UserError, match="is being trained by process"),
            holding(each, told.append),
        ):
            pass
    assert told == [f"{run} goes on from step 20; steps 21 to 25 come again"]
