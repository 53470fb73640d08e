import errno
import json
import struct
import subprocess
import sys
import time
from dataclasses import replace
from types import ModuleType

import pytest
from PIL import Image
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from infogan_jax.errors import UserError
from infogan_jax.experiments import EXPERIMENTS
from infogan_jax.training import writers as module
from infogan_jax.training.writers import flat, wandb_module, writers

CONFIG = replace(EXPERIMENTS["digits"], seed=3)
PNG = b"\x89PNG\r\n\x1a\n and the rest"


def events(folder):
    """What TensorBoard reads: each event behind its length and a checksum of that, and one of its own."""
    for path in sorted((folder / "tensorboard").iterdir()):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack_from("<Q", content)
            yield Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]


def test_tensorboard_has_numbers_pictures_and_settings_at_once(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    with writers(tmp_path, CONFIG, 10) as (board,):
        board.scalars(20, {"loss_d": 1.25})
        board.picture(20, "samples", tmp_path / "a.png")
        _, start, begun, numbers, picture = events(tmp_path)
    # What an earlier attempt wrote from step 11 on is hidden.
    assert (start.step, start.session_log.status) == (11, SessionLog.START)
    (value,) = begun.summary.value
    assert value.metadata.plugin_data.plugin_name == "hparams"
    told = HParamsPluginData.FromString(value.metadata.plugin_data.content).session_start_info.hparams
    assert told["seed"].number_value == 3 and told["experiment"].string_value == "digits"
    assert told["optimizer.lr_generator"].number_value == CONFIG.optimizer.lr_generator
    assert told["objective.plain_gan"].bool_value is False and "data.folder" not in told
    ((value,), (shown,)) = numbers.summary.value, picture.summary.value
    assert (numbers.step, value.tag, value.simple_value) == (20, "loss_d", 1.25)
    assert (picture.step, shown.tag, shown.image.encoded_image_string) == (20, "samples", PNG)


def test_where_nothing_is_trained_nothing_is_hidden(tmp_path):
    with writers(tmp_path, CONFIG, None) as (board,):
        board.scalars(20, {"eval/code_error": 0.5})
    assert not any(event.HasField("session_log") for event in events(tmp_path))


def test_whatever_the_clock_says_numbers_are_written(tmp_path, monkeypatch):
    jumps = iter([0.0, -5e8, 5e8] * 100)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + next(jumps))
    with writers(tmp_path, CONFIG, 0) as (board,):
        for step in range(1, 31):
            board.scalars(step, {"loss_d": 1.0})
    assert [event.step for event in events(tmp_path)][3:] == list(range(1, 31))


def test_a_full_disk_is_told_and_not_waited_for(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with writers(tmp_path, CONFIG, 0) as (board,):
        monkeypatch.setattr(board._events, "write_event", full)
        with pytest.raises(OSError, match="No space left"):
            board.scalars(1, {"loss_d": 1.0})


def test_the_file_is_closed_where_what_is_left_cannot_be_written(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"), writers(tmp_path, CONFIG, 0) as (board,):
        file = board._events._py_recordio_writer._writer
        monkeypatch.setattr(board._events, "flush", full)
    assert file.closed


def test_nested_values_are_told_by_path():
    values = {"a": {"b": 1, "c": {"d": "x"}}, "e": [1, {"f": 2}], "g": None, "h": True}
    assert flat(values) == {"a.b": 1, "a.c.d": "x", "e": '[1, {"f": 2}]', "h": True}
    assert flat({"a": {"b": 1.5}}, "eval/") == {"eval/a.b": 1.5}


class FakeRun:
    def __init__(self, **options):
        self.options, self.logged, self.finished = options, [], False

    def define_metric(self, name, step_metric):
        assert (name, step_metric) == ("*", "global_step")

    def log(self, values):
        self.logged.append(values)

    def finish(self):
        self.finished = True


@pytest.fixture
def wandb(monkeypatch):
    """In place of the package, with all runs that were begun."""
    fake = ModuleType("wandb")
    fake.runs = []
    fake.init = lambda **options: fake.runs.append(FakeRun(**options)) or fake.runs[-1]
    fake.Image = lambda path: ("image", path)
    fake.Error = type("Error", (Exception,), {})
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


def test_weights_and_biases_gets_the_same_and_goes_on_with_its_run(tmp_path, wandb):
    (tmp_path / "a.png").write_bytes(PNG)
    for start in (0, 20):
        with writers(tmp_path, CONFIG, start, "codes") as (_, shown):
            shown.scalars(start + 20, {"loss_d": 1.25})
            shown.picture(start + 20, "samples", tmp_path / "a.png")
    first, second = wandb.runs
    assert first.logged == [
        {"loss_d": 1.25, "global_step": 20},
        {"samples": ("image", str(tmp_path / "a.png")), "global_step": 20},
    ]
    assert first.finished and second.finished
    assert first.options["project"] == "codes" and first.options["resume"] == "allow"
    assert first.options["config"]["optimizer"]["lr_generator"] == CONFIG.optimizer.lr_generator
    assert (
        first.options["id"]
        == second.options["id"]
        == json.loads((tmp_path / "wandb/run.json").read_text())["id"]
    )
    with writers(tmp_path, CONFIG, 0):
        assert len(wandb.runs) == 2


def test_two_runs_are_two(tmp_path, wandb):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with writers(tmp_path / name, CONFIG, 0, "codes"):
            pass
    first, second = wandb.runs
    assert first.options["id"] != second.options["id"]
    # The package's default gives the second the first's where both are open.
    assert first.options["reinit"] == "create_new"


def test_a_service_that_refuses_is_told_in_a_line(tmp_path, wandb):
    def refuses(**_):
        raise wandb.Error("No API key configured.\nMore of it")

    wandb.init = refuses
    told = r"^--wandb: No API key configured\.; WANDB_MODE=offline keeps the run here$"
    with pytest.raises(UserError, match=told), writers(tmp_path, CONFIG, 0, "codes"):
        pass


def records(file):
    """What Weights & Biases has written into a file: a log of LevelDB's after seven bytes of its own."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, part = file.read_bytes(), 7, b""
    while len(content) - at > 7:
        left = 2**15 - at % 2**15
        length, kind = struct.unpack_from("<HB", content, at + 4) if left > 7 else (0, 0)
        if not kind:
            at += left
            continue
        part += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(part)
            part = b""


def test_the_package_itself_keeps_what_two_runs_show_at_once(tmp_path, environment):
    """In a process of its own: the package starts threads and another process."""
    pytest.importorskip("wandb", reason="the extra wandb isn't installed")
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    program = """
import sys
from contextlib import ExitStack
from pathlib import Path
from infogan_jax.experiments import DIGITS
from infogan_jax.training.writers import writers

folder = Path(sys.argv[1])
for step in (20, 20):  # a training, then the measures at its last step
    with ExitStack() as files:
        for name in ("s0", "s1"):
            (folder / name).mkdir(exist_ok=True)
            _, shown = files.enter_context(writers(folder / name, DIGITS, None, "codes"))
            shown.scalars(step, {"loss_d": 1.25})
            shown.picture(step, "samples", folder / "a.png")
"""
    offline = environment | {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True, env=offline)
    for name in ("s0", "s1"):
        files = sorted((tmp_path / name / "wandb").glob("offline-run-*/*.wandb"))
        assert len(files) == 2
        for file in files:
            found = list(records(file))
            (begun,) = (record.run for record in found if record.WhichOneof("record_type") == "run")
            assert begun.run_id == json.loads((tmp_path / name / "wandb/run.json").read_text())["id"]
            settings = {each.key: json.loads(each.value_json) for each in begun.config.update}
            assert settings["train"]["batch"] == CONFIG.train.batch
            items = [record.history.item for record in found if record.WhichOneof("record_type") == "history"]
            scalars, picture = (
                {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in each}
                for each in items
            )
            assert (scalars["loss_d"], scalars["global_step"]) == (1.25, 20)
            assert (picture["samples/_type"], picture["global_step"]) == ("image-file", 20)


def test_a_package_that_is_not_there_is_named_with_what_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(
        UserError, match=r"--wandb needs the package wandb .*-m pip install 'infogan-jax\[wandb\]'"
    ):
        wandb_module()


def test_what_was_opened_is_closed_where_another_cannot_be(tmp_path, monkeypatch, wandb):
    closed = []

    class Board(module.TensorBoard):
        def close(self):
            closed.append(self)
            super().close()

    def fails(**_):
        raise RuntimeError("no network")

    monkeypatch.setattr(module, "TensorBoard", Board)
    wandb.init = fails
    with pytest.raises(RuntimeError, match="no network"), writers(tmp_path, CONFIG, 0, "codes"):
        pass
    assert len(closed) == 1
