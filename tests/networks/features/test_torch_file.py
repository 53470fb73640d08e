import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from infogan_jax.networks.features import torch_file

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float32([7, 8])}


@pytest.fixture(params=["zip", "legacy"])
def holding(request, tmp_path, torch_zip, torch_legacy):
    """A function that writes a file with a pickle given as opcodes, in each container."""

    def write(opcodes, arrays=None):
        path = tmp_path / "a.pth"
        {"zip": torch_zip, "legacy": torch_legacy}[request.param](path, arrays or {}, opcodes)
        return path

    return write


class Hostile:
    """Makes a folder when it is unpickled the usual way."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path, holding, protocol):
    trap = tmp_path / "trap"
    attack = pickle.dumps({"features.0.weight": Hostile(trap)}, protocol)
    with pytest.raises(ValueError, match=f"calls {os.mkdir.__module__}.mkdir, which was not run"):
        torch_file.read(holding(attack))
    assert not trap.exists()
    pickle.loads(attack)  # it would have run
    assert trap.exists()


@pytest.mark.parametrize(
    "opcodes",
    [
        b"cos\nsystem\n)\x81.",  # NEWOBJ
        b"(ios\nsystem\n.",  # INST
        b"(cos\nsystem\no.",  # OBJ
        b"ccollections\nOrderedDict\ncos\nsystem\nR.",  # arguments that aren't a tuple
        b"cos\nsystem\n}\x92.",  # NEWOBJ_EX
        b"\x82\x01.",  # EXT1
        b"Ps\n.",  # PERSID
    ],
)
def test_every_way_to_call_is_refused(holding, opcodes):
    with pytest.raises(ValueError, match=r"not run|which no tensor needs|makes no sense"):
        torch_file.read(holding(opcodes))


@pytest.mark.parametrize(
    "opcodes", [b".", b"0.", b"t.", b"h\x05.", b"}}}s.", b"}(K\x01u.", b"K\x01Q.", b"K\x01R."]
)
def test_a_pickle_without_sense_is_refused(holding, opcodes):
    with pytest.raises(ValueError):
        torch_file.read(holding(opcodes))


DEEP = b"N" + b"\x85" * 150_000
WIDE = b"N" + b"q\x00h\x00\x86" * 60
"""None in 150,000 tuples, and in 2^60: to hash the one takes all of the stack, the other a lifetime."""


@pytest.mark.parametrize(
    "opcodes",
    [
        b"}" + DEEP + b"Ns.",
        b"}" + WIDE + b"Ns.",
        b"}(" + WIDE + b"Nu.",
        b"ccollections\nOrderedDict\n(](](" + WIDE + b"NeetR.",
        WIDE + b"U\x01a\x93)R.",
        WIDE + b")R.",
        b"(U\x07storage" + WIDE + b"U\x010K\x00K\x01tQ.",
        b"(U\x07storagectorch\nFloatStorage\n" + WIDE + b"K\x00K\x01tQ.",
        b"(" + WIDE + b"ctorch\nQInt8Storage\nU\x010K\x00K\x01tQ.",
    ],
    ids=["deep", "item", "items", "pairs", "module", "called", "type", "key", "kind"],
)
def test_objects_without_end_are_refused_unlooked_at(holding, opcodes):
    with pytest.raises(ValueError, match=r"other keys|a name must be|no size|of type"):
        torch_file.read(holding(opcodes))


@pytest.mark.parametrize(
    "opcodes",
    [
        b"N" + b"\x85" * 1000 + b".",
        # A hundred pairs, made a dict again and again.
        b"(](" + b"](K\x01Ne" * 100 + b"etq\x00" + b"ccollections\nOrderedDict\nh\x00R" * 100 + b".",
    ],
    ids=["opcodes", "copies"],
)
def test_a_pickle_of_too_many_steps_is_refused(holding, opcodes, monkeypatch):
    monkeypatch.setattr(torch_file, "_MOST_STEPS", 1000)
    with pytest.raises(ValueError, match="its pickle takes more than 1,000 steps"):
        torch_file.read(holding(opcodes))


def test_the_older_container_has_its_storages_by_name(tmp_path, torch_legacy):
    path = tmp_path / "a.pth"
    torch_legacy(path, {}, b"}.](" + WIDE + b"e.")
    with pytest.raises(ValueError, match="the list of its storages is not that of its tensors"):
        torch_file.read(path)


def test_other_objects_are_refused(holding):
    with pytest.raises(ValueError, match="holds a list, not tensors by name"):
        torch_file.read(holding(pickle.dumps([1, 2], 2)))


def test_what_is_not_a_tensor_is_passed_over(holding):
    assert torch_file.read(holding(pickle.dumps(OrderedDict(epoch=3, rate=0.5, note=None), 2))) == {}


def storage(count=6, kind=b"FloatStorage", key=b"0"):
    return b"(U\x07storagectorch\n" + kind + b"\nU" + bytes([len(key)]) + key + b"U\x03cpuK%ctQ" % count


def tensor(stored, offset, shape, strides, call=b"_rebuild_tensor"):
    numbers = [b"(" + b"".join(b"K" + bytes([n]) for n in row) + b"t" for row in (shape, strides)]
    return b"ctorch._utils\n" + call + b"\n(" + stored + b"K" + bytes([offset]) + b"".join(numbers) + b"tR"


def state(value):
    """A state dict as Python 2 pickled it: pairs as lists, names as byte strings."""
    return b"\x80\x02ccollections\nOrderedDict\n(](](U\x01a" + value + b"eetR."


SIX = {"a": np.arange(6, dtype=np.float32)}


def test_views_and_parameters_of_old_files(holding):
    view = tensor(storage(), 1, (2, 2), (1, 3))
    parameter = b"ctorch.nn.parameter\nParameter\n" + view + b"\x85"
    expected = np.float32([[1, 4], [2, 5]])
    for value in (view, parameter + b"R(\x88\x89Ntb", parameter + b"\x81"):
        found = torch_file.read(holding(state(value), SIX))
        np.testing.assert_array_equal(found["a"].read(), expected)


@pytest.mark.parametrize(
    "value",
    [
        tensor(storage(), 0, (7,), (1,)),
        tensor(storage(), 3, (2, 2), (2, 1)),
        tensor(storage(), 0, (2, 3), (1,)),
        tensor(storage(), 0, (1,), (0,)).replace(b"(K\x00t", b"(\x8a\x09" + bytes(8) + b"\x01t"),
        tensor(storage(7), 0, (2,), (1,)),
        tensor(storage(kind=b"QInt8Storage"), 0, (2,), (1,)),
        tensor(storage(key=b"1"), 0, (2,), (1,)),
        tensor(b"K\x01", 0, (2,), (1,)),
    ],
    ids=["shape", "strides", "rank", "stride", "count", "kind", "key", "storage"],
)
def test_tensors_outside_their_storages_are_refused(holding, value):
    with pytest.raises(ValueError):
        torch_file.read(holding(state(value), SIX))


def test_pytorchs_own_files(tmp_path):
    torch = pytest.importorskip("torch", reason="compares with what PyTorch writes")
    tensors = {
        "a": torch.arange(24.0).reshape(2, 3, 4),
        "transposed": torch.arange(6.0).reshape(2, 3).T,
        "part": torch.arange(10.0)[3:7:2],
        "brain": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "double": torch.tensor(0.1, dtype=torch.float64),
        "count": torch.tensor(5),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "empty": torch.zeros(0, 3),
    }
    path = tmp_path / "a.pth"
    for options in ({}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4}):
        torch.save(tensors, path, **options)
        found = torch_file.read(path)
        assert list(found) == list(tensors)
        for name, expected in tensors.items():
            assert found[name].shape == tuple(expected.shape)
            np.testing.assert_array_equal(
                found[name].read().astype(np.float64), expected.detach().double().numpy()
            )


def test_a_whole_pytorch_model_is_refused(tmp_path):
    torch = pytest.importorskip("torch", reason="writes a model with PyTorch")
    torch.save(torch.nn.Linear(1, 1), tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"calls torch\.nn\.modules\.linear\.Linear.*state_dict"):
        torch_file.read(tmp_path / "a.pth")
