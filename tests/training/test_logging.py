import errno
import io
import json
import struct
import time

import pytest
from rich.console import Console
from tensorboardX.proto.event_pb2 import Event, SessionLog

from infogan_jax.training.logging import Log, ProgressLine, read_records


def events(folder):
    """What TensorBoard reads: each event behind its length and a checksum of that, and one of its own."""
    for path in sorted((folder / "tensorboard").iterdir()):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack_from("<Q", content)
            yield Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]


def test_a_record_is_in_the_log_and_for_tensorboard_at_once(tmp_path):
    with Log(tmp_path, start=10) as log:
        log.write({"step": 20, "loss_d": 1.25})
        (record,) = read_records(tmp_path)
        *_, start, last = events(tmp_path)
    assert record == {"step": 20, "seconds": record["seconds"], "loss_d": 1.25}
    # What an earlier attempt wrote from step 11 on is hidden.
    assert (start.step, start.session_log.status) == (11, SessionLog.START)
    found = {value.tag: value.simple_value for value in last.summary.value}
    assert last.step == 20 and found.keys() == {"seconds", "loss_d"} and found["loss_d"] == 1.25


def test_whatever_the_clock_says_records_are_written(tmp_path, monkeypatch):
    jumps = iter([0.0, -5e8, 5e8] * 100)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + next(jumps))
    with Log(tmp_path, start=0) as log:
        for step in range(1, 31):
            log.write({"step": step})
    assert [record["step"] for record in read_records(tmp_path)] == list(range(1, 31))
    assert [event.step for event in events(tmp_path)][2:] == list(range(1, 31))
    seconds = [record["seconds"] for record in read_records(tmp_path)]
    assert seconds == sorted(seconds) and seconds[-1] < 1000


@pytest.mark.parametrize("kind", ["_file", "_events"])
def test_a_full_disk_is_told_and_not_waited_for(tmp_path, kind):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    log = Log(tmp_path, start=0)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="No space left"):
        if kind == "_events":
            patch.setattr(log._events, "write_event", full)
        else:
            patch.setattr(log, "_file", type("Full", (), {"write": full})())
        for step in range(1, 100):
            log.write({"step": step})
    log.__exit__()


def test_a_log_is_read_up_to_what_is_none(tmp_path):
    good = b'{"step": 5, "seconds": 1.0}\n{"step": 10, "seconds": 2.0}\n'
    ends = (b"", b'{"step": 1', b"\x00\x00\xff\n", b"12\n", b'{"step": 10}\n', b'{"stop": 15}\n', b"[]\n")
    for rest in ends:
        (tmp_path / "metrics.jsonl").write_bytes(good + rest)
        assert [record["step"] for record in read_records(tmp_path)] == [5, 10], rest
        with Log(tmp_path, start=5) as log:
            log.write({"step": 8})
        lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == [5, 8]


class Gone(io.StringIO):
    """A terminal that is closed after its first line."""

    def write(self, text):
        if self.getvalue().count("\n") >= 1:
            raise OSError(5, "Input/output error")
        return super().write(text)

    def flush(self):
        if self.getvalue().count("\n") >= 1:
            raise OSError(5, "Input/output error")


def test_a_terminal_that_is_closed_does_not_end_the_run(monkeypatch):
    monkeypatch.setattr("infogan_jax.training.logging._PLAIN_SECONDS", -1.0)
    for terminal in (False, True):
        console = Console(file=Gone(), force_terminal=terminal, width=80)
        with ProgressLine(start=0, total=30, console=console) as line:
            for step in (10, 20, 30):
                line.show({"step": step, "steps_per_second": 1.0}, "losses")
