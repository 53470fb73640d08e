import pytest

from infogan_jax.config import Data
from infogan_jax.data import sources
from infogan_jax.errors import UserError


def test_digits_are_always_there():
    shape = sources.check(Data("digits", "digits"))
    assert sources.load(Data("digits", "digits")).image_shape == shape


@pytest.mark.parametrize("act", [sources.check, sources.load])
@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        ("digits", "mnist", "--data.name is 'mnist'"),
        ("tfds", "mnist", "mnist is not prepared"),
        ("tfds", "../mnist", "is not a data set's name"),
    ],
)
def test_what_is_not_there_is_refused(act, source, name, message, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(UserError, match=message):
        act(Data(source, name))
