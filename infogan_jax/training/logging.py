"""What a run says of itself while it trains: `metrics.jsonl`, what shows it, and a progress line."""

import contextlib
import io
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from infogan_jax.images import save_png, write_atomically
from infogan_jax.training.run_folder import METRICS_FILE
from infogan_jax.training.writers import Writer

Record = dict[str, float]

_PLAIN_SECONDS = 10.0
"""Seconds between two lines where the output is no terminal."""


def read_records(run_dir: Path) -> list[Record]:
    """The log's records, oldest first, up to the first line that is none or that isn't of a later step.

    A record has a whole number as its step, its seconds, and numbers alone.

    The last line may have been cut off, and a disk may have lost what was on its way to it.
    """
    path = run_dir / METRICS_FILE
    if not path.exists():
        return []
    records: list[Record] = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not _is_record(record) or (records and record["step"] <= records[-1]["step"]):
            break
        records.append(record)
    return records


def _is_record(value: Any) -> bool:
    """Whether a line's value is what `Log.write` writes."""
    return (
        isinstance(value, dict)
        and all(type(number) in (int, float) for number in value.values())
        and type(value.get("step")) is int
        and 0 <= value["step"] < 2**31
        # Thirty years; what isn't finite is no time either.
        and 0 <= value.get("seconds", -1) < 1e9
    )


class Log:
    """Writes a run's records to its file, and to what else shows them; a context that closes the file."""

    def __init__(self, run_dir: Path, *, start: int, writers: Sequence[Writer] = ()) -> None:
        """Opens the log, and cuts it back to what was known at step ``start``.

        Args:
            run_dir: the run's folder.
            start: the step that training starts from; later records, of a run that went on after
                its last checkpoint, are dropped, since their steps come again.
            writers: what else shows them.
        """
        kept = [record for record in read_records(run_dir) if record["step"] <= start]
        path = run_dir / METRICS_FILE
        write_atomically(path, "".join(json.dumps(record) + "\n" for record in kept).encode())
        self._file = path.open("a", buffering=1)
        self._started = time.monotonic() - (kept[-1]["seconds"] if kept else 0.0)
        self._run_dir = run_dir
        self._writers = writers

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, record: Record) -> None:
        """Adds a record: the step, its rates and metrics; "seconds" of training join them."""
        record = {"step": record["step"], "seconds": round(time.monotonic() - self._started, 3)} | record
        self._file.write(json.dumps(record) + "\n")
        for writer in self._writers:
            writer.scalars(int(record["step"]), {k: v for k, v in record.items() if k != "step"})

    def picture(self, step: int, name: str, pixels: np.ndarray, scale: int) -> None:
        """Adds a picture, uint8 [h, w, c], which becomes `NAME/STEP.png`."""
        path = self._run_dir / name / f"{step:07d}.png"
        path.parent.mkdir(exist_ok=True)
        save_png(path, pixels, scale)
        for writer in self._writers:
            writer.picture(step, name, path)


class ProgressLine:
    """How far a training is: a line that moves in a terminal, and lines now and then elsewhere."""

    def __init__(self, *, start: int, total: int, console: Console) -> None:
        """A line from step ``start`` of ``total`` on."""
        self._total = total
        self._console = console
        self._last_line = time.monotonic()
        columns = (
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[losses]}"),
        )
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._progress.add_task(
            "train", total=total, completed=start, rate="compiling", losses=""
        )

    def __enter__(self) -> "ProgressLine":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._progress.stop()

    def show(self, record: Record, losses: str) -> None:
        """Shows a record's step and rates, and its losses in a few words."""
        try:
            self._show(record, losses)
        except OSError:
            # The terminal is gone, or whatever read the lines: no reason to lose the run.
            self._progress.disable = True
            self._console = Console(file=io.StringIO())

    def _show(self, record: Record, losses: str) -> None:
        step = int(record["step"])
        rate = f"{record['steps_per_second']:.3g} steps/s  {_work(record)}".rstrip()
        self._progress.update(self._task, completed=step, rate=rate, losses=losses)
        now = time.monotonic()
        if not self._console.is_terminal and (now - self._last_line > _PLAIN_SECONDS or step == self._total):
            self._last_line = now
            left = (self._total - step) / record["steps_per_second"]
            self._console.print(
                f"step {step}/{self._total}  {rate}  {left:.0f} s left  {losses}", soft_wrap=True
            )


def _work(record: Record) -> str:
    """The rate of arithmetic where it is known, and what share of the devices' peak it is."""
    if "flops_per_second" not in record:
        return ""
    share = f" ({100 * record['utilisation']:.3g} % of the peak)" if "utilisation" in record else ""
    return f"{record['flops_per_second'] / 1e9:.3g} GFLOP/s{share}  "
