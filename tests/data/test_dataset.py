import numpy as np
import pytest

from infogan_jax.data.dataset import Dataset, Split


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
