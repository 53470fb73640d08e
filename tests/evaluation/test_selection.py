"""Models that agree, models that do not, and what order, direction and dead codes must not change."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import Lasso
from sklearn.metrics import adjusted_rand_score

from infogan_jax.evaluation.selection import category_agreement, model_centrality, udr_lasso, udr_spearman

BOTH = pytest.mark.parametrize("udr", [udr_spearman, udr_lasso])


def factors(seed, size=400, codes=3):
    return np.random.default_rng(seed).uniform(-1, 1, (size, codes))


def permuted_and_flipped(seed, x):
    rng = np.random.default_rng(seed)
    return x[:, rng.permutation(x.shape[1])] * rng.choice([-1, 1], x.shape[1])


def mixed(seed, x):
    """Every code a mixture of all: the same information, entangled."""
    return x @ np.linalg.qr(np.random.default_rng(seed).normal(size=(x.shape[1],) * 2)).Q


def grid():
    """Two codes that are exactly uncorrelated, [25, 2]."""
    steps = np.linspace(-1, 1, 5)
    return np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)


def test_models_that_coincide_up_to_order_direction_and_a_rising_map_have_one():
    x = grid()
    models = np.stack([x, -x[:, ::-1], np.exp(x)])
    np.testing.assert_allclose(udr_spearman(models), 1)


def test_the_penalty_of_lasso_takes_a_tenth():
    x = grid()
    np.testing.assert_allclose(udr_lasso(np.stack([x, -x[:, ::-1], 5 * x + 2])), 0.9)


def test_a_rotated_model_by_hand():
    # Against either of the first two, the third has one rank correlation r four times over:
    # r^2 / (2 r) = r / 2 for each code. The median of 1 and r / 2 is their mean.
    x = grid()
    turned = np.stack([x[:, 0] + x[:, 1], x[:, 0] - x[:, 1]], axis=1)
    r = spearmanr(x[:, 0], turned[:, 0]).statistic
    expected = [(1 + r / 2) / 2, (1 + r / 2) / 2, r / 2]
    np.testing.assert_allclose(udr_spearman(np.stack([x, x, turned])), expected)


def test_spearmans_form_equals_the_papers_sums():
    models = np.random.default_rng(0).normal(size=(4, 50, 3))
    models[1:] += models[:1]
    informative = np.random.default_rng(1).random((4, 3)) < 0.7
    informative[:, 0] = True

    def pair(i, j):
        rows, columns = np.flatnonzero(informative[i]), np.flatnonzero(informative[j])
        r = [[abs(spearmanr(models[i, :, a], models[j, :, b]).statistic) for b in columns] for a in rows]
        r = np.array(r)
        by_column = sum(max(r[:, b]) ** 2 / sum(r[:, b]) for b in range(len(columns)))
        by_row = sum(max(r[a]) ** 2 / sum(r[a]) for a in range(len(rows)))
        return (by_column + by_row) / (len(rows) + len(columns))

    expected = [np.median([pair(i, j) for j in range(4) if j != i]) for i in range(4)]
    assert len({*informative.sum(axis=1)}) > 1
    np.testing.assert_allclose(udr_spearman(models, informative), expected)


def test_lassos_form_predicts_the_scored_model_from_the_others():
    models = np.random.default_rng(2).normal(size=(3, 60, 2))
    models[1:] += 2 * models[:1]
    # Codes of one model that go together make the direction matter.
    models[0, :, 1] += models[0, :, 0]
    unit = (models - models.mean(axis=1, keepdims=True)) / models.std(axis=1, keepdims=True)

    def pair(i, j):
        r = np.abs([Lasso(alpha=0.1).fit(unit[j], unit[i][:, a]).coef_ for a in range(2)])
        strengths = [*(r.max(axis=0) ** 2 / r.sum(axis=0)), *(r.max(axis=1) ** 2 / r.sum(axis=1))]
        return np.mean(strengths)

    expected = [np.median([pair(i, j) for j in range(3) if j != i]) for i in range(3)]
    np.testing.assert_allclose(udr_lasso(models), expected, rtol=1e-6)
    assert pair(0, 1) != pytest.approx(pair(1, 0), rel=0.01)


@BOTH
def test_order_and_direction_of_codes_change_nothing(udr):
    x = factors(3)
    noise = np.random.default_rng(4).normal(size=(4, *x.shape))
    models = np.stack([x, x, mixed(5, x), mixed(6, x)]) + 0.2 * noise
    moved = np.stack([permuted_and_flipped(seed, model) for seed, model in enumerate(models)])
    # Lasso's descent stops within a tolerance, and the order of the codes is the order of its steps.
    np.testing.assert_allclose(udr(moved), udr(models), rtol=1e-2 if udr is udr_lasso else 1e-12)


@BOTH
def test_order_of_models_orders_the_scores(udr):
    models = np.random.default_rng(7).normal(size=(4, 40, 2)) + 2 * np.random.default_rng(8).normal(
        size=(40, 2)
    )
    order = np.array([2, 0, 3, 1])
    np.testing.assert_allclose(udr(models[order]), udr(models)[order])


@BOTH
def test_a_lone_entangled_model_comes_last(udr):
    x = factors(9)
    noise = 0.1 * np.random.default_rng(10).normal(size=(5, *x.shape))
    models = np.stack([permuted_and_flipped(seed, x) for seed in range(5)]) + noise
    models[3] = mixed(11, models[3])
    scores = udr(models)
    assert scores.argmin() == 3
    assert scores[3] < np.delete(scores, 3).min() - 0.1


@BOTH
def test_codes_that_are_not_informative_do_not_count(udr):
    x = factors(12, codes=2)
    good = np.stack([permuted_and_flipped(seed, x) for seed in range(3)])
    dead = np.random.default_rng(13).normal(size=(3, len(x), 2))
    informative = np.array([[True, True, False, False]] * 3)
    with_dead = np.concatenate([good, dead], axis=2)
    np.testing.assert_allclose(udr(with_dead, informative), udr(good))
    constant = np.concatenate([good, np.full_like(dead, 0.3)], axis=2)
    np.testing.assert_allclose(udr(constant), udr(good))
    assert (udr(with_dead) < udr(good)).all()


@BOTH
def test_a_dead_model_has_zero_and_leaves_the_others_in_order(udr):
    x = factors(14)
    models = np.stack([x, permuted_and_flipped(0, x), permuted_and_flipped(1, x), np.zeros_like(x)])
    scores = udr(models)
    assert scores[3] == 0
    assert scores[:3] == pytest.approx(udr(models[:3]))


@BOTH
@pytest.mark.parametrize(
    ("representations", "informative", "message"),
    [
        (np.zeros((3, 9)), None, "representations are float64"),
        (np.zeros((3, 9, 2), int), None, "representations are int64"),
        (np.zeros((2, 9, 2)), None, "2 models"),
        (np.zeros((3, 2, 2)), None, "3 images"),
        (np.zeros((3, 9, 0)), None, "a code"),
        (np.full((3, 9, 2), np.nan), None, "finite"),
        (np.zeros((3, 9, 2)), np.ones((3, 2)), "informative is float64"),
        (np.zeros((3, 9, 2)), np.ones((2, 3), bool), "informative is bool"),
    ],
)
def test_wrong_representations_are_refused(udr, representations, informative, message):
    with pytest.raises(ValueError, match=message):
        udr(representations, informative)


def test_centrality_by_hand():
    scores = np.array([[np.nan, 0.8, 0.2], [0.6, np.nan, 0.1], [0.4, 0.3, np.nan]])
    # Symmetrised: 0.7 of 0 and 1, 0.3 of 0 and 2, 0.2 of 1 and 2.
    np.testing.assert_allclose(model_centrality(scores), [0.5, 0.45, 0.25])
    np.testing.assert_allclose(model_centrality(scores.T), [0.5, 0.45, 0.25])
    np.testing.assert_allclose(model_centrality(np.nan_to_num(scores, nan=9)), [0.5, 0.45, 0.25])


def test_a_lone_bad_model_is_the_least_central():
    rng = np.random.default_rng(15)
    scores = rng.uniform(0.7, 0.9, (5, 5))
    scores[2] = rng.uniform(0.3, 0.5, 5)
    scores[:, 2] = rng.uniform(0.3, 0.5, 5)
    assert model_centrality(scores).argmin() == 2


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros((3, 4)), "must be .M, M."),
        (np.zeros(9), "must be .M, M."),
        (np.zeros((2, 2)), "2 models"),
        (np.where(np.eye(3, k=1), np.nan, 1), "finite off the diagonal"),
    ],
)
def test_wrong_scores_are_refused(scores, message):
    with pytest.raises(ValueError, match=message):
        model_centrality(scores)


def categories(seed, size=500):
    return np.random.default_rng(seed).integers(0, 10, size)


def corrupted(seed, x, share):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(x)) < share, rng.integers(0, 10, len(x)), x)


def test_models_that_part_the_images_alike_agree_whatever_they_call_the_parts():
    x = categories(16)
    named = [np.random.default_rng(seed).permutation(10)[x] for seed in range(3)]
    np.testing.assert_allclose(category_agreement(named), 1)


def test_agreement_is_the_mean_of_adjusted_rand_indices():
    x = categories(17)
    models = [corrupted(seed, x, share) for seed, share in enumerate((0.1, 0.3, 0.5, 0.2))]
    expected = [
        np.mean([adjusted_rand_score(models[i], models[j]) for j in range(4) if j != i]) for i in range(4)
    ]
    np.testing.assert_allclose(category_agreement(models), expected)


def test_models_that_err_more_and_each_in_their_way_agree_less():
    x = categories(18, 2000)
    shares = (0.05, 0.4, 0.1, 0.2, 0.3)
    models = [corrupted(seed, x, share) for seed, share in enumerate(shares)]
    np.testing.assert_array_equal(np.argsort(-category_agreement(models)), np.argsort(shares))


def test_a_model_that_merges_a_pair_of_classes_comes_last():
    # The failure that L_I does not show: two classes share a category, and another is split in two.
    x = categories(19, 2000)
    merged = np.where(x == 3, 8, x)
    merged[(x == 0) & (np.arange(2000) % 2 == 0)] = 3
    models = np.stack([corrupted(seed, x, 0.03) for seed in range(4)] + [merged])
    assert category_agreement(models).argmin() == 4


def test_collapsed_models_agree_with_none_not_even_with_each_other():
    x = categories(20)
    agreement = category_agreement([x, x, np.full_like(x, 4), np.full_like(x, 4)])
    np.testing.assert_allclose(agreement, [1 / 3, 1 / 3, 0, 0])


def test_unrelated_categories_do_not_agree():
    models = np.random.default_rng(21).integers(0, 10, (3, 5000))
    np.testing.assert_allclose(category_agreement(models), 0, atol=0.005)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (np.zeros((3, 9)), "categories are float64"),
        (np.zeros(9, int), "categories are int64"),
        (np.zeros((3, 0), int), "N above 0"),
        (np.zeros((2, 9), int), "2 models"),
    ],
)
def test_wrong_categories_are_refused(models, message):
    with pytest.raises(ValueError, match=message):
        category_agreement(models)
