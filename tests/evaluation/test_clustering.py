"""Clustering scores against brute force, scikit-learn, and predictors whose scores are known."""

import itertools

import numpy as np
import pytest
from sklearn import metrics

from infogan_jax.evaluation import clustering


def random_pair(seed, size, num_categories, num_classes):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, size)
    predicted = np.where(
        rng.random(size) < 0.4, labels % num_categories, rng.integers(0, num_categories, size)
    )
    return predicted, labels


def best_agreement(predicted, labels, num_categories, num_classes):
    """The most examples that any one-to-one matching gets right, by trying them all."""
    padded = max(num_categories, num_classes)
    return max(
        int(np.sum(np.array(classes)[predicted] == labels))
        for classes in itertools.permutations(range(padded), num_categories)
    )


def score_on_itself(predicted, labels, num_categories, num_classes):
    return clustering.score_clustering(predicted, labels, predicted, labels, num_categories, num_classes)


@pytest.mark.parametrize(("num_categories", "num_classes"), [(4, 4), (6, 4), (3, 5), (1, 3), (3, 1)])
@pytest.mark.parametrize("seed", range(3))
def test_matching_is_the_best_of_all(seed, num_categories, num_classes):
    predicted, labels = random_pair(seed, 60, num_categories, num_classes)
    mapping = clustering.match_categories(predicted, labels, num_categories, num_classes)
    used = mapping[mapping >= 0]
    assert mapping.shape == (num_categories,)
    assert len(np.unique(used)) == len(used) == min(num_categories, num_classes)
    assert used.max() < num_classes
    assert np.sum(mapping[predicted] == labels) == best_agreement(
        predicted, labels, num_categories, num_classes
    )


def test_matching_gives_up_a_pair_for_a_better_total():
    # Greedy would match category 0 to class 0 (5 examples) and be left with 0 for the other pair.
    predicted = np.repeat([0, 0, 1], [5, 4, 4])
    labels = np.repeat([0, 1, 0], [5, 4, 4])
    np.testing.assert_array_equal(clustering.match_categories(predicted, labels, 2, 2), [1, 0])
    np.testing.assert_array_equal(clustering.majority_classes(predicted, labels, 2, 2), [0, 0])


def test_confusion_matrix_equals_sklearn():
    predicted, labels = random_pair(0, 200, 5, 5)
    matrix = clustering.confusion_matrix(predicted, labels, 5, 5)
    assert matrix.dtype == np.int64
    np.testing.assert_array_equal(matrix, metrics.confusion_matrix(labels, predicted))


def test_confusion_matrix_has_classes_in_rows():
    np.testing.assert_array_equal(
        clustering.confusion_matrix([2, 2, 0], [1, 1, 0], 3, 2), [[1, 0, 0], [0, 0, 2]]
    )


def test_majority_takes_the_lowest_of_a_tie_and_leaves_empty_categories_out():
    predicted = [0, 0, 0, 2, 2, 2, 2]
    labels = [1, 1, 0, 2, 1, 2, 1]
    np.testing.assert_array_equal(clustering.majority_classes(predicted, labels, 4, 3), [1, -1, 1, -1])


def test_majority_error_is_one_minus_purity():
    predicted, labels = random_pair(1, 300, 6, 4)
    matrix = metrics.cluster.contingency_matrix(labels, predicted)
    scores = score_on_itself(predicted, labels, 6, 4)
    assert scores.code_error_majority == pytest.approx(1 - matrix.max(axis=0).sum() / matrix.sum(), abs=1e-12)


def test_error_rate_counts_disagreements():
    assert clustering.error_rate([0, 1, 2, 2], [5, 3, 4, 4], [5, 4, -1]) == 0.75


@pytest.mark.parametrize("permutation", [np.arange(10), np.random.default_rng(3).permutation(10)])
def test_perfect_and_permuted_predictors(permutation):
    labels = np.random.default_rng(0).integers(0, 10, 500)
    scores = score_on_itself(permutation[labels], labels, 10, 10)
    assert scores == pytest.approx((0, 0, 1, 1), abs=1e-12)


def test_constant_predictor():
    labels = np.repeat([0, 1, 2], [20, 50, 30])
    scores = score_on_itself(np.full(100, 2), labels, 3, 3)
    assert scores == pytest.approx((0.5, 0.5, 0, 0), abs=1e-12)


def test_random_predictor():
    # Independent of the labels, so either mapping, fitted on other examples, is right one time in K:
    # the standard deviation of the error is sqrt(0.1 * 0.9 / 20,000) = 0.002.
    rng = np.random.default_rng(0)
    train_predicted, train_labels, test_predicted, test_labels = rng.integers(0, 10, (4, 20_000))
    scores = clustering.score_clustering(train_predicted, train_labels, test_predicted, test_labels, 10, 10)
    assert scores.code_error == pytest.approx(0.9, abs=0.01)
    assert scores.code_error_majority == pytest.approx(0.9, abs=0.01)
    assert scores.nmi == pytest.approx(0, abs=0.005)
    assert scores.ari == pytest.approx(0, abs=0.005)


def test_random_predictor_of_unbalanced_labels():
    # Three examples in four are of class 0. Every category's majority is then class 0: error 1/4. The
    # matching may give class 0 to one category of four only: right in 1/4 * 3/4 + 3 * 1/4 * 1/12 = 1/4.
    rng = np.random.default_rng(1)
    labels = rng.choice(4, (2, 20_000), p=[3 / 4, 1 / 12, 1 / 12, 1 / 12])
    predicted = rng.integers(0, 4, (2, 20_000))
    scores = clustering.score_clustering(predicted[0], labels[0], predicted[1], labels[1], 4, 4)
    assert scores.code_error == pytest.approx(0.75, abs=0.015)
    assert scores.code_error_majority == pytest.approx(0.25, abs=0.015)


def test_mappings_are_fitted_on_train_alone():
    # On the training split category 0 is class 0; on the test split, mostly class 1.
    train_predicted, train_labels = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])
    test_predicted, test_labels = np.array([0, 0, 0, 1, 1]), np.array([1, 1, 0, 0, 0])
    scores = clustering.score_clustering(train_predicted, train_labels, test_predicted, test_labels, 2, 2)
    fitted_on_test = score_on_itself(test_predicted, test_labels, 2, 2)
    assert scores[:2] == pytest.approx((0.8, 0.8), abs=1e-12)
    assert fitted_on_test[:2] == pytest.approx((0.2, 0.2), abs=1e-12)
    assert scores[2:] == fitted_on_test[2:]


def test_partition_scores_are_those_of_the_test_split():
    predicted, labels = random_pair(4, 200, 4, 4)
    scores = clustering.score_clustering(labels, labels, predicted, labels, 4, 4)
    counts = metrics.cluster.contingency_matrix(labels, predicted) / 200
    rows, columns = counts.sum(1), counts.sum(0)
    information = np.sum(counts * np.log(counts / np.outer(rows, columns)))
    entropies = -np.sum(rows * np.log(rows)), -np.sum(columns * np.log(columns))
    assert scores.nmi == pytest.approx(information / np.mean(entropies), abs=1e-12)
    (apart, false), (missed, together) = metrics.cluster.pair_confusion_matrix(labels, predicted).astype(
        float
    )
    expected = (together + false) * (together + missed) / (apart + false + missed + together)
    largest = together + (false + missed) / 2
    assert scores.ari == pytest.approx((together - expected) / (largest - expected), abs=1e-12)


def test_more_categories_than_classes():
    # Each class is split over two categories: matched one-to-one, half of its examples are lost.
    labels = np.repeat([0, 1], 40)
    predicted = np.repeat([0, 1, 2, 3], 20)
    scores = score_on_itself(predicted, labels, 4, 2)
    assert scores[:2] == (0.5, 0)
    assert sorted(clustering.match_categories(predicted, labels, 4, 2))[:2] == [-1, -1]


def test_fewer_categories_than_classes():
    # Two classes share a category, so one of them is wrong under either mapping.
    labels = np.repeat([0, 1, 2], [10, 20, 70])
    predicted = np.repeat([0, 0, 1], [10, 20, 70])
    assert score_on_itself(predicted, labels, 2, 3)[:2] == (0.1, 0.1)


def test_category_empty_in_train_is_always_wrong_under_majority():
    scores = clustering.score_clustering([0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 0, 1], [2, 0, 0, 1], 3, 3)
    assert scores.code_error_majority == 0.5


@pytest.mark.parametrize(
    ("predicted", "labels"),
    [
        ([0, 1], [0, 1, 1]),
        ([0, 3], [0, 1]),
        ([0, -1], [0, 1]),
        ([0, 1], [0, 2]),
        ([0.0, 1.0], [0, 1]),
        ([[0, 1]], [[0, 1]]),
        ([], []),
    ],
)
@pytest.mark.parametrize(
    "function", [clustering.confusion_matrix, clustering.match_categories, clustering.majority_classes]
)
def test_wrong_input_is_refused(function, predicted, labels):
    with pytest.raises(ValueError, match=r"predicted|labels"):
        function(predicted, labels, 3, 2)


@pytest.mark.parametrize("mapping", [[0], [[0, 1]], [0.0, 1.0]])
def test_error_rate_refuses_a_mapping_that_does_not_fit(mapping):
    with pytest.raises(ValueError, match=r"predicted|mapping"):
        clustering.error_rate([0, 1], [0, 1], mapping)


def blobs(seed, size):
    """Images of three flat grey levels, 20 apart and noisy by at most 3, with their level's index."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 3, size)
    noise = rng.integers(-3, 4, (size, 4, 4, 1))
    return (100 + 20 * levels[:, None, None, None] + noise).astype(np.uint8), levels


def test_kmeans_finds_separate_clusters_and_repeats_itself():
    (train, train_levels), (test, test_levels) = blobs(0, 200), blobs(1, 100)
    first = clustering.kmeans_predictions(train, test, 3, seed=5)
    second = clustering.kmeans_predictions(train, test, 3, seed=5)
    scores = clustering.score_clustering(first[0], train_levels, first[1], test_levels, 3, 3)
    assert scores == pytest.approx((0, 0, 1, 1), abs=1e-12)
    for once, again in zip(first, second, strict=True):
        assert once.dtype == np.int64
        assert once.tobytes() == again.tobytes()


@pytest.mark.parametrize(
    ("train", "test", "num_clusters"),
    [
        (np.zeros((4, 2, 2, 1)), np.zeros((4, 2, 2, 1), np.uint8), 2),
        (np.zeros((4, 2, 2, 1), np.uint8), np.zeros((4, 2, 1, 2), np.uint8), 2),
        (np.zeros((4, 2, 2, 1), np.uint8), np.zeros((0, 2, 2, 1), np.uint8), 2),
        (np.zeros((4, 2, 2, 1), np.uint8), np.zeros((4, 2, 2, 1), np.uint8), 5),
    ],
)
def test_kmeans_refuses_wrong_input(train, test, num_clusters):
    with pytest.raises(ValueError, match=r"images|num_clusters"):
        clustering.kmeans_predictions(train, test, num_clusters, seed=0)
