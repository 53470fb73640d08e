import jax
import numpy as np
import pytest

from infogan_jax.data.dataset import Dataset, Split
from infogan_jax.errors import UserError
from infogan_jax.evaluation import image_features, realism
from infogan_jax.evaluation.distances import frechet_distance


class State:
    key = jax.random.key(0)


@pytest.fixture
def measure(tiny_config, digits, monkeypatch):
    """Measures what a stand-in for the generator makes of the number of images asked for."""

    def of(make):
        monkeypatch.setattr(realism, "generate_images", lambda config, state, draw: make(len(draw["c1"])))
        return realism.measure_realism(tiny_config, State, digits)["pixels"]

    return of


def test_real_images_are_near_and_noise_is_far(measure, digits):
    real = digits.train.images[:360].astype(np.float32) / 255
    rng = np.random.default_rng(0)
    near, far = measure(lambda n: real[:n]), measure(lambda n: rng.random((n, 8, 8, 1), np.float32))
    assert near["examples"] == 360 and near["told"] == "on pixels"
    assert near["frechet_distance"] < far["frechet_distance"] / 4
    assert abs(near["kernel_distance"]) < 3 * near["kernel_standard_error"] + 0.01 < far["kernel_distance"]
    assert min(near["precision"], near["recall"]) > 0.8 > 0.1 > far["recall"]
    expected = frechet_distance(digits.test.images.reshape(360, -1) / np.float32(255), real.reshape(360, -1))
    assert near["frechet_distance"] == pytest.approx(expected, rel=1e-3)


def test_one_image_alone_is_precise_and_recalls_nothing(measure, digits):
    one = digits.test.images[:1].astype(np.float32) / 255
    found = measure(lambda n: np.repeat(one, n, axis=0))
    assert found["precision"] == 1 and found["recall"] < 0.05
    rows = realism.results({"pixels": found})
    assert [row[0] for row in rows] == ["Fréchet distance", "Kernel distance", "Precision", "Recall"]


def test_few_test_images_say_nothing(tiny_config, digits):
    few = Split(digits.test.images[:10], None)
    dataset = Dataset("few", Split(digits.train.images, None), few, None)
    assert realism.measure_realism(tiny_config, State, dataset) is None
    assert realism.results(None) == []
    with pytest.raises(UserError, match="--features needs 20 test images or more, and here are 10"):
        realism.measure_realism(tiny_config, State, dataset, [image_features.PIXELS])
