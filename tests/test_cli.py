"""The two command lines as a user types them: one whole life of a run, and what is refused."""

import errno
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infogan_jax import cli
from infogan_jax import config as configuration
from infogan_jax.experiments import EXPERIMENTS
from infogan_jax.training import loop, memory, preparation

ROOT = Path(__file__).parents[1]
SMALL_CROPS = "--data.folder photographs --data.crop 160 --low-crop 4"


def test_seeds_that_memory_cannot_hold_together_go_on_one_by_one(tmp_path, monkeypatch, capsys):
    import jax

    from infogan_jax.training import loop

    calls = []

    def train(runs, dataset, **_):
        calls.append([(run.config.seed, run.resume_from) for run in runs])
        if len(runs) > 1:
            for item in ("run", "state"):
                (runs[0].folder / "checkpoints/0" / item).mkdir(parents=True)
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")
        return signal.SIGTERM if runs[0].config.seed == 5 else None

    monkeypatch.setattr(loop, "train", train)
    monkeypatch.chdir(tmp_path)
    # 128 + SIGTERM
    assert cli.train(["--seeds", "4", "5", "6", "--no-compilation-cache", "--train.batch", "96"]) == 143
    assert calls == [[(4, None), (5, None), (6, None)], [(4, 0)], [(5, None)]]
    output = capsys.readouterr()
    assert "3 runs in one program don't fit into memory: they go on one after another" in output.err
    assert "--run-dir runs/digits --resume --train.steps 1800 --seeds 4 5 6" in output.err


def test_seeds_that_are_known_not_to_fit_together_are_trained_one_by_one(tmp_path, monkeypatch, capsys):
    groups = []
    monkeypatch.setattr(loop, "train", lambda runs, *_, **__: groups.append(runs) or signal.SIGTERM)
    monkeypatch.setattr(memory, "holds", lambda config, images, devices, runs: runs < 3)
    monkeypatch.chdir(tmp_path)
    line = ["--no-compilation-cache", "--train.batch", "96", "--seeds"]
    assert cli.train([*line, "4", "5", "6"]) == 143
    assert [run.config.seed for run in groups[0]] == [4]
    first, *_ = capsys.readouterr().err.splitlines()
    assert first == "3 runs in one program don't fit into memory: they are trained one after another"
    assert cli.train([*line, "7", "8", "--run-dir", "two"]) == 143
    assert [run.config.seed for run in groups[1]] == [7, 8]
    assert "don't fit" not in capsys.readouterr().err


def test_a_seed_that_was_not_begun_starts_anew_beside_those_that_go_on(tmp_path, monkeypatch, capsys):
    from infogan_jax.evaluation import sweep
    from infogan_jax.training import loop

    monkeypatch.chdir(tmp_path)
    digits = EXPERIMENTS["digits"]
    for seed, step in ((0, 20), (1, 20), (2, 30)):
        folder = Path(f"runs/digits/s{seed}/checkpoints/{step}")
        (folder / "run").mkdir(parents=True)
        (folder / "state").mkdir()
        stored = configuration.to_json(replace(digits, seed=seed))
        (folder / "run/run.json").write_text(json.dumps({"config": stored}))
    groups = []
    options = ["--resume", "--train.steps", "40", "--no-compilation-cache"]
    monkeypatch.setattr(loop, "train", lambda runs, *_, **__: groups.append(runs) and None)
    monkeypatch.setattr(sweep, "summarize", lambda runs, folder, dataset, wandb: [])
    assert cli.train(["--seeds", "0", "1", "2", "3", *options]) == 0
    assert [[(r.config.seed, r.resume_from) for r in runs] for runs in groups] == [
        [(0, 20), (1, 20)],
        [(2, 30)],
        [(3, None)],
    ]
    assert {run.config.train.steps for runs in groups for run in runs} == {40}
    # Settings that one of them doesn't have are refused.
    other = configuration.to_json(replace(digits, seed=1, model=configuration.Model("bfloat16")))
    Path("runs/digits/s1/checkpoints/20/run/run.json").write_text(json.dumps({"config": other}))
    assert cli.train(["--seeds", "0", "1", *options]) == 2
    assert "runs/digits/s1 and runs/digits/s0 differ in --model.dtype" in capsys.readouterr().err


def test_devices_are_looked_at_before_weights_are_read(monkeypatch, tmp_path, capsys, assert_refused):
    monkeypatch.setattr(preparation, "check_arrays", lambda run: pytest.fail("JAX was started"))
    monkeypatch.chdir(tmp_path)
    status = cli.train(["--require-accelerator", "--no-compilation-cache"])
    assert_refused(status, capsys.readouterr(), "JAX finds only the CPU")


def test_a_seed_that_diverges_leaves_the_others_to_go_on(tmp_path, monkeypatch, capsys):
    from infogan_jax.evaluation import sweep
    from infogan_jax.training import loop

    calls, measured = [], []

    def train(runs, dataset, **_):
        calls.append([(run.config.seed, run.resume_from) for run in runs])
        for run in runs:
            for item in ("run", "state"):
                (run.folder / "checkpoints/500" / item).mkdir(parents=True, exist_ok=True)
        if any(run.config.seed == 5 for run in runs):
            raise loop.NonFiniteError("step 512: loss_d = nan", Path("runs/digits/s5"))

    monkeypatch.setattr(loop, "train", train)
    monkeypatch.setattr(sweep, "summarize", lambda runs, folder, dataset, wandb: measured.extend(runs) or [])
    monkeypatch.chdir(tmp_path)
    assert cli.train(["--seeds", "4", "5", "6", "--no-compilation-cache", "--train.batch", "96"]) == 1
    assert calls == [[(4, None), (5, None), (6, None)], [(4, 500), (6, 500)]]
    assert measured == [Path("runs/digits/s4"), Path("runs/digits/s6")]
    assert "error: step 512: loss_d = nan" in capsys.readouterr().err


def test_a_folder_in_which_a_run_only_began_is_taken(tmp_path, monkeypatch):
    from infogan_jax.training import loop

    begun = []
    monkeypatch.setattr(loop, "train", lambda runs, *_, **__: begun.extend(runs) or signal.SIGTERM)
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/digits-s0")
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "tensorboard").mkdir()
    (folder / "metrics.jsonl").touch()
    options = ["--no-compilation-cache", "--train.batch", "96"]
    assert cli.train(options) == 143
    assert [run.resume_from for run in begun] == [None]
    # A log without its checkpoints is not to be lost.
    (folder / "metrics.jsonl").write_text('{"step": 25}\n')
    assert cli.train(options) == 2
    assert len(begun) == 1


def test_a_feature_networks_weights_are_told_and_noted_before_the_first_step(tmp_path, monkeypatch, capsys):
    from infogan_jax.networks.features import efficientnet_lite0, phi
    from infogan_jax.training import loop

    begun = []
    monkeypatch.setattr(loop, "train", lambda runs, *_, **__: begun.extend(runs) or signal.SIGTERM)
    monkeypatch.setattr(phi, "load", lambda *_: efficientnet_lite0.EfficientNetLite0({}, "12" * 32))
    monkeypatch.chdir(tmp_path)
    Path("photographs").mkdir()
    for i in range(2):
        pixels = np.random.default_rng(i).integers(0, 256, (20, 20, 3), np.uint8)
        Image.fromarray(pixels).save(f"photographs/{i}.png")
    options = "--data.folder photographs --data.crop 16 --low-crop 4 --no-compilation-cache"
    features = "--content.error efficientnet-lite0 --content.layer 3"
    assert cli.train(f"wildlife-content {options} {features}".split()) == 143
    lines = capsys.readouterr().out.splitlines()
    assert f"weights of efficientnet-lite0: sha256 {'12' * 32}" in lines
    assert [run.config.content.weights_sha256 for run in begun] == ["12" * 32]


def test_one_command_begins_a_run_and_goes_on_with_it(tmp_path, monkeypatch):
    starts = []

    def train(runs, dataset, **_):
        starts.append([(run.config.train.steps, run.resume_from) for run in runs])
        # A kill before the first checkpoint leaves this; afterwards there is one.
        (runs[0].folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        if len(starts) == 2:
            step = runs[0].folder / "checkpoints/20"
            (step / "run").mkdir(parents=True)
            (step / "state").mkdir()
            stored = configuration.to_json(runs[0].config)
            (step / "run/run.json").write_text(json.dumps({"config": stored}))
        return signal.SIGTERM

    monkeypatch.setattr(loop, "train", train)
    monkeypatch.chdir(tmp_path)
    line = ["--resume-or-start", "--train.steps", "40", "--train.batch", "96", "--no-compilation-cache"]
    assert [cli.train(line) for _ in range(4)] == [143] * 4
    assert starts == [[(40, None)], [(40, None)], [(40, 20)], [(40, 20)]]
    # What is in the way of both is still refused.
    assert cli.train([*line, "--train.batch", "128"]) == 2
    Path("runs/digits-s1").mkdir()
    Path("runs/digits-s1/thesis.txt").touch()
    assert cli.train([*line, "--seed", "1"]) == 2


REFUSED = {
    "experiment misspelt": (
        "mnst",
        "no experiment 'mnst': did you mean 'mnist'? choose one of digits, mnist,",
    ),
    "experiment unknown": ("celebrities", "choose one of digits, mnist"),
    "option misspelt": ("--train.stepz 5", "Unrecognized options: --train.stepz, 5 (--train.steps INT"),
    "option without value": ("--train.steps", "Missing value for argument '.*--train.steps'"),
    "stray word": ("digits mnist", "Unrecognized options: mnist"),
    "steps not a number": ("--train.steps many", "Error parsing --train.steps: invalid literal for int()"),
    "steps a fraction": ("--train.steps 2.5", "Error parsing --train.steps"),
    "steps zero": ("--train.steps 0", "--train.steps is 0: it must be 1 or more"),
    "steps negative": ("--train.steps -5", "--train.steps is -5: it must be 1 or more"),
    "batch of one": ("--train.batch 1", "--train.batch is 1: it must be 2 or more"),
    "batch the devices can't share": (
        "--train.batch 100",
        "--train.batch 100 can't be shared by 8 devices evenly: take 96 or 104",
    ),
    "batch smaller than the devices": ("--train.batch 4", "by 8 devices evenly: take 8"),
    "batch beyond all memory": (
        "--train.batch 9999999999999",
        "--train.batch is 9999999999999: it must",
    ),
    "steps beyond an int32": (
        "--train.steps 2147483648",
        "--train.steps is 2147483648: it must be",
    ),
    "steps per call zero": ("--train.steps-per-call 0", "--train.steps-per-call is 0: it must be 1 or more"),
    "steps per call beyond all memory": (
        "--train.steps-per-call 1000000000000",
        "lower --train.steps-per-call 1000000000000",
    ),
    "seeds of which memory can't hold one": (
        "--seeds 0 1 --train.batch 1048576",
        "lower --train.batch 1048576, or take it in parts",
    ),
    "batch beyond this memory": ("--train.batch 1048576", "lower --train.batch 1048576, or take it in parts"),
    "rendered images beyond all memory": (
        "heads --data.render 1000000000000",
        "of memory: take fewer with --data.render",
    ),
    "microbatch that doesn't divide the batch": (
        "--train.microbatch 5",
        "--train.microbatch is 5: it must be 2 or more and divide --train.batch 96, as 4 does",
    ),
    "microbatch the devices can't share": ("--train.microbatch 12", "12 can't be shared by 8 devices evenly"),
    "networks without a block": (
        "wildlife-content --networks.discriminator-channels 0",
        "--networks.discriminator-channels is 0: it must be at least 1",
    ),
    "no checkpoints kept": ("--train.keep 0", "--train.keep is 0: it must be 1 or more"),
    "dtype unknown": ("--model.dtype float16", "invalid choice 'float16' for argument '--model.dtype'"),
    "profile of one call": ("--train.steps 20 --profile prof", "--profile shows the program's second call"),
    "checkpoints never": ("--train.checkpoint-every 0", "--train.checkpoint-every is 0"),
    "keep every negative": ("--train.keep-every -1", "--train.keep-every is -1: it must be 0 or more"),
    "lambda negative": (
        "--objective.lambda-discrete -1",
        "--objective.lambda-discrete is -1.0: it must be 0",
    ),
    "lambda not finite": ("--objective.lambda-continuous inf", "--objective.lambda-continuous is inf"),
    "noise not a number": ("--objective.instance-noise nan", "--objective.instance-noise is nan"),
    "scale of one": (
        "--objective.invariance.scale 1",
        "--objective.invariance.scale is 1.0: it must be in [0, 1)",
    ),
    "learning rate zero": (
        "--optimizer.lr-generator 0",
        "--optimizer.lr-generator is 0.0: it must be a number",
    ),
    "beta1 of one": ("--optimizer.beta1 1", "--optimizer.beta1 is 1.0: it must be in [0, 1)"),
    "average that never moves": ("--optimizer.generator-ema 1", "--optimizer.generator-ema is 1.0"),
    "seed negative": ("--seed -1", "--seed is -1: it must be in [0, 2^32)"),
    "seed too large": ("--seed 4294967296", "--seed is 4294967296: it must be in [0, 2^32)"),
    "source unknown": ("--data.source disk", "invalid choice 'disk' for argument '--data.source'"),
    "name unknown to its source": (
        "--data.name mnist",
        "--data.name is 'mnist': the source digits holds one set",
    ),
    "crop negative": ("--data.crop -1", "--data.crop is -1: it must be 0 or more"),
    "size negative": ("--data.size -1", "--data.size is -1: it must be 0 or more"),
    "images cut and resized": ("masks --data.size 32", "--data.crop is 64 and --data.size is 32: images are"),
    "limit of a folder": ("masks --data.limit 9", "--data.limit is given, but --data.source is folder"),
    "folder for another source": ("--data.folder x", "--data.folder is given, but --data.source is digits"),
    "no folder of images": ("masks", "--data.folder is missing: name the directory"),
    "folder of images not there": ("masks --data.folder x", "--data.folder is x, which is no directory"),
    "folder without images": ("masks --data.folder used", "used holds 0 image files"),
    "data not prepared": ("mnist", "mnist is not prepared: .*download_and_prepare\\(\\)"),
    "data name climbs out": ("mnist --data.name ../mnist", "is not a data set's name"),
    "images of another shape": (
        "mnist --data.source digits --data.name digits",
        "digits has images of 8x8x1, but the networks of mnist are for 28x28x1",
    ),
    "an adversary without a start": (
        f"wildlife {SMALL_CROPS}",
        "--init-from is missing: wildlife goes on from a run by content alone; train the experiment "
        "wildlife-content first and name its folder",
    ),
    "crops larger than the images": (
        "wildlife-content --data.folder colours --data.crop 8",
        "--low-crop 16 at factor 4 needs 64 pixels, but photographs has images of 8x8x3: lower it to 2, or",
    ),
    "grey photographs": (
        "wildlife-content --data.folder layouts --data.crop 80",
        "photographs has images of 80x80x1, but wildlife-content enlarges colour",
    ),
    "factor no power of two": (
        "wildlife-content --networks.factor 3",
        "factor is 3: it must be a power of two",
    ),
    "a layer of pixels": (
        "wildlife-content --content.layer 4",
        "--content.layer is '4', but --content.error is l2: name a layer for the features of a network",
    ),
    "features without a layer": (
        "wildlife-content --content.error efficientnet-lite0",
        "--content.layer is ''",
    ),
    "weights of pixels": (
        "wildlife-content --content.weights-sha256 0",
        "--content.weights-sha256 is given, but --content.error is l2: only features have weights",
    ),
    "held-out images too small": (
        "wildlife-content --data.folder colours --data.crop 8 --low-crop 1",
        "colours/a.png is held out and has 9 pixels at a side, of 20 that it takes to measure the run",
    ),
    "images too small": (
        "wildlife-content --data.folder colours --data.crop 0 --data.size 19 --low-crop 4",
        "photographs is held out and has 19 pixels at a side, of 20",
    ),
    "vgg without weights": (
        f"srgan --init-from run {SMALL_CROPS}",
        "vgg19's weights are missing: name the file with --content.weights",
    ),
    "vgg's weights not there": (
        f"srgan --init-from run --content.weights vgg.pth {SMALL_CROPS}",
        "there is no file vgg.pth: name the weights file",
    ),
    "no such layer": (
        f"srgan --init-from run --content.weights vgg.pth {SMALL_CROPS} --content.layer conv6_1",
        "vgg19 has no layer 'conv6_1': take one of conv1_1, conv1_2,",
    ),
    "start from no run": (
        f"wildlife --content.error l2 --content.layer= --init-from used {SMALL_CROPS}",
        "used holds no finished checkpoint",
    ),
    "start from a run of another kind": (
        f"wildlife --content.error l2 --content.layer= --init-from other {SMALL_CROPS}",
        "--init-from other is a run of digits, which enlarges no images",
    ),
    "start from a run of other networks": (
        f"wildlife --content.error l2 --content.layer= --init-from content {SMALL_CROPS} --networks.blocks 2",
        "--init-from content has a generator of 4 blocks, 32 channels and factor 4 over bicubic, this run",
    ),
    "no accelerator": ("--require-accelerator", "--require-accelerator, and JAX finds only the CPU"),
    "folder in use": (
        "--run-dir used",
        "used is there already and not empty: see --run-dir",
    ),
    "folder is a link to nothing": ("--run-dir dangling", "dangling is a link to what isn't there"),
    "folder's name too long": (f"--run-dir {'x' * 300}", f"{'x' * 300}: File name too long"),
    "data's folder not to be looked at": ("masks --data.folder secret/x", "secret/x: Permission denied"),
    "folder of images too large": (
        "masks --data.folder layouts --data.crop 0",
        "images of 80x80x1, but the networks of masks are for 64x64x1: "
        "cut them with --data.crop 64 or resize them with --data.size 64, or another experiment",
    ),
    "folder is a file": ("--run-dir file", "file is a file: name a folder with --run-dir"),
    "folder under a file": (
        "--run-dir file/run",
        "file/run can't be written: .*file is no folder",
    ),
    "folder not writable": (
        "--run-dir locked",
        "locked can't be written: .*locked is no folder that you may",
    ),
    "folder under one not writable": ("--run-dir locked/run", "locked/run can't be written: .*locked is no"),
    "seeds twice": ("--seeds 1 2 1", "--seeds is 1 2 1: name each seed once"),
    "seeds out of range": ("--seeds 1 -2", "--seeds has -2: each must be in [0, 2^32)"),
    "seed and seeds": ("--seed 3 --seeds 1 2", "--seed and --seeds exclude each other"),
    "seeds in a folder of another run": (
        "--seeds 1 2 --run-dir run",
        "run is a run itself: name another folder for those of --seeds",
    ),
    "colour where grey is needed": (
        "chairs-rotation --data.folder colours --data.no-grey",
        "of 64x64x3, but the networks of chairs-rotation are for 64x64x1: make them grey with --data.grey",
    ),
    "no seeds to resume": ("--seeds 1 2 --resume", "runs/digits/s1 is no folder"),
    "scene not there": ("heads --data.name tails", "there is no scene 'tails'; there are: sprites, heads"),
    "nothing to resume": ("--resume", "runs/digits-s0 is no folder"),
    "resume in two ways": ("--resume --resume-or-start", "--resume and --resume-or-start exclude each other"),
    "resume from no run": ("--resume --run-dir used", "used holds no finished checkpoint"),
}


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    (tmp_path / "locked").mkdir()
    (tmp_path / "dangling").symlink_to("nothing")
    (tmp_path / "layouts").mkdir()
    for item in ("run", "state"):
        (tmp_path / "run" / "checkpoints" / "5" / item).mkdir(parents=True)
    (tmp_path / "colours").mkdir()
    for name in "ab":
        colours = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
        Image.fromarray(colours).save(tmp_path / "colours" / f"{name}.png")
    for name in "ab":
        Image.fromarray(np.eye(80, dtype=np.uint8) * 255).save(tmp_path / "layouts" / f"{name}.png")
    for step, content in ((10, "{}"), (20, '{"config": ')):
        for item in ("run", "state"):
            (tmp_path / "damaged" / "checkpoints" / str(step) / item).mkdir(parents=True)
        (tmp_path / "damaged" / "checkpoints" / str(step) / "run" / "run.json").write_text(content)
    (tmp_path / "photographs").mkdir()
    for name in "ab":
        Image.fromarray(np.zeros((160, 160, 3), np.uint8)).save(tmp_path / "photographs" / f"{name}.png")
    for name, experiment in (("other", "digits"), ("content", "wildlife-content")):
        for item in ("run", "state"):
            (tmp_path / name / "checkpoints" / "5" / item).mkdir(parents=True)
        stored = json.dumps({"config": configuration.to_json(EXPERIMENTS[experiment])})
        (tmp_path / name / "checkpoints" / "5" / "run" / "run.json").write_text(stored)
    is_dir = Path.is_dir

    def looked_at(path):
        if "secret" in path.parts:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", looked_at)
    access = os.access
    # Root may write anywhere, so the file's mode can't say it.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "locked" and access(path, mode))
    return tmp_path


@pytest.mark.parametrize(("line", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_train_refuses_with_one_line_and_writes_nothing(
    line, message, desk, capsys, monkeypatch, assert_refused, everything_in, tried
):
    # Any machine's memory for these tests.
    monkeypatch.setattr(memory, "host_memory", lambda: 2**33)
    monkeypatch.setattr(loop, "train", lambda *_, **__: pytest.fail("it was trained"))
    before = everything_in(desk)
    assert_refused(cli.train(line.split()), capsys.readouterr(), message)
    assert everything_in(desk) == before
    tried("command lines of `train.py`", 1, len(REFUSED))


REFUSED_TO_MEASURE = [
    ("", "RUN_DIR"),
    ("nowhere", "nowhere is no folder: name a run's folder"),
    ("used", "used holds no finished checkpoint: name another folder"),
    ("file", "file is no folder"),
    ("used --step -1", "--step is -1: it must be 0 or more"),
    ("used --step last", "Error parsing --step"),
    ("used --again", "Unrecognized options: --again"),
    ("damaged", "damaged/checkpoints/20/run/run.json can't be read, the checkpoint is damaged"),
    ("damaged --step 10", "run.json can't be read, the checkpoint is damaged (KeyError: 'config')"),
    ("figures", "figures needs the folder of a run"),
    ("figures nowhere", "nowhere is no folder: name a run's folder"),
    ("figures used --out locked", "locked can't be written"),
    ("other --images photographs", "other is a run of digits, which enlarges no images: name one of"),
    ("content --images gone.png", "--images has gone.png, which is not there: name files, or folders"),
    ("content --images used", "used holds no image file (.png, .jpg, .jpeg, .bmp, .pgm)"),
    ("content --images photographs --out locked", "locked can't be written"),
    ("content --images a.png --folder used", "--images and --folder exclude each other"),
    ("content --folder nowhere", "nowhere is no directory: name one that holds images"),
    ("content other --folder photographs", "--folder is of one run, but 2 folders are named"),
]


@pytest.mark.parametrize(("line", "message"), REFUSED_TO_MEASURE)
def test_eval_refuses_with_one_line_and_writes_nothing(
    line, message, desk, capsys, assert_refused, everything_in, tried
):
    before = everything_in(desk)
    assert_refused(cli.evaluate(line.split()), capsys.readouterr(), message)
    assert everything_in(desk) == before
    tried("command lines of `eval.py`", 1, len(REFUSED_TO_MEASURE))
