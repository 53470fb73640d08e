"""Trainings of several processes on this machine: what they compute, how they stop, and what they do without
each other."""

import dataclasses
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from rich.console import Console

from infogan_jax import cli
from infogan_jax.config import to_json
from infogan_jax.networks.tables import Layer, Networks
from infogan_jax.training import loop, processes, run_folder
from infogan_jax.training.run_folder import Run

pytestmark = pytest.mark.usefixtures("quick_compilation")

# A process as a user starts it, but for the experiment, which is read from a file.
WORKER = """
import json, sys
from infogan_jax import cli, experiments
from infogan_jax.config import from_json
experiments.EXPERIMENTS["tiny"] = from_json(json.load(open(sys.argv[1])))
sys.exit(cli.train(["tiny", *sys.argv[2:]]))
"""


@pytest.fixture(scope="module")
def config(tiny_config):
    # All terms, on networks that compile in moments; the calls are short so that a signal is heard soon.
    networks = Networks(
        generator=(Layer("dense", (4, 4, 4), norm=True), Layer("up", (1,), 2, activation="sigmoid")),
        trunk=(Layer("conv", (4,), 2, activation="lrelu"), Layer("dense", (8,), 1, True, "lrelu")),
        q_head=(Layer("dense", (8,), activation="lrelu"),),
    )
    train = dataclasses.replace(tiny_config.train, steps=8, steps_per_call=2, checkpoint_every=4, keep=100)
    return dataclasses.replace(tiny_config, networks=networks, train=train)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def start(config, tmp_path):
    """A function that starts processes with so many devices each; those that are left are ended."""
    started, ports = [], set()
    (tmp_path / "tiny.json").write_text(json.dumps(to_json(config)))

    def launch(count, devices, *options, indices=None):
        # The system may give out again what nobody listens at yet.
        while (port := free_port()) in ports:
            pass
        ports.add(port)
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} "
            "--xla_backend_optimization_level=0",
        }
        line = [
            sys.executable,
            "-c",
            WORKER,
            str(tmp_path / "tiny.json"),
            "--run-dir",
            "run",
            "--distributed",
        ]
        line += ["--coordinator", f"127.0.0.1:{port}", "--processes", str(count), *map(str, options)]
        now = [
            subprocess.Popen(
                [*line, "--process", str(index)],
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for index in (range(count) if indices is None else indices)
        ]
        started.extend(now)
        return now

    yield launch
    for process in started:
        process.kill()
        process.communicate()


def ended(all_processes, seconds):
    """Their exit statuses and what they said."""
    until = time.monotonic() + seconds
    said = [process.communicate(timeout=max(1, until - time.monotonic())) for process in all_processes]
    # Gloo counts its peers aloud.
    out = ["".join(line for line in each.splitlines(True) if "[Gloo]" not in line) for each, _ in said]
    return [process.returncode for process in all_processes], out, [err for _, err in said]


@pytest.fixture(scope="module")
def alone(config, digits, tmp_path_factory):
    """The same training by this process, on four devices; its checkpoints of every second step."""
    folder = tmp_path_factory.mktemp("alone")
    every = dataclasses.replace(config, train=dataclasses.replace(config.train, checkpoint_every=2, steps=40))
    console = Console(file=io.StringIO())
    loop.train([Run(every, folder)], digits, devices=jax.devices()[:4], console=console)
    return folder


def records(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if "second" not in k} for line in lines]


def assert_agree(folder, alone, step, checkpoint_arrays):
    for found, wanted in zip(records(folder), records(alone), strict=False):
        assert found == pytest.approx(wanted, rel=1e-5, abs=1e-5)
    for path, value in checkpoint_arrays(alone, step).items():
        found = checkpoint_arrays(folder, step)[path]
        np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-5, err_msg=path)


@pytest.mark.slow
def test_four_processes_train_as_one_and_the_first_measures(start, alone, tmp_path, checkpoint_arrays):
    statuses, out, err = ended(start(4, 1), 600)
    assert statuses == [0] * 4, err
    assert out[0].splitlines()[0] == "devices: 4 x cpu (cpu) in 4 processes"
    assert out[0].splitlines()[-2:] == ["report: run/report.html", "explorer: run/explorer.html"]
    assert out[1:] == [""] * 3
    run = tmp_path / "run"
    assert [record["step"] for record in records(run)] == [2, 4, 6, 8]
    assert run_folder.newest_whole(run) == (8, {})
    assert_agree(run, alone, 8, checkpoint_arrays)


def wait_for(path, lines, all_processes):
    while not (path.exists() and path.read_text().count("\n") >= lines):
        for process in all_processes:
            assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_a_signal_to_one_process_stops_both_at_one_step(
    start, alone, config, digits, tmp_path, checkpoint_arrays
):
    both = start(2, 2, "--train.steps", 100_000)
    wait_for(tmp_path / "run/metrics.jsonl", 1, both)
    # Not to the first, which logs.
    both[1].send_signal(signal.SIGTERM)
    statuses, _, err = ended(both, 600)
    assert statuses == [128 + signal.SIGTERM] * 2, err
    assert all("stopped by SIGTERM; everything is saved" in each for each in err)
    run = tmp_path / "run"
    step = run_folder.newest_whole(run)[0]
    assert records(run)[-1]["step"] == step
    # What was saved by two processes with two devices each is what one has, and goes on with any.
    if step <= 36:
        assert_agree(run, alone, step, checkpoint_arrays)
        train = dataclasses.replace(config.train, steps=step + 4)
        loop.train(
            [Run(dataclasses.replace(config, train=train), run, step)],
            digits,
            devices=jax.devices()[:4],
            console=Console(file=io.StringIO()),
        )
        assert_agree(run, alone, step + 4, checkpoint_arrays)


@pytest.mark.slow
def test_a_process_that_dies_ends_the_others(start, tmp_path):
    both = start(2, 1, "--train.steps", 100_000, "--process-timeout", 20)
    wait_for(tmp_path / "run/metrics.jsonl", 1, both)
    both[1].kill()
    (first, _), _, (err, _) = ended(both, 120)
    assert first != 0
    assert "another process ended, or can't be reached" in err or "another task died" in err
    run_folder.newest_whole(tmp_path / "run")


def test_processes_that_do_not_meet_say_so(start):
    # The first waits for a second that never comes; and a second for a first that isn't there.
    waiting = [
        *start(2, 1, "--process-timeout", 5, indices=[0]),
        *start(2, 1, "--process-timeout", 5, indices=[1]),
    ]
    statuses, _, err = ended(waiting, 120)
    assert statuses == [2, 2], err
    for each in err:
        assert re.search(
            r"^error: --distributed: the processes didn't meet at 127.0.0.1:\d+ in 5 s;", each, re.M
        )


def test_processes_that_were_told_different_counts_say_so(start):
    # The coordinator takes the two that it expects; one of them thinks that there are three.
    first = start(2, 1, indices=[0])
    (address,) = [word for word in first[0].args if word.startswith("127.0.0.1:")]
    second = start(3, 1, "--coordinator", address, indices=[1])
    statuses, _, err = ended([*first, *second], 300)
    assert statuses == [2, 2], err
    assert all("--processes is 2 and 3, and 2 came: give all the same" in each for each in err), err


def test_what_one_process_refuses_all_refuse_and_write_nothing(start, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.txt").write_text("years of work")
    statuses, _, err = ended(start(2, 1), 300)
    assert statuses == [2, 2], err
    assert all("run is there already and not empty" in each for each in err)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--processes 2", "--processes: only with --distributed"),
        ("--distributed --processes 2", "--coordinator, --process: give all three of"),
        (
            "--distributed --coordinator host --processes 2 --process 0",
            "--coordinator is host: it must be HOST:PORT",
        ),
        ("--distributed --coordinator h:1 --processes 2 --process 2", "--process is 2 and --processes is 2"),
        ("--distributed --process-timeout 0", "--process-timeout is 0: it must be 1 or more"),
    ],
)
def test_what_is_said_of_processes_must_fit_together(line, message, capsys):
    assert cli.train(line.split()) == 2
    assert message in capsys.readouterr().err


def test_alone_there_is_nothing_to_agree_on(monkeypatch):
    monkeypatch.setattr(processes.multihost_utils, "process_allgather", lambda *_: pytest.fail("not alone"))
    assert processes.agreed(lambda: 3) == 3 and processes.first()
    assert processes.signal_of_any(None) is None
    assert processes.signal_of_any(signal.SIGTERM) == signal.SIGTERM
