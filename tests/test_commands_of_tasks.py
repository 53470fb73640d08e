"""The command lines of several seeds and of the other tasks, as a user types them."""

import json
import re

import numpy as np
import pytest
from PIL import Image

SMALL = ["--train.batch", "32", "--train.steps-per-call", "10", "--train.checkpoint-every", "20"]


@pytest.mark.slow
def test_several_seeds_are_trained_together_and_compared(tmp_path, call):
    seeds = ("--seeds", 0, 1, 2)
    # The running statistics lag: after 100 steps each run still reads all images as one category, and none is
    # chosen.
    rates = ("--optimizer.lr-generator", 2e-3, "--optimizer.lr-recognition", 2e-3)
    options = (*rates, *SMALL, "--train.checkpoint-every", 200)
    done = call("train.py", *seeds, "--train.steps", 400, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1:3] == ["run folder: runs/digits", "digits: 3 runs of 400 steps"]
    assert lines[3].split() == ["s0", "s1", "s2", "mean", "sd", "best"]
    (errors,) = ([float(x) for x in row.split()[1:4]] for row in lines if row.startswith("code_error "))
    stored = [
        json.loads((tmp_path / f"runs/digits/s{seed}/eval/metrics.json").read_text()) for seed in range(3)
    ]
    assert errors == [round(metrics["code_error"], 4) for metrics in stored]
    # Three runs, and not one thrice; after so few steps their errors may be equal.
    assert len({metrics["mutual_information"]["total"] for metrics in stored}) == 3
    assert [metrics["seed"] for metrics in stored] == [0, 1, 2]
    assert lines[-1] == "summary: runs/digits/sweep.json"
    (summary,) = json.loads((tmp_path / "runs/digits/sweep.json").read_text())
    scores, run = summary["choice"]["scores"], summary["choice"]["run"]
    assert len(scores) == 3 and scores[run] == max(scores) > 0
    told = f"chosen without labels (category_agreement): s{run}, code_error {errors[run]:.4f}; the best is "
    behind = stored[run]["code_error"] - min(metrics["code_error"] for metrics in stored)
    assert lines[-2].startswith(told) and lines[-2].endswith(f": {behind:.4f} behind")
    again = call("eval.py", "runs/digits", cwd=tmp_path)
    assert again.stdout.splitlines() == lines[2:], again.stderr
    drawn = call("eval.py", "figures", "runs/digits", cwd=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    assert drawn.stdout.splitlines() == [f"figure: figures/digits-s{seed}.png" for seed in range(3)]
    refused = call("eval.py", "runs/digits", "--step", 20, cwd=tmp_path)
    assert refused.returncode == 2 and "--step is of one run, but runs/digits holds 3" in refused.stderr


@pytest.fixture
def layouts(tmp_path):
    """A folder of six images of 128x128 pixels with a white rectangle each."""
    folder = tmp_path / "layouts"
    folder.mkdir()
    for i in range(6):
        pixels = np.zeros((128, 128), np.uint8)
        pixels[20 + i : 90, 30 : 100 - i] = 255
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def test_an_autoencoder_of_strokes(tmp_path, call):
    options = ("--error", "l1", "--train.batch", 8, "--train.steps", 4)
    done = call("train.py", "digits-autoencoder", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "step 4/4" in done.stderr
    assert re.match(r"held-out images: \d+\.\d\d% wrong pixels", done.stdout.splitlines()[2])


@pytest.mark.slow
def test_an_autoencoder_of_a_folder_of_images(layouts, tmp_path, call):
    options = ("--data.folder", layouts, "--pixel-size", 4, "--train.batch", 8, "--train.steps", 4)
    done = call("train.py", "masks", *options, "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "step 4/4" in done.stderr and re.search(r"edge \d\.\d+  wrong pixels \d+\.\d\d%", done.stderr)
    found = r"held-out images: \d+\.\d\d% wrong pixels, IoU 0\.\d{4}, edges off by [\d.]+ nm \(worst .*\)"
    assert re.fullmatch(found, done.stdout.splitlines()[2])
    metrics = (tmp_path / "run/eval/metrics.json").read_bytes()
    assert json.loads(metrics)["edge_placement_error"]["unit"] == "nm"
    again = call("eval.py", "run", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "run/eval/metrics.json").read_bytes() == metrics
    assert again.stdout.splitlines() == done.stdout.splitlines()[2:]


@pytest.fixture
def photographs(tmp_path):
    """A folder of six colour images."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for i in range(6):
        pixels = np.random.default_rng(i).integers(0, 256, (9, 7, 3), np.uint8)
        Image.fromarray(pixels).resize((40, 33), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return folder


@pytest.mark.slow
def test_a_super_resolver_by_content_and_then_with_a_discriminator(photographs, tmp_path, call):
    networks = ("--networks.blocks", 1, "--networks.channels", 4, "--networks.discriminator-channels", 2)
    options = ("--data.folder", photographs, "--data.crop", 16, "--low-crop", 4, *networks)
    options += ("--train.batch", 2, "--train.steps", 2, "--seed", 3)
    first = ("wildlife-content", *options, "--run-dir", "content/s3")
    done = call("train.py", *first, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "step 2/2" in done.stderr and re.search(r"l2 [\d.]+  PSNR [\d.]+ dB", done.stderr)
    told = r"Y-PSNR in dB on 2 held-out images: nearest [\d.]+  bicubic [\d.]+"
    assert re.fullmatch(told + r"  super resolved -?[\d.]+", done.stdout.splitlines()[2])
    # By pixels too, as in the paper's SRGAN-MSE: the feature networks' weights may not be there.
    content = ("--content.error", "l2", "--content.layer", "")
    second = ("wildlife", *options, *content, "--init-from", "content", "--run-dir", "run")
    done = call("train.py", *second, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"l2 [\d.]+  PSNR [\d.]+ dB  D [\d.]+  G [\d.]+", done.stderr)
    assert re.fullmatch(
        told + r"  content only -?[\d.]+  super resolved -?[\d.]+", done.stdout.splitlines()[2]
    )
    metrics, before = (
        json.loads((tmp_path / run / "eval/metrics.json").read_text()) for run in ("run", "content/s3")
    )
    # What the second began with is what the first ended with.
    assert metrics["y_psnr"]["content_only"] == before["y_psnr"]["super_resolved"]
    assert metrics["y_psnr"]["super_resolved"] != before["y_psnr"]["super_resolved"]
    (tmp_path / "content").rename(tmp_path / "elsewhere")
    again = call("eval.py", "run", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "run/eval/metrics.json").read_text()) == metrics
