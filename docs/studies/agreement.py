"""How far runs on 1, 2, 4 and 8 devices, and on 4 devices of 1, 2 and 4 processes, agree after 50 steps.

    python docs/studies/agreement.py --steps 50

The devices are fake ones of this machine's CPU; processes meet on its loopback address. It ends with status 1
where processes x devices that are as many in all differ in one bit of what they logged or saved.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parents[2]
LAYOUTS = {"1": (1, 1), "2": (1, 2), "4": (1, 4), "8": (1, 8), "2 x 2": (2, 2), "4 x 1": (4, 1)}
LOSSES = ("loss_d", "loss_g", "mi_c1", "mi_c2", "mi_c3", "invariance")


class Found(NamedTuple):
    """A layout's run.

    Attributes:
        records: what was logged of each step, but for its time.
        losses: those among it, [steps, losses].
        arrays: the state after the last step, by path.
    """

    records: list[dict[str, float]]
    losses: np.ndarray
    arrays: dict[str, Any]

    @property
    def params(self) -> np.ndarray:
        """All parameters, in a row."""
        return np.concatenate([x.ravel() for path, x in self.arrays.items() if path.startswith(".params")])


def like(name: str) -> str:
    """The layout of one process that has as many devices."""
    processes, devices = LAYOUTS[name]
    return str(processes * devices)


def apart(one: Found, other: Found) -> tuple[float, float]:
    """The largest differences of losses and of parameters."""
    return float(np.abs(one.losses - other.losses).max()), float(np.abs(one.params - other.params).max())


def train(folder: Path, processes: int, devices: int, steps: int) -> None:
    """Trains on so many processes with so many devices each."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "NPROC": "16",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    options = ["--run-dir", str(folder), "--train.steps", str(steps), "--train.steps-per-call", "1"]
    line = [sys.executable, str(ROOT / "train.py"), "digits", *options]
    if processes > 1:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        line += ["--distributed", "--coordinator", f"127.0.0.1:{port}", "--processes", str(processes)]
    started = [
        subprocess.Popen(
            [*line, *(["--process", str(index)] if processes > 1 else [])],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        for index in range(processes)
    ]
    if any([process.wait() for process in started]):
        sys.exit(f"the training on {processes} x {devices} failed")


def main() -> int:
    """Prints a table of the largest differences from one device, and which layouts gave the same bits.

    Returns:
        1 where processes change what one process with as many devices gives.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=50)
    options = parser.parse_args()
    from infogan_jax.evaluation.evaluate import restore
    from infogan_jax.training.checkpoints import host_arrays

    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, (processes, devices) in LAYOUTS.items():
            folder = Path(scratch) / name.replace(" ", "")
            train(folder, processes, devices, options.steps)
            lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
            records = [{key: value for key, value in line.items() if "second" not in key} for line in lines]
            losses = np.array([[line[loss] for loss in LOSSES] for line in lines])
            found[name] = Found(records, losses, host_arrays(restore(folder, options.steps)[1]))
    return table(found)


def same(one: Found, other: Found) -> bool:
    """Whether two runs logged and saved the same bits."""
    if one.arrays.keys() != other.arrays.keys() or one.records != other.records:
        return False
    return all(np.array_equal(array, other.arrays[path]) for path, array in one.arrays.items())


def table(found: dict[str, Found]) -> int:
    """Prints how far layouts are apart; returns the exit status."""
    print("layout | losses: after a step, after all | parameters: difference, largest | the same bits as")
    for name, this in found.items():
        one_device = found["1"]
        first = np.abs(this.losses - one_device.losses)[0].max()
        losses, params = apart(this, one_device)
        equal = [other for other, that in found.items() if other != name and same(this, that)]
        print(
            f"{name} | {first:.1e}, {losses:.1e} | {params:.1e}, {np.abs(this.params).max():.2f} "
            f"| {', '.join(equal) or '-'}"
        )
    others = [name for name, this in found.items() if not same(this, found[like(name)])]
    if others:
        print(f"not the same bits as one process with as many devices: {', '.join(others)}")
    return bool(others)


if __name__ == "__main__":
    sys.exit(main())
