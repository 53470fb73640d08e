import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from scipy.special import logsumexp

from infogan_jax.fitting.em import best_of, careful_mean, em

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def counts():
    """300 draws from two Poissons."""
    rng = np.random.default_rng(0)
    return np.where(rng.random(300) < 0.3, rng.poisson(2.0, 300), rng.poisson(9.0, 300)).astype(np.float32)


def poissons(counts):
    """A mixture of Poissons, written with nothing but the loop's interface."""
    counts = jnp.asarray(counts)

    def expectation(params):
        log_prob = (
            counts[:, None] * jnp.log(params["rate"])[None]
            - params["rate"][None]
            - jax.scipy.special.gammaln(counts + 1)[:, None]
        )
        joint = jnp.log(params["weight"])[None] + log_prob
        return jax.nn.logsumexp(joint, axis=1).mean(), jax.nn.softmax(joint, axis=1)

    def maximization(params, responsibilities):
        sizes = responsibilities.sum(0)
        return {"weight": sizes / sizes.sum(), "rate": counts @ responsibilities / sizes}

    return expectation, maximization


START = {"weight": jnp.array([0.5, 0.5]), "rate": jnp.array([3.0, 5.0])}


def poissons_by_numpy(counts, updates):
    """The same in numpy and float64: the trace."""
    weight, rate = np.array([0.5, 0.5]), np.array([3.0, 5.0])
    trace = []
    for _ in range(updates + 1):
        joint = np.log(weight)[None] + scipy.stats.poisson.logpmf(counts[:, None], rate[None])
        evidence = logsumexp(joint, axis=1)
        trace.append(evidence.mean())
        r = np.exp(joint - evidence[:, None])
        weight, rate = r.mean(0), (counts[:, None] * r).sum(0) / r.sum(0)
    return np.array(trace)


def test_another_model_agrees_with_numpy_at_every_update(counts):
    fit = em(START, *poissons(counts), tolerance=1e-5, max_iterations=200)
    expected = poissons_by_numpy(counts, int(fit.iterations))
    assert fit.converged and fit.reason == "gain at or below tolerance"
    np.testing.assert_allclose(fit.trace, expected, rtol=2e-6)
    # It ends with the update after the first small gain.
    assert np.diff(expected)[-2] <= 1.1e-5 and np.all(np.diff(expected)[:-2] > 0.9e-5)
    np.testing.assert_allclose(np.sort(fit.params["rate"]), [2.0, 9.0], rtol=0.15)
    assert fit.log_likelihood.shape == (201,)
    assert np.isnan(fit.log_likelihood[int(fit.iterations) + 1 :]).all()
    assert fit.final_log_likelihood == fit.trace[-1]
    np.testing.assert_allclose(poissons(counts)[0](fit.params)[0], fit.trace[-1], rtol=1e-6)


@pytest.mark.parametrize("limit", [0, 3])
def test_says_that_it_came_to_the_limit(counts, limit):
    fit = em(START, *poissons(counts), tolerance=0, max_iterations=limit)
    assert fit.reason == "iteration limit" and not fit.converged
    assert int(fit.iterations) == limit and len(fit.trace) == limit + 1
    np.testing.assert_allclose(fit.trace, poissons_by_numpy(counts, limit), rtol=2e-6)
    if limit == 0:
        jax.tree.map(np.testing.assert_array_equal, fit.params, START)


def test_says_that_it_is_not_finite(counts):
    start = {"weight": jnp.array([0.5, 0.5]), "rate": jnp.array([jnp.nan, 5.0])}
    fit = em(start, *poissons(counts))
    assert fit.reason == "not finite" and not fit.converged and int(fit.iterations) == 0


def test_ends_where_rounding_ends_the_gains():
    # The second expectation repeats the first: no gain, and a tolerance of zero is met.
    fit = em(jnp.float32(0), lambda p: (jnp.float32(-1), p), lambda p, q: q, tolerance=0.0)
    assert fit.converged and int(fit.iterations) == 2


def test_keeps_the_best_restart_whether_side_by_side_or_in_turn(counts, monkeypatch):
    rates = jnp.array([[4.0, 4.0], [3.0, 5.0], [jnp.nan, 1.0], [5.0, 5.0]])
    starts = {"weight": jnp.full((4, 2), 0.5), "rate": rates}

    def run(start):
        return em(start, *poissons(counts), tolerance=1e-5, max_iterations=100)

    fits = {}
    for entries in (1, 2**21, 2**30):  # all together, two by two, one by one
        fits[entries] = jax.jit(lambda s, n=entries: best_of(run, s, entries=n))(starts)
    for fit in fits.values():
        assert np.nanargmax(fit.restarts) == 1 and np.isnan(fit.restarts[2])
        assert fit.final_log_likelihood == fit.restarts[1]
        assert fit.restart_iterations.tolist()[1] == int(fit.iterations)
        # Two equal parts stay equal: a saddle that is worse.
        assert fit.restarts[0] < fit.restarts[1] - 0.1
        np.testing.assert_allclose(fit.trace, fits[1].trace, rtol=1e-6)


def test_careful_mean_keeps_what_a_float32_sum_loses():
    values = (-100 + np.random.default_rng(1).normal(size=60_000)).astype(np.float32)
    exact = values.astype(np.float64).mean()
    assert abs(float(jax.jit(careful_mean)(values)) - exact) < 1e-5


def test_refuses_what_is_not_an_em(counts):
    expectation, maximization = poissons(counts)
    with pytest.raises(TypeError, match="expectation"):
        em(START, None, maximization)
    with pytest.raises(TypeError, match="max_iterations"):
        em(START, expectation, maximization, max_iterations=1.5)
    with pytest.raises(ValueError, match="max_iterations"):
        em(START, expectation, maximization, max_iterations=-1)
    with pytest.raises(ValueError, match="expectation"):
        em(START, lambda p: (p["rate"], p), maximization)


@pytest.mark.parametrize(
    ("tolerance", "error"),
    [(-1.0, ValueError), (float("nan"), ValueError), ("small", TypeError), (jnp.zeros(2), ValueError)],
)
def test_refuses_a_tolerance_that_is_none(counts, tolerance, error):
    with pytest.raises(error, match="tolerance"):
        em(START, *poissons(counts), tolerance=tolerance)


def test_a_tolerance_may_be_traced(counts):
    fit = jax.jit(lambda tolerance: em(START, *poissons(counts), tolerance=tolerance))(1e-5)
    assert int(fit.iterations) == int(em(START, *poissons(counts), tolerance=1e-5).iterations)


@pytest.mark.parametrize(
    ("expectation", "error", "message"),
    [
        (lambda p: p["rate"].sum(), TypeError, "expectation returns ShapeDtypeStruct"),
        (lambda p: (p["rate"].sum(), p, p), TypeError, "expectation returns 3 values"),
        (lambda p: (p, p), TypeError, "expectation returns a dict as log-likelihood"),
        (lambda p: (p["rate"], p), ValueError, r"expectation returns a log-likelihood of shape \(2,\)"),
        (lambda p: (jnp.int32(1), p), TypeError, "expectation returns a log-likelihood of int32"),
    ],
)
def test_refuses_an_expectation_that_the_loop_cannot_carry(expectation, error, message):
    with pytest.raises(error, match=message):
        em(START, expectation, lambda p, _: p)


@pytest.mark.parametrize(
    ("maximization", "error", "message"),
    [
        (lambda p, _: p["rate"], TypeError, "maximization returns PyTreeDef"),
        (
            lambda p, _: p | {"rate": p["rate"][:1]},
            ValueError,
            r"maximization returns params\['rate'\] of shape",
        ),
        (
            lambda p, _: p | {"rate": p["rate"].astype(jnp.float16)},
            TypeError,
            r"maximization returns params\['rate'\] of float16: it must be float32",
        ),
    ],
)
def test_refuses_a_maximization_that_the_loop_cannot_carry(maximization, error, message):
    with pytest.raises(error, match=message):
        em(START, lambda p: (p["rate"].sum(), p), maximization)
