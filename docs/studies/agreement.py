"""How far runs on 1, 2, 4 and 8 devices, and on 4 devices of 1, 2 and 4 processes, agree after 50 steps.

    python docs/studies/agreement.py --steps 50

The devices are fake ones of this machine's CPU; processes meet on its loopback address.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
LAYOUTS = {"1": (1, 1), "2": (1, 2), "4": (1, 4), "8": (1, 8), "2 x 2": (2, 2), "4 x 1": (4, 1)}
LOSSES = ("loss_d", "loss_g", "mi_c1", "mi_c2", "mi_c3", "invariance")


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
    """Prints a table of the largest differences from one device."""
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
            arrays = host_arrays(restore(folder, options.steps)[1])
            params = np.concatenate([x.ravel() for path, x in arrays.items() if path.startswith(".params")])
            found[name] = np.array([[line[loss] for loss in LOSSES] for line in lines]), params, arrays
    print(
        "layout | losses: after a step, after all | parameters: largest difference, value | bitwise equal to"
    )
    for name, (losses, params, arrays) in found.items():
        apart = np.abs(losses - found["1"][0]).max(axis=1)
        equal = [
            other
            for other, (_, _, others) in found.items()
            if other != name and all(np.array_equal(arrays[path], others[path]) for path in arrays)
        ]
        print(
            f"{name} | {apart[0]:.1e}, {apart.max():.1e} | {np.abs(params - found['1'][1]).max():.1e}, "
            f"{np.abs(params).max():.2f} | {', '.join(equal) or '-'}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
