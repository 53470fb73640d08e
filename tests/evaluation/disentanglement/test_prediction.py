"""The score that all kinds of factor share."""

import numpy as np
import pytest

from infogan_jax.data.dataset import Factor
from infogan_jax.evaluation.disentanglement.prediction import forest, held_out_skill, linear, skill

NUMBER, ANGLE, CATEGORY = Factor("n"), Factor("a", "angle", period=360.0), Factor("c", "category")


def test_skill_of_a_number_by_hand():
    # Squared errors 1 + 0 + 1 + 0 of 5 about the mean.
    assert skill(np.array([1.0, 2, 3, 4]), np.array([2.0, 2, 2, 4]), NUMBER) == pytest.approx(1 - 2 / 5)


def test_skill_of_an_angle_is_the_mean_over_cos_and_sin():
    truth = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    cos_only = truth * [1, 0]
    assert skill(truth, cos_only, ANGLE) == pytest.approx(0.5)


def test_skill_of_a_category_is_accuracy_above_chance():
    truth = np.array([0, 0, 0, 1, 2])
    assert skill(truth, truth, CATEGORY) == 1
    assert skill(truth, np.zeros(5, int), CATEGORY) == 0
    assert skill(truth, np.array([0, 0, 0, 1, 1]), CATEGORY) == pytest.approx(0.5)
    assert skill(truth, np.full(5, 2), CATEGORY) == pytest.approx(-1)


def test_models_fit_on_one_part_and_are_scored_on_the_other():
    # y = 2x on the first part and -2x on the second: a model of either sign is wrong on the other.
    x = np.tile(np.linspace(-1, 1, 10), 2)[:, None]
    y = np.concatenate([2 * x[:10, 0], -2 * x[:10, 0]])
    parts = np.arange(10), np.arange(10, 20)
    assert held_out_skill(linear(NUMBER), x, y, parts, NUMBER) == pytest.approx(1 - 4)
    assert held_out_skill(linear(NUMBER), x, y, (parts[0], parts[0]), NUMBER) == pytest.approx(1)


@pytest.mark.parametrize("factor", [NUMBER, CATEGORY])
def test_a_forest_is_a_function_of_its_generator_and_follows_what_a_line_cannot(factor):
    x = np.linspace(-1, 1, 200)[:, None]
    y = (np.abs(x[:, 0]) > 0.5).astype(int if factor.kind == "category" else float)
    parts = np.arange(0, 200, 2), np.arange(1, 200, 2)
    scores = [held_out_skill(forest(factor, np.random.default_rng(0)), x, y, parts, factor) for _ in "ab"]
    assert scores[0] == scores[1] > 0.9
    assert held_out_skill(linear(factor), x, y, parts, factor) < 0.1
