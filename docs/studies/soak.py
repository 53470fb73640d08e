"""Kills one run again and again at random moments, and compares its end with that of an unbroken one.

    python docs/studies/soak.py --kills 50

Each attempt goes on from what the last left, and is sent SIGKILL after a time that is drawn: of every second
one up to what a whole run takes that compiles its program or finds it compiled, of the others from their
first step on. So some end while it starts, some while it is compiled, some between steps, some in a save and
some in the last step. Whenever the run comes to its end, its state and
the steps in its log are compared with the unbroken run's, and a new one is begun, until so many kills have
been made. The exit status is 1 where they differ.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


def command(folder: Path, steps: int, *, compile_anew: bool = False) -> list[str]:
    """The training, the same whether there is something to go on from or not."""
    options = ["--run-dir", str(folder), "--train.steps", str(steps), "--train.steps-per-call", "10"]
    options += ["--train.checkpoint-every", "20", "--train.sample-every", "100", "--resume-or-start"]
    options += ["--no-compilation-cache"] if compile_anew else []
    return [sys.executable, str(ROOT / "train.py"), "digits", *options]


def arrays(folder: Path, step: int) -> dict:
    """A checkpoint's arrays as bytes, by path."""
    from infogan_jax.evaluation.evaluate import restore
    from infogan_jax.training.checkpoints import host_arrays

    return {path: (x.shape, x.tobytes()) for path, x in host_arrays(restore(folder, step)[1]).items()}


def unfinished(folder: Path) -> set[tuple[str, int, int]]:
    """The folders of checkpoints that are being written, or were when a process was killed."""
    found = (folder / "checkpoints").glob("*orbax-checkpoint-tmp*")
    # One that was cleared away may come again by the same name.
    return {(path.name, path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


class Left(NamedTuple):
    """What an attempt finds in a run's folder, or leaves there."""

    unfinished: set[tuple[str, int, int]]
    lines: set[str]
    """Of the log. No two attempts write the same: each has its times."""


def left(folder: Path) -> Left:
    """What is in a run's folder while nothing trains."""
    path = folder / "metrics.jsonl"
    return Left(unfinished(folder), set(path.read_text().splitlines()) if path.exists() else set())


def wait_for_a_step(process: subprocess.Popen, folder: Path, before: Left) -> None:
    """Returns when an attempt has logged a step, or ended."""
    while process.poll() is None and not left(folder).lines - before.lines:
        time.sleep(0.01)


def moment(before: Left, after: Left, last: int, *, ready: bool) -> str:
    """What an attempt was doing when it was killed.

    Args:
        before: what it found.
        after: what it left.
        last: the run's last step.
        ready: whether it had named its folder, which it does when its data are read.
    """
    new = steps_of(after.lines - before.lines)
    if last in new:
        return "after the last step (its save, the measures)"
    if after.unfinished - before.unfinished:
        return "in a save"
    if new:
        return "between steps, or in one"
    return "while its program was compiled, or read from the cache" if ready else "at its start"


def logged(folder: Path) -> list[int]:
    """The steps in a run's log, in their order."""
    path = folder / "metrics.jsonl"
    return steps_of(path.read_text().splitlines() if path.exists() else [])


def steps_of(lines: Iterable[str]) -> list[int]:
    """The steps of a log's lines; one that was cut off is left out."""
    found = []
    for line in lines:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line)["step"])
    return found


def main() -> int:
    """Prints each kill's moment, and at the end what was compared."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=200, help="of each run")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    drawn = random.Random(options.seed)
    moments: Counter[str] = Counter()
    ends = wrong = uneven = 0
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": f"{scratch}/cache"}
        straight, folder = Path(scratch) / "straight", Path(scratch) / "run"
        seconds = {}
        for anew in (True, False):
            shutil.rmtree(straight, ignore_errors=True)
            began = time.monotonic()
            process = subprocess.Popen(
                command(straight, options.steps), env=environment, stdout=subprocess.DEVNULL
            )
            wait_for_a_step(process, straight, left(straight))
            stepped = time.monotonic()
            if process.wait():
                return 1
            seconds[anew] = time.monotonic() - began
            from_first_step = time.monotonic() - stepped
        wanted = arrays(straight, options.steps)
        steps = logged(straight)
        print(
            f"unbroken: {options.steps} steps in {seconds[True]:.0f} s, {seconds[False]:.0f} s with what was "
            f"compiled, {len(wanted)} arrays",
            flush=True,
        )
        while sum(moments.values()) < options.kills or folder.exists() or not ends:
            before = left(folder)
            anew = drawn.random() < 0.3
            line = command(folder, options.steps, compile_anew=anew)
            said = Path(scratch) / "stdout"
            with (Path(scratch) / "stderr").open("w") as errors, said.open("w") as output:
                process = subprocess.Popen(
                    line, env=environment | {"PYTHONUNBUFFERED": "1"}, stdout=output, stderr=errors
                )
                # Enough kills, or nothing left but to measure: let it come to its end.
                more = sum(moments.values()) < options.kills and logged(folder)[-1:] != steps[-1:]
                limit = drawn.uniform(0.02, 1.0) * seconds[anew]
                if more and drawn.random() < 0.5:
                    wait_for_a_step(process, folder, before)
                    limit = drawn.uniform(0.0, 1.0) * from_first_step
                try:
                    status = process.wait(limit if more else None)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    status = None
            if status is None:
                kind = moment(before, left(folder), options.steps, ready="run folder:" in said.read_text())
                moments[kind] += 1
                print(
                    f"kill {sum(moments.values())}: at step {(logged(folder) or [0])[-1]}, {kind}", flush=True
                )
                continue
            if status:
                print((Path(scratch) / "stderr").read_text())
                return 1
            ends += 1
            uneven += logged(folder) != steps
            found = arrays(folder, options.steps)
            wrong += found != wanted
            print(
                f"end {ends}: {'the same, bit for bit' if found == wanted else 'ANOTHER STATE'}", flush=True
            )
            shutil.rmtree(folder)
    print(f"{sum(moments.values())} kills: {dict(moments)}")
    print(f"{ends} ends, {wrong} of them not bitwise the unbroken run's; {uneven} logs of other steps")
    return int(bool(wrong or uneven))


if __name__ == "__main__":
    sys.exit(main())
