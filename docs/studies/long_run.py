"""Whether a long training stays as large as it was: memory, open files and arrays on the device.

    python docs/studies/long_run.py --steps 20000

The training runs in this process; a thread looks at it now and then. The exit status is 1 where the median of
the last fifth of the looks is larger than that of the second: a look in a save finds more in use.
"""

import argparse
import contextlib
import ctypes
import gc
import io
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median_low
from typing import NamedTuple

import jax

from infogan_jax import cli
from infogan_jax.training.logging import read_records


class Look(NamedTuple):
    """The process at one time.

    Attributes:
        step: the training's.
        allocated: bytes that glibc's malloc has given out.
        resident: bytes of the process in memory: besides, what malloc keeps of what was freed.
        files: open ones.
        arrays: live ones.
        device: bytes in use on the device, or of live arrays.
    """

    step: int
    allocated: int
    resident: int
    files: int
    arrays: int
    device: int


class _Mallinfo(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in [
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        ]
    ]


def allocated() -> int:
    """Bytes that malloc has given out, from its arenas and mapped apart."""
    mallinfo2 = ctypes.CDLL("libc.so.6").mallinfo2
    mallinfo2.restype = _Mallinfo
    found = mallinfo2()
    return int(found.uordblks + found.hblkhd)


def look(run: Path) -> Look:
    """What the process uses now."""
    status = Path("/proc/self/status").read_text().splitlines()
    resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    live = jax.live_arrays()
    stats = jax.local_devices()[0].memory_stats() or {}
    size = stats.get("bytes_in_use", sum(each.nbytes for each in live))
    records = read_records(run)
    return Look(
        int(records[-1]["step"]) if records else 0,
        allocated(),
        1024 * resident,
        len(os.listdir("/proc/self/fd")),
        len(live),
        size,
    )


# How much larger the last fifth may be than the second. An allocator gives back what was freed when it likes.
ALLOWED = {"allocated": 0.01, "resident": 0.05, "files": 0.0, "arrays": 0.0, "device": 0.0}


def grown(looks: Sequence[Look]) -> dict[str, tuple[int, int]]:
    """What is larger in the last fifth of the looks than it may be: `compared`'s numbers of it."""
    return {
        name: (early, late)
        for name, (early, late) in compared(looks).items()
        if late > early * (1 + ALLOWED[name])
    }


def compared(looks: Sequence[Look]) -> dict[str, tuple[int, int]]:
    """The medians of each number, in the second fifth of the looks and in the last."""
    fifth = len(looks) // 5
    parts = looks[fifth : 2 * fifth], looks[-fifth:]
    early, late = (
        {name: median_low(getattr(look, name) for look in part) for name in ALLOWED} for part in parts
    )
    return {name: (early[name], late[name]) for name in ALLOWED}


def main() -> int:
    """Prints the looks, and how the last fifth compares with the second."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks")
    options = parser.parse_args()
    looks: list[Look] = []
    with tempfile.TemporaryDirectory() as scratch:
        run, over = Path(scratch) / "run", threading.Event()

        def watch() -> None:
            while not over.wait(options.every):
                if (run / "metrics.jsonl").exists():
                    looks.append(look(run))

        watcher = threading.Thread(target=watch)
        watcher.start()
        began = time.monotonic()
        # It tells where the run and its report lie, and both go with this study.
        with contextlib.redirect_stdout(io.StringIO()):
            status = cli.train(["digits", "--run-dir", str(run), "--train.steps", str(options.steps)])
        over.set()
        watcher.join()
        gc.collect()
        lines = len((run / "metrics.jsonl").read_text().splitlines())
    # Not the measures after the training, and not the start.
    looks = [each for each in looks if 0 < each.step < options.steps]
    seconds = time.monotonic() - began
    print(f"{options.steps} steps in {seconds:.0f} s, {len(looks)} looks, {lines} lines in the log")
    print("step allocated_MiB resident_MiB open_files arrays device_MiB")
    for each in looks[:: max(1, len(looks) // 20)]:
        memory = f"{each.allocated / 2**20:.1f} {each.resident / 2**20:.1f}"
        print(f"{each.step} {memory} {each.files} {each.arrays} {each.device / 2**20:.2f}")
    if len(looks) < 5:
        print("too few looks to say anything: take more steps, or look more often with --every")
        return 1
    for name, (early, late) in compared(looks).items():
        print(f"{name}: median {early} in the second fifth, {late} in the last: {late - early:+d}")
    for name in grown(looks):
        print(f"{name} has grown by more than {ALLOWED[name]:.0%}")
    return int(bool(status or grown(looks)))


if __name__ == "__main__":
    sys.exit(main())
