"""What was written is decoded and compared pixel by pixel."""

import errno
import os
import stat

import numpy as np
import pytest
from PIL import Image

from infogan_jax import images as images_module


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def decode(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def test_to_uint8_clips_and_rounds():
    images = np.array([-1.5, -1, 0, 0.5, 1, 2], np.float32)
    np.testing.assert_array_equal(images_module.to_uint8(images, -1, 1), [0, 0, 128, 191, 255, 255])


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 1.0)])
def test_to_uint8_inverts_the_scaling_of_every_byte(low, high):
    values = np.arange(256, dtype=np.uint8)
    scaled = values.astype(np.float32) / 255 * (high - low) + low
    restored = images_module.to_uint8(scaled, low, high)
    assert restored.dtype == np.uint8
    np.testing.assert_array_equal(restored, values)


@pytest.mark.parametrize(
    ("images", "low", "high"),
    [(np.zeros(3, np.int32), 0, 1), (np.array([0.0, np.nan]), 0, 1), (np.zeros(3), 1, 1)],
)
def test_to_uint8_refuses_wrong_input(images, low, high):
    with pytest.raises(ValueError, match=r"images|low"):
        images_module.to_uint8(images, low, high)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pad", [0, 2])
def test_tile_puts_each_image_in_its_cell(channels, pad):
    images = noise((5, 3, 4, channels))
    grid = images_module.tile(images, 2, pad, background=7)
    expected = np.full((3 * 3 + 2 * pad, 2 * 4 + pad, channels), 7, np.uint8)
    for index, image in enumerate(images):
        top, left = index // 2 * (3 + pad), index % 2 * (4 + pad)
        expected[top : top + 3, left : left + 4] = image
    np.testing.assert_array_equal(grid, expected)


@pytest.mark.parametrize(
    ("images", "columns"),
    [
        (np.zeros((2, 3, 3, 1)), 1),
        (np.zeros((2, 3, 3), np.uint8), 1),
        (np.zeros((2, 3, 3, 4), np.uint8), 1),
        (np.zeros((0, 3, 3, 1), np.uint8), 1),
        (np.zeros((2, 3, 3, 1), np.uint8), 0),
    ],
)
def test_tile_refuses_wrong_input(images, columns):
    with pytest.raises(ValueError, match=r"images|columns"):
        images_module.tile(images, columns)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [1, 3])
def test_save_png_keeps_every_pixel(tmp_path, channels, scale):
    image = noise((5, 4, channels))
    images_module.save_png(tmp_path / "image.png", image, scale)
    decoded = decode(tmp_path / "image.png").reshape(5 * scale, 4 * scale, channels)
    np.testing.assert_array_equal(decoded, np.kron(image, np.ones((scale, scale, 1), np.uint8)))


@pytest.mark.parametrize(
    ("image", "scale"),
    [(np.zeros((2, 2), np.uint8), 1), (np.zeros((2, 2, 1)), 1), (np.zeros((2, 2, 1), np.uint8), 0)],
)
def test_save_png_refuses_wrong_input(tmp_path, image, scale):
    with pytest.raises(ValueError, match=r"image|scale"):
        images_module.save_png(tmp_path / "image.png", image, scale)


def test_write_atomically_replaces_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "file"
    images_module.write_atomically(path, b"old and longer")
    images_module.write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_write_atomically_keeps_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(source, target):
        raise OSError("no space left")

    monkeypatch.setattr(images_module.os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        images_module.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_write_atomically_brings_the_bytes_to_the_disk_before_the_name_and_then_the_name(
    tmp_path, monkeypatch
):
    sync, replace, done = os.fsync, os.replace, []

    def synced(opened):
        done.append("names" if stat.S_ISDIR(os.fstat(opened).st_mode) else "bytes")
        sync(opened)

    def replaced(source, target):
        done.append("replaced")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    images_module.write_atomically(tmp_path / "file", b"new")
    assert done == ["bytes", "replaced", "names"]


def test_write_atomically_does_without_a_folder_that_cannot_be_synced(tmp_path, monkeypatch):
    sync = os.fsync

    def synced(opened):
        if stat.S_ISDIR(os.fstat(opened).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(opened)

    monkeypatch.setattr(os, "fsync", synced)
    images_module.write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
