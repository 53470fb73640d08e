import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infogan_jax.data import folder
from infogan_jax.data.dataset import Factor
from infogan_jax.data.resize import centre_square
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


def test_images_are_counted_before_they_are_read(images, monkeypatch):
    monkeypatch.setattr(folder.image_files, "read", lambda *_: pytest.fail("an image was read"))
    assert folder.count(images, 0) == 6
    # Only their sizes say into how many squares they are cut.
    assert folder.count(images, 4) == 0


def test_crops_are_the_whole_squares_row_by_row(images):
    assert folder.image_shape(images, 4) == (4, 4, 1)
    dataset = folder.load(images, 4, "shapes")
    assert len(dataset.train.images) == 4 * 6 and len(dataset.test.images) == 2 * 6
    first = pixels(0)
    for n, (row, column) in enumerate([(0, 0), (0, 4), (0, 8), (4, 0), (4, 4), (4, 8)]):
        np.testing.assert_array_equal(dataset.test.images[n], first[row : row + 4, column : column + 4])


@pytest.mark.parametrize("crop", [0, 16])
def test_what_is_read_is_never_there_twice(tmp_path, crop):
    noise = np.random.default_rng(0).integers(0, 256, (512, 512), np.uint8)
    for i in range(40):
        Image.fromarray(noise).save(tmp_path / f"{i:02}.png", compress_level=0)
    tracemalloc.start()
    try:
        dataset = folder.load(tmp_path, crop, "noise")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    images = dataset.train.images.nbytes + dataset.test.images.nbytes
    assert images == 40 * 512 * 512
    # What a bytearray has in reserve is an eighth, and a picture is read, cut and copied.
    assert most < 1.125 * images + 6 * 512 * 512
    assert dataset.train.images.flags.writeable and dataset.train.images.flags.c_contiguous


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
    refused(
        "3.png has 5x5 pixels, but the first file 12x10: cut them to one size with --data.crop or ", images
    )
    noise = np.random.default_rng(0).integers(0, 256, (10, 12), dtype=np.uint8)
    for i in (2, 3):
        Image.fromarray(noise).save(images / f"{i}.png")
    (images / "2.png").write_bytes((images / "2.png").read_bytes()[:90])
    refused(r"can't read 1 of its image files: 2.png \(", images)
    (images / "2.png").write_bytes(b"no image")
    refused(r"can't read 1 of its image files: 2.png \(", images)
    for file in images.glob("*.png"):
        Image.fromarray(np.zeros((10, 12), np.uint8)).save(file)
    refused("no train image shows more than one value", images)


# Sub-folders, sizes, and what people have in their folders


def save(path, value, shape=(8, 8)):
    """An image whose pixels are all near a value, so that it shows which one it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full(shape, value, np.uint8)
    pixels[0, 0] += 1
    Image.fromarray(pixels).save(path, "PNG")


def values(split):
    return split.images[:, -1, -1, 0].tolist()


@pytest.fixture
def classes(tmp_path):
    """Two classes of seven and six images; the last digit of the pixels' value is the image's place."""
    for i in range(7):
        save(tmp_path / "bee" / f"{i}.png", 10 + i)
    for i in range(6):
        save(tmp_path / "ant ü" / f"{i}.png", 20 + i)
    (tmp_path / ".thumbnails").mkdir()
    save(tmp_path / ".thumbnails" / "0.png", 99)
    return tmp_path


def test_sub_folders_are_classes_in_the_order_of_their_names_and_each_is_split_by_itself(classes):
    dataset = folder.load(classes, 0, "insects")
    assert dataset.num_classes == 2 and dataset.factors == ()
    assert values(dataset.test) == [20, 25, 10, 15]
    assert dataset.test.labels.tolist() == [0, 0, 1, 1] and dataset.test.labels.dtype == np.int32
    assert values(dataset.train) == [21, 22, 23, 24, 11, 12, 13, 14, 16]
    assert dataset.train.labels.tolist() == [0] * 4 + [1] * 5


def test_squares_keep_the_label_and_the_factors_of_their_image(classes):
    flat = np.full((8, 8), 22, np.uint8)
    flat[0, 0] = flat[7, 7] = 5  # only two of its four squares show anything
    Image.fromarray(flat).save(classes / "ant ü" / "2.png")
    rows = [f"{path.relative_to(classes)},{path.stem}" for path in classes.glob("[ab]*/*.png")]
    (classes / "factors.csv").write_text("\n".join(["file,place", *rows]))
    dataset = folder.load(classes, 4, "insects")
    assert dataset.factors == (Factor("place"),)
    # Of all others only the first square, in the corner of which a pixel differs.
    assert values(dataset.train) == [21, 22, 5, 23, 24, 11, 12, 13, 14, 16]
    assert dataset.train.labels.tolist() == [0] * 5 + [1] * 5
    assert dataset.train.factors.tolist() == [[p] for p in (1, 2, 2, 3, 4, 1, 2, 3, 4, 6)]
    assert dataset.test.factors.tolist() == [[0], [5], [0], [5]]


def test_a_flat_folder_can_have_factors(images):
    (images / "factors.csv").write_text(
        "file,turn_degrees\n" + "".join(f"{i}.png,{10 * i}\n" for i in range(6))
    )
    dataset = folder.load(images, 0, "shapes")
    assert dataset.factors == (Factor("turn", "angle", "degrees", 360),) and dataset.num_classes is None
    assert dataset.train.factors.tolist() == [[10], [20], [30], [40]]


def test_a_pipe_in_the_factors_place_is_none(images, monkeypatch):
    os.mkfifo(images / "factors.csv")
    # Nothing would ever come out of it.
    monkeypatch.setattr(folder.factors_file, "read", lambda *_: pytest.fail("it was read"))
    assert folder.load(images, 0, "shapes").factors == ()


def test_factors_are_checked_before_an_image_is_read(images):
    (images / "0.png").write_bytes(b"no image")
    (images / "factors.csv").write_text("file,turn_degrees\n")
    refused("has no line for 6 images", images)


def test_images_of_any_size_are_resized_from_their_centres(tmp_path):
    random = np.random.default_rng(0)
    shapes = [(9, 20), (20, 9), (4, 4), (8, 8)]
    originals = [random.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    for i, pixels in enumerate(originals):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    assert folder.image_shape(tmp_path, 0, size=8) == (8, 8, 1)
    dataset = folder.load(tmp_path, 0, "mixed", size=8)
    expected = [centre_square(pixels[..., np.newaxis], 8) for pixels in originals]
    np.testing.assert_array_equal(dataset.test.images, expected[:1])
    np.testing.assert_array_equal(dataset.train.images, expected[1:])
    np.testing.assert_array_equal(dataset.train.images[2][..., 0], originals[3])


def test_images_smaller_than_the_crop_have_no_squares(images):
    save(images / "3.png", 7, (3, 3))
    assert len(folder.load(images, 4, "shapes").train.images) == 3 * 6


@pytest.fixture
def broken(images):
    """Of the six images, the first is empty, the third cut off, the fourth a link to itself."""
    (images / "0.png").write_bytes(b"")
    (images / "2.png").write_bytes((images / "2.png").read_bytes()[:50])
    (images / "3.png").unlink()
    (images / "3.png").symlink_to("3.png")
    return images


def test_all_files_that_cannot_be_read_are_named_at_once(broken):
    save(broken / "0.png", 5, (10, 12))
    (broken / "4.png").write_bytes(b"PK")
    (broken / "6.png").mkdir()  # a folder without images, which is none of them
    with pytest.raises(UserError) as refusal:
        folder.load(broken, 0, "shapes")
    message = str(refusal.value)
    assert message.startswith(f"{broken}: can't read 3 of its image files: 2.png (")
    assert "3.png (no regular file), 4.png (no PNG, JPEG, BMP or PGM); repair them" in message
    save(broken / "6.png" / "0.png", 3)
    refused("holds images and folders of images", broken)


def test_only_the_first_twenty_are_named(images):
    for i in range(10, 40):
        (images / f"{i}.png").write_bytes(b"")
    named = ", ".join(rf"{i}.png \(empty\)" for i in range(10, 30))
    refused(rf"can't read 30 of its image files: {named}, \.\.\.; repair", images)


def test_a_name_is_told_in_one_line_and_moves_no_terminal(images, capsys):
    # A line's end, a colour, a turn of the writing's direction; and a space that some systems put into names.
    (images / "x\n\x1b[31m\u202e\u202f.png").write_bytes(b"")
    with pytest.raises(UserError) as refusal:
        folder.load(images, 0, "shapes")
    told = r"x\n\x1b[31m\u202e" + "\u202f.png"
    assert f": {told} (empty); repair" in str(refusal.value)
    folder.load(images, 0, "shapes", skip_unreadable=True)
    assert capsys.readouterr().err.endswith(f"left out: {told}\n")


@pytest.mark.parametrize("first", ["grey", "colour"])
def test_files_of_all_kinds_become_what_the_first_one_is(tmp_path, first):
    # Colours whose parts are equal: turned into grey and back they stay as they are.
    grey = Image.fromarray(np.repeat(np.arange(8, dtype=np.uint8) * 30, 8).reshape(8, 8))
    colour = grey.convert("RGB")
    kinds = [(grey, "grey.png"), (grey, "grey.pgm"), (grey, "grey.bmp"), (colour, "colour.png")]
    kinds += [(colour, "colour.jpg"), (colour, "colour.bmp")]
    for place, (image, name) in enumerate(sorted(kinds, key=lambda kind: not kind[1].startswith(first))):
        image.save(tmp_path / f"{place}-{name}", quality=100)
    dataset = folder.load(tmp_path, 0, "shapes")
    images = np.concatenate([dataset.train.images, dataset.test.images])
    assert images.shape == (6, 8, 8, 1 if first == "grey" else 3)
    expected = np.asarray(grey if first == "grey" else colour).reshape(images.shape[1:])
    np.testing.assert_allclose(images.astype(int), np.broadcast_to(expected, images.shape), atol=2)


def test_files_that_cannot_be_read_are_left_out_where_asked(broken, capsys):
    assert folder.image_shape(broken, 0, skip_unreadable=True) == (10, 12, 1)
    assert capsys.readouterr() == ("", "")
    dataset = folder.load(broken, 0, "shapes", skip_unreadable=True)
    # The others are in the split that they were in.
    np.testing.assert_array_equal(dataset.test.images, [pixels(5)])
    np.testing.assert_array_equal(dataset.train.images, [pixels(1), pixels(4)])
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"{broken}: 3 unreadable image files left out: 0.png, 2.png, 3.png\n"


@pytest.mark.parametrize("listed", [(), (0, 2, 3), (2,)], ids=["none", "all", "one"])
def test_a_file_that_is_left_out_needs_no_factors(broken, listed):
    rows = {i: f"{i}.png,{10 * i}\n" for i in (1, 4, 5, *listed)}
    (broken / "factors.csv").write_text("file,turn_degrees\n" + "".join(rows.values()))
    dataset = folder.load(broken, 0, "shapes", skip_unreadable=True)
    assert dataset.train.factors.tolist() == [[10], [40]]
    assert dataset.test.factors.tolist() == [[50]]
    # One that can be read needs them, whether others are left out or not.
    (broken / "factors.csv").write_text("file,turn_degrees\n" + rows[1] + rows[5])
    with pytest.raises(UserError, match=r"has no line for 1 images \(4\.png\)"):
        folder.load(broken, 0, "shapes", skip_unreadable=True)


def test_a_folder_of_nothing_that_can_be_read_is_refused(images):
    for i in range(6):
        (images / f"{i}.png").write_bytes(b"")
    with pytest.raises(UserError, match="holds no image file that can be read"):
        folder.load(images, 0, "shapes", skip_unreadable=True)


def test_a_bomb_is_a_file_that_cannot_be_read(images):
    (images / "2.png").write_bytes(b"P5 99999 99999 255\n")
    refused(r"can't read 1 of its image files: 2.png \(Image size \(9999800001 pixels\) exceeds", images)


def test_layouts_that_say_nothing_clear_are_refused(classes):
    (classes / "loop").symlink_to(classes)
    refused("loop holds 0 image files", classes)
    (classes / "loop").unlink()
    save(classes / "x.png" / "1.png", 3)  # a class with a strange name, and one image
    refused("x.png holds 1 image files", classes)
    save(classes / "x.png" / "2.png", 3)
    assert folder.load(classes, 0, "insects").num_classes == 3
    save(classes / "stray.png", 3)
    refused("holds images and folders of images: leave it one of the two", classes)


COIL20 = Path(__file__).parents[2] / "../shared/images/coil20"


@pytest.mark.skipif(not COIL20.is_dir(), reason=f"COIL-20 is needed in {COIL20}")
def test_coil20():
    assert folder.image_shape(COIL20, 0) == (64, 64, 1)
    dataset = folder.load(COIL20, 0, "coil20")
    assert dataset.num_classes == 20 and dataset.image_shape == (64, 64, 1)
    assert dataset.factors == (
        Factor("object", "category"),
        Factor("azimuth", "angle", "degrees", 360),
    )
    # 72 views of each object, of which those at 0, 25, 50, ... degrees are for testing.
    assert np.bincount(dataset.train.labels).tolist() == [57] * 20
    assert np.bincount(dataset.test.labels).tolist() == [15] * 20
    for split in (dataset.train, dataset.test):
        np.testing.assert_array_equal(split.factors[:, 0], split.labels + 1)
    np.testing.assert_array_equal(dataset.test.factors[:15, 1], np.arange(0, 360, 25))
    view = np.asarray(Image.open(COIL20 / "obj07" / "045.png"))
    seventh = dataset.train.images[(dataset.train.factors == (7, 45)).all(axis=1)]
    np.testing.assert_array_equal(seventh, view[np.newaxis, ..., np.newaxis])


def test_images_may_lie_a_folder_deeper_and_become_grey(tmp_path):
    """As the paper's chairs come: CHAIR/renders/*.png, in colour."""
    rng = np.random.default_rng(0)
    for chair in ("1a", "2b"):
        (tmp_path / chair / "renders").mkdir(parents=True)
        (tmp_path / chair / ".hidden").mkdir()
        (tmp_path / chair / ".hidden" / "x.png").write_bytes(b"no image")
        for i in range(6):
            pixels = rng.integers(0, 256, (12, 10, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / chair / "renders" / f"{i}.png")
    assert folder.image_shape(tmp_path, 0, size=8) == (8, 8, 3)
    assert folder.image_shape(tmp_path, 0, size=8, grey=True) == (8, 8, 1)
    dataset = folder.load(tmp_path, 0, "chairs", size=8, grey=True)
    assert dataset.image_shape == (8, 8, 1) and dataset.num_classes == 2
    np.testing.assert_array_equal(dataset.train.labels, [0] * 4 + [1] * 4)


def test_a_class_that_holds_images_and_folders_of_images_is_refused(classes):
    save(classes / "bee" / "renders" / "0.png", 5)
    refused("bee holds images and folders of images: leave it one of the two", classes)
    # Not a word of it where nobody looks.
    (classes / "bee" / "renders").rename(classes / "bee" / ".renders")
    assert folder.load(classes, 0, "insects").num_classes == 2
    (classes / "bee" / "empty").mkdir()
    assert folder.load(classes, 0, "insects").num_classes == 2


def test_sides_of_what_is_held_out_and_every_file_below(tmp_path):
    for i in range(7):
        Image.fromarray(np.zeros((5, 7 + i), np.uint8)).save(tmp_path / f"{i}.png")
    assert list(folder.held_out_sides(tmp_path)) == [(tmp_path / "0.png", 5, 7), (tmp_path / "5.png", 5, 12)]
    (tmp_path / "5.png").write_bytes(b"nothing")
    assert len(list(folder.held_out_sides(tmp_path, skip_unreadable=True))) == 1
    with pytest.raises(UserError, match=r"can't read 1 of its image files: 5\.png"):
        list(folder.held_out_sides(tmp_path))
    # `load` would refuse this layout.
    (tmp_path / "bears/renders").mkdir(parents=True)
    (tmp_path / "0.png").rename(tmp_path / "bears/renders/0.png")
    (tmp_path / "1.png").rename(tmp_path / "bears/1.png")
    assert {file.name for file in folder.files_below(tmp_path)} == {f"{i}.png" for i in range(7)}
