import errno
import io
import json
import time

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from infogan_jax.training.logging import Log, ProgressLine, read_records


class Shown:
    """Keeps what it is given."""

    def __init__(self):
        self.numbers, self.pictures = [], []

    def scalars(self, step, values):
        self.numbers.append((step, dict(values)))

    def picture(self, step, name, file):
        self.pictures.append((step, name, file))

    def close(self):
        pass


def test_a_record_is_in_the_log_and_shown_at_once(tmp_path):
    shown = Shown()
    with Log(tmp_path, start=10, writers=[shown]) as log:
        log.write({"step": 20, "loss_d": 1.25})
        (record,) = read_records(tmp_path)
        assert shown.numbers == [(20, {"seconds": record["seconds"], "loss_d": 1.25})]
    assert record == {"step": 20, "seconds": record["seconds"], "loss_d": 1.25}


def test_a_picture_is_a_file_and_shown(tmp_path):
    shown = Shown()
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    with Log(tmp_path, start=0, writers=[shown]) as log:
        log.picture(20, "samples", pixels, 2)
    ((step, name, file),) = shown.pictures
    assert (step, name, file) == (20, "samples", tmp_path / "samples/0000020.png")
    np.testing.assert_array_equal(np.asarray(Image.open(file))[::2, ::2], pixels[..., 0])


def test_whatever_the_clock_says_records_are_written(tmp_path, monkeypatch):
    jumps = iter([0.0, -5e8, 5e8] * 100)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + next(jumps))
    with Log(tmp_path, start=0) as log:
        for step in range(1, 31):
            log.write({"step": step})
    assert [record["step"] for record in read_records(tmp_path)] == list(range(1, 31))
    seconds = [record["seconds"] for record in read_records(tmp_path)]
    assert seconds == sorted(seconds) and seconds[-1] < 1000


def test_a_full_disk_is_told(tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    log = Log(tmp_path, start=0)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(log, "_file", type("Full", (), {"write": full})())
        for step in range(1, 100):
            log.write({"step": step})
    log.__exit__()


# What is JSON, and none of what a log has.
NO_RECORDS = (
    *(b'{"step": 15}\n', b'{"step": 15, "seconds": "x"}\n', b'{"step": 15, "seconds": null}\n'),
    *(b'{"step": 15, "seconds": NaN}\n', b'{"step": 15, "seconds": 1' + b"0" * 400 + b"}\n"),
    *(b'{"step": "x", "seconds": 3.0}\n', b'{"step": 15.5, "seconds": 3.0}\n'),
    *(b'{"step": true, "seconds": 3.0}\n', b'{"step": -1, "seconds": 3.0}\n'),
    b'{"step": 15, "seconds": 3.0, "loss_d": []}\n',
)


@pytest.mark.parametrize("line", NO_RECORDS)
def test_a_log_that_begins_with_no_record_has_none(line, tmp_path):
    (tmp_path / "metrics.jsonl").write_bytes(line)
    assert read_records(tmp_path) == []
    with Log(tmp_path, start=20) as log:
        log.write({"step": 25})
    (record,) = read_records(tmp_path)
    assert record["step"] == 25 and record["seconds"] < 1000


def test_a_log_is_read_up_to_what_is_none(tmp_path):
    good = b'{"step": 5, "seconds": 1.0}\n{"step": 10, "seconds": 2.0}\n'
    ends = (
        *(b"", b'{"step": 1', b"\x00\x00\xff\n", b"12\n", b"[]\n", b"[" * 10**5 + b"\n"),
        *(b'{"step": 10, "seconds": 3.0}\n', b'{"stop": 15, "seconds": 3.0}\n'),
        *NO_RECORDS,
    )
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
