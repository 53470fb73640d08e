import sys
import zlib

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
    "names", [(b"W_1:0", b"b_1:0"), (b"layer/kernel:0", b"layer/bias:0")], ids=["old", "new"]
)
@pytest.mark.parametrize("root", ["/", "/model_weights"])
def test_layers_are_read_from_every_layout(tmp_path, names, root):
    h5py = pytest.importorskip("h5py", reason="writes HDF5")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        layers = file.require_group(root)
        # As Keras has it where there are none.
        layers.create_group("pool").attrs["weight_names"] = []
        layer = layers.create_group("conv")
        layer.attrs["weight_names"] = list(names)
        for name, array in zip(names, (KERNEL, BIAS), strict=True):
            layer[name.decode()] = array
    found = keras_file.read(path)
    assert set(found) == {"conv/kernel", "conv/bias"}
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


def test_layers_of_other_arrays_are_passed_over_and_no_attribute_is_read(tmp_path):
    h5py = pytest.importorskip("h5py", reason="writes HDF5")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name in ("beta", "gamma"):
            file[f"norm/{name}"] = BIAS
        for number in range(9):
            file[f"many/{number}/kernel"] = KERNEL
        file["deep/1/2/3/kernel"] = KERNEL
        # In a circle.
        file["deep/1/2/3/again"] = file["deep"]
        file["array"] = BIAS
        for number, names in enumerate((3, "kernel", h5py.Empty("S1"))):
            file[f"conv{number}/kernel"] = KERNEL
            file[f"conv{number}"].attrs["weight_names"] = names
    assert list(weights_file.read(path).arrays) == [
        *("array/bias", "conv0/kernel", "conv1/kernel", "conv2/kernel")
    ]


def _outside(h5py, folder):
    """Another file, and by name what in a layer's group can point to its numbers."""
    elsewhere = folder / "b.h5"
    with h5py.File(elsewhere, "w") as file:
        file["kernel"] = KERNEL
        file["conv/kernel"] = KERNEL
        offset = file["kernel"].id.get_offset()
    virtual = h5py.VirtualLayout(KERNEL.shape, KERNEL.dtype)
    virtual[...] = h5py.VirtualSource(elsewhere, "kernel", KERNEL.shape)
    external = [(str(elsewhere), offset, KERNEL.nbytes)]

    def link(layer):
        layer["kernel"] = h5py.ExternalLink(elsewhere, "kernel")

    def layer_link(layer):
        layer.file["other"] = h5py.ExternalLink(elsewhere, "conv")

    def model_link(layer):
        layer.file["model_weights"] = h5py.ExternalLink(elsewhere, "/")

    def soft_link(layer):
        layer.file["hidden"] = h5py.ExternalLink(elsewhere, "kernel")
        layer["kernel"] = h5py.SoftLink("/hidden")

    return {
        "link": link,
        "layer": layer_link,
        "model": model_link,
        "soft": soft_link,
        "storage": lambda layer: layer.create_dataset(
            "kernel", KERNEL.shape, KERNEL.dtype, external=external
        ),
        "virtual": lambda layer: layer.create_virtual_dataset("kernel", virtual),
    }


@pytest.mark.parametrize("way", ["link", "layer", "model", "soft", "storage", "virtual"])
def test_numbers_from_another_file_are_refused(tmp_path, way):
    h5py = pytest.importorskip("h5py", reason="writes HDF5")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        layer = file.create_group("conv")
        _outside(h5py, tmp_path)[way](layer)
        if "kernel" in layer:
            # It is there to be read.
            np.testing.assert_array_equal(layer["kernel"], KERNEL)
    with pytest.raises(UserError, match=r"is a link to another place|are in another file"):
        weights_file.read(path)


def test_chunks_larger_than_their_array_are_refused(tmp_path):
    h5py = pytest.importorskip("h5py", reason="writes HDF5")
    path = tmp_path / "a.h5"
    for chunks in ((3, 3, 3, 2**22), (3, 3, 4, 2)):
        with h5py.File(path, "w") as file:
            file.create_dataset("conv/kernel", data=KERNEL, maxshape=(3, 3, None, None), chunks=chunks)
        with pytest.raises(UserError, match=r"/conv/kernel of .*\(3, 3, 3, 2\) is in chunks of .* larger"):
            weights_file.read(path)


@pytest.mark.parametrize("chunks", [KERNEL.shape, (1, 2, 3, 1)])
def test_chunks_within_their_array_are_read(tmp_path, chunks):
    h5py = pytest.importorskip("h5py", reason="writes HDF5")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("conv/kernel", data=KERNEL, chunks=chunks)
    found = weights_file.take(weights_file.read(path), {"conv/kernel": KERNEL.shape})
    np.testing.assert_array_equal(found["conv/kernel"], KERNEL)


def test_a_chunk_that_inflates_to_more_than_its_size_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py", reason="writes HDF5")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        array = file.create_dataset("conv/kernel", KERNEL.shape, "f4", chunks=KERNEL.shape, compression=9)
        array.id.write_direct_chunk((0, 0, 0, 0), zlib.compress(bytes(2**26), 9))
    with pytest.raises(UserError, match=r"the numbers of /conv/kernel are compressed or filtered"):
        weights_file.read(path)


@pytest.mark.parametrize("way", [{"compression": "lzf"}, {"shuffle": True}, {"fletcher32": True}])
def test_filters_are_refused(tmp_path, way):
    h5py = pytest.importorskip("h5py", reason="writes HDF5")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("conv/kernel", data=KERNEL, **way)
    with pytest.raises(UserError, match=r"the numbers of /conv/kernel are compressed or filtered"):
        weights_file.read(path)


def test_any_changed_byte_is_read_or_refused(tmp_path, tried):
    h5py = pytest.importorskip("h5py", reason="writes HDF5")
    path, random = tmp_path / "a.h5", np.random.default_rng(2)
    with h5py.File(path, "w") as file:
        layer = file.create_group("conv")
        layer.attrs["weight_names"] = [b"kernel", b"bias"]
        layer["kernel"], layer["bias"] = KERNEL, BIAS
    whole, refused = path.read_bytes(), 0
    # Not those that are zero, most of which are room between the parts.
    places = np.flatnonzero(np.frombuffer(whole, np.uint8))
    for _ in range(200):
        changed = bytearray(whole)
        changed[random.choice(places)] = random.integers(256)
        path.write_bytes(changed)
        try:
            weights_file.take(weights_file.read(path), {"conv/kernel": KERNEL.shape, "conv/bias": BIAS.shape})
        except UserError:
            refused += 1
    assert refused > 20
    # Of four formats.
    tried("files of a network's weights with a changed byte", 200, 4 * 200)
