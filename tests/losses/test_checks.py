"""What every function of `losses` promises: the types it takes and gives, what it refuses, its docs."""

import contextlib
import doctest
import inspect
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import losses
from losses import adversarial, checks, divergences, gaussians, information, masks, perceptual, reconstruction

pytestmark = pytest.mark.usefixtures("quick_compilation")


def x64():
    """A context in which float64 exists."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    return jax.experimental.enable_x64()


RNG = np.random.default_rng(0)


def rounded(x):
    """Single-precision numbers that half precision (bfloat16) holds exactly."""
    return np.asarray(x).astype(jnp.bfloat16).astype(np.float32)


def normal(*shape):
    return rounded(RNG.normal(size=shape))


def pmf(*shape):
    return rounded(RNG.dirichlet(np.full(shape[-1], 3.0), size=shape[:-1]))


def covariance(*shape):
    root = RNG.normal(size=shape)
    return rounded(root @ np.swapaxes(root, -1, -2) + np.eye(shape[-1]))


def critic(x):
    """A smooth function of each image by itself."""
    return jnp.sum(jnp.sin(x) + x**2 / 3, axis=(1, 2, 3))


def feature_map(x):
    return jnp.sin(x[:, ::2, ::2])


def square(t):
    return (t - 1) ** 2


class Case(NamedTuple):
    """A valid call. ``rank`` is "elementwise" ([...]), "last" ([..., k]), "any", or the least rank."""

    rank: str | int
    arguments: dict


IMAGES, OTHER_IMAGES = normal(3, 4, 4, 2), normal(3, 4, 4, 2)
KEY = jax.random.key(3)
REAL, FAKE = normal(3), normal(3)
P, Q = pmf(3, 4), pmf(3, 4)
LOGITS, OTHER_LOGITS = normal(3, 4), normal(3, 4)
X, Y = normal(3, 2, 2), normal(3, 2, 2)
MASKS = rounded(RNG.uniform(size=(3, 4, 4, 2)))
# The scale of q is the larger one: otherwise their chi-square divergence is infinite.
GAUSSIANS = {
    "mean_p": LOGITS,
    "log_scale_p": normal(3, 4) / 4,
    "mean_q": OTHER_LOGITS,
    "log_scale_q": rounded(normal(3, 4) / 4 + 1),
}

# By public name: a valid call, all arguments by name.
CASES = {
    "binary_cross_entropy_from_logits": Case(1, {"logits": IMAGES, "target": MASKS}),
    "dice_error_from_logits": Case(1, {"logits": IMAGES, "target": MASKS}),
    "edge_error_from_logits": Case(4, {"logits": IMAGES, "target": MASKS, "radius": 1, "strength": 2.0}),
    "edge_weights": Case(4, {"target": MASKS, "radius": 1, "strength": 2.0}),
    "iou_error_from_logits": Case(1, {"logits": IMAGES, "target": MASKS}),
    "bernoulli_log_prob": Case("elementwise", {"logit": REAL, "value": np.array([0.25, 1, 0], np.float32)}),
    "bernoulli_prior_entropy": Case("any", {"p": 0.3}),
    "bounded_log_scale": Case("any", {"raw": X, "limit": 2.0}),
    "categorical_cross_entropy_from_logits": Case(
        "last", {"p_logits": LOGITS, "q_logits": OTHER_LOGITS, "base": 2.0}
    ),
    "categorical_entropy_from_logits": Case("last", {"logits": LOGITS, "base": 2.0}),
    "categorical_js_from_logits": Case("last", {"p_logits": LOGITS, "q_logits": OTHER_LOGITS, "base": 2.0}),
    "categorical_kl_from_logits": Case("last", {"p_logits": LOGITS, "q_logits": OTHER_LOGITS, "base": 2.0}),
    "categorical_log_prob": Case("last", {"logits": LOGITS, "index": np.array([3, 0, 1], np.int32)}),
    "categorical_prior_entropy": Case("any", {"categories": 3}),
    "charbonnier_error": Case(1, {"x": X, "y": Y, "epsilon": 0.5}),
    "check_pmf": Case("last", {"p": P, "tolerance": 0.05}),
    "check_unit_interval": Case("any", {"x": MASKS}),
    "chi_square_divergence": Case("last", {"p": P, "q": Q}),
    "crops_adversarial_error": Case("last", {"fake_logits": LOGITS}),
    "cross_entropy": Case("last", {"p": P, "q": Q, "base": 2.0}),
    "discriminator_hinge": Case("elementwise", {"real_scores": REAL, "fake_scores": FAKE}),
    "discriminator_least_squares": Case(
        "batch", {"real_scores": REAL, "fake_scores": FAKE, "real_label": 0.9, "fake_label": -1.0}
    ),
    "discriminator_logistic": Case("elementwise", {"real_logits": REAL, "fake_logits": FAKE}),
    "discriminator_wasserstein": Case("elementwise", {"real_scores": REAL, "fake_scores": FAKE}),
    "entropy": Case("last", {"p": P, "base": 2.0}),
    "expected_l0": Case("any", {"log_alpha": X, "temperature": 0.5, "low": -0.2, "high": 1.3}),
    "f_divergence": Case("last", {"f": square, "p": P, "q": Q, "slope_at_infinity": 2.0}),
    "feature_content_error": Case(
        4, {"features": feature_map, "x": IMAGES, "y": OTHER_IMAGES, "rescale": 0.5}
    ),
    "gaussian_chi_square": Case("last", GAUSSIANS),
    "gaussian_cross_entropy": Case("last", GAUSSIANS | {"base": 2.0}),
    "gaussian_hellinger": Case("last", GAUSSIANS),
    "gaussian_jeffreys": Case("last", GAUSSIANS | {"base": 2.0}),
    "gaussian_entropy": Case("last", {"log_scale": LOGITS, "base": 2.0}),
    "gaussian_entropy_full_covariance": Case("last", {"covariance": covariance(3, 2, 2), "base": 2.0}),
    "gaussian_kl": Case("last", GAUSSIANS | {"base": 2.0}),
    "gaussian_kl_full_covariance": Case(
        "last",
        {
            "mean_p": normal(3, 2),
            "covariance_p": covariance(3, 2, 2),
            "mean_q": normal(3, 2),
            "covariance_q": covariance(3, 2, 2),
            "base": 2.0,
        },
    ),
    "gaussian_l0_error": Case(1, {"x": X, "y": Y, "scale": 0.7}),
    "gaussian_log_prob": Case("elementwise", {"mean": REAL, "log_scale": FAKE, "value": normal(3)}),
    "gaussian_prior_entropy": Case("any", {"scale": 2.0}),
    "geman_mcclure_error": Case(1, {"x": X, "y": Y, "scale": 0.7}),
    "generator_hinge": Case("elementwise", {"fake_scores": FAKE}),
    "generator_least_squares": Case("elementwise", {"fake_scores": FAKE, "target_label": 0.0}),
    "generator_minimax": Case("elementwise", {"fake_logits": FAKE}),
    "generator_non_saturating": Case("elementwise", {"fake_logits": FAKE}),
    "generator_wasserstein": Case("elementwise", {"fake_scores": FAKE}),
    "gradient_penalty": Case(
        1, {"critic": critic, "key": KEY, "real": IMAGES, "fake": OTHER_IMAGES, "slope": 1.0}
    ),
    "hard_concrete_deterministic": Case("any", {"log_alpha": X, "low": -0.2, "high": 1.3}),
    "hard_concrete_sample": Case(
        "any", {"key": KEY, "log_alpha": X, "temperature": 0.5, "low": -0.2, "high": 1.3}
    ),
    "hellinger_distance": Case("last", {"p": P, "q": Q}),
    "huber_error": Case(1, {"x": X, "y": Y, "delta": 0.8}),
    "information_lower_bound": Case("elementwise", {"log_q": REAL, "prior_entropy": np.float32(1.5)}),
    "information_per_code": Case(
        "any", {"log_q": {"c1": REAL, "c2": FAKE}, "prior_entropy": {"c1": 1.0, "c2": 2.0}}
    ),
    "jeffreys_divergence": Case("last", {"p": P, "q": Q, "base": 2.0}),
    "js_divergence": Case("last", {"p": P, "q": Q, "base": 2.0}),
    "kl_divergence": Case("last", {"p": P, "q": Q, "base": 2.0}),
    "kl_from_samples_k1": Case("last", {"log_p": LOGITS, "log_q": OTHER_LOGITS, "base": 2.0}),
    "kl_from_samples_k3": Case("last", {"log_p": LOGITS, "log_q": OTHER_LOGITS, "base": 2.0}),
    "l0_error": Case(1, {"x": X, "y": Y, "tolerance": 0.5}),
    "l0_mean": Case(1, {"x": X, "y": Y, "tolerance": 0.5}),
    "l1_error": Case(1, {"x": X, "y": Y}),
    "l1_mean": Case(1, {"x": X, "y": Y}),
    "l2_error": Case(1, {"x": X, "y": Y}),
    "l2_mean": Case(1, {"x": X, "y": Y}),
    "l2_norm": Case(1, {"x": X, "y": Y}),
    "paired_mutual_information": Case(2, {"logits_a": LOGITS, "logits_b": OTHER_LOGITS}),
    "perceptual_error": Case(
        "elementwise", {"content": REAL, "fake_logits": FAKE, "adversarial_weight": 0.5}
    ),
    "pixel_content_error": Case(4, {"x": IMAGES, "y": OTHER_IMAGES}),
    "r1_penalty": Case(1, {"critic": critic, "real": IMAGES}),
    "r2_penalty": Case(1, {"critic": critic, "fake": IMAGES}),
    "reverse_kl_divergence": Case("last", {"p": P, "q": Q, "base": 2.0}),
    # With a weighting above 0 its gradient is, on purpose, not the value's: tests/losses/test_information.py.
    "scale_weighted": Case("elementwise", {"log_prob": REAL, "log_scale": FAKE, "weighting": 0.0}),
    "total_variation_distance": Case("last", {"p": P, "q": Q}),
    "uniform_prior_entropy": Case("any", {"low": -1.0, "high": 2.0}),
    "von_mises_log_prob": Case(
        "batch", {"mean": REAL, "concentration": np.array([0.5, 2, 300], np.float32), "value": FAKE}
    ),
    "von_mises_prior_entropy": Case("any", {"concentration": 2.0}),
    "weighted_information": Case(
        "any", {"information": {"c1": REAL, "c2": FAKE}, "weights": {"c1": 1.0, "c2": 0.5}}
    ),
}

MODULES = (adversarial, divergences, gaussians, information, masks, perceptual, reconstruction)


DATA_CHECKS = {"check_pmf", "check_unit_interval"}


def public_functions(module):
    return {
        name
        for name, value in vars(module).items()
        if callable(value)
        and not name.startswith("_")
        and getattr(value, "__module__", "") == module.__name__
    }


def is_float_array(value):
    return isinstance(value, np.ndarray) and value.dtype == np.float32


def float_arrays(name):
    return {k: v for k, v in CASES[name].arguments.items() if is_float_array(v)}


def with_changed(name, **changed):
    return getattr(losses, name)(**(CASES[name].arguments | changed))


# The names and the docs


def test_every_public_function_of_the_files_is_exported_and_has_a_case_here():
    functions = set().union(*(public_functions(module) for module in MODULES)) | DATA_CHECKS
    types = {"Estimate"}
    assert functions - types <= set(CASES)
    assert functions <= set(losses.__all__)
    assert all(hasattr(losses, name) for name in losses.__all__)
    assert losses.__all__ == sorted(losses.__all__)


@pytest.mark.parametrize("name", CASES)
def test_docs_have_every_section_in_order_and_an_example(name):
    function = getattr(losses, name)
    docs = inspect.getdoc(function)
    returns = [] if name in DATA_CHECKS else ["Returns"]
    references = [] if name == "edge_error_from_logits" else ["References"]  # that one is our own
    sections = re.findall(r"^(Args|Returns|Raises|Examples|References):$", docs, re.MULTILINE)
    assert sections == ["Args", *returns, "Raises", "Examples", *references]
    documented = re.findall(r"^    (\w+): ", docs.partition("Args:")[2].partition("Raises:")[0], re.MULTILINE)
    assert documented == list(inspect.signature(function).parameters)
    (module,) = [m for m in (*MODULES, checks) if m.__name__ == function.__module__]
    found = doctest.DocTestFinder(recurse=False).find(function, name, module=module)
    assert any(test.examples for test in found)


# The types


ARRAY_CASES = [name for name in CASES if name not in DATA_CHECKS and float_arrays(name)]


def evaluate(arrays):
    """Every function's value, compiled together, for the float arrays by function and argument."""
    return {name: with_changed(name, **arrays[name]) for name in arrays}


def convert(convert_one):
    """The cases' float arrays, each converted."""
    return {
        name: {k: jax.tree.map(convert_one, v) for k, v in float_arrays(name).items()} for name in ARRAY_CASES
    }


@pytest.fixture(scope="module")
def values():
    return jax.jit(evaluate)(convert(jnp.asarray))


@pytest.fixture(scope="module")
def half_values():
    return jax.jit(evaluate)(convert(lambda x: jnp.asarray(x, jnp.bfloat16)))


@pytest.mark.parametrize("name", ARRAY_CASES)
def test_half_precision_is_computed_in_single_precision(name, values, half_values):
    for half, single in zip(*(jax.tree.leaves(v[name]) for v in (half_values, values)), strict=True):
        assert half.dtype == single.dtype == jnp.float32
        np.testing.assert_allclose(half, single, rtol=1e-6)


def test_float16_gives_float32_and_float64_stays():
    halves = convert(lambda x: x.astype(np.float16))
    assert {x.dtype.name for x in jax.tree.leaves(jax.eval_shape(evaluate, halves))} == {"float32"}
    with x64():
        doubles = convert(lambda x: x.astype(np.float64))
        assert {x.dtype.name for x in jax.tree.leaves(jax.eval_shape(evaluate, doubles))} == {"float64"}
        mixed = jax.eval_shape(losses.kl_divergence, P, Q.astype(np.float64))
        assert mixed.dtype == np.float64


def test_double_precision_is_more_than_a_type():
    concentration = np.array([0.5, 199.0, 201.0, 1e4])
    value = np.array([2.0, 0.1, 0.1, 0.01])
    with x64():
        log_prob = losses.von_mises_log_prob(np.zeros(4), concentration, value)
    np.testing.assert_allclose(log_prob, scipy.stats.vonmises.logpdf(value, concentration), rtol=1e-13)


PER_EXAMPLE = [
    name
    for name in ARRAY_CASES
    # Of the rest, two draw noise for each place in the batch and one is a property of the whole batch.
    if name not in ("gradient_penalty", "hard_concrete_sample", "paired_mutual_information")
]


@pytest.fixture(scope="module")
def mapped_values():
    """Values of the batch and of the batch in reverse, mapped over a new axis that holds the two."""

    def pair(x):
        return jnp.stack([x, x[::-1]]) if jnp.ndim(x) else jnp.stack([x, x])

    def one(name):
        integers = {k: v for k, v in CASES[name].arguments.items() if getattr(v, "dtype", None) == np.int32}
        arrays = {k: pair(v) for k, v in (float_arrays(name) | integers).items()}
        return jax.vmap(lambda arrays: with_changed(name, **arrays))(arrays)

    return jax.jit(lambda: {name: one(name) for name in PER_EXAMPLE})()


@pytest.mark.parametrize("name", PER_EXAMPLE)
def test_each_example_has_its_own_value_and_vmap_adds_an_axis(name, values, mapped_values):
    for value, mapped in zip(*(jax.tree.leaves(v[name]) for v in (values, mapped_values)), strict=True):
        assert len(value) == 3
        np.testing.assert_allclose(mapped[0], value, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(mapped[1], value[::-1], rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def slopes():
    """Each function's derivative along one direction, in reverse and by a central difference.

    As `jax.test_util.check_grads` does, but compiled together and in double precision.
    """
    rng = np.random.default_rng(1)

    def random_like(x):
        return rng.normal(size=jnp.shape(x))

    with x64():
        arrays = convert(lambda x: jnp.asarray(x, jnp.float64))
        directions = jax.tree.map(random_like, arrays)
        cotangents = jax.tree.map(random_like, jax.eval_shape(evaluate, arrays))

        @jax.jit
        def gradients_of(arrays):
            _, pull_back = jax.vjp(evaluate, arrays)
            return pull_back(cotangents)[0]

        def stepped(size):
            return values_of(jax.tree.map(lambda x, v: x + size * v, arrays, directions))

        def dot(a, b):
            return sum(jax.tree.leaves(jax.tree.map(lambda x, y: float(np.sum(x * y)), a, b)))

        values_of, gradients = jax.jit(evaluate), gradients_of(arrays)
        differences = jax.tree.map(lambda high, low: (high - low) / 2e-6, stepped(1e-6), stepped(-1e-6))
        return {
            name: (dot(gradients[name], directions[name]), dot(cotangents[name], differences[name]))
            for name in arrays
        }


@pytest.mark.parametrize("name", ARRAY_CASES)
def test_derivatives_agree_with_differences(name, slopes):
    gradient, difference = slopes[name]
    np.testing.assert_allclose(gradient, difference, rtol=1e-6, atol=1e-8)
    assert (gradient == 0) == name.startswith("l0_")


LEADING = {name: CASES[name].rank for name in ARRAY_CASES if CASES[name].rank in ("last", "elementwise")}
# Other leading shapes of a batch: one axis more in front, none, and one more behind.
RESHAPED = {"in front": lambda x: x[None], "none": lambda x: x[0], "behind": lambda x: x[:, None]}


@pytest.fixture(scope="module")
def reshaped_values():
    def one(name, reshape):
        arrays = {k: v for k, v in CASES[name].arguments.items() if isinstance(v, np.ndarray)}
        return with_changed(name, **{k: jnp.asarray(reshape(v)) for k, v in arrays.items()})

    return jax.jit(
        lambda: {(name, k): one(name, reshape) for name in LEADING for k, reshape in RESHAPED.items()}
    )()


@pytest.mark.parametrize("reshape", RESHAPED)
@pytest.mark.parametrize("name", LEADING)
def test_any_leading_shape_will_do(name, reshape, values, reshaped_values):
    for reshaped, value in zip(
        *(jax.tree.leaves(v) for v in (reshaped_values[name, reshape], values[name])), strict=True
    ):
        assert reshaped.shape == RESHAPED[reshape](value).shape
        np.testing.assert_allclose(reshaped, RESHAPED[reshape](value), rtol=1e-5, atol=1e-6)


# What is refused


# By function: the error, what its message says, and the changed arguments.
REFUSED = {name: [] for name in CASES}


def refuse(name, error, match, **changed):
    REFUSED[name].append((error, match, changed))


# Out of range, by hyperparameter; text and NaN are refused in all.
OUT_OF_RANGE = {
    "adversarial_weight": [-1.0],
    "base": [0.0, 1.0, -2.0],
    "concentration": [-1.0],
    "delta": [0.0, -1.0],
    "epsilon": [0.0, -1.0],
    "fake_label": [],
    "high": [],
    "limit": [0.0, -1.0],
    "low": [],
    "p": [0.0, 1.0, -0.5],
    "real_label": [],
    "rescale": [0.0, -1.0],
    "scale": [0.0, -1.0],
    "slope": [-1.0],
    "slope_at_infinity": [],
    "strength": [-1.0],
    "target_label": [],
    "temperature": [0.0, -1.0],
    "tolerance": [-1.0],
    "weighting": [-0.5, 1.5],
}

for name, case in CASES.items():
    arrays = [k for k, v in case.arguments.items() if is_float_array(v)]
    for k, v in case.arguments.items():
        match_name = rf"(^|\W){k}(\W|$)"
        if isinstance(v, float):
            refuse(name, TypeError, match_name, **{k: "1"})
            refuse(name, TypeError, match_name, **{k: True})
            refuse(name, TypeError, match_name, **{k: [v]})
            refuse(name, TypeError, match_name, **{k: np.array([v])})
            for bad in [float("nan"), float("inf"), *OUT_OF_RANGE[k]]:
                refuse(name, ValueError, match_name, **{k: bad})
        elif k == "key":
            refuse(name, TypeError, match_name, **{k: np.zeros(2, np.uint32)})
            refuse(name, ValueError, match_name, **{k: jax.random.split(KEY)})
        elif callable(v):
            refuse(name, TypeError, match_name, **{k: "sin"})
        elif isinstance(v, np.ndarray):
            refuse(name, TypeError, match_name, **{k: v.astype(bool)})
            refuse(name, TypeError, match_name, **{k: [v]})
            if is_float_array(v):
                refuse(name, TypeError, match_name, **{k: v.astype(np.int32)})
                refuse(name, TypeError, match_name, **{k: v.astype(np.complex64)})
            if k != arrays[0]:  # another length, which broadcasting would let pass
                refuse(name, ValueError, match_name, **{k: v[:1]})
            if case.rank not in ("any", "elementwise"):
                refuse(name, ValueError, match_name, **{k: v[(0,) * v.ndim]})
            if case.rank == "elementwise" and k != arrays[0]:
                for added in (v[:, None], v[None]):
                    refuse(name, ValueError, match_name, **{k: added})
            if isinstance(case.rank, int) and case.rank > 1:
                refuse(name, ValueError, match_name, **{k: v[0]})

for name in ("l1_error", "geman_mcclure_error", "kl_divergence", "pixel_content_error"):
    first, second = float_arrays(name)
    refuse(name, ValueError, second, **{second: float_arrays(name)[second][..., :1]})

refuse("categorical_log_prob", TypeError, "index", index=np.zeros(3, np.float32))
refuse("categorical_log_prob", ValueError, "index", index=np.zeros((3, 1), np.int32))
refuse("categorical_log_prob", ValueError, "index", index=np.zeros(2, np.int32))
refuse("categorical_log_prob", ValueError, "logits", logits=np.zeros((3, 2, 2), np.float32))
refuse("categorical_prior_entropy", TypeError, "categories", categories=2.0)
refuse("categorical_prior_entropy", TypeError, "categories", categories=True)
refuse("categorical_prior_entropy", ValueError, "categories", categories=0)
for edges in ("edge_weights", "edge_error_from_logits"):
    refuse(edges, TypeError, "radius", radius=1.5)
    refuse(edges, ValueError, "radius", radius=0)
    for not_one_integer in ([1], np.ones(1, np.int32), np.float32(1.5), True):
        refuse(edges, TypeError, "radius", radius=not_one_integer)
refuse("paired_mutual_information", TypeError, "axis_name", axis_name=["data"])
refuse("uniform_prior_entropy", ValueError, "high", low=1.0, high=1.0)
refuse("uniform_prior_entropy", ValueError, "high", low=1.0, high=0.0)
refuse("uniform_prior_entropy", ValueError, "high - low", low=-1e308, high=1e308)
refuse("check_unit_interval", ValueError, "x holds 1.5", x=np.array([0, 1.5], np.float32))
for gate in ("expected_l0", "hard_concrete_deterministic", "hard_concrete_sample"):
    refuse(gate, ValueError, "low", low=0.0)
    refuse(gate, ValueError, "high", high=1.0)
refuse("paired_mutual_information", ValueError, "logits_b", logits_b=LOGITS[:, :1])
refuse("paired_mutual_information", ValueError, "logits_a", logits_a=LOGITS[None])
refuse("information_lower_bound", ValueError, "prior_entropy", prior_entropy=REAL)
refuse("information_lower_bound", TypeError, "prior_entropy", prior_entropy=1)
refuse("information_per_code", ValueError, "prior_entropy", prior_entropy={"c1": 1.0})
refuse("information_per_code", ValueError, "prior_entropy", prior_entropy={"c1": 1.0, "c2": 1.0, "c3": 1.0})
refuse("information_per_code", TypeError, "log_q", log_q={"c1": REAL, "c2": np.zeros(3, np.int32)})
refuse("information_per_code", ValueError, "log_q", log_q={"c1": REAL, "c2": LOGITS})
refuse("information_lower_bound", TypeError, "log_q", log_q=np.zeros(3, np.int32))
for k in ("log_q", "prior_entropy"):
    for no_mapping in ([REAL, FAKE], None, {1: REAL, 2: FAKE}):
        refuse("information_per_code", TypeError, k, **{k: no_mapping})
for k in ("information", "weights"):
    for no_mapping in ([REAL, FAKE], None, {1: REAL, 2: FAKE}):
        refuse("weighted_information", TypeError, k, **{k: no_mapping})
refuse("weighted_information", ValueError, "weights", weights={"c1": 1.0})
refuse("weighted_information", TypeError, "weights.*c2", weights={"c1": 1.0, "c2": "1"})
refuse("weighted_information", ValueError, "weights.*c2", weights={"c1": 1.0, "c2": float("nan")})
refuse("weighted_information", ValueError, "c2", information={"c1": REAL, "c2": REAL[:1]})
refuse("weighted_information", TypeError, "c2", information={"c1": REAL, "c2": np.zeros(3, np.int32)})
refuse("gaussian_entropy_full_covariance", ValueError, "square", covariance=np.zeros((3, 2, 1), np.float32))
refuse(
    "gaussian_kl_full_covariance",
    ValueError,
    "covariance_p",
    covariance_p=covariance(3, 3, 3),
    covariance_q=covariance(3, 3, 3),
)
for estimator in ("kl_from_samples_k1", "kl_from_samples_k3"):
    refuse(estimator, ValueError, "2 samples", log_p=LOGITS[:, :1], log_q=LOGITS[:, :1])
refuse("f_divergence", ValueError, "f returns", f=jnp.sum)
for penalty in ("r1_penalty", "r2_penalty", "gradient_penalty"):
    refuse(penalty, ValueError, "critic returns", critic=lambda x: x[:, 0, 0])
    refuse(penalty, ValueError, "critic returns", critic=jnp.sum)
refuse("feature_content_error", ValueError, "features", features=lambda x: x[:, 0])
refuse("feature_content_error", ValueError, "features", features=lambda x: x[:1])
refuse("feature_content_error", TypeError, "features", features=lambda x: x.astype(jnp.int32))
refuse("pixel_content_error", ValueError, "x has shape", x=X, y=Y)

# An empty axis that a sum or a mean runs over; an empty batch is none.
NOTHING = np.zeros((2, 0), np.float32)
for name in ("l1_error", "l1_mean", "l2_mean", "l2_norm", "charbonnier_error"):
    refuse(name, ValueError, "x has shape.*empty", x=NOTHING, y=NOTHING)
for name in ("entropy", "check_pmf"):
    refuse(name, ValueError, "p has shape.*empty", p=NOTHING)
for name in ("kl_divergence", "hellinger_distance"):
    refuse(name, ValueError, "p has shape.*empty", p=NOTHING, q=NOTHING)
refuse(
    "binary_cross_entropy_from_logits", ValueError, "logits has shape.*empty", logits=NOTHING, target=NOTHING
)
refuse("categorical_log_prob", ValueError, "logits has shape.*empty", logits=NOTHING, index=np.zeros(2, int))
refuse("paired_mutual_information", ValueError, "logits_a.*empty", logits_a=NOTHING.T, logits_b=NOTHING.T)


def refusal(name, changed):
    try:
        return f"accepted: {with_changed(name, **changed)}"
    except (ValueError, TypeError) as error:
        return error


@pytest.mark.parametrize("name", CASES)
def test_wrong_shapes_types_and_values_are_refused_by_name(name):
    assert REFUSED[name]
    for error, match, changed in REFUSED[name]:
        raised = refusal(name, changed)
        assert type(raised) is error, (changed, raised)
        assert re.search(match, str(raised)), (changed, raised)


@pytest.mark.parametrize(
    "name", [n for n in CASES if any(isinstance(v, float) for v in CASES[n].arguments.values())]
)
def test_hyperparameters_of_array_functions_are_keyword_only(name):
    parameters = inspect.signature(getattr(losses, name)).parameters
    if float_arrays(name):
        for k, v in CASES[name].arguments.items():
            assert (parameters[k].kind is inspect.Parameter.KEYWORD_ONLY) == isinstance(v, float | int)


def test_messages_say_what_it_is_and_what_it_must_be():
    for call, message in [
        (
            lambda: losses.edge_weights(X, radius=1, strength=1.0),
            "target has shape (3, 2, 2): it must be [batch, height, width, channels]",
        ),
        (
            lambda: losses.l1_error(X, Y[:1]),
            "y has shape (1, 2, 2): it must be that of x, (3, 2, 2)",
        ),
        (lambda: losses.entropy(np.array([1, 0])), "p is int32: it must be float"),
        (lambda: losses.entropy([1.0]), "p is list: it must be an array"),
        (lambda: losses.huber_error(X, Y, delta=0), "delta is 0: it must be finite and above 0"),
        (
            lambda: losses.huber_error(X, Y, delta=[1.0]),
            "delta is list: it must be a constant, such as a Python number",
        ),
        (
            lambda: losses.l1_mean(NOTHING, NOTHING),
            "x has shape (2, 0): it must be [batch, ...] with no empty axis",
        ),
    ]:
        with pytest.raises((ValueError, TypeError), match=re.escape(message)):
            call()


HYPERPARAMETERS = [(n, k) for n, case in CASES.items() for k, v in case.arguments.items() if type(v) is float]


@pytest.mark.parametrize(("name", "hyperparameter"), HYPERPARAMETERS)
def test_a_traced_hyperparameter_is_refused_by_name(name, hyperparameter):
    value = CASES[name].arguments[hyperparameter]
    with pytest.raises(TypeError, match=rf"^{hyperparameter} is "):
        jax.jit(lambda traced: with_changed(name, **{hyperparameter: traced}))(value)


def test_an_array_of_one_number_is_a_hyperparameter():
    expected = losses.huber_error(X, Y, delta=0.5)
    for delta in (np.float32(0.5), np.array(0.5), jnp.array(0.5), jnp.array(0.5, jnp.bfloat16)):
        np.testing.assert_array_equal(losses.huber_error(X, Y, delta=delta), expected)
    weights = losses.edge_weights(MASKS, radius=1, strength=2.0)
    for radius in (np.int32(1), np.array(1), jnp.array(1)):
        np.testing.assert_array_equal(losses.edge_weights(MASKS, radius=radius, strength=2.0), weights)


def test_a_truth_value_is_refused_where_its_number_has_been_compiled():
    losses.huber_error(X, Y, delta=1.0)
    for truth in (True, np.bool_(True), np.array(True), jnp.array(True)):
        with pytest.raises(TypeError, match="delta is bool"):
            losses.huber_error(X, Y, delta=truth)


def test_an_empty_batch_is_no_error():
    empty = np.zeros((0, 3), np.float32)
    for function in (losses.l1_mean, losses.l2_norm, losses.kl_divergence, losses.discriminator_logistic):
        assert function(empty, empty).size == 0


def test_arguments_may_be_named_as_the_checks_own():
    for name in ("shape", "arrays", "name", "self"):
        with pytest.raises(ValueError, match=f"^{name} sums to"):
            losses.check_pmf(np.array([0.5, 0.4], np.float32), name)
        np.testing.assert_array_equal(losses.weighted_information({name: REAL}, {name: 2.0}), 2 * REAL)
        checks.check_integers("[batch]", **{name: np.zeros(2, int)})
        with pytest.raises(ValueError, match=f"^{name} has shape"):
            checks.check_rank("[batch]", **{name: REAL[None]})


# check_pmf and check_unit_interval


@pytest.mark.parametrize(
    ("x", "match"),
    [
        ([0.5, -0.25], "target holds -0.25"),
        ([[0, 1], [1.001, 0]], "target holds 1.001"),
        (np.nan, "holds nan"),
    ],
)
def test_check_unit_interval_refuses(x, match):
    with pytest.raises(ValueError, match=match):
        losses.check_unit_interval(np.array(x, np.float32), "target")


def test_check_unit_interval_passes_all_that_lies_inside_and_what_it_cannot_see():
    for dtype in (np.float32, np.float16, jnp.bfloat16):
        losses.check_unit_interval(np.linspace(0, 1, 7).reshape(7, 1).astype(dtype))
    jax.jit(lambda x: losses.check_unit_interval(x))(np.array([3.0, -1.0], np.float32))
    with pytest.raises(TypeError, match="x is int32"):
        jax.jit(lambda x: losses.check_unit_interval(x))(np.array([1, 0], np.int32))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, jnp.bfloat16])
def test_check_pmf_passes_rounded_pmfs(dtype):
    checks.check_pmf(RNG.dirichlet(np.ones(1000), size=5).astype(dtype))
    checks.check_pmf(jnp.asarray(np.eye(3), dtype))


@pytest.mark.parametrize(
    ("p", "match"),
    [
        ([0.5, 0.5001], "q sums to 1.0001"),
        ([[0.5, 0.5], [0.4, 0.5]], "q sums to 0.9"),
        ([1.5, -0.5], "q holds -0.5"),
        ([np.nan, 1.0], "q holds nan"),
        ([np.inf, 0.0], "q sums to inf"),
        (1.0, "q has shape"),
    ],
)
def test_check_pmf_refuses(p, match):
    with pytest.raises(ValueError, match=match):
        losses.check_pmf(np.array(p, np.float32), "q")


def test_check_pmf_holds_to_the_given_tolerance():
    near = np.array([0.5, 0.51], np.float32)
    losses.check_pmf(near, tolerance=0.02)
    with pytest.raises(ValueError, match=r"within 0\.005"):
        losses.check_pmf(near, tolerance=0.005)


def test_check_pmf_sees_no_values_inside_jit():
    @jax.jit
    def traced(p):
        losses.check_pmf(p)
        return p

    traced(np.array([3.0, -1.0], np.float32))
    with pytest.raises(TypeError, match="p is int32"):
        traced(np.array([1, 0]))
    with contextlib.suppress(ValueError):
        losses.check_pmf(np.array([3.0, -1.0], np.float32))
        pytest.fail("outside jit the same values are refused")
