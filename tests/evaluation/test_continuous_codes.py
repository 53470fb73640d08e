"""Bars drawn from the codes stand in for generated images."""

import dataclasses

import jax
import numpy as np
import pytest

from infogan_jax.codes import Categorical, LatentCodes, Uniform
from infogan_jax.config import Data
from infogan_jax.evaluation import continuous_codes
from infogan_jax.evaluation.continuous_codes import best, measure_continuous_codes

CODES = LatentCodes(3, (Categorical(4), Uniform(-1, 1), Uniform(0, 4), Uniform(-1, 1)))


def turned_bars(angle):
    """Upright bars, turned."""
    y, x = np.mgrid[-13.5:14, -13.5:14]
    angle = angle[:, None, None]
    across = x * np.cos(angle) - y * np.sin(angle)
    along = x * np.sin(angle) + y * np.cos(angle)
    bar = np.clip(2.5 - np.abs(across), 0, 1) * np.clip(9.5 - np.abs(along), 0, 1)
    return bar[..., None].astype(np.float32)


def bars(config, state, draw):
    """c2 turns an upright bar by up to 0.4 rad a unit; c3 shears nothing but brightens; c4 says nothing."""
    bright = np.float32(0.5 + 0.05 * np.asarray(draw["c3"])[:, None, None, None])
    return bright * turned_bars(0.4 * np.clip(np.asarray(draw["c2"]), -1.5, 1.5))


@pytest.fixture
def config(tiny_config, monkeypatch):
    monkeypatch.setattr(continuous_codes, "generate_images", bars)
    return dataclasses.replace(tiny_config, codes=CODES, objective=type(tiny_config.objective)())


class State:
    key = jax.random.key(0)


def test_what_each_code_does_is_found(config):
    measured = measure_continuous_codes(config, State)
    assert measured.keys() == {"c2", "c3", "c4"}
    name, turned = best(measured, "angle")
    assert name == "c2"
    # The bar turns with the code, and stands still in the last quarter on either side.
    assert abs(turned["traversal"]["inside"]) == pytest.approx(1)
    assert abs(turned["traversal"]["below"]) > 0.8 and abs(turned["traversal"]["above"]) > 0.8
    assert abs(turned["rank_correlation"]) > 0.95
    for still in ("c3", "c4"):
        assert abs(measured[still]["angle"]["traversal"]["inside"]) < 0.5
        assert abs(measured[still]["angle"]["rank_correlation"]) < 0.15
    paths = {name: metrics["path_length"] for name, metrics in measured.items()}
    assert paths["c4"] == {"below": 0, "inside": 0, "above": 0}
    assert paths["c3"]["inside"] == pytest.approx(paths["c3"]["above"], rel=0.1) and paths["c3"]["inside"] > 0
    assert 0 < paths["c2"]["above"] < 0.7 * paths["c2"]["inside"]


def test_what_a_category_does_by_itself_is_taken_out(config, monkeypatch):
    def turned_by_the_category_too(config, state, draw):
        turned = 0.1 * np.asarray(draw["c2"]) + np.asarray(draw["c1"])
        return bars(config, state, draw | {"c2": turned - 1.5})

    monkeypatch.setattr(continuous_codes, "generate_images", turned_by_the_category_too)
    turned = measure_continuous_codes(config, State)["c2"]["angle"]
    assert abs(turned["rank_correlation"]) < 0.4
    # The first and the last category are where the bar no longer turns by much.
    assert abs(turned["within_categories"]) > 0.9
    without = dataclasses.replace(CODES, codes=CODES.codes[1:])
    measured = measure_continuous_codes(dataclasses.replace(config, codes=without), State)
    for one in measured.values():
        assert one["angle"]["within_categories"] == one["angle"]["rank_correlation"]


def test_bars_that_lie_are_turned_as_those_that_stand(config, monkeypatch):
    # Their axis passes the horizontal, where its angle leaps from one end of its range to the other.
    monkeypatch.setattr(
        continuous_codes,
        "generate_images",
        lambda config, state, draw: turned_bars(np.pi / 2 + 0.4 * np.asarray(draw["c2"])),
    )
    measured = measure_continuous_codes(config, State)
    turned = measured["c2"]["angle"]
    assert abs(turned["rank_correlation"]) > 0.99 and abs(turned["within_categories"]) > 0.99
    assert np.sign(turned["rank_correlation"]) == np.sign(turned["traversal"]["inside"])
    # No cut is chosen that suits a code: with 1,000 images one that says nothing has about 0.03.
    assert abs(measured["c4"]["angle"]["rank_correlation"]) < 0.1
    assert abs(measured["c4"]["angle"]["within_categories"]) < 0.1


def test_each_category_has_a_mean_axis_of_its_own(config, monkeypatch):
    def an_eighth_of_a_turn_on_with_each_category(config, state, draw):
        return turned_bars(np.pi / 4 * np.asarray(draw["c1"]) + 0.4 * np.asarray(draw["c2"]))

    monkeypatch.setattr(continuous_codes, "generate_images", an_eighth_of_a_turn_on_with_each_category)
    turned = measure_continuous_codes(config, State)["c2"]["angle"]
    assert abs(turned["within_categories"]) > 0.99 and abs(turned["rank_correlation"]) < 0.6


def test_only_strokes_have_angles(config):
    config = dataclasses.replace(config, data=Data("folder", "mnist"))
    measured = measure_continuous_codes(config, State)
    assert all(metrics.keys() == {"path_length"} for metrics in measured.values())
    assert best(measured, "angle") is None


def test_blank_images_are_null_and_not_nan(config, monkeypatch):
    monkeypatch.setattr(
        continuous_codes, "generate_images", lambda config, state, draw: 0 * bars(config, state, draw)
    )
    measured = measure_continuous_codes(config, State)["c2"]["angle"]
    assert measured["rank_correlation"] == 0 and measured["traversal"]["inside"] is None
