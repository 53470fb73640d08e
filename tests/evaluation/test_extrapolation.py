"""Paths through pixel space that go on, stop, or turn back at the end of the trained range."""

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from infogan_jax.evaluation.extrapolation import path_length, rank_correlation
from infogan_jax.evaluation.moments import stroke_geometry

VALUES = np.linspace(-2, 2, 17)


def along(positions):
    """Images [V, N, 4, 4, 1] of three examples that lie at a position on a line, 2 pixel units long each."""
    direction = np.random.default_rng(0).normal(size=(3, 4, 4, 1))
    direction *= 2 / np.linalg.norm(direction.reshape(3, -1), axis=1)[:, None, None, None]
    return np.asarray(positions)[:, None, None, None, None] * direction


def test_a_straight_path_has_its_speed_everywhere():
    assert path_length(VALUES, along(VALUES)) == pytest.approx((2, 2, 2))


def test_a_path_that_stops_has_no_length_outside():
    assert path_length(VALUES, along(np.clip(VALUES, -1, 1))) == pytest.approx((0, 2, 0), abs=1e-12)


def test_the_sides_are_told_apart():
    positions = np.where(VALUES > 1, 1 + 3 * (VALUES - 1), np.maximum(VALUES, -1.5))
    assert path_length(VALUES, along(positions)) == pytest.approx((1, 2, 6))


def test_a_path_that_turns_back_is_as_long():
    assert path_length(VALUES, along(np.abs(VALUES))) == pytest.approx((2, 2, 2))


def test_the_length_is_per_unit_of_code_and_another_range_can_be_trained():
    values = np.array([0.0, 1.0, 2.0, 5.0])
    images = along([0.0, 1.0, 1.5, 3.0])
    assert path_length(values, images, trained=(1, 2)) == pytest.approx((2, 1, 1))


def test_examples_are_averaged():
    images = along(VALUES)
    images[:, 0] = 7
    assert path_length(VALUES, images) == pytest.approx((4 / 3, 4 / 3, 4 / 3))


def test_bytes_are_shares_of_255_and_do_not_wrap_around():
    images = np.zeros((5, 1, 1, 1, 1), np.uint8)
    images[:, 0, 0, 0, 0] = [0, 255, 0, 255, 51]
    values = [-2, -1, 0, 1, 2]
    assert path_length(values, images) == pytest.approx((1, 1, 0.8))


def test_a_property_that_goes_on():
    measured = np.stack([VALUES, np.exp(VALUES), VALUES**3], axis=1)
    assert rank_correlation(VALUES, measured) == pytest.approx((1, 1, 1, 1, 0))
    assert rank_correlation(VALUES, -measured) == pytest.approx((-1, -1, -1, -1, 0))


def test_a_property_that_stops_still_has_a_high_correlation_over_the_whole():
    measured = np.clip(VALUES, -1, 1)[:, None]
    correlation = rank_correlation(VALUES, measured)
    assert correlation[:3] == pytest.approx((0, 1, 0))
    assert correlation.whole == pytest.approx(spearmanr(VALUES, measured[:, 0]).statistic)
    assert correlation.whole > 0.9


def test_a_property_that_turns_back_above():
    measured = np.minimum(VALUES, 2 - VALUES)[:, None]
    assert rank_correlation(VALUES, measured)[:3] == pytest.approx((1, 1, -1))


def test_examples_are_correlated_one_by_one_then_averaged():
    measured = np.random.default_rng(1).normal(size=(17, 4))
    each = [spearmanr(VALUES, column).statistic for column in measured.T]
    assert rank_correlation(VALUES, measured).whole == pytest.approx(np.mean(each))
    inside = [spearmanr(VALUES[4:13], column[4:13]).statistic for column in measured.T]
    assert rank_correlation(VALUES, measured).inside == pytest.approx(np.mean(inside))
    # Not Kendall's, and not of the mean property.
    assert np.mean(each) != pytest.approx(np.mean([kendalltau(VALUES, x).statistic for x in measured.T]))
    assert np.mean(each) != pytest.approx(spearmanr(VALUES, measured.mean(axis=1)).statistic)


def test_examples_without_a_measure_are_left_out_and_counted():
    measured = np.stack([VALUES, VALUES, -VALUES, VALUES], axis=1)
    measured[0, 2:] = np.nan
    assert rank_correlation(VALUES, measured) == pytest.approx((1, 1, 1, 1, 0.5))
    nothing = rank_correlation(VALUES, np.full((17, 2), np.nan))
    assert np.isnan(nothing[:4]).all()
    assert nothing.unmeasured == 1


def test_with_the_width_of_drawn_boxes():
    # The box has 2 to 18 columns; above the trained range it falls apart into nothing.
    images = np.zeros((17, 1, 8, 20, 1), np.uint8)
    for k in range(17):
        images[k, :, 2:6, 1 : k + 3] = 255
    width = stroke_geometry(images.reshape(-1, 8, 20, 1)).width.reshape(17, 1)
    assert rank_correlation(VALUES, width) == pytest.approx((1, 1, 1, 1, 0))
    images[-1] = 0
    width = stroke_geometry(images.reshape(-1, 8, 20, 1)).width.reshape(17, 1)
    assert rank_correlation(VALUES, width).unmeasured == 1


def test_float32_values_are_found():
    values = np.arange(-20, 21, dtype=np.float32) * np.float32(0.1)
    assert path_length(values, along(values)) == pytest.approx((2, 2, 2), rel=1e-5)


@pytest.mark.parametrize("trained", [(1e5, 1e5 + 1), (-1e-9, 1e-9)])
def test_the_ends_are_found_wherever_the_range_lies_and_however_wide_it_is(trained):
    low, high = trained
    values = (low + high) / 2 + (high - low) / 2 * VALUES
    speed = 4 / (high - low)
    assert path_length(values, along(VALUES), trained=trained) == pytest.approx((speed,) * 3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([2, 1, 0, -1, -2], "rising"),
        ([[-2, -1, 1, 2]], "rising"),
        ([-2, -1, np.nan, 1, 2], "rising"),
        (np.linspace(-2, 2, 4), "must have -1 and 1"),
        (np.linspace(-1, 1, 5), "beyond both ends"),
        (np.linspace(-1, 2, 7), "beyond both ends"),
    ],
)
def test_values_that_cannot_tell_are_refused(values, message):
    for function, rest in ((path_length, (1, 2, 2, 1)), (rank_correlation, (1,))):
        with pytest.raises(ValueError, match=message):
            function(values, np.zeros((np.size(values), *rest)))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((17, 4, 4, 1)), "images are float64"),
        (np.zeros((17, 1, 4, 4, 1), int), "images are int64"),
        (np.zeros((16, 1, 4, 4, 1)), "for 17 values"),
        (np.zeros((17, 0, 4, 4, 1)), "N above 0"),
        (np.full((17, 1, 4, 4, 1), np.inf), "finite"),
    ],
)
def test_wrong_images_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        path_length(VALUES, images)


@pytest.mark.parametrize("measured", [np.zeros(17), np.zeros((16, 2)), np.zeros((17, 0))])
def test_wrong_measures_are_refused(measured):
    with pytest.raises(ValueError, match="measured is"):
        rank_correlation(VALUES, measured)
