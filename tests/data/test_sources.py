from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from infogan_jax.config import Data
from infogan_jax.data import sources
from infogan_jax.errors import UserError


def test_digits_are_always_there():
    shape = sources.check(Data("digits", "digits"))
    assert sources.load(Data("digits", "digits")).image_shape == shape


@pytest.mark.parametrize("act", [sources.check, sources.load])
@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        ("digits", "mnist", "--data.name is 'mnist'"),
        ("tfds", "mnist", "mnist is not prepared"),
        ("tfds", "../mnist", "is not a data set's name"),
    ],
)
def test_what_is_not_there_is_refused(act, source, name, message, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(UserError, match=message):
        act(Data(source, name))


def test_images_of_a_folder_are_resized_and_unreadable_ones_skipped(tmp_path, capsys):
    (tmp_path / "0.png").touch()
    for i in range(1, 7):
        Image.fromarray(np.eye(9, 12, dtype=np.uint8) * 255).save(tmp_path / f"{i}.png")
    data = Data("folder", "diagonals", folder=tmp_path, size=4, skip_unreadable=True)
    assert sources.check(data) == sources.load(data).image_shape == (4, 4, 1)
    assert "1 unreadable image files left out: 0.png" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"0.png \(empty\)"):
        sources.check(replace(data, skip_unreadable=False))


def test_a_folder_that_no_memory_holds_is_known_before_it_is_read(tmp_path):
    for i in range(6):
        Image.fromarray(np.eye(9, 12, dtype=np.uint8) * 255).save(tmp_path / f"{i}.png")
    data = Data("folder", "diagonals", folder=tmp_path)
    assert sources.nbytes(data) == 6 * 9 * 12
    assert sources.nbytes(replace(data, size=100_000)) == 6 * 10**10
    assert "--data.size" in sources.fewer(data)


def test_the_options_of_prepared_data_reach_it(data_dir, prepare, monkeypatch):
    prepare(data_dir / "toy" / "1.0.0")
    data = Data("tfds", "toy", size=8, limit=5)
    assert sources.check(data) == (8, 8, 1)
    with pytest.raises(UserError, match="it needs `extra`"):
        sources.check(replace(data, extra=True))
    monkeypatch.setattr(sources.tfds, "load", lambda name, **options: (name, options))
    assert sources.load(replace(data, extra=True)) == ("toy", {"size": 8, "extra": True, "limit": 5})


def test_a_scene_is_rendered_with_its_factors():
    data = Data("scenes", "heads", render=6)
    assert sources.check(data) == (32, 32, 1)
    made = sources.load(data)
    assert (len(made.train.images), len(made.test.images)) == (6, 2)
    assert made.train.factors.shape == (6, 5) and made.factors[0].name == "azimuth"
