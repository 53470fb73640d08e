import hashlib

import numpy as np
import pytest

from infogan_jax.errors import UserError
from infogan_jax.networks.features import weights_file

RANDOM = np.random.default_rng(0)
ARRAYS = {
    "a.weight": RANDOM.normal(size=(2, 3, 4, 5)).astype(np.float32),
    "a.bias": RANDOM.normal(size=2).astype(np.float16),
    "a.count": np.arange(3),
}
SHAPES = {"a.weight": (2, 3, 4, 5), "a.bias": (2,)}


def test_what_was_written_is_read(written):
    path = written(ARRAYS)
    file = weights_file.read(path)
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    found = {name: (x.shape, x.dtype) for name, x in file.arrays.items()}
    assert found == {name: (x.shape, x.dtype) for name, x in ARRAYS.items()}
    taken = weights_file.take(file, SHAPES)
    assert list(taken) == list(SHAPES)
    for name, x in taken.items():
        assert x.dtype == np.float32
        np.testing.assert_array_equal(x, ARRAYS[name])


def test_a_file_cut_anywhere_is_refused(written):
    path = written(ARRAYS)
    whole = path.read_bytes()
    for length in range(1, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="can't be read as weights"):
            weights_file.read(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a.weight": ARRAYS["a.weight"]}, r"has no layer a.bias, .* shape \(2,\)"),
        (ARRAYS | {"a.bias": np.zeros(3, np.float32)}, r"a.bias has the shape \(3,\); it must be \(2,\)"),
        (ARRAYS | {"a.bias": np.arange(2)}, "a.bias is int64; its numbers must be floats"),
        (ARRAYS | {"a.bias": np.array([0, np.nan], np.float32)}, "a.bias has numbers that aren't finite"),
    ],
    ids=["missing", "shape", "type", "nan"],
)
def test_what_the_network_does_not_have_is_refused_by_name(written, arrays, message):
    file = weights_file.read(written(arrays))
    with pytest.raises(UserError, match=message):
        weights_file.take(file, SHAPES)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors", ".h5"])
def test_an_empty_file_a_folder_and_none_are_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(UserError, match="there is no file"):
        weights_file.read(path)
    path.touch()
    with pytest.raises(UserError, match="it is empty"):
        weights_file.read(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match="is a folder"):
        weights_file.read(path)


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"a\.bin must be .* ends in \.pth, \.pt, \.safetensors, \.h5"):
        weights_file.read(tmp_path / "a.bin")


def test_a_web_page_is_refused(tmp_path):
    for suffix in (".pth", ".safetensors"):
        path = tmp_path / f"a{suffix}"
        path.write_text("<!doctype html><title>404 not found</title>")
        with pytest.raises(UserError, match="can't be read as weights"):
            weights_file.read(path)


def test_a_changed_byte_in_an_archive_is_noticed(tmp_path, torch_zip):
    path = tmp_path / "a.pth"
    torch_zip(path, ARRAYS)
    whole = bytearray(path.read_bytes())
    whole[whole.index(ARRAYS["a.weight"].tobytes()) + 2] ^= 1
    path.write_bytes(whole)
    with pytest.raises(UserError, match="CRC"):
        weights_file.take(weights_file.read(path), SHAPES)


def test_any_changed_byte_is_read_or_refused(written, tried):
    path, random = written(ARRAYS), np.random.default_rng(2)
    whole, refused = path.read_bytes(), 0
    for _ in range(200):
        changed = bytearray(whole)
        changed[random.integers(len(whole))] = random.integers(256)
        path.write_bytes(changed)
        try:
            weights_file.take(weights_file.read(path), SHAPES)
        except UserError:
            refused += 1
    assert refused > 0
    # Of four formats.
    tried("files of a network's weights with a changed byte", 200, 4 * 200)
