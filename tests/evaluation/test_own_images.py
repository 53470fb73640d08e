import numpy as np
import pytest
from PIL import Image

from infogan_jax import cli, enlarge
from infogan_jax.errors import UserError
from infogan_jax.evaluation import own_images
from infogan_jax.evaluation.enlargement import enlarge_image
from infogan_jax.evaluation.own_images import enlarge_files
from infogan_jax.training.checkpoints import Checkpoints

pytestmark = pytest.mark.usefixtures("quick_compilation")

HEIGHT, WIDTH = 9, 7


@pytest.fixture
def photographs(tmp_path, colours):
    """Files of every kind and one size, and what their pixels are in 8 bits of colour."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    colour = colours(HEIGHT, WIDTH)
    grey = colour[..., 0]
    half = np.where(np.arange(WIDTH) < 3, 0, 255).astype(np.uint8)
    alpha = np.broadcast_to(half, (HEIGHT, WIDTH))
    Image.fromarray(colour).save(folder / "colour.png")
    Image.fromarray(colour).save(folder / "bitmap.BMP")
    Image.fromarray(np.dstack([colour, alpha])).save(folder / "alpha.png")
    Image.fromarray(grey).save(folder / "grey.pgm")
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "deep.png")
    (folder / "notes.txt").write_text("no image")
    three = np.repeat(grey[..., np.newaxis], 3, axis=2)
    on_white = np.where(alpha[..., np.newaxis] > 0, colour, 255).astype(np.uint8)
    return folder, {"colour": colour, "bitmap": colour, "alpha": on_white, "grey": three, "deep": three}


def of_generator(enlarging, image):
    config, state = enlarging
    return enlarge_image(config, state.params["generator"], state.stats, image)


def test_files_of_every_kind_become_what_the_generator_makes_of_them(
    enlarging, enlarging_run, photographs, tmp_path
):
    folder, pixels = photographs
    out = tmp_path / "new" / "out"
    # A folder and a file from elsewhere.
    (tmp_path / "elsewhere.png").write_bytes((folder / "colour.png").read_bytes())
    written = list(enlarge_files(enlarging_run, [folder, tmp_path / "elsewhere.png"], out))
    assert written == [out / f"{name}.png" for name in (*sorted(pixels, key=str.lower), "elsewhere")]
    assert set(out.iterdir()) == set(written)
    for name, image in (pixels | {"elsewhere": pixels["colour"]}).items():
        made = of_generator(enlarging, image)
        with Image.open(out / f"{name}.png") as saved:
            assert saved.mode == ("L" if name in ("grey", "deep") else "RGB")
            if saved.mode == "L":
                made = made.astype(float) @ [0.299, 0.587, 0.114]
            np.testing.assert_allclose(np.asarray(saved), made, atol=0.51)
    # Were the stand-ins all alike, none of this would show anything.
    assert made.std() > 5


def test_a_file_that_cannot_be_read_does_not_lose_the_others(
    enlarging_run, photographs, tmp_path, monkeypatch, capsys
):
    folder, pixels = photographs
    (folder / "alpha.png").write_bytes((folder / "alpha.png").read_bytes()[:60])
    # The largest image of the rest is as large as may be, and this one larger.
    monkeypatch.setattr(own_images, "MAX_PIXELS", 4 * HEIGHT * WIDTH)
    Image.fromarray(np.zeros((HEIGHT, WIDTH + 1, 3), np.uint8)).save(folder / "wide.png")
    status = cli.evaluate([str(enlarging_run), "--images", str(folder), "--no-compilation-cache"])
    said, out = capsys.readouterr(), enlarging_run / "eval" / "images"
    assert status == 2
    names = sorted(set(pixels) - {"alpha"})
    assert sorted(path.name for path in out.iterdir()) == [f"{name}.png" for name in names]
    assert sorted(said.out.splitlines()) == [f"enlarged: {out / name}.png" for name in names]
    (line,) = said.err.splitlines()
    assert line.startswith(f"error: 2 of 6 images could not be enlarged: {folder / 'alpha.png'} (")
    assert line.endswith(
        f"{folder / 'wide.png'} (16x18 pixels, which it would have, are more than {4 * HEIGHT * WIDTH})"
    )


def test_no_file_is_replaced(enlarging_run, photographs, tmp_path, monkeypatch):
    folder, _ = photographs
    out = tmp_path / "out"
    out.mkdir()
    (out / "deep.png").write_text("mine")
    with pytest.raises(UserError, match=r"deep\.png is there already: name another folder with --out"):
        list(enlarge_files(enlarging_run, [folder], out))
    assert [path.name for path in out.iterdir()] == ["deep.png"] and (out / "deep.png").read_text() == "mine"

    # Nor one that comes while the image is being enlarged.
    def slow(config, params, stats, image):
        (out / "grey.png").write_text("another's")
        return np.zeros((2, 2, 3), np.uint8)

    monkeypatch.setattr(own_images, "enlarge_image", slow)
    with pytest.raises(FileExistsError, match=r"grey\.png"):
        list(enlarge_files(enlarging_run, [folder / "grey.pgm"], out))
    assert (out / "grey.png").read_text() == "another's"


def test_what_fails_while_it_is_written_leaves_no_file(enlarging_run, photographs, tmp_path, monkeypatch):
    def full(path, image):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(own_images, "enlarge_image", lambda *_: np.zeros((2, 2, 3), np.uint8))
    monkeypatch.setattr(own_images, "save_png", full)
    with pytest.raises(OSError, match="No space left"):
        list(enlarge_files(enlarging_run, [photographs[0] / "grey.pgm"], tmp_path / "out"))
    assert not any((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (["photographs", "gone.png"], "--images has gone.png, which is not there: name files, or folders"),
        (["photographs/grey.pgm", "grey.png"], "photographs/grey.pgm and grey.png would both become"),
        (["photographs", "photographs"], "would both become"),
        (["empty"], "empty holds no image file (.png, .jpg,"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_written(
    images, message, enlarging_run, photographs, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "grey.png").write_bytes((photographs[0] / "colour.png").read_bytes())
    status = cli.evaluate(["run", "--images", *images, "--out", "out", "--no-compilation-cache"])
    (line,) = capsys.readouterr().err.splitlines()
    assert status == 2 and line.startswith("error: ") and message in line
    assert not (tmp_path / "out").exists()


def test_a_run_of_another_task_is_refused(tiny_config, tmp_path, capsys):
    with Checkpoints(tmp_path / "run") as checkpoints:
        checkpoints.save(0, {"nothing": np.zeros(1)}, tiny_config)
    for options in (["--images", "a.png"], ["--folder", "photographs"]):
        status = cli.evaluate([str(tmp_path / "run"), *options, "--no-compilation-cache"])
        (line,) = capsys.readouterr().err.splitlines()
        assert status == 2 and "run is a run of tiny, which enlarges no images: name one of" in line


def test_from_a_notebook_the_pictures_are_shown(enlarging, enlarging_run, photographs, tmp_path, capfd):
    folder, pixels = photographs
    made = enlarge(enlarging_run, [folder / "colour.png"], tmp_path / "out")
    assert made.files == [("colour", tmp_path / "out/colour.png")] and 'alt="colour"' in made._repr_html_()
    with Image.open(made.files[0][1]) as saved:
        np.testing.assert_array_equal(np.asarray(saved), of_generator(enlarging, pixels["colour"]))
    assert capfd.readouterr() == ("", "")
