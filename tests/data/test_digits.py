import collections

import numpy as np
import pytest
from sklearn.datasets import load_digits

from infogan_jax.data import digits


@pytest.fixture(scope="module")
def data():
    return digits.load("digits")


@pytest.fixture(scope="module")
def published():
    return load_digits()


def test_counts_and_shape(data):
    assert (len(data.train.images), len(data.test.images)) == (1437, 360)
    assert data.image_shape == (8, 8, 1)
    assert data.num_classes == 10


def test_the_splits_partition_the_published_images(data, published):
    # 0..16 to 0..255, rounded half to even; no two levels meet, so images stay distinct.
    levels = np.array([0, 16, 32, 48, 64, 80, 96, 112, 128, 143, 159, 175, 191, 207, 223, 239, 255], np.uint8)

    def contents(images, labels):
        pairs = zip(images, labels, strict=True)
        return collections.Counter((image.tobytes(), int(label)) for image, label in pairs)

    whole = contents(levels[published.images.astype(int)], published.target)
    train, test = (contents(part.images, part.labels) for part in (data.train, data.test))
    assert train + test == whole


def test_class_shares_are_equal_within_one_image(data, published):
    expected = np.bincount(published.target) * 360 / 1797
    assert np.all(np.abs(np.bincount(data.test.labels) - expected) < 1)


def test_every_load_gives_the_same_split(data):
    again = digits.load("digits")
    np.testing.assert_array_equal(again.test.images, data.test.images)
    np.testing.assert_array_equal(again.train.labels, data.train.labels)
