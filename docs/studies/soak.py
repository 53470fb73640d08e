"""Kills one run again and again at random moments, and compares its end with that of an unbroken one.

    python docs/studies/soak.py --kills 50

Each attempt goes on from what the last left, and is sent SIGKILL after a time that is drawn so that some end
while the program is compiled, some between steps, some in a save and some in the last step. Whenever the run
comes to its end, its state is compared with the unbroken run's, and a new one is begun, until so many kills
have been made.
"""

import argparse
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
from pathlib import Path

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


def moment(folder: Path, before: int) -> str:
    """What an attempt was doing when it was killed."""
    if any((folder / "checkpoints").glob("*orbax-checkpoint-tmp*")):
        return "in a save"
    steps = logged(folder)
    if not steps or steps[-1] <= before:
        return "before its first step (start, compilation)"
    return "between steps, or in one"


def logged(folder: Path) -> list[int]:
    """The steps in a run's log; a line that was cut off is left out."""
    found = []
    path = folder / "metrics.jsonl"
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line)["step"])
        except ValueError:
            break
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
    ends = wrong = twice = 0
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": f"{scratch}/cache"}
        straight, folder = Path(scratch) / "straight", Path(scratch) / "run"
        began = time.monotonic()
        subprocess.run(
            command(straight, options.steps), check=True, env=environment, stdout=subprocess.DEVNULL
        )
        whole = time.monotonic() - began
        wanted = arrays(straight, options.steps)
        print(f"unbroken: {options.steps} steps in {whole:.0f} s, {len(wanted)} arrays")
        while sum(moments.values()) < options.kills or not ends:
            before = logged(folder)[-1:] or [0]
            line = command(folder, options.steps, compile_anew=drawn.random() < 0.3)
            with (Path(scratch) / "stderr").open("w") as errors:
                process = subprocess.Popen(
                    line,
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                )
                # Enough kills: let it come to its end.
                limit = drawn.uniform(0.02, 1.0) * whole if sum(moments.values()) < options.kills else None
                try:
                    status = process.wait(limit)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    status = None
            if status is None:
                kind = moment(folder, before[0])
                if options.steps in logged(folder):
                    kind = "after the last step (its save, the measures)"
                moments[kind] += 1
                print(
                    f"kill {sum(moments.values())}: at step {(logged(folder) or [0])[-1]}, {kind}", flush=True
                )
                continue
            if status:
                print((Path(scratch) / "stderr").read_text())
                return 1
            ends += 1
            steps = logged(folder)
            twice += len(steps) != len(set(steps)) or steps != sorted(steps)
            found = arrays(folder, options.steps)
            wrong += found != wanted
            print(
                f"end {ends}: {'the same, bit for bit' if found == wanted else 'ANOTHER STATE'}", flush=True
            )
            shutil.rmtree(folder)
    print(f"{sum(moments.values())} kills: {dict(moments)}")
    print(f"{ends} ends, {wrong} of them not bitwise the unbroken run's; {twice} logs with a step twice")
    return bool(wrong or twice)


if __name__ == "__main__":
    sys.exit(main())
