"""The page is parsed as a browser would, and its parts compared with what was asked for."""

import base64
from html.parser import HTMLParser

import numpy as np
import pytest

from infogan_jax.evaluation.report import write_report
from infogan_jax.images import save_png

HOSTILE = "<script>alert('x')</script>\" onload=\"y & {{ 7 * 7 }}"


class Page(HTMLParser):
    """Collects the tags with their attributes, and the text outside the style sheet."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.in_style = [], "", False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.in_style = tag == "style"

    def handle_data(self, data):
        if not self.in_style:
            self.text += data

    def all(self, tag, **attributes):
        return [have for name, have in self.tags if name == tag and attributes.items() <= have.items()]


@pytest.fixture
def arguments(tmp_path):
    for index in range(2):
        picture = np.random.default_rng(index).integers(0, 256, (6 + index, 9, 3), dtype=np.uint8)
        save_png(tmp_path / f"{index}.png", picture)
    return {
        "title": "digits, seed 0",
        "headline": ["code error 7.5% on test images"],
        "summary": [("steps", "3,000")],
        "results": [("code error", "7.5 %", "share of test images")],
        "information": [("category", 2.2, 0.004, 2.3)],
        "pictures": [("first", tmp_path / "0.png"), ("second", tmp_path / "1.png")],
        "command": "python train.py digits --seed 3",
        "config_text": "seed = 0\n  indented = 1",
    }


def written(tmp_path, arguments):
    write_report(tmp_path / "report.html", **arguments)
    return Page((tmp_path / "report.html").read_text("utf-8"))


def test_everything_is_on_the_page(tmp_path, arguments):
    page = written(tmp_path, arguments)
    for text in (
        "digits, seed 0",
        "code error 7.5% on test images",
        "3,000",
        "7.5 %",
        "share of test images",
        "seed = 0\n  indented = 1",
        "train.py digits --seed 3",
    ):
        assert text in page.text
    assert "2.200 ± 0.004 of 2.300 nats · 96 %" in page.text


def test_hostile_names_are_text(tmp_path, arguments):
    quiet = written(tmp_path, arguments)
    arguments |= {
        "title": HOSTILE,
        "headline": [HOSTILE],
        "summary": [(HOSTILE, HOSTILE)],
        "results": [(HOSTILE, HOSTILE, HOSTILE)],
        "information": [(HOSTILE, 2.2, 0.004, 2.3)],
        "pictures": [(HOSTILE, path) for _, path in arguments["pictures"]],
        "config_text": HOSTILE,
    }
    page = written(tmp_path, arguments)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in quiet.tags]
    assert [sorted(have) for _, have in page.tags] == [sorted(have) for _, have in quiet.tags]
    assert not page.all("script")
    assert page.text.count(HOSTILE) == 2 + 1 + 2 + 3 + 1 + 2 + 1
    assert [image["alt"] for image in page.all("img")] == [HOSTILE, HOSTILE]


def test_pictures_are_the_files(tmp_path, arguments):
    images = written(tmp_path, arguments).all("img")
    prefix = "data:image/png;base64,"
    assert [image["src"][: len(prefix)] for image in images] == [prefix, prefix]
    for image, (_, path) in zip(images, arguments["pictures"], strict=True):
        assert base64.b64decode(image["src"][len(prefix) :], validate=True) == path.read_bytes()
    assert [(image["width"], image["height"]) for image in images] == [("9", "6"), ("9", "7")]


def test_nothing_is_fetched_or_executed(tmp_path, arguments):
    page = written(tmp_path, arguments)
    html = (tmp_path / "report.html").read_text("utf-8")
    for loaded in (
        "http://",
        "https://",
        "//cdn",
        "url(",
        "@import",
        "<script",
        "<link",
        "<iframe",
        "javascript:",
    ):
        assert loaded not in html.lower()
    for _, attributes in page.tags:
        assert not {name for name in attributes if name.startswith("on") or name in ("href", "srcset")}
        assert attributes.get("src", "data:").startswith("data:")


@pytest.mark.parametrize(
    ("bound", "entropy", "width", "percent"),
    [
        (0.5, 2.0, "25.0%", "25 %"),
        (3.0, 2.0, "100.0%", "150 %"),
        (-0.5, 2.0, "0.0%", "−25 %"),
        (0.5, 0.0, "0.0%", "–"),
        (0.5, -1.0, "0.0%", "–"),
        (float("nan"), 2.0, "0.0%", "–"),
    ],
)
def test_bar_is_the_share_of_the_entropy(tmp_path, arguments, bound, entropy, width, percent):
    arguments["information"] = [("code", bound, 0.01, entropy)]
    page = written(tmp_path, arguments)
    assert [bar["style"] for bar in page.all("div", **{"class": "bar"})] == [f"width: {width}"]
    assert f"nats · {percent}" in page.text


def test_same_arguments_same_bytes(tmp_path, arguments):
    written(tmp_path, arguments)
    first = (tmp_path / "report.html").read_bytes()
    written(tmp_path, arguments)
    assert (tmp_path / "report.html").read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.png", "1.png", "report.html"]


def test_empty_sections_are_left_out(tmp_path, arguments):
    empty = ("headline", "summary", "results", "information", "pictures", "config_text")
    arguments |= dict.fromkeys(empty, "") | {"command": None}
    assert not written(tmp_path, arguments).all("section")


def test_a_picture_that_is_no_png_is_refused(tmp_path, arguments):
    (tmp_path / "0.png").write_bytes(b"GIF89a" + bytes(40))
    with pytest.raises(ValueError, match=r"0\.png is not a PNG file"):
        write_report(tmp_path / "report.html", **arguments)
    assert not (tmp_path / "report.html").exists()
