import numpy as np
import pytest

from infogan_jax.data.dataset import Dataset, Factor, Split


def _split(count=4, shape=(8, 6, 1), dtype=np.uint8, labels=(0, 1, 2, 1), label_dtype=np.int32):
    return Split(np.zeros((count, *shape), dtype), None if labels is None else np.array(labels, label_dtype))


def test_shape_is_that_of_one_image():
    data = Dataset("toy", _split(), _split(2, labels=(2, 0)), num_classes=3)
    assert data.image_shape == (8, 6, 1)


def test_labels_may_be_absent():
    data = Dataset("toy", _split(labels=None), _split(labels=None), num_classes=None)
    assert data.train.labels is None


@pytest.mark.parametrize(
    ("train", "test", "num_classes", "message"),
    [
        (_split(dtype=np.float32), _split(), 3, "train images are float32"),
        (_split(), _split(shape=(8, 6)), 3, r"test images are uint8 \(4, 8, 6\)"),
        (_split(shape=(8, 6, 2)), _split(shape=(8, 6, 2)), 3, "have 2 channels"),
        (_split(0, labels=()), _split(), 3, "train images are empty"),
        (_split(), _split(shape=(8, 8, 1)), 3, "both must be of one shape"),
        (_split(), _split(), 2, "train labels run from 0 to 2; they must be in 0..1"),
        (_split(), _split(labels=(0, -1, 0, 0)), 3, "test labels run from -1 to 0"),
        (_split(label_dtype=np.int64), _split(), 3, "train labels are int64"),
        (_split(labels=(0, 1)), _split(), 3, r"train labels are int32 \(2,\)"),
        (_split(), _split(labels=None), 3, "test labels and num_classes"),
        (_split(), _split(), None, "train labels and num_classes"),
        (_split(), _split(), 0, "num_classes is 0"),
    ],
)
def test_broken_rules_are_refused(train, test, num_classes, message):
    with pytest.raises(ValueError, match=message):
        Dataset("toy", train, test, num_classes)


AZIMUTH, OBJECT = Factor("azimuth", "angle", "degrees", 360.0), Factor("object", "category")


def _with_factors(values, dtype=np.float32):
    return _split(labels=None)._replace(factors=np.array(values, dtype))


def test_factors_are_kept_beside_the_images():
    split = _with_factors([(0, 0), (5, 1), (10, 0), (355, 2)])
    data = Dataset("toy", split, split, None, (AZIMUTH, OBJECT))
    assert data.train.factors[1, 0] == 5 and data.factors[1].kind == "category"


@pytest.mark.parametrize(
    ("split", "factors", "message"),
    [
        (_split(labels=None), (AZIMUTH,), "train factors and the data set's factors"),
        (_with_factors([(0, 0)] * 4), (), "train factors and the data set's factors"),
        (_with_factors([(0, 0)] * 4), (AZIMUTH,), r"train factors are float32 \(4, 2\).*float32 \(4, 1\)"),
        (_with_factors([(0, 0)] * 4, np.float64), (AZIMUTH, OBJECT), "train factors are float64"),
        (_with_factors([(0, 0)] * 3), (AZIMUTH, OBJECT), r"train factors are float32 \(3, 2\)"),
        (_with_factors([(np.nan, 0)] * 4), (AZIMUTH, OBJECT), "not finite"),
        (_with_factors([(0, 0.5)] * 4), (AZIMUTH, OBJECT), "factor object has values that are not whole"),
        (_with_factors([(0, -1)] * 4), (AZIMUTH, OBJECT), "factor object has values that are not whole"),
    ],
)
def test_broken_factors_are_refused(split, factors, message):
    with pytest.raises(ValueError, match=message):
        Dataset("toy", split, split, None, factors)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("azimuth", "angle", "degrees"), "an angle has a period above 0"),
        (("width", "number", "", 2.0), "an angle has a period above 0"),
        (("width", "size"), "kind is 'size'"),
    ],
)
def test_broken_factor_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Factor(*arguments)
