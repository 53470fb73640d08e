"""Information of binned variables by hand and against the definition."""

import numpy as np
import pytest

from infogan_jax.evaluation.disentanglement.information import entropies, information_matrix


def test_entropies_by_hand():
    bins = np.array([[0, 5, 0], [1, 5, 0], [2, 5, 0], [3, 5, 2]])
    expected = [np.log(4), 0, 0.25 * np.log(4) + 0.75 * np.log(4 / 3)]
    np.testing.assert_allclose(entropies(bins), expected, atol=1e-15)


def test_information_by_hand():
    # The code is the factor but for one example in four: p = [[1/2, 0], [1/4, 1/4]], with the margins
    # [1/2, 1/2] and [3/4, 1/4].
    code, factor = np.array([[0], [0], [1], [1]]), np.array([[0], [0], [0], [1]])
    expected = 0.5 * np.log(4 / 3) + 0.25 * np.log(2 / 3) + 0.25 * np.log(2)
    assert information_matrix(code, factor) == pytest.approx(expected, abs=1e-15)


def test_information_is_the_divergence_of_the_joint_from_the_product():
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 4, (300, 2))
    codes = (factors[:, :1] + rng.integers(0, 3, (300, 3))) % 5
    matrix = information_matrix(codes, factors)
    assert matrix.shape == (3, 2)
    for i in range(3):
        for j in range(2):
            joint = np.histogram2d(codes[:, i], factors[:, j], bins=(range(6), range(5)))[0] / 300
            product = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
            some = joint > 0
            assert matrix[i, j] == pytest.approx(np.sum(joint[some] * np.log(joint[some] / product[some])))


def test_of_itself_it_is_the_entropy_and_of_independent_variables_nothing():
    bins = np.stack(np.meshgrid(np.arange(3), np.arange(4)), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(information_matrix(bins, bins), np.diag(entropies(bins)), atol=1e-15)
