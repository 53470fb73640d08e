import numpy as np
import pytest
from PIL import Image

from infogan_jax.data import folder
from infogan_jax.errors import UserError


@pytest.fixture
def images(tmp_path):
    """Six grey images of 10x12 pixels, their numbers at the pixel's place, and what is none."""
    for i in range(6):
        pixels = np.arange(120, dtype=np.uint8).reshape(10, 12) + i
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    (tmp_path / "notes.txt").write_text("none")
    return tmp_path


def pixels(i):
    return np.arange(120).reshape(10, 12, 1) + i


def test_whole_images_are_split_file_by_file(images):
    assert folder.image_shape(images, 0) == (10, 12, 1)
    dataset = folder.load(images, 0, "shapes")
    assert (dataset.name, dataset.num_classes) == ("shapes", None)
    np.testing.assert_array_equal(dataset.test.images, [pixels(0), pixels(5)])
    np.testing.assert_array_equal(dataset.train.images, [pixels(i) for i in (1, 2, 3, 4)])


def test_crops_are_the_whole_squares_row_by_row(images):
    assert folder.image_shape(images, 4) == (4, 4, 1)
    dataset = folder.load(images, 4, "shapes")
    assert len(dataset.train.images) == 4 * 6 and len(dataset.test.images) == 2 * 6
    first = pixels(0)
    for n, (row, column) in enumerate([(0, 0), (0, 4), (0, 8), (4, 0), (4, 4), (4, 8)]):
        np.testing.assert_array_equal(dataset.test.images[n], first[row : row + 4, column : column + 4])


def test_squares_that_show_nothing_are_left_out(images):
    flat = np.full((10, 12), 7, np.uint8)
    flat[1, 1] = 8
    Image.fromarray(flat).save(images / "1.png")
    assert len(folder.load(images, 4, "shapes").train.images) == 3 * 6 + 1


def test_one_bit_images_become_black_and_white(images):
    for file in images.glob("*.png"):
        Image.fromarray(np.eye(10, 12, dtype=bool)).save(file)
    dataset = folder.load(images, 0, "shapes")
    np.testing.assert_array_equal(dataset.train.images[0, :, :, 0], 255 * np.eye(10, 12))


def test_colour_images_keep_their_channels(images):
    colour = np.zeros((10, 12, 3), np.uint8)
    colour[:, :6, 1] = 200
    for file in images.glob("*.png"):
        Image.fromarray(colour).save(file)
    assert folder.image_shape(images, 4) == (4, 4, 3)
    np.testing.assert_array_equal(folder.load(images, 0, "shapes").train.images[0], colour)


def refused(message, directory, crop=0):
    with pytest.raises(UserError, match=message):
        folder.load(directory, crop, "shapes")


def test_what_cannot_be_used_is_refused_by_name(images, tmp_path):
    refused("--data.folder is missing", None)
    refused("nowhere, which is no directory", tmp_path / "nowhere")
    (tmp_path / "bare").mkdir()
    refused("bare holds 0 image files", tmp_path / "bare")
    refused("--data.crop is 11, but .*0.png has 12x10 pixels", images, 11)
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(images / "3.png")
    refused("3.png has 5x5 pixels, but the first file 12x10: cut them to one size with --data.crop", images)
    noise = np.random.default_rng(0).integers(0, 256, (10, 12), dtype=np.uint8)
    Image.fromarray(noise).save(images / "2.png")
    (images / "2.png").write_bytes((images / "2.png").read_bytes()[:90])
    refused("2.png can't be read", images)
    (images / "2.png").write_bytes(b"no image")
    refused("2.png can't be read", images)
    for file in images.glob("*.png"):
        Image.fromarray(np.zeros((10, 12), np.uint8)).save(file)
    refused("no train image shows more than one value", images)
