import os
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from infogan_jax.data import image_files
from infogan_jax.data.image_files import Unreadable

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (5, 7), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["png", "bmp", "pgm"])
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_lossless_formats_come_as_they_are(tmp_path, suffix, pixels):
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels).save(file, "PPM" if suffix == "pgm" else None)
    found = image_files.read(file)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, pixels.reshape(5, 7, -1))


def test_jpegs_come_as_pillow_decodes_them(tmp_path):
    file = tmp_path / "a.jpg"
    Image.fromarray(COLOUR).save(file)
    np.testing.assert_array_equal(image_files.read(file), np.asarray(Image.open(file)))


def test_channels_can_be_asked_for(tmp_path):
    file = tmp_path / "a.png"
    Image.fromarray(GREY).save(file)
    np.testing.assert_array_equal(image_files.read(file, 3), np.stack([GREY] * 3, axis=-1))
    Image.fromarray(COLOUR).save(file)
    luma = COLOUR @ np.array([0.299, 0.587, 0.114])  # ITU-R 601-2
    np.testing.assert_allclose(image_files.read(file, 1)[..., 0], luma, atol=0.51)


def test_one_bit_becomes_black_and_white(tmp_path):
    Image.fromarray(GREY > 99).save(tmp_path / "a.png")
    np.testing.assert_array_equal(image_files.read(tmp_path / "a.png")[..., 0], 255 * (GREY > 99))


def test_of_16_bits_the_upper_eight_are_kept(tmp_path):
    values = np.array([[0, 255, 256, 511], [512, 32768, 65279, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    (tmp_path / "a.pgm").write_bytes(b"P5 4 2 65535\n" + values.astype(">u2").tobytes())
    for suffix in ("png", "pgm"):
        found = image_files.read(tmp_path / f"a.{suffix}")
        np.testing.assert_array_equal(found[..., 0], [[0, 0, 1, 1], [2, 128, 254, 255]])


def test_what_is_transparent_lies_on_white(tmp_path):
    black, clear, half = (0, 0, 0, 255), (9, 9, 9, 0), (0, 100, 200, 51)  # 51/255 is a fifth
    expected = [[(0, 0, 0), (255, 255, 255), (204, 224, 244)]]
    Image.fromarray(np.array([[black, clear, half]], np.uint8)).save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(image_files.read(tmp_path / "rgba.png"), expected)
    grey = np.array([[(0, 255), (9, 0), (100, 51)]], np.uint8)
    Image.fromarray(grey).save(tmp_path / "la.png")
    assert image_files.read(tmp_path / "la.png").tolist() == [[[0], [255], [224]]]
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "p.png", transparency=0)
    assert image_files.read(tmp_path / "p.png").tolist() == [[[255, 255, 255], [40, 50, 60]]]
    palette.save(tmp_path / "p.png")
    assert image_files.read(tmp_path / "p.png").tolist() == [[[10, 20, 30], [40, 50, 60]]]


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    np.testing.assert_allclose(image_files.read(tmp_path / "a.jpg")[0, 0], (255, 0, 0), atol=8)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [(1, GREY), (2, GREY[:, ::-1]), (3, GREY[::-1, ::-1]), (6, np.rot90(GREY, -1)), (8, np.rot90(GREY))],
)
def test_images_are_turned_as_the_camera_was(tmp_path, orientation, upright):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(GREY).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(image_files.read(tmp_path / "a.png")[..., 0], upright)


def refused(file, reason):
    with pytest.raises(Unreadable, match=reason):
        image_files.read(file)


def test_what_is_no_image_is_refused_with_the_reason(tmp_path):
    file = tmp_path / "a.png"
    refused(file, "no regular file")
    file.touch()
    refused(file, "^empty$")
    file.write_text("words")
    refused(file, "^no PNG, JPEG, BMP or PGM$")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("b.png", b"")
    refused(file, "^no PNG, JPEG, BMP or PGM$")
    Image.fromarray(GREY).save(file, "GIF")
    refused(file, "^no PNG, JPEG, BMP or PGM$")
    file.write_bytes(b"Pf 2 2 -1.0\n" + np.ones(4, "<f4").tobytes())
    refused(file, "^pixels of mode F$")
    Image.fromarray(np.ones((2, 2), np.uint16)).save(file, transparency=1)
    refused(file, "^pixels of mode I.* with transparency$")


def test_links_in_a_circle_and_pipes_are_refused(tmp_path):
    (tmp_path / "loop.png").symlink_to("loop.png")
    refused(tmp_path / "loop.png", "no regular file")
    os.mkfifo(tmp_path / "pipe.png")
    refused(tmp_path / "pipe.png", "no regular file")


@pytest.mark.parametrize(
    ("width", "reason"),
    [(8193, "^8193x8192 pixels are more than 67,108,864$"), (60_000, "exceeds limit")],
    ids=["ours", "Pillow's"],
)
def test_an_image_too_large_to_be_meant_is_refused(tmp_path, width, reason):
    (tmp_path / "bomb.pgm").write_bytes(b"P5 %d 8192 255\n" % width)
    refused(tmp_path / "bomb.pgm", reason)
    (tmp_path / "large.pgm").write_bytes(b"P5 8192 8192 255\n")
    # Its header is that of an image; there are no pixels.
    refused(tmp_path / "large.pgm", "truncated|not enough image data")


def test_a_bomb_is_refused_by_its_header(tmp_path):
    # 81 MB of zeros in 80 KB: a whole image, of which Pillow itself would not even warn.
    side = 9000
    assert image_files.MAX_PIXELS < side**2 < Image.MAX_IMAGE_PIXELS
    chunk = lambda kind, content: (  # noqa: E731
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    )
    deflate = zlib.compressobj(9)
    rows = b"".join(deflate.compress(bytes(1 + side)) for _ in range(side)) + deflate.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    file = tmp_path / "bomb.png"
    file.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )
    assert file.stat().st_size < 2**17
    for read in (image_files.read, image_files.sides):
        with pytest.raises(Unreadable, match=r"^9000x9000 pixels are more than 67,108,864$"):
            read(file)


FORMS = ["png", "jpg", "bmp", "pgm", "palette.png", "16.png"]


@pytest.mark.parametrize("form", FORMS)
def test_damaged_files_are_read_or_refused_and_nothing_else(tmp_path, form, tried):
    file = tmp_path / f"a.{form}"
    image = {"pgm": Image.fromarray(GREY), "16.png": Image.fromarray(GREY.astype(np.uint16) * 257)}.get(form)
    image = image or Image.fromarray(COLOUR)
    (image.quantize(8) if form == "palette.png" else image).save(file)
    whole = file.read_bytes()
    refusals = 0
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[RANDOM.integers(len(whole))] ^= RANDOM.integers(1, 256)
        file.write_bytes(damaged if RANDOM.random() < 0.5 else whole[: RANDOM.integers(len(whole))])
        try:
            assert image_files.read(file).dtype == np.uint8
        except Unreadable as reason:
            assert str(reason) and "\n" not in str(reason)
            refusals += 1
    assert refusals > 10
    tried("image files with a changed byte, or cut short", 60, 60 * len(FORMS))


def test_sides_are_read_from_the_header_alone(tmp_path):
    file = tmp_path / "a.png"
    Image.fromarray(COLOUR).save(file)
    file.write_bytes(file.read_bytes()[:60])
    assert image_files.sides(file) == (5, 7)
    file.write_bytes(b"nothing")
    with pytest.raises(Unreadable, match="no PNG"):
        image_files.sides(file)
