"""The page in a real browser: what it shows is what the JAX generator makes, and nothing leaves it."""

import base64
import dataclasses
import io
import json
import math
import re

import explorer
import jax
import numpy as np
import pytest
from browser import CHROMIUM, Browser
from PIL import Image

from infogan_jax import library
from infogan_jax.codes import Bernoulli, Categorical, LatentCodes, Normal, Uniform
from infogan_jax.evaluation.explorer import measured, write_explorer
from infogan_jax.images import to_uint8
from infogan_jax.networks.tables import Layer, Networks
from infogan_jax.tasks import infogan

in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")

METRICS = {
    "code": "c1",
    "code_error": 0.0134,
    "mutual_information": {"c1": 1.05, "c2": 1.54, "c3": -0.02, "c4": 0.1},
    "prior_entropy": {"c1": 1.1, "c2": 0.69, "c3": 0.61, "c4": 2.11},
    "continuous_codes": {
        "c2": {"angle": {"traversal": {"inside": -0.86}}, "width": {"traversal": {"inside": 0.1}}},
        "c4": {"path_length": {"inside": 1.0}},
    },
    "recovery": {"azimuth": {"best_code": "c4", "best_code_flexible": 0.91}},
}


class Page(Browser):
    """Chromium on the explorer's page."""

    def picture(self, side="a"):
        """A canvas's pixels, uint8 [h, w, 3]."""
        return decoded(self.run(f"document.getElementById('picture-{side}').toDataURL('image/png')"))

    def settings(self, link="link()"):
        """What a link holds: the one that the page would give now, which its address follows."""
        link = self.run(link)[1:]
        return {name: float(value) for name, value in (part.split("=") for part in link.split("&") if part)}


def decoded(data_url):
    """A PNG file's pixels, uint8 [h, w, 3]."""
    with Image.open(io.BytesIO(base64.b64decode(data_url.split(",")[1]))) as image:
        return np.asarray(image.convert("RGB"))


def mulberry32(seed):
    """Tommy Ettinger's generator, in whole numbers of 32 bits."""
    while True:
        seed = (seed + 0x6D2B79F5) % 2**32
        t = ((seed ^ (seed >> 15)) * (seed | 1)) % 2**32
        t ^= (t + ((t ^ (t >> 7)) * (t | 61)) % 2**32) % 2**32
        yield ((t ^ (t >> 14)) % 2**32) / 2**32


@pytest.fixture(scope="module")
def trained(tiny_config):
    codes = LatentCodes(6, (Categorical(3), Uniform(-1, 1), Bernoulli(0.3), Normal(1, 2)), Normal(0, 1))
    networks = Networks(
        generator=(
            Layer("dense", (12,), norm=True),
            Layer("dense", (2, 3, 8), norm=True),
            Layer("up", (8,), 1, norm=True),
            Layer("up", (6,), 2, activation="lrelu"),
            Layer("up", (3,), 2, activation="tanh"),
        ),
        trunk=tiny_config.networks.trunk,
    )
    objective = type(tiny_config.objective)()
    config = dataclasses.replace(tiny_config, codes=codes, networks=networks, objective=objective)
    state = infogan.init(config, jax.random.key(0))
    rng = np.random.default_rng(3)
    params = jax.tree.map(lambda x: jax.numpy.asarray(rng.normal(0, 0.6, x.shape), x.dtype), state.params)
    stats = jax.tree.map(lambda x: jax.numpy.asarray(rng.uniform(0.3, 1.2, x.shape), x.dtype), state.stats)
    return config, dataclasses.replace(state, params=params, stats=stats)


@pytest.fixture(scope="module")
def page(trained, tmp_path_factory):
    config, state = trained
    path = tmp_path_factory.mktemp("explorer") / "explorer.html"
    write_explorer(path, title="tiny <b>, seed 0", config=config, state=state, metrics=METRICS)
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    own = Page(tmp_path_factory.mktemp("chromium"))
    yield own
    own.close()


@pytest.fixture
def opened(browser, page):
    browser.open("about:blank")
    browser.events.clear()
    browser.open(page.as_uri())
    yield browser
    assert {e["request"]["url"] for e in browser.seen("Network.requestWillBeSent")} == {page.as_uri()}
    for kind in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
        assert browser.seen(kind) == []


@pytest.fixture
def jax_picture(trained):
    """A function of the settings: what the JAX generator makes of them."""
    config, state = trained

    def make(noise=0, c1=0, c2=0.0, c3=0, c4=1.0):
        uniform = mulberry32(int(noise))
        pairs = [(next(uniform), next(uniform)) for _ in range(config.codes.noise_dim)]
        z = [math.sqrt(-2 * math.log(1 - a)) * math.cos(2 * math.pi * b) for a, b in pairs]
        draw = {"noise": [z], "c1": [int(c1)], "c2": [c2], "c3": [float(c3)], "c4": [c4]}
        draw = {name: jax.numpy.asarray(np.array(value)) for name, value in draw.items()}
        images = infogan.generate(config, state, draw)
        return to_uint8(np.asarray(images), *config.networks.image_range)[0]

    return make


def assert_shown(browser, wanted, side="a"):
    shown = browser.picture(side).astype(int)
    assert shown.shape == (8, 12, 3)
    assert wanted.std() > 10
    assert np.abs(shown - wanted).max() <= 1


@in_a_browser
class TestInABrowser:
    def test_the_browser_says_which_it_is(self, browser, record_property):
        product = browser.call("Browser.getVersion")["product"]
        assert "Chrom" in product
        record_property("explorer.html in", product)

    def test_every_control_moves_the_picture_as_the_generator_says(self, opened, jax_picture):
        pictures = [jax_picture()]
        assert_shown(opened, pictures[0])
        settings = {}

        def moved():
            # A click lands on the nearest step of a slider and on a pixel of the pad; the link says where.
            linked = opened.settings()
            expected = {"noise": 0, "c1": 0, "c2": 0, "c3": 0, "c4": 1} | settings
            assert linked == pytest.approx(expected, abs=0.3)
            pictures.append(jax_picture(**linked))
            assert_shown(opened, pictures[-1])
            assert np.abs(pictures[-1].astype(int) - pictures[-2]).max() > 2

        opened.click("#c1-2")
        settings["c1"] = 2
        moved()
        opened.click("#c2", across=0.98)
        settings["c2"] = 2.0
        moved()
        opened.click("#c3-1")
        settings["c3"] = 1
        moved()
        opened.click("#c4", across=0.02)
        settings["c4"] = -3.0
        moved()
        opened.run(
            "const n = document.getElementById('noise'); n.value = 77;n.dispatchEvent(new Event('input'))"
        )
        opened.settle()
        settings["noise"] = 77
        moved()
        opened.click("#pad", across=0.25, down=0.25)
        settings |= {"c2": -1.0, "c4": 3.0}
        moved()
        opened.click("#another")
        assert opened.settings()["noise"] != 77
        opened.click("#reset")
        settings.clear()
        moved()

    def test_the_keyboard_moves_everything(self, opened, jax_picture):
        opened.press("ArrowRight", "#c2")
        opened.press("ArrowRight", "#c1-0")
        assert opened.settings() == {"noise": 0, "c1": 1, "c2": 0.05, "c3": 0, "c4": 1}
        opened.press("ArrowUp", "#pad")
        opened.press("ArrowLeft", "#pad")
        opened.press("ArrowLeft", "#pad")
        settings = opened.settings()
        assert settings == {"noise": 0, "c1": 1, "c2": -0.05, "c3": 0, "c4": 1.1}
        pad = "document.getElementById('pad')"
        assert opened.run(f"{pad}.getAttribute('aria-valuetext')") == "c2 −0.05, c4 1.10"
        assert opened.run(f"{pad}.getAttribute('aria-label')").startswith("Pad: c2 across, c4 up;")
        assert_shown(opened, jax_picture(**settings))
        opened.press("Home", "#pad")
        assert opened.settings() == {"noise": 0, "c1": 1, "c2": 0, "c3": 0, "c4": 1}

    def test_the_keyboard_comes_to_every_control_and_works_it(self, opened, jax_picture):
        reached = []
        while len(reached) < 30 and (not reached or reached[-1] not in ("", *reached[:-1])):
            opened.press("Tab")
            reached.append(opened.run("document.activeElement.id"))
        # Of a group the chosen one; the pad's slider and its two lists among the rest, in the page's order.
        assert reached[:-1] == [
            "compare", "reset", "copy", "c1-0", "c2", "c3-0", "c4",
            "pad-x", "pad-y", "pad", "noise", "another",
        ]  # fmt: skip

        opened.press("ArrowUp", "#noise")
        opened.press("ArrowRight", "#c3-0")
        opened.press("ArrowLeft", "#c4")
        left = opened.settings()
        assert left == {"noise": 1, "c1": 0, "c2": 0, "c3": 1, "c4": pytest.approx(1, abs=0.2)}
        assert left["c4"] < 1
        assert_shown(opened, jax_picture(**left))

        opened.press("Space", "#compare")
        assert opened.run("document.getElementById('side-b').checkVisibility()")
        assert opened.run("document.getElementById('edit-b').checked")
        opened.press("Enter", "#another")
        both = opened.settings()
        assert both["b.noise"] != 1 and {name: both[name] for name in left} == left
        opened.press("ArrowLeft", "#edit-b")
        opened.press("Enter", "#reset")
        both = opened.settings()
        assert {name: both[name] for name in left} == {"noise": 0, "c1": 0, "c2": 0, "c3": 0, "c4": 1}
        assert both["b.noise"] != 0

        opened.press("ArrowDown", "#pad-x")
        label = opened.run("document.getElementById('pad').getAttribute('aria-label')")
        assert label.startswith("Pad: c4 across, ")
        opened.press("Enter", "#copy")
        assert opened.run("document.getElementById('copied').textContent")

    def test_a_link_restores_both_sides(self, opened, page, jax_picture):
        link = page.as_uri() + "#c1=1&c2=0.5&noise=9&b.c1=2&b.c4=-1.5&b.noise=4"
        opened.open("about:blank")
        opened.open(link)
        assert opened.run("document.getElementById('compare').checked")
        assert_shown(opened, jax_picture(c1=1, c2=0.5, noise=9))
        assert_shown(opened, jax_picture(c1=2, c4=-1.5, noise=4), "b")
        label = opened.run("document.getElementById('picture-b').getAttribute('aria-label')")
        assert label == "Generated image: c1 = 2, c2 = 0.00, c3 = 0, c4 = −1.50, noise 4"
        # Only the side that is edited changes, and the link has both.
        opened.click("#edit-b")
        opened.click("#c1-0")
        assert_shown(opened, jax_picture(c1=1, c2=0.5, noise=9))
        assert_shown(opened, jax_picture(c1=0, c4=-1.5, noise=4), "b")
        both = opened.settings()
        assert both == {
            "noise": 9, "c1": 1, "c2": 0.5, "c3": 0, "c4": 1,
            "b.noise": 4, "b.c1": 0, "b.c2": 0, "b.c3": 0, "b.c4": -1.5,
        }  # fmt: skip

    def test_hundreds_of_moves_leave_the_last_in_the_address(self, opened, jax_picture):
        opened.run(
            """(async () => {
              window.requestAnimationFrame = (draw) => setTimeout(draw);
              for (let move = 1; move <= 300; move++) {
                change({ c2: move / 300, noise: move });
                await new Promise((done) => setTimeout(done));
              }
              for (let wait = 0; wait < 200 && location.hash !== link(); wait++) {
                await new Promise((done) => setTimeout(done, 20));
              }
            })()"""
        )
        last = opened.settings("location.hash")
        assert last == {"noise": 300, "c1": 0, "c2": 1, "c3": 0, "c4": 1}
        assert_shown(opened, jax_picture(**last))

    def test_a_move_is_drawn_on_its_side_though_the_other_is_edited_by_then(self, opened, jax_picture):
        opened.run("document.getElementById('compare').click()")
        opened.settle()
        opened.run("document.getElementById('c1-2').click(); document.getElementById('edit-a').click()")
        opened.settle()
        assert_shown(opened, jax_picture())
        assert_shown(opened, jax_picture(c1=2), "b")

    def test_a_frame_of_a_notebook_shows_a_page_of_any_size(self, browser, page, tmp_path, jax_picture):
        # MNIST's is as large; browsers open no address of more than 2 MB in a frame.
        weights = f'<script type="application/octet-stream">{"A" * 18_000_000}</script></body>'
        (tmp_path / "explorer.html").write_text(page.read_text().replace("</body>", weights))
        notebook = tmp_path / "notebook.html"
        notebook.write_text(
            f"<!doctype html>{library.Page('Explorer', tmp_path / 'explorer.html')._repr_html_()}"
        )
        browser.events.clear()
        browser.open(notebook.as_uri())
        browser.inside("frame.document.getElementById('c1-2').click()")
        browser.settle()
        assert browser.inside("getComputedStyle(frame.document.getElementById('copy')).display") == "none"
        # What its address can't be set to is no error.
        browser.inside("frame.address()")
        data = browser.inside("frame.document.getElementById('picture-a').toDataURL('image/png')")
        assert np.abs(decoded(data).astype(int) - jax_picture(c1=2)).max() <= 1
        for kind in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            assert browser.seen(kind) == []
        asked = {event["request"]["url"] for event in browser.seen("Network.requestWillBeSent")}
        elsewhere = {url for url in asked if not url.startswith("data:")} - {"about:srcdoc"}
        assert elsewhere == {notebook.as_uri()}

    def test_a_link_that_asks_for_what_cannot_be_has_the_nearest(self, opened, page, jax_picture):
        opened.open(page.as_uri() + "#c1=99&c2=7&c3=x&nothing=1&noise=-4&__proto__=1")
        opened.settle()
        assert_shown(opened, jax_picture(c1=2, c2=2.0))

    def test_every_control_has_a_name_for_screen_readers(self, opened):
        opened.call("Accessibility.enable")
        nodes = opened.call("Accessibility.getFullAXTree")["nodes"]
        roles = {}
        for node in nodes:
            role = node.get("role", {}).get("value")
            roles.setdefault(role, []).append(node.get("name", {}).get("value", ""))
        for role in ("slider", "radio", "spinbutton", "button", "combobox", "checkbox", "image"):
            assert roles[role] and all(roles[role]), role
        assert {"c2", "c4"} <= set(roles["slider"])
        assert {"c1 = 0", "c1 = 1", "c1 = 2", "c3 = 0", "c3 = 1"} <= set(roles["radio"])

    @pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1200, "dark")])
    def test_it_fits_a_phone_and_the_dark(self, opened, width, scheme):
        opened.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=740, deviceScaleFactor=1, mobile=False
        )
        opened.call(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )
        opened.run("document.getElementById('compare').click()")
        opened.settle()
        assert opened.run("document.documentElement.scrollWidth") <= width
        page_colour = opened.run("getComputedStyle(document.body).backgroundColor")
        red = int(re.search(r"\d+", page_colour)[0])
        assert red < 60 if scheme == "dark" else red > 200
        opened.call("Emulation.clearDeviceMetricsOverride")
        opened.call("Emulation.setEmulatedMedia", features=[])

    def test_the_picture_stays_in_view_only_where_there_is_room_for_the_controls(self, opened):
        for width, height, position in ((360, 740, "sticky"), (740, 360, "static"), (320, 256, "static")):
            opened.call(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=height,
                deviceScaleFactor=1,
                mobile=False,
            )
            assert opened.run("getComputedStyle(document.querySelector('.seen')).position") == position
            # What the keyboard comes to is not under it.
            opened.run(
                "document.activeElement.blur(); scrollTo(0, 1e6); document.getElementById('c2').focus()"
            )
            opened.settle()
            top, below = opened.run(
                "[document.getElementById('c2').getBoundingClientRect().top,"
                " document.querySelector('.seen').getBoundingClientRect().bottom]"
            )
            assert 0 <= top < height and (position == "static" or top >= below)
        opened.call("Emulation.clearDeviceMetricsOverride")

    def test_what_is_chosen_shows_in_forced_colours(self, opened):
        opened.call("Emulation.setEmulatedMedia", features=[{"name": "forced-colors", "value": "active"}])
        chosen, other = (
            opened.run(f"getComputedStyle(document.querySelector('#c1-{i} + span')).backgroundColor")
            for i in (0, 1)
        )
        assert chosen != other
        opened.call("Emulation.setEmulatedMedia", features=[])

    def test_the_trained_range_is_marked(self, opened):
        # c2 is uniform, with twice its range on its slider; c4 is normal, and was trained on all of its own.
        marks = (
            "[...document.querySelectorAll('.trained i')].map((mark) => [mark.style.left, mark.style.right])"
        )
        assert opened.run(marks) == [["25%", "25%"], ["0%", "0%"]]
        assert opened.run("document.getElementById('both-trained').style.inset") == "0% 25%"


def test_what_a_code_follows_is_told_beside_it(page):
    html = page.read_text()
    assert measured(METRICS, "c1") == "L_I 1.05 of 1.10 nats · the class, but for 1.3% of test images"
    assert measured(METRICS, "c2") == "L_I 1.54 of 0.69 nats · angle (rank correlation −0.86)"
    assert measured(METRICS, "c3") == "L_I −0.02 of 0.61 nats · follows nothing measured"
    assert measured(METRICS, "c4") == "L_I 0.10 of 2.11 nats · azimuth (0.91, where 1 is perfect)"
    for name in ("c1", "c2", "c3", "c4"):
        assert measured(METRICS, name) in html
    assert "tiny &lt;b&gt;, seed 0" in html


@pytest.mark.parametrize(
    ("error", "rank", "factor", "told"), [(0.6, -0.3, 0.3, True), (0.61, 0.29, 0.29, False)]
)
def test_what_a_code_hardly_follows_is_not_named(error, rank, factor, told):
    bounds = dict.fromkeys(("c1", "c2", "c3"), 0.5)
    metrics = {
        "code": "c1",
        "code_error": error,
        "mutual_information": bounds,
        "prior_entropy": bounds,
        "continuous_codes": {
            "c2": {"angle": {"traversal": {"inside": None}}, "width": {"traversal": {"inside": rank}}}
        },
        "recovery": {"wall-hue": {"best_code": "c3", "best_code_flexible": factor}},
    }
    found = [measured(metrics, name).removeprefix("L_I 0.50 of 0.50 nats · ") for name in bounds]
    if told:
        # A hyphen in a name is no minus sign.
        assert found == [
            "the class, but for 60.0% of test images",
            "width (rank correlation −0.30)",
            "wall-hue (0.30, where 1 is perfect)",
        ]
    else:
        assert found == ["follows nothing measured"] * 3


def test_of_a_code_of_which_nothing_was_measured_nothing_is_said():
    bounds = {"c1": -0.5}
    metrics = {"mutual_information": bounds, "prior_entropy": bounds, "continuous_codes": {}}
    assert measured(metrics, "c1") == "L_I −0.50 of −0.50 nats"


def test_the_weights_in_the_page_are_half_the_networks(trained, page):
    html = page.read_text()
    model = json.loads(re.search(r'id="model">(.*?)</script>', html, re.DOTALL)[1])
    weights = base64.b64decode(re.search(r'id="weights">(.*?)</script>', html, re.DOTALL)[1])
    parameters = sum(row["kernelSize"] + row["biasSize"] for row in model["rows"])
    assert len(weights) == 2 * parameters
    assert np.abs(np.frombuffer(weights, "<f2")).max() == 1


def test_the_page_names_no_address(page):
    html = page.read_text()
    for loaded in ("http://", "https://", "@import", "url(", "fetch(", "XMLHttpRequest", "import("):
        assert loaded not in html


@in_a_browser
def test_its_times_are_measured(page, tmp_path, monkeypatch, capsys):
    numbers = tmp_path / "explorer.json"
    words = ["--page", str(page), "--moves", "2", "--rounds", "2", "--json", str(numbers)]
    monkeypatch.setattr("sys.argv", ["explorer.py", *words])
    explorer.main()
    found = json.loads(numbers.read_text())["milliseconds"]
    assert {name: len(times) for name, times in found.items()} == {"first picture": 2, "move": 4}
    assert all(0 < time < 60_000 for times in found.values() for time in times)
    assert "first picture" in capsys.readouterr().out


def test_a_page_that_is_not_there_cannot_be_timed(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["explorer.py", "--page", str(tmp_path / "explorer.html")])
    with pytest.raises(SystemExit, match=r"there is no such file; `python eval\.py RUN` makes it"):
        explorer.main()
