import jax
import numpy as np
import pytest
from sklearn.cluster import KMeans

from infogan_jax.fitting.kmeans import kmeans, kmeans_plus_plus

pytestmark = pytest.mark.usefixtures("quick_compilation")

CORNERS = np.array([[0, 0], [0, 8], [8, 0], [8, 8]])


@pytest.fixture(scope="module")
def corners():
    """Four far clusters of 25 rows."""
    return (np.repeat(CORNERS, 25, 0) + np.random.default_rng(0).normal(size=(100, 2))).astype(np.float32)


def test_seeds_are_rows_and_reach_every_far_cluster(corners):
    seeds = np.asarray(jax.jit(kmeans_plus_plus, static_argnums=2)(jax.random.key(0), corners, 4))
    assert all((corners == seed).all(1).any() for seed in seeds)
    nearest = ((seeds[:, None] - CORNERS[None]) ** 2).sum(2).argmin(1)
    assert sorted(nearest) == [0, 1, 2, 3]


def test_labels_are_a_fixed_point_of_lloyd_as_in_scikit_learn(corners):
    labels = np.asarray(kmeans(jax.random.key(1), corners, 4))
    centres = np.stack([corners[labels == k].mean(0) for k in range(4)])
    reference = KMeans(4, init=centres, n_init=1).fit(corners)
    np.testing.assert_array_equal(labels, reference.labels_)
    np.testing.assert_allclose(centres, reference.cluster_centers_, rtol=1e-5, atol=1e-5)


def test_rows_that_are_all_alike_get_one_label():
    labels = kmeans(jax.random.key(2), np.ones((100, 2), np.float32), 4)
    assert len(set(labels.tolist())) == 1


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"key": 0}, TypeError, "key"),
        ({"x": np.ones(5)}, ValueError, "x has shape"),
        ({"x": np.full((5, 2), np.nan)}, ValueError, "x holds"),
        ({"components": 0}, ValueError, "components is 0"),
        ({"components": 6}, ValueError, "components is 6: it must be at most the number of rows, 5"),
        ({"components": 2.0}, TypeError, "components"),
        ({"max_iterations": -1}, ValueError, "max_iterations"),
    ],
)
def test_refuses_with_the_arguments_name(change, error, message):
    arguments = {"key": jax.random.key(0), "x": np.ones((5, 2), np.float32), "components": 2}
    with pytest.raises(error, match=message):
        kmeans(**(arguments | change))
