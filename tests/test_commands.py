"""The command lines as a user types them: a run of the default experiment, and what becomes of it."""

import base64
import io
import json
import re
import shlex
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

from infogan_jax import cli
from infogan_jax import config as configuration
from infogan_jax.config import flag
from infogan_jax.experiments import EXPERIMENTS

SMALL = ["--train.batch", "32", "--train.steps-per-call", "10", "--train.checkpoint-every", "20"]


@pytest.fixture(scope="module")
def finished(call, tmp_path_factory):
    """A run of the default experiment, cut short, in the default folder."""
    cwd = tmp_path_factory.mktemp("finished")
    done = call("train.py", "--train.steps", 60, *SMALL, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return cwd, done


class TestRun:
    def test_says_its_devices_first_and_ends_with_the_figures_and_the_report(self, finished):
        _, done = finished
        lines = done.stdout.splitlines()
        assert lines[0] == "devices: 1 x cpu (cpu)"
        assert lines[1] == "run folder: runs/digits-s0"
        assert re.fullmatch(r"code error \d+\.\d% on test images \(k-means on pixels: 2\d\.\d%\)", lines[2])
        assert re.fullmatch(
            r"L_I in nats: c1 -?\d\.\d\d of 2\.30, c2 .*, total -?\d\.\d\d of 3\.69", lines[3]
        )
        assert lines[4] == "report: runs/digits-s0/report.html"
        assert "step 60/60" in done.stderr

    def test_writes_the_promised_metrics(self, finished):
        cwd, _ = finished
        metrics = json.loads((cwd / "runs/digits-s0/eval/metrics.json").read_text())
        assert (metrics["experiment"], metrics["seed"], metrics["step"]) == ("digits", 0, 60)
        for name in ("code_error", "code_error_majority", "kmeans_error", "nmi"):
            assert 0 <= metrics[name] <= 1
        assert -0.5 <= metrics["ari"] <= 1
        assert metrics["prior_entropy"] == pytest.approx(
            {"c1": np.log(10), "c2": np.log(2), "c3": np.log(2), "total": np.log(40)}, abs=1e-6
        )
        information = metrics["mutual_information"]
        assert set(information) == {"c1", "c2", "c3", "total"}
        assert information["total"] == pytest.approx(
            sum(information[c] for c in ("c1", "c2", "c3")), abs=1e-4
        )

    def test_the_report_holds_its_pictures(self, finished):
        cwd, _ = finished
        page = (cwd / "runs/digits-s0/report.html").read_text()
        pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
        files = {path.read_bytes() for path in (cwd / "runs/digits-s0/eval").glob("*.png")}
        assert {base64.b64decode(picture) for picture in pictures} == files and len(files) == 7
        for content in files:
            with Image.open(io.BytesIO(content)) as image:
                assert min(image.size) > 200 and np.asarray(image.convert("L")).std() > 5

    def test_evaluation_gives_the_same_bytes_again(self, finished, call):
        cwd, done = finished
        metrics = cwd / "runs/digits-s0/eval/metrics.json"
        before = metrics.read_bytes()
        metrics.unlink()
        again = call("eval.py", "runs/digits-s0", cwd=cwd)
        assert again.returncode == 0, again.stderr
        assert metrics.read_bytes() == before
        assert again.stdout.splitlines() == done.stdout.splitlines()[2:]

    @pytest.mark.parametrize(
        ("option", "kept"),
        [
            ("--compilation-cache", True),
            pytest.param("--no-compilation-cache", False, marks=pytest.mark.slow),
        ],
    )
    def test_an_earlier_checkpoint_can_be_measured_and_programs_are_kept_for_the_user_or_not(
        self, option, kept, finished, environment, call, tmp_path
    ):
        run = tmp_path / "run"
        shutil.copytree(finished[0] / "runs/digits-s0", run)
        environment = {k: v for k, v in environment.items() if k != "JAX_COMPILATION_CACHE_DIR"}
        environment |= {"XDG_CACHE_HOME": str(tmp_path / "cache")}
        done = call("eval.py", "run", "--step", 40, option, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
        assert json.loads((run / "eval/metrics.json").read_text())["step"] == 40
        assert any(tmp_path.glob("cache/infogan-jax/*-cache")) == kept

    @pytest.mark.parametrize(
        "number",
        [
            signal.SIGKILL,
            pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
            # Ctrl-C: status 130.
            pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        ],
    )
    def test_a_stopped_run_goes_on_as_if_it_had_not_been(
        self, number, finished, environment, tmp_path, checkpoint_arrays, command, call
    ):
        arguments = ("--train.steps", 60, *SMALL)
        process = subprocess.Popen(
            command("train.py", *arguments),
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        log = tmp_path / "runs/digits-s0/metrics.jsonl"
        while not (log.exists() and log.read_text().count("\n") >= 3):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(number)
        _, stderr = process.communicate()
        if number == signal.SIGKILL:
            assert process.returncode == -number
        else:
            assert process.returncode == 128 + number
            assert (
                f"Go on with: {shlex.join(command('train.py'))} digits --run-dir runs/digits-s0 --resume "
                "--train.steps 60" in stderr
            )
        done = call("train.py", "digits", "--resume", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        for name in (
            "eval/metrics.json",
            "eval/samples.png",
            "eval/training-images.png",
            "samples/0000060.png",
        ):
            ours, straight = (cwd / "runs/digits-s0" / name for cwd in (tmp_path, finished[0]))
            assert ours.read_bytes() == straight.read_bytes(), name
        ours, straight = (checkpoint_arrays(cwd / "runs/digits-s0", 60) for cwd in (tmp_path, finished[0]))
        assert len(ours) > 20 and ours.keys() == straight.keys()
        for name, value in ours.items():
            np.testing.assert_array_equal(value, straight[name], err_msg=name)

    def test_help_names_every_experiment_and_field(self, tmp_path, call):
        done = call("train.py", "--help", cwd=tmp_path)
        assert done.returncode == 0
        fields = [flag(path) for path in configuration.limits(configuration.InfoGANConfig)]
        options = ["--run-dir", "--resume", "--require-accelerator", "--data.source", "--data.name"]
        for word in (*EXPERIMENTS, *options, *fields):
            assert re.search(rf"(^|[\s│]){word}[\s,]", done.stdout), word
        # Every option is followed by what it means.
        assert not re.search(r"│ --[^\n]*│\n│ +\(default", done.stdout)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "--resume --train.batch 64",
            "--train.batch can't change in a resumed run; --data.stream, --train.checkpoint-every,",
        ),
        ("--resume --run-dir runs/digits-s0 --seed 1", "--seed can't change in a resumed run"),
        ("mnist --resume --run-dir runs/digits-s0", "runs/digits-s0 is a run of digits, not of mnist"),
        (
            "--resume --train.steps 30",
            "runs/digits-s0 is at step 60 already: --train.steps must be 60 or more",
        ),
        ("digits", "runs/digits-s0 is there already and not empty: --resume goes on"),
    ],
)
def test_a_finished_run_is_not_touched_by_mistake(
    line, message, finished, monkeypatch, capsys, assert_refused, everything_in
):
    cwd, _ = finished
    monkeypatch.chdir(cwd)
    before = everything_in(cwd)
    assert_refused(cli.train(line.split()), capsys.readouterr(), message)
    assert everything_in(cwd) == before


def test_eval_names_the_checkpoints_that_are_there(finished, monkeypatch, capsys, assert_refused):
    monkeypatch.chdir(finished[0])
    status = cli.evaluate(["runs/digits-s0", "--step", "50"])
    assert_refused(status, capsys.readouterr(), "no checkpoint of step 50: take one of 40, 60")


def test_a_platform_that_is_not_there_is_named(environment, tmp_path, call):
    done = call("train.py", cwd=tmp_path, env=environment | {"JAX_PLATFORMS": "rocm"})
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("error: JAX can't start (") and "JAX_PLATFORMS is 'rocm'" in done.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_a_damaged_state_is_named_and_a_training_goes_back(finished, tmp_path, checkpoint_arrays, call):
    run = tmp_path / "run"
    shutil.copytree(finished[0] / "runs/digits-s0", run)
    for path in (run / "checkpoints/60/state").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    done = call("eval.py", "run", cwd=tmp_path)
    lines = done.stderr.splitlines()
    assert done.returncode == 2 and len(lines) == 1, done.stderr
    assert "checkpoints/60: the checkpoint is damaged, state/" in lines[0]
    # A training goes back to the one before, and ends where it would have.
    resumed = call("train.py", "digits", "--resume", "--run-dir", "run", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert (
        "run/damaged/60 now" in resumed.stderr
        and "run goes on from step 40; steps 41 to 60" in resumed.stderr
    )
    for name, value in checkpoint_arrays(run, 60).items():
        np.testing.assert_array_equal(value, checkpoint_arrays(finished[0] / "runs/digits-s0", 60)[name])
