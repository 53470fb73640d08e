"""What can be read from codes of known worth; rank correlations against scipy."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import normalized_mutual_info_score

from infogan_jax.data.dataset import Factor
from infogan_jax.evaluation.disentanglement.bins import bin_codes, bin_factors
from infogan_jax.evaluation.disentanglement.recovery import rank_correlation, recovery

NUMBER, TURN = Factor("size"), Factor("turn", "angle", "degrees", 360.0)


@pytest.fixture(scope="module")
def recovered(grid):
    return {name: recovery(codes, grid.values, grid.factors, seed=0) for name, codes in grid.codes.items()}


@pytest.mark.parametrize(
    ("name", "best"), [("perfect", [0, 1]), ("permuted", [1, 0]), ("with a dead one", [0, 2])]
)
def test_codes_that_are_factors(recovered, name, best):
    # One code alone says all there is, in a straight line.
    result = recovered[name]
    np.testing.assert_array_equal(result.best_code, best)
    np.testing.assert_allclose(result.single_linear[best, [0, 1]], 1)
    np.testing.assert_allclose(result.joint_linear, 1)
    assert (result.single_flexible[best, [0, 1]] > 0.98).all()
    assert (result.joint_flexible > 0.97).all()
    for matrix in (result.rank_correlation, result.nmi):
        np.testing.assert_allclose(matrix[best], np.eye(2), atol=1e-12)


def test_rotated_codes_recover_everything_together_and_half_alone(recovered):
    result = recovered["rotated"]
    np.testing.assert_allclose(result.single_linear, 0.5, atol=0.1)
    np.testing.assert_allclose(result.joint_linear, 1)
    assert (result.joint_flexible > 0.85).all()
    assert (result.single_flexible < 0.6).all()
    assert np.ptp(result.rank_correlation) < 1e-12
    assert np.ptp(result.nmi) < 1e-12


def test_dead_codes_recover_nothing(recovered):
    result = recovered["dead"]
    for skills in (result.single_linear, result.single_flexible, result.joint_linear, result.joint_flexible):
        assert (skills > -0.1).all() and (skills <= 1e-12).all()
    np.testing.assert_array_equal(result.rank_correlation, 0)
    np.testing.assert_array_equal(result.nmi, 0)


def test_random_codes_recover_nothing(recovered):
    result = recovered["random"]
    for skills in (result.single_linear, result.single_flexible, result.joint_linear, result.joint_flexible):
        assert (skills < 0.1).all()
    assert (result.rank_correlation < 0.2).all()


def test_a_duplicate_is_as_good_as_the_original(recovered):
    result = recovered["duplicated"]
    np.testing.assert_array_equal(result.single_linear[0], result.single_linear[2])
    np.testing.assert_array_equal(result.rank_correlation[0], result.rank_correlation[2])
    assert result.best_code[0] in (0, 2) and result.best_code[1] == 1


def test_every_kind_of_factor_and_code(classes):
    given = (classes.codes, classes.values, classes.factors)
    result = recovery(*given, seed=0, categorical=classes.categorical)
    np.testing.assert_array_equal(result.best_code, [0, 1, 2])
    assert (np.diag(result.single_flexible) > 0.97).all()
    # A line through the code of an angle that goes all round: R^2 of sin is 6 / pi^2, of cos 0.
    np.testing.assert_allclose(np.diag(result.single_linear), [1, 3 / np.pi**2, 1], atol=0.06)
    assert result.joint_linear[0] == 1 and result.joint_flexible[0] > 0.97
    # Only between continuous codes and numbers or angles is there an order to compare.
    np.testing.assert_array_equal(
        np.isnan(result.rank_correlation), [[True] * 3, [True, False, False], [True, False, False]]
    )
    np.testing.assert_allclose(np.diag(result.rank_correlation)[1:], 1)
    assert result.nmi[0, 0] == pytest.approx(1)
    again = recovery(*given, seed=np.random.default_rng(0), categorical=classes.categorical)
    for one, two in zip(result, again, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_code_off_its_line_is_recovered_by_the_flexible_model_and_by_rank():
    # As good as a step for a line, yet with an inverse: its rank correlation is 1.
    value = np.linspace(-1, 1, 300)
    result = recovery(np.tan(1.57 * value)[:, None], value[:, None], (NUMBER,), seed=0)
    assert result.single_flexible > 0.98
    assert result.single_linear < 0.5
    assert result.rank_correlation == pytest.approx(1)


def test_nmi_equals_sklearn(classes):
    given = (classes.codes, classes.values[:, 2:], classes.factors[2:])
    result = recovery(*given, seed=0, code_bins=7, factor_bins=4)
    codes, factors = bin_codes(given[0], 7), bin_factors(*given[1:], 4)
    expected = [[normalized_mutual_info_score(v, c) for v in factors.T] for c in codes.T]
    np.testing.assert_allclose(result.nmi, expected, atol=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_rank_correlation_of_a_number_equals_scipy(ties):
    rng = np.random.default_rng(0)
    code, value = rng.normal(size=(2, 60))
    code -= value / 2
    if ties:
        code, value = np.round(code), np.round(2 * value)
    expected = abs(spearmanr(code, value).statistic)
    assert rank_correlation(code, value, NUMBER) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_rank_correlation_of_an_angle_is_the_best_over_all_cuts(ties):
    rng = np.random.default_rng(1)
    angle = rng.integers(0, 12, 60) * 30.0 if ties else rng.random(60) * 720 - 360
    code = np.mod(angle + 100, 360) / 100 + rng.normal(size=60)
    cuts = np.mod(angle, 360)
    expected = max(abs(spearmanr(code, np.mod(angle - cut, 360)).statistic) for cut in cuts)
    assert rank_correlation(code, angle, TURN) == pytest.approx(expected, abs=1e-12)
    # Where the angle's zero is says nothing of the image.
    assert rank_correlation(code, angle + 90, TURN) == pytest.approx(expected, abs=1e-12)
    assert rank_correlation(-code, -angle, TURN) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("jump", [0, 77, 200])
def test_a_code_that_goes_around_with_the_angle_has_rank_correlation_one(jump):
    angle = np.random.default_rng(2).random(100) * 360
    assert rank_correlation(np.mod(angle - jump, 360), angle, TURN) == pytest.approx(1)
    as_number = rank_correlation(np.mod(angle - jump, 360), angle, NUMBER)
    assert as_number < 0.8 or jump == 0


def test_an_angle_along_an_arc_across_zero_is_ranked_along_it():
    along = np.linspace(-40, 40, 50)
    assert rank_correlation(along, np.mod(along, 360), TURN) == pytest.approx(1)
