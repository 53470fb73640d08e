import json

import numpy as np
import pytest
from PIL import Image

import infogan_jax
from infogan_jax import cli
from infogan_jax.errors import UserError
from infogan_jax.evaluation import other_folder
from infogan_jax.evaluation import superresolution as measuring
from infogan_jax.evaluation.image_quality import y_psnr
from infogan_jax.evaluation.other_folder import evaluate_on
from infogan_jax.evaluation.report import Measurement

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture
def photographs(tmp_path, colours):
    """A folder of images of three sizes, which are one when cut to even ones; the second is grey."""
    folder = tmp_path / "set5"
    folder.mkdir()
    images = [colours(20, 22, 0), colours(20, 23, 1), colours(21, 22, 2)]
    images[1][:] = images[1][..., :1]
    for name, image in zip("abc", images, strict=True):
        Image.fromarray(image[..., 0] if name == "b" else image).save(folder / f"{name}.png")
    return folder, images


def test_all_images_of_the_folder_are_measured_and_the_runs_own_figures_stay(
    enlarging_run, photographs, monkeypatch, capsys
):
    folder, images = photographs
    monkeypatch.setattr(measuring, "_distances", lambda config: ([], []))
    own = enlarging_run / "eval" / "metrics.json"
    own.parent.mkdir()
    own.write_text("own")
    status = cli.evaluate([str(enlarging_run), "--folder", str(folder), "--no-compilation-cache"])
    lines, there = capsys.readouterr().out.splitlines(), enlarging_run / "eval" / "on-set5"
    assert status == 0 and own.read_text() == "own"
    metrics = json.loads((there / "metrics.json").read_text())
    assert (metrics["step"], metrics["images"], metrics["folder"]) == (10, 3, str(folder))
    expected = []
    for image in images:
        true = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
        half = (true.shape[1] // 2, true.shape[0] // 2)
        low = Image.fromarray(true).resize(half, Image.Resampling.BICUBIC)
        expected.append(y_psnr(np.asarray(low.resize(true.shape[1::-1], Image.NEAREST)), true, border=4))
    assert metrics["y_psnr"]["nearest"] == pytest.approx(np.mean(expected), abs=0.02)
    assert set(metrics["y_ssim"]) == {"nearest", "bicubic", "content_only", "super_resolved"}
    assert lines[0].startswith("Y-PSNR in dB on 3 set5 images: nearest ") and lines[1].startswith("Y-SSIM: ")
    assert lines[2:] == [f"metrics: {there / 'metrics.json'}", f"crops: {there / 'crops.png'}"]
    # Rows of nearest pixels, bicubic, the start, the generator and the truth, twice as large.
    with Image.open(there / "crops.png") as sheet:
        assert sheet.size == (2 * (3 * 20 + 2 * 2), 2 * (5 * 20 + 4 * 2))
        truth = np.asarray(sheet)[-40::2, :40:2]
    np.testing.assert_array_equal(truth, images[0][:20, 1:21])


def test_a_folder_of_which_not_all_can_be_measured_is_refused(enlarging_run, photographs, monkeypatch):
    folder, _ = photographs
    (folder / "broken.png").write_bytes(b"nothing")
    Image.fromarray(np.zeros((30, 19, 3), np.uint8)).save(folder / "narrow.png")
    monkeypatch.setattr(other_folder, "measure_images", None)
    told = (
        r"set5: can't measure 2 of its image files: broken\.png \(no PNG, .*\), narrow\.png \(19x30 pixels, "
        r"of 20x20 that SSIM takes\); take them out"
    )
    with pytest.raises(UserError, match=told):
        evaluate_on(enlarging_run, folder)
    assert not (enlarging_run / "eval").exists()


def test_the_folder_that_the_run_was_trained_on_is_refused(enlarging_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier/bears").mkdir()
    for name in ("earlier", "earlier/bears", "earlier/bears/.."):
        with pytest.raises(UserError, match=r"in earlier, on which .*run was trained: leave it out"):
            evaluate_on(enlarging_run, tmp_path / name)
    with pytest.raises(UserError, match="nowhere is no directory: name one that holds images"):
        evaluate_on(enlarging_run, tmp_path / "nowhere")


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_an_image_that_the_run_was_trained_on_is_refused_by_any_name(
    enlarging_run, photographs, tmp_path, monkeypatch, link
):
    folder, _ = photographs
    monkeypatch.chdir(tmp_path)
    (tmp_path / "earlier/bears").mkdir(parents=True)
    trained = tmp_path / "earlier/bears/1.png"
    trained.write_bytes((folder / "a.png").read_bytes())
    monkeypatch.setattr(other_folder, "measure_images", None)
    getattr(folder / "d.png", link)(trained)
    with pytest.raises(UserError, match=r"set5, whose d\.png is in earlier, on which .*run was trained"):
        evaluate_on(enlarging_run, folder)


def test_folders_of_one_name_have_figures_of_their_own(enlarging_run, photographs, tmp_path, monkeypatch):
    folder, _ = photographs
    other = tmp_path / "other" / folder.name
    other.mkdir(parents=True)
    (other / "a.png").write_bytes((folder / "a.png").read_bytes())
    monkeypatch.setattr(other_folder, "measure_images", lambda *_, **__: Measurement({}, [], [], [], [], []))
    places = [evaluate_on(enlarging_run, each)[1] for each in (folder, other, folder, other)]
    assert [place.name for place in places] == ["on-set5", "on-set5-2"] * 2
    for place, each in zip(places, (folder, other), strict=False):
        assert json.loads((place / "metrics.json").read_text())["folder"] == str(each)


def test_from_a_notebook_it_is_the_same_measurement(enlarging_run, photographs, monkeypatch, capfd):
    monkeypatch.setattr(measuring, "_distances", lambda config: ([], []))
    measured = infogan_jax.evaluate_on(enlarging_run, photographs[0])
    there = enlarging_run / "eval" / "on-set5"
    assert measured.metrics == json.loads((there / "metrics.json").read_text())
    assert measured.report is None and there / "crops.png" in [file for _, file in measured.pictures]
    assert "<table>" in measured._repr_html_() and capfd.readouterr() == ("", "")
