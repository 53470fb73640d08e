"""What a run says of itself: a progress line, `metrics.jsonl`, and TensorBoard files."""

import json
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tensorboardX import SummaryWriter

from infogan_jax.images import write_atomically
from infogan_jax.training.run_folder import METRICS_FILE

Record = dict[str, float]

_PLAIN_SECONDS = 10.0
"""Seconds between two lines where the output is no terminal."""


def read_records(run_dir: Path) -> list[Record]:
    """The log's records, oldest first; a last line that was cut off is left out."""
    path = run_dir / METRICS_FILE
    if not path.exists():
        return []
    records = []
    for line in path.read_text().splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


class Log:
    """Writes a run's records to its files; a context that closes them."""

    def __init__(self, run_dir: Path, *, start: int) -> None:
        """Opens the log, and cuts it back to what was known at step ``start``.

        Args:
            run_dir: the run's folder.
            start: the step that training starts from; later records, of a run that went on after
                its last checkpoint, are dropped, since their steps come again.
        """
        kept = [record for record in read_records(run_dir) if record["step"] <= start]
        path = run_dir / METRICS_FILE
        write_atomically(path, "".join(json.dumps(record) + "\n" for record in kept).encode())
        self._file = path.open("a", buffering=1)
        self._started = time.monotonic() - (kept[-1]["seconds"] if kept else 0.0)
        self._writer = SummaryWriter(str(run_dir / "tensorboard"), purge_step=start + 1)

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._writer.close()

    def write(self, record: Record) -> None:
        """Adds a record: the step, its rates and metrics; "seconds" of training join them."""
        record = {"step": record["step"], "seconds": round(time.monotonic() - self._started, 3)} | record
        self._file.write(json.dumps(record) + "\n")
        for name, value in record.items():
            if name != "step":
                self._writer.add_scalar(name, value, int(record["step"]))


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
        self._progress.stop()

    def show(self, record: Record, losses: str) -> None:
        """Shows a record's step and rates, and its losses in a few words."""
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
    """The rate of arithmetic where it is known."""
    return f"{record['flops_per_second'] / 1e9:.3g} GFLOP/s  " if "flops_per_second" in record else ""
