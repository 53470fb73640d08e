"""What is refused, by name, and how codes and factors become numbers."""

import numpy as np
import pytest

from infogan_jax.data.dataset import Factor
from infogan_jax.evaluation.disentanglement import examples
from infogan_jax.evaluation.disentanglement.beta_vae import beta_vae_score
from infogan_jax.evaluation.disentanglement.dci import dci
from infogan_jax.evaluation.disentanglement.factor_vae import factor_vae_score
from infogan_jax.evaluation.disentanglement.groups import groups_of_examples
from infogan_jax.evaluation.disentanglement.mig import mutual_information_gap
from infogan_jax.evaluation.disentanglement.modularity import explicitness, modularity
from infogan_jax.evaluation.disentanglement.recovery import recovery
from infogan_jax.evaluation.disentanglement.sap import separated_attribute_predictability

SHAPE, TURN, SIZE = Factor("shape", "category"), Factor("turn", "angle", "degrees", 180.0), Factor("size")
CODES = np.array([[0.0, 0.5], [1, 0.25], [1, 1], [2, 0]])
VALUES = np.array([[0.0, 0, 3], [1, 45, 3], [0, 90, 4], [2, 135, 5]])
FACTORS = (SHAPE, TURN, SIZE)


def changed(array, row, column, value):
    array = array.copy()
    array[row, column] = value
    return array


BAD = [
    ({"codes": CODES[0]}, ValueError, r"codes have shape \(2,\)"),
    ({"codes": CODES[:, :0]}, ValueError, "codes have shape"),
    ({"codes": CODES.astype(str)}, TypeError, "codes are"),
    ({"codes": CODES * 1j}, TypeError, "codes are"),
    ({"codes": changed(CODES, 0, 0, np.nan)}, ValueError, "codes hold"),
    ({"codes": CODES[:3]}, ValueError, "3 rows and values 4"),
    ({"values": VALUES[:, :2]}, ValueError, "2 columns for 3 factors"),
    ({"values": changed(VALUES, 0, 1, np.inf)}, ValueError, "values hold"),
    ({"values": changed(VALUES, 0, 0, 0.5)}, ValueError, "factor shape"),
    ({"values": changed(VALUES, slice(None), 2, 1.0)}, ValueError, "factor size don't vary"),
    # The sin of 30 and of 150 degrees is the same, so R^2 of it would divide by rounding.
    ({"values": changed(VALUES, slice(None), 1, [15, 75, 15, 75])}, ValueError, "factor turn.*category"),
    ({"categorical": (2,)}, ValueError, "categorical names column 2"),
    ({"categorical": (-1,)}, ValueError, "categorical names column -1"),
    ({"categorical": (1,)}, ValueError, "column 1 is categorical"),
]


@pytest.mark.parametrize(("change", "error", "match"), BAD)
def test_wrong_examples_are_refused_by_name(change, error, match):
    given = {"codes": CODES, "values": VALUES, "factors": FACTORS, "categorical": (0,)}
    examples.check_examples(**given)
    with pytest.raises(error, match=match):
        examples.check_examples(**(given | change))


@pytest.mark.parametrize(
    "measure",
    [
        mutual_information_gap,
        separated_attribute_predictability,
        modularity,
        lambda *args: explicitness(*args, seed=0),
        lambda *args: dci(*args, seed=0),
        lambda *args: recovery(*args, seed=0),
        groups_of_examples,
    ],
)
def test_every_measure_looks_at_its_examples(measure):
    with pytest.raises(ValueError, match="codes hold"):
        measure(changed(CODES, 0, 0, np.nan), VALUES, FACTORS)


@pytest.mark.parametrize("measure", [modularity, lambda *args: dci(*args, seed=0)])
def test_one_factor_is_refused_where_factors_are_compared(measure):
    with pytest.raises(ValueError, match="number of factors is 1"):
        measure(CODES, VALUES[:, 2:], (SIZE,))


@pytest.mark.parametrize("bins", ["code_bins", "factor_bins"])
@pytest.mark.parametrize(
    "measure", [mutual_information_gap, modularity, lambda *args, **bins: recovery(*args, seed=0, **bins)]
)
def test_one_bin_is_refused(measure, bins):
    with pytest.raises(ValueError, match=f"{bins} is 1"):
        measure(CODES, VALUES, FACTORS, **{bins: 1})


@pytest.mark.parametrize("name", ["num_factors", "pairs", "train_points", "test_points"])
def test_beta_vae_refuses_numbers_that_are_too_low(name):
    with pytest.raises(ValueError, match=name):
        beta_vae_score(None, **({"num_factors": 2, "seed": 0} | {name: 0}))


@pytest.mark.parametrize("name", ["num_factors", "size", "train_votes", "test_votes", "dead_below"])
def test_factor_vae_refuses_numbers_that_are_too_low(name):
    with pytest.raises(ValueError, match=name):
        factor_vae_score(None, CODES, **({"num_factors": 2, "seed": 0} | {name: -1}))


def test_one_example_has_no_variance():
    with pytest.raises(ValueError, match="rows is 1"):
        factor_vae_score(None, CODES[:1], 2, seed=0)


def test_features_are_one_hot_for_a_category_only():
    category, number = examples.features(CODES, (0,))
    np.testing.assert_array_equal(category, [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]])
    np.testing.assert_array_equal(number, CODES[:, 1:])


def test_targets_by_kind():
    np.testing.assert_array_equal(examples.target(VALUES[:, 2], SIZE), VALUES[:, 2])
    shape = examples.target(VALUES[:, 0], SHAPE)
    assert shape.dtype == np.int64
    np.testing.assert_array_equal(shape, [0, 1, 0, 2])
    # Half a turn is the whole period: 45 degrees are a quarter of the circle.
    np.testing.assert_allclose(
        examples.target(VALUES[:, 1], TURN), [[1, 0], [0, 1], [-1, 0], [0, -1]], atol=1e-12
    )


def test_halves_are_a_random_partition_and_a_function_of_the_seed():
    values = np.arange(21.0)[:, None]
    train, test = examples.halves(values, (SIZE,), np.random.default_rng(0))
    assert (len(train), len(test)) == (10, 11)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(21))
    again = examples.halves(values, (SIZE,), np.random.default_rng(0))[0]
    other = examples.halves(values, (SIZE,), np.random.default_rng(1))[0]
    np.testing.assert_array_equal(train, again)
    assert set(train) != set(other)


@pytest.mark.parametrize("values", [np.eye(20)[:, :1], np.eye(2)[:, :1]])
def test_halves_refuse_a_factor_that_varies_in_one_only(values):
    with pytest.raises(ValueError, match=r"factor shape.*half"):
        examples.halves(values, (SHAPE,), np.random.default_rng(0))
