import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from sklearn import datasets, mixture
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from infogan_jax.fitting import GaussianMixture, fit_gaussian_mixture

pytestmark = pytest.mark.usefixtures("quick_compilation")

KEY = jax.random.key(0)
COVARIANCES = ("full", "tied", "diag", "spherical")


def two_rings():
    """Not Gaussian at all, and of iris's shape, so that no new program is compiled."""
    rng = np.random.default_rng(0)
    x = datasets.make_circles(150, factor=0.4, noise=0.05, random_state=0)[0]
    return np.concatenate([x, 0.1 * x @ rng.normal(size=(2, 2)) + rng.normal(size=(150, 2))], axis=1)


DATA = {
    "iris": (lambda: datasets.load_iris().data, 3),
    "wine": (lambda: datasets.load_wine().data, 3),  # as it is: deviations from 0.1 to 315
    "digits": (lambda: PCA(20, random_state=0).fit_transform(datasets.load_digits().data), 10),
    "blobs": (lambda: datasets.make_blobs(150, 4, centers=3, cluster_std=2.0, random_state=0)[0], 3),
    "rings": (two_rings, 3),
}
EVERY_PAIR = [(name, covariance) for name in DATA for covariance in COVARIANCES]


def same_start(x, components, covariance, **options):
    """Labels, and scikit-learn's mixture fitted from them."""
    labels = KMeans(components, n_init=1, max_iter=2, random_state=0).fit(x).labels_.astype(np.int32)

    class FromLabels(mixture.GaussianMixture):
        def _initialize_parameters(self, X, *_, **__):
            self._initialize(X, np.eye(components)[labels])

    return labels, FromLabels(components, covariance_type=covariance, **options).fit(x)


# Against scikit-learn


@pytest.mark.parametrize(("name", "covariance"), EVERY_PAIR)
def test_ends_where_scikit_learn_ends_from_the_same_start(name, covariance, double_precision):
    load, components = DATA[name]
    x = load()
    labels, theirs = same_start(x, components, covariance, max_iter=200)
    ours = fit_gaussian_mixture(KEY, x, components, covariance=covariance, start=labels, max_iterations=200)
    assert ours.converged and int(ours.iterations) == theirs.n_iter_
    np.testing.assert_allclose(ours.final_log_likelihood, theirs.score(x), rtol=1e-6)
    np.testing.assert_allclose(ours.trace[-2], theirs.lower_bound_, rtol=1e-6)
    assert np.all(np.diff(ours.trace) > 0)
    if name == "iris" or (name, covariance) == ("digits", "full"):
        mine = ours.params
        np.testing.assert_allclose(mine.bic(x), theirs.bic(x), rtol=1e-6)
        assert mine.num_parameters == theirs._n_parameters()
        np.testing.assert_allclose(mine.log_prob(x), theirs.score_samples(x), rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(mine.responsibilities(x), theirs.predict_proba(x), atol=2e-3)
        np.testing.assert_allclose(mine.weights, theirs.weights_, rtol=1e-3)
        np.testing.assert_allclose(mine.means, theirs.means_, rtol=1e-3, atol=1e-3)
        assert mine.covariances.shape == theirs.covariances_.shape
        np.testing.assert_allclose(mine.covariances, theirs.covariances_, rtol=5e-3, atol=2e-3)


@pytest.mark.parametrize("name", ["wine", "iris"])
def test_float32_ends_there_too(name):
    load, components = DATA[name]
    x = load()
    labels, theirs = same_start(x, components, "full", max_iter=200)
    ours = fit_gaussian_mixture(KEY, x.astype(np.float32), components, start=labels, max_iterations=200)
    assert ours.log_likelihood.dtype == np.float32
    assert int(ours.iterations) == theirs.n_iter_
    np.testing.assert_allclose(ours.final_log_likelihood, theirs.score(x), rtol=2e-6)
    assert np.all(np.diff(ours.trace) > -1e-6 * np.abs(ours.trace[1:]))


# Densities


@pytest.fixture(scope="module")
def known():
    """Two Gaussians in the plane with given moments."""
    return GaussianMixture.from_moments(
        np.array([0.3, 0.7], np.float32),
        np.array([[0, 1], [4, -2]], np.float32),
        np.array([[[1, 0.5], [0.5, 2]], [[0.3, -0.1], [-0.1, 0.2]]], np.float32),
        "full",
    )


def test_density_agrees_with_scipy(known):
    x = np.random.default_rng(1).normal(size=(20, 2)).astype(np.float32) * 3
    parts = [
        scipy.stats.multivariate_normal.pdf(x, m, c)
        for m, c in zip(known.means, known.covariances, strict=True)
    ]
    expected = np.log(0.3 * parts[0] + 0.7 * parts[1])
    np.testing.assert_allclose(known.log_prob(x), expected, rtol=1e-5)
    r = np.asarray(known.responsibilities(x))
    np.testing.assert_allclose(r[:, 0], 0.3 * parts[0] / np.exp(expected), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(r.sum(1), 1, rtol=1e-6)


def test_responsibilities_far_away_are_finite_and_sum_to_one(known):
    r = np.asarray(known.responsibilities(np.array([[1e6, -1e6], [-1e6, 0]], np.float32)))
    assert np.isfinite(r).all()
    np.testing.assert_allclose(r.sum(1), 1, rtol=1e-6)


def test_a_row_beyond_float32_has_no_density_and_no_responsibilities(known):
    x = np.array([[1e20, 0], [0, 0]], np.float32)
    assert np.isneginf(known.log_prob(x)).tolist() == [True, False]
    assert np.isnan(known.responsibilities(x)).tolist() == [[True, True], [False, False]]


def test_density_can_be_jitted_and_differentiated_in_the_rows_and_in_the_mixture(known):
    x = np.random.default_rng(1).normal(size=(20, 2)).astype(np.float32)
    expected = known.log_prob(x)
    score = jax.jit(lambda mixture, x: mixture.log_prob(x))
    np.testing.assert_allclose(score(known, x), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(lambda m: m.log_prob(x))(known), expected, rtol=1e-6)
    posterior = jax.jit(lambda m, x: m.responsibilities(x))(known, x)
    np.testing.assert_allclose(posterior, known.responsibilities(x), rtol=1e-5, atol=1e-7)
    of_mixture, of_rows = jax.jit(jax.grad(lambda m, x: m.log_prob(x).sum(), argnums=(0, 1)))(known, x)
    # d log p / dx = -sum_k r_k Sigma_k^-1 (x - mu_k); the locations' slope is that of each part.
    r, precisions = np.asarray(posterior), np.linalg.inv(known.covariances)
    pulls = -r[:, :, None] * np.einsum("kij,nkj->nki", precisions, x[:, None] - np.asarray(known.means)[None])
    np.testing.assert_allclose(of_rows, pulls.sum(1), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        of_mixture.locations, -pulls.sum(0) * np.asarray(known.unit), rtol=1e-3, atol=1e-3
    )
    # A constant is known, and still looked at.
    unknown = jnp.full((1, 2), jnp.nan)
    with pytest.raises(ValueError, match="not finite"):
        jax.jit(lambda m: m.log_prob(unknown))(known)
    with pytest.raises(ValueError, match="2 columns"):
        score(known, x[:, :1])


def test_samples_have_the_mixtures_moments(known):
    x, parts = known.sample(jax.random.key(1), 20_000)
    for k, weight in enumerate((0.3, 0.7)):
        mine = np.asarray(x)[np.asarray(parts) == k]
        assert abs(len(mine) / 20_000 - weight) < 0.02
        np.testing.assert_allclose(mine.mean(0), known.means[k], atol=0.06)
        np.testing.assert_allclose(np.cov(mine.T), known.covariances[k], atol=0.1)


@pytest.mark.parametrize(
    ("covariance", "given"),
    [
        ("tied", [[2.0, 0.5], [0.5, 1.0]]),
        ("diag", [[2.0, 1.0], [3.0, 0.5]]),
        ("spherical", [2.0, 0.5]),
    ],
)
def test_moments_come_back_in_scikit_learns_shapes(covariance, given):
    made = GaussianMixture.from_moments(jnp.full(2, 0.5), jnp.eye(2), jnp.array(given), covariance)
    np.testing.assert_allclose(made.covariances, given, rtol=1e-5)
    np.testing.assert_allclose(made.means, np.eye(2), atol=1e-6)


# Properties of the fit


@pytest.fixture(scope="module")
def three_blobs():
    x, labels = datasets.make_blobs(150, 4, centers=3, cluster_std=1.0, random_state=3)
    return x.astype(np.float32), labels


def test_finds_the_blobs_from_its_own_start_and_whatever_the_rows_order(three_blobs):
    x, labels = three_blobs
    fit = fit_gaussian_mixture(KEY, x, 3, restarts=4)
    assert fit.converged and fit.restarts.shape == (4,)
    assert fit.final_log_likelihood == np.max(fit.restarts)
    found = np.asarray(fit.params.responsibilities(x)).argmax(1)
    assert len({(a, b) for a, b in zip(found.tolist(), labels.tolist(), strict=True)}) == 3
    order = np.random.default_rng(0).permutation(150)
    again = fit_gaussian_mixture(KEY, x[order], 3, restarts=4)
    np.testing.assert_allclose(again.final_log_likelihood, fit.final_log_likelihood, rtol=1e-6)
    np.testing.assert_allclose(
        np.sort(again.params.means, axis=0), np.sort(fit.params.means, axis=0), atol=1e-3
    )


def test_units_do_not_matter(three_blobs):
    x, labels = three_blobs
    start = labels.astype(np.int32)
    scale, shift = np.array([1e-4, 1, 1e3, 7], np.float32), np.array([0, 5, 1e3, -2], np.float32)
    fit = fit_gaussian_mixture(KEY, x, 3, start=start)
    scaled = fit_gaussian_mixture(KEY, x * scale + shift, 3, start=start)
    np.testing.assert_allclose(scaled.trace, fit.trace - np.log(scale).sum(), rtol=1e-5)
    expected = np.asarray(fit.params.means) * scale + shift
    np.testing.assert_allclose(scaled.params.means, expected, rtol=1e-3, atol=1e-3)


def test_a_fit_goes_on_from_a_mixture(three_blobs):
    x, labels = three_blobs
    start = np.roll(labels, 20).astype(np.int32)
    whole = fit_gaussian_mixture(KEY, x, 3, start=start, tolerance=0.0)
    half = fit_gaussian_mixture(KEY, x, 3, start=start, tolerance=1e6)
    rest = fit_gaussian_mixture(KEY, x, 3, start=half.params, tolerance=0.0)
    assert int(half.iterations) == 2
    common = min(len(whole.trace) - 2, len(rest.trace))
    assert common > 3
    np.testing.assert_allclose(rest.trace[:common], whole.trace[2:][:common], rtol=1e-5)
    soft = np.eye(3, dtype=np.float32)[start]
    half_soft = fit_gaussian_mixture(KEY, x, 3, start=soft, tolerance=1e6)
    np.testing.assert_allclose(half_soft.trace, half.trace, rtol=1e-6)


def test_one_component_is_the_mean_and_the_covariance(three_blobs):
    x, _ = three_blobs
    fit = fit_gaussian_mixture(KEY, x, 1, start=np.zeros(150, np.int32))
    assert fit.converged and int(fit.iterations) == 2
    np.testing.assert_allclose(fit.params.means[0], x.mean(0), rtol=1e-4)
    np.testing.assert_allclose(fit.params.covariances[0], np.cov(x.T, bias=True), rtol=1e-4)


# Degenerate data


def no_fall(fit):
    return np.isfinite(fit.trace).all() and np.all(np.diff(fit.trace) >= -1e-6 * np.abs(fit.trace[1:]))


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_degenerate_data_stay_finite_and_never_lose_likelihood(covariance):
    rng = np.random.default_rng(0)
    constant, doubled = rng.normal(size=(60, 3)), rng.normal(size=(60, 3))
    constant[:, 1] = 0.1
    doubled[:, 2] = doubled[:, 0]
    # Of one shape, and so of one program.
    sets = {
        "duplicated rows": np.repeat(rng.normal(size=(2, 3)), 30, 0),
        "one row": np.repeat(rng.normal(size=(1, 3)), 60, 0),
        "a constant column": constant,
        "a column twice": doubled,
        "a far row": np.concatenate([rng.normal(size=(59, 3)), np.full((1, 3), 1e4)]),
    }
    for name, x in sets.items():
        fit = fit_gaussian_mixture(KEY, x.astype(np.float32), 5, covariance=covariance, max_iterations=50)
        assert no_fall(fit), (name, fit.trace)
        assert fit.reason in ("gain at or below tolerance", "iteration limit"), name
        for value in (fit.params.means, fit.params.covariances, fit.params.log_prob(x)):
            assert np.isfinite(value).all(), name
        np.testing.assert_allclose(fit.params.responsibilities(x).sum(1), 1, rtol=1e-5)


def test_the_floor_holds_and_keeps_the_trace_from_falling(three_blobs):
    x, labels = three_blobs
    start = np.roll(labels, 20).astype(np.int32)
    for floor in (0.05, 0.5):
        fit = fit_gaussian_mixture(KEY, x, 3, start=start, covariance_floor=floor, tolerance=0.0)
        assert no_fall(fit)
        scales = x.std(0)
        standard = np.asarray(fit.params.covariances) / np.outer(scales, scales)
        smallest = np.linalg.eigvalsh(standard).min()
        np.testing.assert_allclose(smallest, floor, rtol=1e-3)


# What is refused


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"key": 0}, TypeError, "key"),
        ({"x": np.zeros(5)}, ValueError, r"x has shape \(5,\)"),
        ({"x": np.zeros((0, 2))}, ValueError, "x has shape"),
        ({"x": np.array([[1.0, np.nan]] * 5)}, ValueError, "x holds"),
        ({"x": np.ones((5, 2), complex)}, TypeError, "x is complex"),
        ({"components": 6}, ValueError, "components is 6: it must be at most the number of rows, 5"),
        ({"components": 0}, ValueError, "components"),
        ({"components": 2.0}, TypeError, "components"),
        ({"covariance": "diagonal"}, ValueError, "covariance is 'diagonal'.* full, tied, diag, spherical"),
        ({"covariance_floor": -1e-6}, ValueError, "covariance_floor"),
        ({"covariance_floor": 0.0}, ValueError, "covariance_floor"),
        ({"covariance_floor": 1e-46}, ValueError, "covariance_floor is 1e-46.* at least 1.17"),
        ({"covariance_floor": "small"}, TypeError, "covariance_floor"),
        ({"tolerance": -1.0}, ValueError, "tolerance"),
        ({"tolerance": "small"}, TypeError, "tolerance"),
        ({"max_iterations": -1}, ValueError, "max_iterations"),
        ({"restarts": 0}, ValueError, "restarts"),
        ({"start": "random"}, ValueError, "start is 'random'.* kmeans"),
        ({"start": np.zeros(4, np.int32)}, ValueError, "start has shape"),
        ({"start": np.full(5, 2)}, ValueError, "start holds a label"),
        ({"start": np.ones((5, 2))}, ValueError, "start: .* sum to one"),
        ({"start": np.ones((5, 3)) / 3}, ValueError, "start has shape"),
        ({"start": np.zeros(5, np.int32), "restarts": 3}, ValueError, "restarts is 3"),
    ],
)
def test_refuses_with_the_arguments_name(change, error, message):
    arguments = {"key": KEY, "x": np.arange(10.0).reshape(5, 2), "components": 2} | change
    with warnings.catch_warnings(), pytest.raises(error, match=message):
        warnings.simplefilter("ignore")  # of x: numpy's cast
        fit_gaussian_mixture(**arguments)


def test_a_mixture_refuses_what_is_not_its_own(known):
    with pytest.raises(ValueError, match="2 columns"):
        known.log_prob(np.zeros((3, 5)))
    with pytest.raises(ValueError, match="not finite"):
        known.log_prob(np.full((3, 2), np.inf))
    with pytest.raises(ValueError, match="start has diag"):
        diagonal = GaussianMixture.from_moments(jnp.ones(1), jnp.zeros((1, 2)), jnp.ones((1, 2)), "diag")
        fit_gaussian_mixture(KEY, np.eye(2), 1, start=diagonal)
    with pytest.raises(ValueError, match="start has 2 components"):
        fit_gaussian_mixture(KEY, np.eye(3, 2), 3, start=known)
    with pytest.raises(ValueError, match="positive definite"):
        GaussianMixture.from_moments(jnp.ones(1), jnp.zeros((1, 2)), jnp.ones((1, 2, 2)), "full")
    for covariance, given in (("full", [[[1.0, 0.9], [0.0, 1.0]]]), ("tied", [[1.0, 0.9], [0.0, 1.0]])):
        with pytest.raises(ValueError, match="covariances must be symmetric"):
            GaussianMixture.from_moments(jnp.ones(1), jnp.zeros((1, 2)), jnp.array(given), covariance)
    with pytest.raises(ValueError, match="positive definite"):
        GaussianMixture.from_moments(jnp.ones(1), jnp.zeros((1, 2)), jnp.full((1, 2, 2), jnp.nan), "full")
    with pytest.raises(ValueError, match="weights"):
        GaussianMixture.from_moments(jnp.ones(2), jnp.zeros((2, 2)), jnp.ones((2, 2)), "diag")
    with pytest.raises(ValueError, match="covariances has shape"):
        GaussianMixture.from_moments(jnp.ones(1), jnp.zeros((1, 2)), jnp.ones((2, 2)), "diag")
    with pytest.raises(TypeError, match="key"):
        known.sample(0, 3)
