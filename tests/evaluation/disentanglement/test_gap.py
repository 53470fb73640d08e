import numpy as np

from infogan_jax.evaluation.disentanglement.gap import gap_of_the_two_best


def test_gap_by_hand():
    scores = np.array([[0.9, 0.2, 0.0], [0.25, 0.7, 0.0], [0.5, 0.7, 0.0]])
    np.testing.assert_allclose(gap_of_the_two_best(scores, np.zeros(3)), [0.4, 0, 0], atol=1e-15)


def test_a_lone_code_is_compared_with_the_floor():
    np.testing.assert_allclose(
        gap_of_the_two_best(np.array([[0.9, 0.5]]), np.array([0.0, 0.5])), [0.9, 0], atol=1e-15
    )
