import sys

import numpy as np
import pytest

from infogan_jax.errors import UserError
from infogan_jax.networks.features import keras_file, weights_file

KERNEL, BIAS = np.arange(54, dtype=np.float32).reshape(3, 3, 3, 2), np.float32([1, 2])


def test_without_h5py_the_answer_is_how_to_install_it(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"reading .*a\.h5 needs h5py: pip install h5py$"):
        weights_file.read(path)


@pytest.mark.parametrize(
    "names", [("W_1:0", "b_1:0"), (b"layer/kernel:0", b"layer/bias:0")], ids=["old", "new"]
)
@pytest.mark.parametrize("root", ["/", "/model_weights"])
def test_layers_are_read_from_every_layout(tmp_path, names, root):
    h5py = pytest.importorskip("h5py", reason="writes HDF5")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        layers = file.require_group(root)
        layers.create_group("pool").attrs["weight_names"] = np.array([], "S1")
        layer = layers.create_group("conv")
        layer.attrs["weight_names"] = list(names)
        for name, array in zip(names, (KERNEL, BIAS), strict=True):
            layer[name.decode() if isinstance(name, bytes) else name] = array
    found = keras_file.read(path)
    assert list(found) == ["conv/kernel", "conv/bias"]
    np.testing.assert_array_equal(found["conv/kernel"].read(), KERNEL)
    np.testing.assert_array_equal(found["conv/bias"].read(), BIAS)
    assert found["conv/kernel"].shape == KERNEL.shape


def test_broken_files_are_refused(tmp_path):
    h5py = pytest.importorskip("h5py", reason="reads HDF5")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["conv"] = KERNEL
    whole = path.read_bytes()
    for content in (whole[:-100], b"not HDF5"):
        path.write_bytes(content)
        with pytest.raises(ValueError):
            keras_file.read(path)
    with h5py.File(path, "w") as file:
        file.create_group("conv").attrs["weight_names"] = ["kernel"]
    with pytest.raises(ValueError, match="kernel"):
        keras_file.read(path)
