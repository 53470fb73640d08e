"""Trainings of several processes on this machine: what they compute, how they stop, and what they do without
each other."""

import contextlib
import dataclasses
import errno
import io
import json
import os
import random
import re
import shutil
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
from infogan_jax.errors import NonFiniteError, UserError
from infogan_jax.networks.tables import Layer, Networks
from infogan_jax.training import checkpoints, loop, memory, processes, run_folder, runs
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

# The same, with a loss that stops being a number at step 6 of seed 1.
POISONED = (
    """
import jax, jax.numpy as jnp
from infogan_jax.tasks import infogan
step = infogan.step
def poisoned(config, state, images):
    new, metrics = step(config, state, images)
    of_seed_1 = (jax.random.key_data(state.key) == jax.random.key_data(jax.random.key(1))).all()
    bad = of_seed_1 & (state.step == 5)
    return new, metrics | {"loss_g": jnp.where(bad, jnp.nan, metrics["loss_g"])}
infogan.step = poisoned
"""
    + WORKER
)


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


# From here on lie the ports of which JAX takes one by the number of a cluster's job.
FIRST_OF_CLUSTERS = 65536 - 2**12


def free_port(*, of_cluster=False):
    while of_cluster:
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", random.randrange(FIRST_OF_CLUSTERS, 65536)))
            return free.getsockname()[1]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def slurm(job, count, index):
    """What SLURM tells a task of a step, as far as JAX reads it."""
    return {
        "SLURM_JOB_ID": str(2**12 + job),
        "SLURM_STEP_NODELIST": "localhost,node[2-3]",
        "SLURM_NTASKS": str(count),
        "SLURM_PROCID": str(index),
        "SLURM_LOCALID": str(index),
        "SLURM_STEP_NUM_NODES": "1",
    }


def open_mpi(job, count, index):
    """What Open MPI's mpirun tells a rank, as far as JAX reads it."""
    return {
        "OMPI_MCA_orte_hnp_uri": f"{2**12 * job}.0;tcp://127.0.0.1,10.0.0.1:34911",
        "OMPI_COMM_WORLD_SIZE": str(count),
        "OMPI_COMM_WORLD_RANK": str(index),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(index),
    }


@pytest.fixture
def start(config, tmp_path):
    """A function that starts processes with so many devices each; those that are left are ended."""
    started, ports = [], set()
    (tmp_path / "tiny.json").write_text(json.dumps(to_json(config)))

    def launch(count, devices, *options, indices=None, worker=WORKER, cluster=None):
        # The system may give out again what nobody listens at yet.
        while (port := free_port(of_cluster=cluster is not None)) in ports:
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
            worker,
            str(tmp_path / "tiny.json"),
            "--run-dir",
            "run",
            "--distributed",
        ]

        def said_to(index):
            """The words for one process, and its environment."""
            if cluster is None:
                address = ["--coordinator", f"127.0.0.1:{port}", "--processes", str(count)]
                return [*address, "--process", str(index)], environment
            # A cluster's coordinator listens to the network, a test's to this machine.
            here = {"JAX_COORDINATOR_BIND_ADDRESS": f"127.0.0.1:{port}"}
            return [], environment | here | cluster(port - FIRST_OF_CLUSTERS, count, index)

        now = [
            subprocess.Popen(
                # What a test says itself comes last, and holds.
                [*line, *said_to(index)[0], *map(str, options)],
                cwd=tmp_path,
                env=said_to(index)[1],
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
    """The same training by this process, on four devices; its checkpoints of every fourth step."""
    folder = tmp_path_factory.mktemp("alone")
    every = dataclasses.replace(config, train=dataclasses.replace(config.train, steps=12))
    console = Console(file=io.StringIO())
    loop.train([Run(every, folder)], digits, devices=jax.devices()[:4], console=console)
    return folder


def records(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if "second" not in k} for line in lines]


def assert_same(folder, alone, steps, checkpoint_arrays):
    """The records of these steps, and the arrays after the last of them, bit for bit."""
    found, wanted = ({record["step"]: record for record in records(each)} for each in (folder, alone))
    for step in steps:
        assert found[step] == wanted[step]
    found, wanted = (checkpoint_arrays(each, steps[-1]) for each in (folder, alone))
    assert len(found) > 20 and found.keys() == wanted.keys()
    for path, value in wanted.items():
        np.testing.assert_array_equal(found[path], value, err_msg=path)


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
    assert_same(run, alone, [2, 4, 6, 8], checkpoint_arrays)


@pytest.mark.slow
def test_processes_stream_their_own_images(start, alone, tmp_path, checkpoint_arrays):
    statuses, _, err = ended(start(2, 2, "--data.stream", "yes"), 600)
    assert statuses == [0] * 2, err
    assert_same(tmp_path / "run", alone, [2, 4, 6, 8], checkpoint_arrays)


@pytest.mark.slow
@pytest.mark.parametrize("cluster", [slurm, open_mpi])
def test_processes_of_a_cluster_meet_where_it_says(cluster, start, alone, tmp_path, checkpoint_arrays):
    statuses, out, err = ended(start(2, 2, cluster=cluster), 600)
    assert statuses == [0] * 2, err
    assert out[0].splitlines()[0] == "devices: 4 x cpu (cpu) in 2 processes"
    assert_same(tmp_path / "run", alone, [2, 4, 6, 8], checkpoint_arrays)


def wait_for(path, lines, all_processes):
    while not (path.exists() and path.read_text().count("\n") >= lines):
        for process in all_processes:
            assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.mark.slow
def test_a_signal_to_one_process_stops_both_at_one_step(
    start, alone, config, digits, tmp_path, checkpoint_arrays
):
    both = start(2, 2, "--train.steps", 100_000)
    # Some steps are behind them by then that can be compared: 2, 4, 6 and 8.
    wait_for(tmp_path / "run/metrics.jsonl", 4, both)
    # Not to the first, which logs.
    both[1].send_signal(signal.SIGTERM)
    statuses, _, err = ended(both, 600)
    assert statuses == [128 + signal.SIGTERM] * 2, err
    assert all("stopped by SIGTERM; everything is saved" in each for each in err)
    run = tmp_path / "run"
    step = run_folder.newest_whole(run)[0]
    assert records(run)[-1]["step"] == step
    # What was saved by two processes with two devices each is what one has, and goes on with any.
    assert_same(run, alone, [2, 4, 6, 8], checkpoint_arrays)
    part = tmp_path / "part"
    shutil.copytree(run / "checkpoints/8", part / "checkpoints/8")
    train = dataclasses.replace(config.train, steps=12)
    loop.train(
        [Run(dataclasses.replace(config, train=train), part, 8)],
        digits,
        devices=jax.devices()[:4],
        console=Console(file=io.StringIO()),
    )
    assert_same(part, alone, [10, 12], checkpoint_arrays)


@pytest.mark.slow
@pytest.mark.parametrize("dead", [0, 1])
def test_a_process_that_dies_ends_the_others(start, tmp_path, dead):
    both = start(2, 1, "--train.steps", 100_000, "--process-timeout", 20)
    wait_for(tmp_path / "run/metrics.jsonl", 1, both)
    both[dead].kill()
    statuses, _, err = ended(both, 120)
    assert statuses[dead] == -signal.SIGKILL
    # Where it is the first to notice.
    by_jax = 1 if jax.__version__.startswith("0.7.") else -signal.SIGABRT
    assert statuses[1 - dead] in (processes.AGAIN, by_jax), err[1 - dead]
    told = "another process ended, or can't be reached|another task died|distributed service detected fatal"
    assert re.search(told, err[1 - dead]), err[1 - dead]
    run_folder.newest_whole(tmp_path / "run")


@pytest.mark.slow
def test_a_seed_that_diverges_loses_no_checkpoint_and_the_other_goes_on(start, tmp_path):
    statuses, out, err = ended(start(2, 1, "--seeds", 0, 1, worker=POISONED), 300)
    assert statuses == [1, 1], err
    assert all("error: step 6: loss_g = nan" in each for each in err), err
    assert run_folder.newest_whole(tmp_path / "run/s1") == (4, {})
    assert run_folder.newest_whole(tmp_path / "run/s0") == (8, {})
    assert [record["step"] for record in records(tmp_path / "run/s0")] == [2, 4, 6, 8]
    assert out[0].splitlines()[-1] == "summary: run/sweep.json" and out[1] == "", err[0]


def test_processes_that_do_not_meet_say_so(start):
    # The first waits for a second that never comes; and a second for a first that isn't there.
    waiting = [
        *start(2, 1, "--process-timeout", 5, indices=[0]),
        *start(2, 1, "--process-timeout", 5, indices=[1]),
    ]
    statuses, _, err = ended(waiting, 120)
    assert statuses == [processes.AGAIN] * 2, err
    for each in err:
        assert re.search(
            r"^error: --distributed: the processes didn't meet at 127.0.0.1:\d+ in 5 s;", each, re.M
        )


def test_without_a_cluster_it_is_told_what_to_say(call, environment, tmp_path):
    clusters = ("SLURM_", "OMPI_", "JAX_COORDINATOR_", "JOB_", "TPU_", "KUBERNETES_")
    plain = {name: value for name, value in environment.items() if not name.startswith(clusters)}
    done = call("train.py", "--distributed", cwd=tmp_path, env=plain)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert re.match(
        r"error: --distributed: JAX can't tell from a cluster .*; give all the same --coordinator HOST:PORT "
        r"and --processes N, and each a --process from 0 to N - 1$",
        done.stderr,
    )
    assert not any(tmp_path.iterdir())


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
    assert processes.as_first(4) == 4


def test_what_an_older_jax_lacks_is_left_out_and_sigterm_stays_with_us(monkeypatch):
    given, updated = {}, []

    def initialize(
        coordinator_address,
        num_processes,
        process_id,
        initialization_timeout=300,
        heartbeat_timeout_seconds=100,
        coordinator_bind_address=None,
    ):
        """As jax 0.7.2's, which takes SIGTERM over."""
        given.update(locals())
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    class Options:
        def update(self, name, value):
            updated.append(name)

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    monkeypatch.setattr(jax, "config", Options())
    monkeypatch.setattr(processes, "_exchanged", lambda text: [text])
    handler = signal.getsignal(signal.SIGTERM)
    processes.join("localhost:9876", 1, 0, 7)
    assert given["heartbeat_timeout_seconds"] == 7 and given["coordinator_bind_address"] == "127.0.0.1:9876"
    assert updated == [] and signal.getsignal(signal.SIGTERM) == handler


def full_disk():
    raise OSError(errno.ENOSPC, "No space left on device", "run/metrics.jsonl")


def test_what_the_system_refuses_one_process_is_told_as_that(monkeypatch):
    ends = []
    monkeypatch.setattr(processes, "_end", lambda *told: ends.append(told))

    def late():
        raise TimeoutError("barrier")

    def unreachable():
        raise jax.errors.JaxRuntimeError("connection closed")

    def unreachable_in_jax_07():
        raise ValueError("UNKNOWN: Gloo AllGather failed: Connection reset by peer")

    def wrong():
        raise ValueError("another mistake")

    with pytest.raises(ValueError, match="another mistake"):
        processes.with_others(wrong)
    for call in (full_disk, late, unreachable, unreachable_in_jax_07):
        processes.with_others(call)
    (disk, own), *others = ends
    assert (disk, own) == ("process 0 of 1: run/metrics.jsonl: No space left on device", 2)
    assert [status for _, status in others] == [processes.AGAIN] * 3
    assert all("another process ended, or can't be reached" in told for told, _ in others)


def test_what_the_system_refuses_one_process_all_refuse(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(processes, "_exchanged", lambda text: ["", text])
    with pytest.raises(processes.Refused, match=r"^run/metrics.jsonl: No space left on device$"):
        processes.agreed(full_disk)
    monkeypatch.setattr(processes, "_exchanged", lambda text: [text, "data: Permission denied"])
    with pytest.raises(processes.Refused, match=r"^process 1 of 2: data: Permission denied$"):
        processes.agreed(lambda: 3)


@pytest.mark.parametrize(
    ("kind", "count", "closed"),
    [(None, 2, True), (NonFiniteError, 2, True), (OSError, 2, False), (OSError, 1, True)],
)
def test_what_is_being_written_is_waited_for_where_all_processes_end_alike(
    tmp_path, monkeypatch, kind, count, closed
):
    saved, closings = checkpoints.Checkpoints(tmp_path), []
    close = saved._manager.close
    monkeypatch.setattr(saved._manager, "close", lambda: closings.append(True))
    with monkeypatch.context() as several:
        several.setattr(jax, "process_count", lambda: count)
        saved.__exit__(kind, None, None)
    close()
    assert bool(closings) == closed


def test_a_save_that_takes_too_long_is_told_as_that(tmp_path, monkeypatch):
    def late():
        raise TimeoutError("Timed out after 600 seconds.")

    with checkpoints.Checkpoints(tmp_path) as saved, monkeypatch.context() as now:
        now.setattr(saved._manager, "wait_until_finished", late)
        with pytest.raises(UserError, match=r"wasn't written in time \(TimeoutError: Timed out after 600"):
            saved.wait()
        # Of several processes, one that waits for another says so itself.
        now.setattr(jax, "process_count", lambda: 2)
        with pytest.raises(TimeoutError):
            saved.wait()


def test_memory_that_ends_for_one_process_of_several_ends_it(config, tmp_path, monkeypatch):
    def train(*_, **__):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")

    monkeypatch.setattr(loop, "train", train)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    group = [Run(config, tmp_path / "s0"), Run(config, tmp_path / "s1")]
    with pytest.raises(UserError, match=r"2 runs in one program don't fit into memory: .* --no-together"):
        runs.train_all([group], None, jax.devices()[:1], tell=print)


def test_runs_that_do_not_fit_together_in_one_process_are_parted_in_all(config, tmp_path, monkeypatch):
    several = [Run(config, tmp_path / f"s{seed}") for seed in range(3)]
    # Those that go on from another step have a program of their own, which fits.
    several += [Run(config, tmp_path / f"s{seed}", 5) for seed in range(3, 5)]
    told, asked = [], []

    def any_of(here):
        asked.append(here)
        return len(asked) == 2  # Another process's memory, of three.

    monkeypatch.setattr(processes, "any_of", any_of)
    found = runs.fitting(
        several, np.zeros((9, 8, 8, 1), np.uint8), jax.devices(), together=True, tell=told.append
    )
    assert found == [[several[0]], [several[1]], [several[2]], several[3:]]
    assert told == ["3 runs in one program don't fit into memory: they are trained one after another"]
    monkeypatch.setattr(processes, "first", lambda: False)
    asked.clear()
    assert found == runs.fitting(
        several, np.zeros((9, 8, 8, 1), np.uint8), jax.devices(), together=True, tell=told.append
    )
    assert len(told) == 1


@pytest.fixture
def said_by_first(monkeypatch, tmp_path):
    """A training that says what it compares with the others', as one process that is alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(processes, "join", lambda *_: None)
    monkeypatch.setattr(processes, "with_others", lambda call: call())
    monkeypatch.setattr(processes, "leave", lambda: None)
    monkeypatch.setattr(memory, "check", lambda *_: None)
    monkeypatch.setattr(loop, "train", lambda *_, **__: signal.SIGTERM)

    def train(*options):
        said = {}
        with monkeypatch.context() as now:
            now.setattr(processes, "check_same", lambda what, *values: said.update({what: values}))
            address = ["--coordinator", "localhost:1", "--processes", "1", "--process", "0"]
            line = ["--distributed", *address, "--train.batch", "96", "--no-compilation-cache", *options]
            assert cli.train(line) == 128 + signal.SIGTERM
        return said

    return train


def test_processes_compare_all_that_decides_what_they_do_together(said_by_first):
    plain = said_by_first("--seeds", "0", "1")
    apart = said_by_first("--seeds", "0", "1", "--no-together")
    assert apart["the options"] != plain["the options"]
    one = said_by_first("--run-dir", "runs/digits/s0")
    assert one["the options"] != said_by_first("--seeds", "0")["the options"]
    (versions,) = plain["the versions of jax or infogan-jax"]
    assert jax.__version__.encode() in versions


def test_whether_a_run_goes_on_is_as_the_first_process_sees_it(said_by_first, monkeypatch, capsys):
    said_by_first("--resume-or-start")
    monkeypatch.setattr(processes, "as_first", lambda here: 1 - here)
    with pytest.raises(AssertionError):
        said_by_first("--resume-or-start")
    assert "runs/digits-s0 holds no finished checkpoint" in capsys.readouterr().err
