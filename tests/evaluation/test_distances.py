"""Distances against closed forms of Gaussians, direct sums, and what sampling theory says of the errors."""

import itertools

import numpy as np
import pytest
from scipy.linalg import sqrtm

from infogan_jax.evaluation.distances import frechet_distance, kernel_distance


def with_moments(seed, size, mean, covariance):
    """Features whose sample mean and covariance are exactly as given."""
    x = np.random.default_rng(seed).normal(size=(size, len(mean)))
    x -= x.mean(axis=0)
    white = np.linalg.solve(np.linalg.cholesky(np.cov(x, rowvar=False)), x.T).T
    return white @ np.linalg.cholesky(covariance).T + mean


def random_covariance(seed, size):
    root = np.random.default_rng(seed).normal(size=(size, size))
    return root @ root.T + 0.1 * np.eye(size)


def test_frechet_of_axis_aligned_gaussians():
    # Per axis the distance is that of the means and that of the standard deviations.
    real = with_moments(0, 40, np.array([0.0, 1.0, 2.0]), np.diag([1.0, 4.0, 9.0]))
    generated = with_moments(1, 50, np.array([3.0, 1.0, 2.0]), np.diag([4.0, 4.0, 0.25]))
    assert frechet_distance(real, generated) == pytest.approx(9 + 1 + 2.5**2)


def test_frechet_of_correlated_gaussians_is_the_papers_formula():
    first, second = random_covariance(0, 5), random_covariance(1, 5)
    means = np.random.default_rng(2).normal(size=(2, 5))
    real, generated = with_moments(3, 30, means[0], first), with_moments(4, 60, means[1], second)
    expected = np.sum((means[0] - means[1]) ** 2) + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert frechet_distance(real, generated) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(generated, real) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("real_size", "generated_size"), [(6, 9), (6, 50), (50, 6)])
def test_frechet_of_fewer_examples_than_features(real_size, generated_size):
    # The symmetric form by eigenvalues; those of a singular matrix are 0 only up to rounding.
    rng = np.random.default_rng(5)
    real, generated = rng.normal(size=(real_size, 20)), rng.normal(size=(generated_size, 20)) * 2 + 1
    first, second = np.cov(real, rowvar=False), np.cov(generated, rowvar=False)
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    cross = np.sum(np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)))
    means = np.sum((real.mean(axis=0) - generated.mean(axis=0)) ** 2)
    expected = means + np.trace(first) + np.trace(second) - 2 * cross
    assert frechet_distance(real, generated) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("size", [5, 100])
def test_frechet_of_a_set_to_itself_is_zero_though_its_covariance_is_singular(size):
    x = np.random.default_rng(6).normal(size=(size, 8)).astype(np.float32)
    x[:, 7] = x[:, 0] * 1e-6
    x[:, 6] = 1
    assert frechet_distance(x, x[::-1]) == pytest.approx(0, abs=1e-10)


def test_frechet_is_not_changed_by_a_rotation_and_scales_as_a_square():
    rng = np.random.default_rng(7)
    real, generated = rng.normal(size=(30, 4)), rng.gamma(1.0, size=(20, 4))
    rotation = np.linalg.qr(rng.normal(size=(4, 4))).Q
    distance = frechet_distance(real, generated)
    assert frechet_distance(real @ rotation + 5, generated @ rotation + 5) == pytest.approx(distance)
    assert frechet_distance(3 * real, 3 * generated) == pytest.approx(9 * distance)


def test_kernel_distance_is_the_direct_sum_over_two_subsets():
    # Which examples fall into which subset is the seed's affair: one of all the ways must be it.
    real = np.array([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5], [-1.0, 3.0]])
    generated = np.array([[1.0, 1.0], [0.0, -2.0], [2.5, 0.0], [1.0, -1.0]])

    def k(a, b):
        return (a @ b / 2 + 1) ** 3

    def direct(x, y):
        return k(x[0], x[1]) + k(y[0], y[1]) - 2 * sum(k(a, b) for a in x for b in y) / 4

    ways = set()
    for rows in itertools.permutations(range(4)):
        for others in itertools.combinations(range(4), 2):
            rest = [i for i in range(4) if i not in others]
            first = direct(real[list(rows[:2])], generated[list(others)])
            second = direct(real[list(rows[2:])], generated[rest])
            ways.add(((first + second) / 2, abs(first - second) / 2))
    measured = kernel_distance(real, generated, subset_size=2)
    assert sum(measured == pytest.approx(way) for way in ways) > 0


def test_kernel_distance_of_known_moments():
    # In one dimension (ab + 1)^3 = sum_m C(3, m) a^m b^m, so MMD^2 is the same sum of squared differences
    # of moments: those of U(-1, 1) are 0, 1/3, 0 and of U(0, 2) are 1, 4/3, 2, which gives 3 + 3 + 4.
    real, generated = np.random.default_rng(9).uniform(-1, 1, (2, 6000, 1)) + np.array([[[0]], [[1]]])
    measured = kernel_distance(real, generated, subset_size=300)
    assert measured.mean == pytest.approx(10, abs=4 * measured.standard_error)
    assert measured.standard_error < 0.5


def test_kernel_distance_of_equal_distributions_is_zero_within_honest_errors():
    # Over repeats of the whole experiment, mean / standard error is Student's t with 9 degrees of freedom:
    # mean 0, and variance 9/7. 200 repeats put both within 0.3 and 0.6 of that (over 3 deviations).
    rng = np.random.default_rng(10)
    repeats = [kernel_distance(*rng.normal(size=(2, 200, 3)), subset_size=20) for _ in range(200)]
    scaled = np.array([mean / error for mean, error in repeats])
    assert scaled.mean() == pytest.approx(0, abs=0.3)
    assert scaled.var() == pytest.approx(9 / 7, abs=0.6)


def test_kernel_distance_follows_its_seed():
    real, generated = np.random.default_rng(11).normal(size=(2, 40, 3))
    first, again, other = (kernel_distance(real, generated, subset_size=10, seed=s) for s in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize("function", [frechet_distance, kernel_distance])
@pytest.mark.parametrize(
    ("real", "generated", "message"),
    [
        (np.zeros((4, 2), int), np.zeros((4, 2)), "real is int64"),
        (np.zeros((4, 2)), np.zeros(4), "generated is float64"),
        (np.zeros((4, 2)), np.zeros((1, 2)), "generated is float64"),
        (np.zeros((4, 2)), np.zeros((4, 3)), "real has 2 features and generated 3"),
        (np.full((4, 2), np.nan), np.zeros((4, 2)), "real has features that are not finite"),
    ],
)
def test_wrong_features_are_refused(function, real, generated, message):
    with pytest.raises(ValueError, match=message):
        function(real, generated)


@pytest.mark.parametrize(("subset_size", "message"), [(1, "at least 2"), (6, "lower subset_size")])
def test_wrong_subsets_are_refused(subset_size, message):
    with pytest.raises(ValueError, match=message):
        kernel_distance(np.zeros((11, 2)), np.zeros((30, 2)), subset_size=subset_size)
