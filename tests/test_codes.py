import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from infogan_jax.codes import (
    LOG_SCALE_LIMIT,
    Bernoulli,
    Categorical,
    LatentCodes,
    Normal,
    Uniform,
)

pytestmark = pytest.mark.usefixtures("quick_compilation")

PRIORS = [
    (Categorical(2), scipy.stats.randint(0, 2)),
    (Categorical(7), scipy.stats.randint(0, 7)),
    (Bernoulli(), scipy.stats.bernoulli(0.5)),
    (Bernoulli(0.2), scipy.stats.bernoulli(0.2)),
    (Uniform(), scipy.stats.uniform(-1, 2)),
    (Uniform(0.5, 3.0), scipy.stats.uniform(0.5, 2.5)),
    (Normal(), scipy.stats.norm(0, 1)),
    (Normal(-2.0, 0.5), scipy.stats.norm(-2, 0.5)),
]
by_prior = pytest.mark.parametrize(("code", "prior"), PRIORS, ids=[code.label for code, _ in PRIORS])

# Every kind of code, and Q's output for it: 3 + 1 + 2 + 1 + 2 numbers.
MIXED = LatentCodes(
    4, (Categorical(3), Bernoulli(0.3), Uniform(-2, 2), Uniform(sigma=0.5), Normal(1.0, 2.0)), Normal()
)


def output(codes, n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, codes.posterior_dim)).astype(np.float32)


# Priors


@by_prior
def test_entropy_is_scipys(code, prior):
    assert code.entropy == pytest.approx(float(prior.entropy()), rel=1e-9)


@by_prior
def test_samples_follow_the_prior(code, prior):
    n = 3000
    values = np.asarray(code.sample(jax.random.key(1), (n,)))
    if isinstance(code, Categorical | Bernoulli):
        support = np.arange(code.categories if isinstance(code, Categorical) else 2)
        counts = np.array([np.sum(values == v) for v in support])
        assert counts.sum() == n
        assert scipy.stats.chisquare(counts, n * prior.pmf(support)).pvalue > 1e-3
    else:
        assert scipy.stats.kstest(values, prior.cdf).pvalue > 1e-3
        assert values.std() == pytest.approx(prior.std(), rel=0.05)
    assert values.dtype == (np.int32 if isinstance(code, Categorical) else np.float32)


def test_uniform_samples_stay_in_the_interval():
    values = np.asarray(Uniform(0.5, 3.0).sample(jax.random.key(2), (3000,)))
    assert values.min() >= 0.5 and values.max() < 3


def test_labels_are_in_the_papers_notation():
    labels = [code.label for code, _ in PRIORS]
    assert labels == [
        "Cat(2)",
        "Cat(7)",
        "Bernoulli(0.5)",
        "Bernoulli(0.2)",
        "U(-1, 1)",
        "U(0.5, 3)",
        "N(0, 1)",
        "N(-2, 0.5)",
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Categorical(1), r"Categorical\(1\): needs 2 categories or more"),
        (lambda: Categorical(0), "needs 2 categories"),
        (lambda: Bernoulli(0.0), r"Bernoulli\(0.0\): needs a probability inside \(0, 1\)"),
        (lambda: Bernoulli(1.0), "needs a probability"),
        (lambda: Bernoulli(math.nan), "needs a probability"),
        (lambda: Uniform(1.0, 1.0), r"Uniform\(1.0, 1.0\): needs finite low < high"),
        (lambda: Uniform(1.0, -1.0), "low < high"),
        (lambda: Uniform(-math.inf, 0.0), "finite"),
        (lambda: Uniform(0.0, math.nan), "finite"),
        (lambda: Uniform(sigma=0.0), "sigma is None .learned. or a number above 0"),
        (lambda: Uniform(sigma=-1.0), "sigma"),
        (lambda: Uniform(sigma=math.inf), "sigma"),
        (lambda: Normal(math.nan), "needs a finite mean and std > 0"),
        (lambda: Normal(0.0, 0.0), "std > 0"),
        (lambda: Normal(0.0, math.inf), "std > 0"),
        (lambda: Normal(sigma=math.nan), "sigma"),
        (lambda: LatentCodes(-1, (Categorical(2),)), "noise_dim is -1: it must be 0 or more"),
        (lambda: LatentCodes(0), "needs noise or a code, and there is neither"),
    ],
)
def test_specifications_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# The whole specification


def test_names_dimensions_and_entropies():
    assert list(MIXED.named) == ["c1", "c2", "c3", "c4", "c5"]
    assert MIXED.categorical == ("c1",)
    assert MIXED.input_dim == 4 + 3 + 1 + 1 + 1 + 1
    assert MIXED.posterior_dim == 3 + 1 + 2 + 1 + 2
    assert MIXED.entropy == pytest.approx(
        {
            "c1": np.log(3),
            "c2": scipy.stats.bernoulli(0.3).entropy(),
            "c3": np.log(4),
            "c4": np.log(2),
            "c5": scipy.stats.norm(1, 2).entropy(),
        }
    )


def test_the_papers_mnist_input_is_74_numbers():
    codes = LatentCodes(62, (Categorical(10), Uniform(-1, 1), Uniform(-1, 1)))
    assert (codes.input_dim, codes.posterior_dim) == (74, 14)


def test_a_draw_has_the_noise_and_each_code_by_name():
    draw = MIXED.sample(jax.random.key(0), 5)
    shapes = {name: (value.shape, value.dtype) for name, value in draw.items()}
    assert shapes == {
        "noise": ((5, 4), jnp.float32),
        "c1": ((5,), jnp.int32),
        "c2": ((5,), jnp.float32),
        "c3": ((5,), jnp.float32),
        "c4": ((5,), jnp.float32),
        "c5": ((5,), jnp.float32),
    }


@pytest.mark.parametrize(
    ("noise", "prior"), [(Uniform(-1, 1), scipy.stats.uniform(-1, 2)), (Normal(), scipy.stats.norm())]
)
def test_noise_follows_its_own_prior(noise, prior):
    drawn = np.asarray(LatentCodes(3, (Categorical(2),), noise).sample(jax.random.key(3), 1000)["noise"])
    assert scipy.stats.kstest(drawn.ravel(), prior.cdf).pvalue > 1e-3


def test_noise_and_codes_of_a_draw_are_independent():
    codes = LatentCodes(2, (Categorical(5), Uniform(), Uniform(), Normal(), Normal(), Bernoulli()))
    n = 3000
    draw = codes.sample(jax.random.key(4), n)
    columns = np.column_stack([draw["noise"], *(draw[name] for name in codes.named)])
    correlations = np.corrcoef(columns, rowvar=False)[np.triu_indices(8, 1)]
    assert np.all(np.abs(correlations) < 4.5 / np.sqrt(n))


def test_a_key_fixes_the_draw_and_another_key_changes_all_of_it():
    one, same, other = (MIXED.sample(jax.random.key(seed), 5) for seed in (0, 0, 1))
    for name in one:
        np.testing.assert_array_equal(one[name], same[name])
        assert np.any(one[name] != other[name])


def test_appending_a_code_leaves_the_noise_and_the_codes_before_it():
    codes = LatentCodes(2, (Categorical(5), Uniform()))
    longer = LatentCodes(2, (Categorical(5), Uniform(), Normal()))
    before, after = (c.sample(jax.random.key(5), 5) for c in (codes, longer))
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])


def test_encoding_lays_out_noise_then_codes_in_order():
    draw = {
        "noise": np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]], np.float32),
        "c1": np.array([2, 0], np.int32),
        "c2": np.array([1, 0], np.float32),
        "c3": np.array([-1.5, 1.5], np.float32),
        "c4": np.array([0.25, -0.25], np.float32),
        "c5": np.array([3.0, -3.0], np.float32),
    }
    expected = np.array(
        [
            [0.1, 0.2, 0.3, 0.4, 0, 0, 1, 1, -1.5, 0.25, 3],
            [0.5, 0.6, 0.7, 0.8, 1, 0, 0, 0, 1.5, -0.25, -3],
        ],
        np.float32,
    )
    encoded = MIXED.encode(draw)
    np.testing.assert_array_equal(encoded, expected)
    assert encoded.dtype == jnp.float32


@pytest.mark.parametrize(
    "codes",
    [
        LatentCodes(0, (Categorical(2),)),
        LatentCodes(0, (Uniform(),)),
        LatentCodes(3, (Bernoulli(),)),
        LatentCodes(3, (Normal(sigma=1.0),)),
        LatentCodes(5),
        LatentCodes(1, tuple(Categorical(k) for k in range(2, 6))),
        LatentCodes(0, (Uniform(),) * 9),
    ],
    ids=["category", "uniform", "binary", "normal", "no codes", "four categories", "nine uniform"],
)
def test_any_number_of_codes_of_any_kind_goes_round(codes):
    draw = codes.sample(jax.random.key(0), 5)
    assert set(draw) == {"noise", *codes.named}
    assert codes.encode(draw).shape == (5, codes.input_dim)
    information = codes.information(output(codes, 5), draw)
    assert list(information) == list(codes.named)
    for value in information.values():
        assert value.shape == (5,) and np.isfinite(value).all()


def test_without_codes_there_is_nothing_to_infer():
    codes = LatentCodes(5)
    assert codes.posterior_dim == 0 and codes.categorical == () and codes.entropy == {}
    assert codes.posteriors(jnp.zeros((2, 0))) == {}


# Q's posteriors


def test_posteriors_split_the_output_in_order():
    q = output(MIXED, 5)
    posteriors = MIXED.posteriors(q)
    assert list(posteriors) == list(MIXED.named)
    np.testing.assert_array_equal(posteriors["c1"].logits, q[:, 0:3])
    np.testing.assert_array_equal(posteriors["c2"].logit, q[:, 3])
    for name, mean, raw in (("c3", 4, 5), ("c5", 7, 8)):
        np.testing.assert_array_equal(posteriors[name].mean, q[:, mean])
        bounded = LOG_SCALE_LIMIT * np.tanh(q[:, raw] / LOG_SCALE_LIMIT)
        np.testing.assert_allclose(posteriors[name].log_scale, bounded, rtol=1e-5)
    np.testing.assert_array_equal(posteriors["c4"].mean, q[:, 6])
    np.testing.assert_allclose(posteriors["c4"].log_scale, np.full(5, np.log(0.5)), rtol=1e-6)


def test_log_likelihoods_are_scipys():
    draw = MIXED.sample(jax.random.key(6), 5)
    c = {name: np.asarray(value, np.float64) for name, value in draw.items()}
    q = output(MIXED, 5).astype(np.float64)

    def sigma(raw):
        return np.exp(LOG_SCALE_LIMIT * np.tanh(raw / LOG_SCALE_LIMIT))

    softmax = scipy.special.softmax(q[:, :3], axis=1)
    expected = {
        "c1": np.log(softmax[np.arange(5), c["c1"].astype(int)]),
        "c2": scipy.stats.bernoulli.logpmf(c["c2"].astype(int), scipy.special.expit(q[:, 3])),
        "c3": scipy.stats.norm.logpdf(c["c3"], q[:, 4], sigma(q[:, 5])),
        "c4": scipy.stats.norm.logpdf(c["c4"], q[:, 6], 0.5),
        "c5": scipy.stats.norm.logpdf(c["c5"], q[:, 7], sigma(q[:, 8])),
    }
    log_prob = MIXED.log_prob(q.astype(np.float32), draw)
    information = MIXED.information(q.astype(np.float32), draw)
    assert list(log_prob) == list(information) == list(expected)
    for name in expected:
        np.testing.assert_allclose(log_prob[name], expected[name], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            information[name], expected[name] + MIXED.entropy[name], rtol=1e-5, atol=1e-5
        )


def test_a_category_read_without_doubt_carries_its_entropy_and_a_uniform_guess_nothing():
    codes = LatentCodes(0, (Categorical(10),))
    draw = codes.sample(jax.random.key(7), 4)
    sure = 1e4 * codes.encode(draw)
    np.testing.assert_allclose(codes.information(sure, draw)["c1"], np.full(4, np.log(10)), rtol=1e-6)
    np.testing.assert_allclose(codes.information(jnp.zeros((4, 10)), draw)["c1"], np.zeros(4), atol=1e-6)


def test_learned_sigma_bounds_what_a_continuous_code_can_say():
    codes = LatentCodes(0, (Uniform(),))
    draw = codes.sample(jax.random.key(8), 4)
    exact = jnp.stack([draw["c1"], jnp.full(4, -1e6)], axis=1)
    most = np.log(2) + LOG_SCALE_LIMIT - np.log(2 * np.pi) / 2
    assert most == pytest.approx(3.77, abs=5e-3)
    np.testing.assert_allclose(codes.information(exact, draw)["c1"], np.full(4, most), rtol=1e-5)


@pytest.mark.parametrize("shape", [(5, 8), (5, 10), (9,), (1, 5, 9)])
def test_an_output_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"Q's output has shape .*, not \[batch, 9\]"):
        MIXED.posteriors(jnp.zeros(shape))


# Traversals

TWO_CATEGORIES = LatentCodes(2, (Uniform(), Categorical(3), Bernoulli(), Categorical(2)))


def grid(traversal):
    """The draw as [rows, columns, ...]."""
    shape = len(traversal.rows), len(traversal.columns)
    return {
        name: np.asarray(value).reshape(*shape, *value.shape[1:]) for name, value in traversal.draw.items()
    }


def assert_same_along(axis, values):
    np.testing.assert_array_equal(values, np.take(values, [0] * values.shape[axis], axis))


def test_a_continuous_code_varies_along_columns_and_rows_hold_the_first_category():
    traversal = TWO_CATEGORIES.traversal("c1", jax.random.key(0), columns=5, rows=9)
    assert traversal.rows == ("c2 = 0", "c2 = 1", "c2 = 2")
    assert traversal.columns == ("-2", "-1", "0", "1", "2")
    cells = grid(traversal)
    np.testing.assert_array_equal(cells["c1"], np.tile(np.float32([-2, -1, 0, 1, 2]), (3, 1)))
    np.testing.assert_array_equal(cells["c2"], np.repeat([[0], [1], [2]], 5, axis=1))
    for name in ("noise", "c3", "c4"):  # one value for the whole picture
        assert_same_along(0, cells[name])
        assert_same_along(1, cells[name])
    drawn = TWO_CATEGORIES.sample(jax.random.key(0), 1)
    for name in ("noise", "c3", "c4"):
        np.testing.assert_array_equal(cells[name][0, 0], drawn[name][0])
    for name, value in traversal.draw.items():
        assert value.dtype == drawn[name].dtype


def test_a_binary_code_has_two_columns_and_rows_hold_the_first_category():
    traversal = TWO_CATEGORIES.traversal("c3", jax.random.key(0), columns=7)
    assert traversal.rows == ("c2 = 0", "c2 = 1", "c2 = 2") and traversal.columns == ("0", "1")
    np.testing.assert_array_equal(grid(traversal)["c3"], np.tile(np.float32([0, 1]), (3, 1)))


@pytest.mark.parametrize(("name", "count"), [("c2", 3), ("c4", 2)])
def test_a_category_varies_over_random_rows(name, count):
    traversal = TWO_CATEGORIES.traversal(name, jax.random.key(1), columns=7, rows=4)
    assert traversal.rows == ("draw 1", "draw 2", "draw 3", "draw 4")
    assert traversal.columns == tuple(map(str, range(count)))
    cells = grid(traversal)
    np.testing.assert_array_equal(cells.pop(name), np.tile(np.arange(count), (4, 1)))
    drawn = TWO_CATEGORIES.sample(jax.random.key(1), 4)
    for other, values in cells.items():
        assert_same_along(1, values)
        np.testing.assert_array_equal(values[:, 0], drawn[other])
    assert len(np.unique(cells["noise"][:, 0, 0])) == 4
    assert len(np.unique(cells["c1"][:, 0])) == 4


def test_without_a_category_a_continuous_code_varies_over_random_rows():
    codes = LatentCodes(2, (Uniform(), Normal(1.0, 0.5)))
    traversal = codes.traversal("c2", jax.random.key(2), columns=3, rows=4)
    assert traversal.rows == ("draw 1", "draw 2", "draw 3", "draw 4")
    assert traversal.columns == ("0", "1", "2")
    cells = grid(traversal)
    np.testing.assert_array_equal(cells["c2"], np.tile(np.float32([0, 1, 2]), (4, 1)))
    for name in ("noise", "c1"):
        assert_same_along(1, cells[name])
        assert np.unique(cells[name][:, 0]).size > 3


def test_defaults_are_the_papers_ten_columns_from_minus_two_to_two():
    codes = LatentCodes(62, (Categorical(10), Uniform(-1, 1), Uniform(-1, 1)))
    traversal = codes.traversal("c3", jax.random.key(0))
    assert len(traversal.rows) == len(traversal.columns) == 10
    np.testing.assert_allclose(traversal.draw["c3"][:10], np.linspace(-2, 2, 10), rtol=1e-6)
    assert codes.encode(traversal.draw).shape == (100, 74)


def test_labels_of_many_categories_are_all_their_own():
    traversal = LatentCodes(1, (Categorical(1100),)).traversal("c1", jax.random.key(0), rows=1)
    assert traversal.columns == tuple(map(str, range(1100)))


def test_a_code_that_is_not_there_is_refused():
    with pytest.raises(KeyError, match="c5"):
        TWO_CATEGORIES.traversal("c5", jax.random.key(0))


def test_a_scale_weighting_changes_the_gradients_of_learned_scales_alone():
    codes = LatentCodes(3, (Categorical(4), Uniform(-1, 1), Uniform(-1, 1, sigma=1.0)))
    draw = codes.sample(jax.random.key(0), 6)
    output = 2 * jax.random.normal(jax.random.key(1), (6, codes.posterior_dim))

    def slopes(weighting):
        def total(output):
            return sum(nats.sum() for nats in codes.information(output, draw, weighting).values())

        return jax.value_and_grad(total)(output)

    (value, plain), (same, weighted) = slopes(0.0), slopes(1.0)
    np.testing.assert_allclose(value, same, rtol=1e-6)
    sigma = np.exp(codes.posteriors(output)["c2"].log_scale)[:, None]
    # Q's output: four logits, the learned scale's two numbers, a mean.
    np.testing.assert_allclose(weighted[:, 4:6], sigma**2 * plain[:, 4:6], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(weighted[:, :4], plain[:, :4], rtol=1e-6)
    np.testing.assert_allclose(weighted[:, 6:], plain[:, 6:], rtol=1e-6)
