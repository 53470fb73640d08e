"""Times how soon the program answers: each time in a fresh process.

    python benchmarks/startup.py --set-up mnist --json startup.json

The first step is timed with an empty compilation cache and with what that run has left there.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import machine
import tyro
from rich.console import Console
from rich.table import Table
from sides import median_min_max

ROOT = Path(__file__).parents[1]

PYTHON = {
    "an empty program": "pass",
    "import jax": "import jax",
    "import of the training loop": "import infogan_jax.training.loop",
}


@dataclass(frozen=True)
class Options:
    """Times imports, the help text, the first step, and the first step once more."""

    set_up: str = "mnist"
    """An experiment."""
    batch: int = 128
    """Images in a step."""
    rounds: int = 5
    """Times that each of them is timed."""
    json: Path | None = None
    """Where the numbers are written."""


def first_step(set_up: str, batch: int) -> None:
    """What a run does up to its first step's losses, on random images."""
    from dataclasses import replace

    import jax
    import numpy as np

    from infogan_jax.experiments import EXPERIMENTS
    from infogan_jax.training.loop import compile_steps, device_batches, initial_state, replicated

    config = EXPERIMENTS[set_up]
    config = replace(config, train=replace(config.train, batch=batch))
    devices = jax.local_devices()[:1]
    shape = (batch, *machine.image_shape(config))
    images = jax.device_put(np.random.default_rng(0).integers(0, 256, shape, np.uint8), replicated(devices))
    run = compile_steps(config, devices)
    jax.block_until_ready(run(initial_state(config, devices), images, device_batches(config, 0, 1, batch, 1)))


def seconds(words: list[str], cache: str | None = None) -> float:
    """How long a process takes that runs Python with these words."""
    path = os.pathsep.join(filter(None, (str(ROOT), str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": path}
    environment |= {"JAX_COMPILATION_CACHE_DIR": cache} if cache else {}
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return time.perf_counter() - started


def measure(options: Options) -> dict[str, list[float]]:
    """Seconds of each, by round."""
    step = f"import startup; startup.first_step({options.set_up!r}, {options.batch})"
    found: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as cache:
            times = {name: seconds(["-c", code]) for name, code in PYTHON.items()}
            times["train.py --help"] = seconds([str(ROOT / "train.py"), "--help"])
            times["the first step"] = seconds(["-c", step], cache)
            times["the first step of the next run"] = seconds(["-c", step], cache)
        for name, value in times.items():
            found.setdefault(name, []).append(value)
    return found


def main() -> None:
    """Times all in turn."""
    options = tyro.cli(Options, description=__doc__)
    machine.check(options.set_up, least={"batch": 2}, **vars(options))
    found = measure(options)
    table = Table(title=f"From nothing to {options.set_up}, batch {options.batch}")
    for heading in ("", "s", "min", "max"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, times in found.items():
        table.add_row(name, *median_min_max(times, ".2f"))
    console = Console(width=110)
    console.print(table)
    circumstances = machine.circumstances("jax")
    console.print(machine.told(circumstances))
    if options.json:
        given = {"set_up": options.set_up, "batch": options.batch}
        options.json.write_text(json.dumps({"seconds": found} | given | circumstances, indent=2) + "\n")


if __name__ == "__main__":
    main()
