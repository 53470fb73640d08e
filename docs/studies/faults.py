"""Does to a run what machines and people do, and prints what its user sees and what was lost.

    python docs/studies/faults.py            # all faults
    python docs/studies/faults.py flipped    # those whose name has this word

Every fault is done to a copy of one run of `digits` that has come to step 60 of 80. The command that goes on
is then typed, and where it comes to its end, its state is compared with that of a run left alone.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
STEPS, BROKEN_AT = 80, 60
TRAIN = [sys.executable, str(ROOT / "train.py")]
# Calls are short, so that there is time for a signal, and as long in every run: others would round otherwise.
RHYTHM = ["--train.steps-per-call", "2", "--train.checkpoint-every", "20", "--train.sample-every", "1000"]
RHYTHM += ["--train.keep", "3"]
NAN = """
import sys, jax.numpy as jnp
from infogan_jax import cli
from infogan_jax.tasks import infogan
step = infogan.step
def poisoned(config, state, images):
    new, metrics = step(config, state, images)
    return new, metrics | {"loss_g": jnp.where(state.step == 69, jnp.nan, metrics["loss_g"])}
infogan.step = poisoned
sys.exit(cli.train(sys.argv[1:]))
"""


def call(line: list[str], cwd: Path, **options: object) -> subprocess.CompletedProcess:
    """Runs a command as a user does."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, **options)


def go_on(run: Path, **options: object) -> subprocess.CompletedProcess:
    """Goes on with a run, to its last step."""
    line = [*TRAIN, "--resume", "--run-dir", run.name, "--train.steps", str(STEPS), *RHYTHM]
    return call(line, run.parent, **options)


def largest(run: Path) -> Path:
    """The largest file of the newest checkpoint."""
    files = [path for path in (run / f"checkpoints/{BROKEN_AT}").rglob("*") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_size)


def flip(path: Path) -> None:
    """Changes one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncated(run: Path) -> subprocess.CompletedProcess:
    """The newest checkpoint's largest file is cut short."""
    os.truncate(largest(run), largest(run).stat().st_size // 2)
    return go_on(run)


def flipped(run: Path) -> subprocess.CompletedProcess:
    """A bit of the newest checkpoint's largest file is flipped."""
    flip(largest(run))
    return go_on(run)


def renamed(run: Path) -> subprocess.CompletedProcess:
    """The newest checkpoint's folder gets another step's name."""
    (run / f"checkpoints/{BROKEN_AT}").rename(run / "checkpoints/70")
    return go_on(run)


def config_deleted(run: Path) -> subprocess.CompletedProcess:
    """The newest checkpoint's configuration is deleted."""
    (run / f"checkpoints/{BROKEN_AT}/run/run.json").unlink()
    return go_on(run)


def all_configs_deleted(run: Path) -> subprocess.CompletedProcess:
    """All checkpoints' configurations are deleted."""
    for path in run.glob("checkpoints/*/run/run.json"):
        path.unlink()
    return go_on(run)


def schema_newer(run: Path) -> subprocess.CompletedProcess:
    """The run was made by a later version."""
    from infogan_jax.training import checksums

    for path in run.glob("checkpoints/*/run/run.json"):
        path.write_text(
            json.dumps(json.loads(path.read_text()) | {"schema": 3, "versions": {"infogan-jax": "9"}})
        )
        checksums.write(path.parents[1])
    return go_on(run)


def schema_older(run: Path) -> subprocess.CompletedProcess:
    """The run was made by a version before checkpoints had a number and checksums."""
    for folder in (run / "checkpoints").iterdir():
        (folder / "SHA256SUMS").unlink()
        path = folder / "run/run.json"
        stored = json.loads(path.read_text())
        path.write_text(json.dumps({name: stored[name] for name in ("config", "versions")}))
    return go_on(run)


def log_cut(run: Path) -> subprocess.CompletedProcess:
    """The log ends in half a line and in zeros."""
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 70, "seconds": 9.0, "loss_d": 1.0}\n{"step": 7\0\0\0\0')
    return go_on(run)


def two_trainings(run: Path) -> subprocess.CompletedProcess:
    """A second training is started on the folder while one is at work."""
    line = [*TRAIN, "--resume", "--run-dir", run.name, "--train.steps", str(STEPS), *RHYTHM]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (run.parent / "first").open("w") as told:
        first = subprocess.Popen(line, cwd=run.parent, env=environment, stdout=told, stderr=told)
    while "run folder" not in (run.parent / "first").read_text() and first.poll() is None:
        time.sleep(0.1)
    second = go_on(run)
    first.wait()
    return second


def read_only(run: Path) -> subprocess.CompletedProcess:
    """The folder can't be written (for root: mounted so)."""
    if os.geteuid() == 0:
        subprocess.run(["mount", "--bind", run, run], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", run], check=True)
        try:
            return go_on(run)
        finally:
            subprocess.run(["umount", run], check=True)
    run.chmod(0o500)
    try:
        return go_on(run)
    finally:
        run.chmod(0o700)


def disk_full(run: Path) -> subprocess.CompletedProcess:
    """The disk fills in a save; then there is room again."""
    if os.geteuid() == 0:
        disk = run.parent / "disk"
        disk.mkdir()
        size = sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={int(size * 1.1) // 4096 * 4096}", "none", disk], check=True
        )
        try:
            shutil.copytree(run, disk / "run")
            done = go_on(disk / "run")
            shutil.rmtree(run)
            shutil.copytree(disk / "run", run)
        finally:
            subprocess.run(["umount", disk], check=True)
    else:
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))  # noqa: E731
        done = go_on(run, preexec_fn=limit)
    print(f"    then: status {go_on(run).returncode}")
    return done


def nan(run: Path) -> subprocess.CompletedProcess:
    """The loss of step 70 is not a number; then the run goes on without that."""
    line = [
        sys.executable,
        "-c",
        NAN,
        "--resume",
        "--run-dir",
        run.name,
        "--train.steps",
        str(STEPS),
        *RHYTHM,
    ]
    done = call(line, run.parent)
    print(f"    then: status {go_on(run).returncode}")
    return done


def hang_up(run: Path) -> subprocess.CompletedProcess:
    """The terminal is closed (SIGHUP) while it trains; then the run goes on."""
    return _stopped(run, signal.SIGHUP)


def terminated(run: Path) -> subprocess.CompletedProcess:
    """SIGTERM while it trains, as at pre-emption; then the run goes on."""
    return _stopped(run, signal.SIGTERM)


def killed(run: Path) -> subprocess.CompletedProcess:
    """SIGKILL while it trains; then the run goes on."""
    return _stopped(run, signal.SIGKILL)


def _stopped(run: Path, number: signal.Signals) -> subprocess.CompletedProcess:
    line = [*TRAIN, "--resume", "--run-dir", run.name, "--train.steps", str(STEPS), *RHYTHM]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (run.parent / "told").open("w") as told:
        process = subprocess.Popen(line, cwd=run.parent, env=environment, stdout=told, stderr=told)
    lines = (run / "metrics.jsonl").read_text().count("\n")
    while (run / "metrics.jsonl").read_text().count("\n") <= lines and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    done = subprocess.CompletedProcess(line, process.wait(), "", (run.parent / "told").read_text())
    print(f"    then: status {go_on(run).returncode}")
    return done


def array_record_cut(run: Path) -> subprocess.CompletedProcess:
    """A file of MNIST, as TFDS prepared it, is cut to its half."""
    return _with_mnist_cut(run, lambda size: size // 2)


def array_record_cut_to_a_block(run: Path) -> subprocess.CompletedProcess:
    """A file of MNIST is cut to its first 64 KiB, which array_record takes for a file of no records."""
    return _with_mnist_cut(run, lambda size: 2**16)


def _with_mnist_cut(run: Path, length: Callable[[int], int]) -> subprocess.CompletedProcess:
    prepared = Path(os.environ.get("TFDS_DATA_DIR", Path.home() / "tensorflow_datasets")) / "mnist"
    if not prepared.is_dir():
        return subprocess.CompletedProcess([], 0, "", "not tried: there is no mnist in TFDS_DATA_DIR")
    data = run.parent / "data"
    shutil.copytree(prepared, data / "mnist")
    shard = max(data.rglob("*array_record*"), key=lambda path: path.stat().st_size)
    shard.chmod(0o600)
    os.truncate(shard, length(shard.stat().st_size))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TFDS_DATA_DIR": str(data)}
    line = [*TRAIN, "mnist", "--train.steps", "1", "--run-dir", "mnist"]
    return subprocess.run(line, cwd=run.parent, env=environment, capture_output=True, text=True)


def state(run: Path) -> dict[str, bytes]:
    """A run's arrays after its last step, as bytes by path."""
    from infogan_jax.evaluation.evaluate import restore
    from infogan_jax.training.checkpoints import host_arrays

    return {path: x.tobytes() for path, x in host_arrays(restore(run, STEPS)[1]).items()}


FAULTS: list[Callable[[Path], subprocess.CompletedProcess]] = [
    *(truncated, flipped, renamed, config_deleted, all_configs_deleted, schema_newer, schema_older, log_cut),
    *(two_trainings, read_only, disk_full, nan, killed, terminated, hang_up, array_record_cut),
    array_record_cut_to_a_block,
]


def main() -> int:
    """Prints, for each fault, the exit status, the lines on standard error, and how the run ended.

    Returns:
        1 where there was a traceback, or another state at the end than that of the run left alone.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("word", nargs="?", default="")
    word = parser.parse_args().word
    tracebacks = others = 0
    with tempfile.TemporaryDirectory() as scratch:
        whole, broken = Path(scratch) / "whole", Path(scratch) / "broken"
        for run, steps in ((broken, BROKEN_AT), (whole, STEPS)):
            line = [*TRAIN, "--run-dir", str(run), "--train.steps", str(steps), *RHYTHM]
            call(line, Path(scratch)).check_returncode()
        wanted = state(whole)
        for number, fault in enumerate(each for each in FAULTS if word in each.__name__):
            run = Path(scratch) / f"fault{number}" / "run"
            shutil.copytree(broken, run)
            print(f"{fault.__name__}: {fault.__doc__}", flush=True)
            done = fault(run)
            told = [line for line in done.stderr.splitlines() if not line.startswith("step ")]
            tracebacks += "Traceback" in done.stderr
            print(f"    status {done.returncode}")
            for line in told:
                print(f"    | {line.replace(scratch, '')[:400]}")
            if (run / f"checkpoints/{STEPS}").is_dir():
                same = state(run) == wanted
                others += not same
                print(f"    at its end the state is {'the same' if same else 'ANOTHER'}")
            else:
                steps = sorted(int(p.name) for p in (run / "checkpoints").iterdir() if p.name.isdecimal())
                print(f"    checkpoints that are there: {steps}")
    print(f"{tracebacks} tracebacks, {others} other states")
    return bool(tracebacks or others)


if __name__ == "__main__":
    sys.exit(main())
