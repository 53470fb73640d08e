"""Weights files written byte by byte, so that no test needs the library that usually writes them."""

import json
import zipfile

import numpy as np
import pytest

TORCH_NAMES = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}
SAFETENSORS_NAMES = {"float32": "F32", "float16": "F16", "int64": "I64"}


def text(value):
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def integer(value):
    return b"J" + value.to_bytes(4, "little", signed=True)


def integers(values):
    return b"(" + b"".join(map(integer, values)) + b"t"


def tensor_opcodes(key, array):
    """The call of _rebuild_tensor_v2 on a storage, as torch.save pickles it."""
    storage = text("storage") + f"ctorch\n{TORCH_NAMES[array.dtype.name]}\n".encode() + text(key)
    strides = [stride // array.itemsize for stride in array.strides]
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(("
        + (storage + text("cpu") + integer(array.size) + b"tQ")
        + (integer(0) + integers(array.shape) + integers(strides))
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


def state_dict_opcodes(arrays):
    items = b"".join(text(name) + tensor_opcodes(str(n), x) for n, (name, x) in enumerate(arrays.items()))
    metadata = b"}" + text("_metadata") + b"}sb"
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + items + b"u" + metadata + b"."


def write_torch_zip(path, arrays, opcodes=None):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", state_dict_opcodes(arrays) if opcodes is None else opcodes)
        archive.writestr("weights/byteorder", "little")
        for n, array in enumerate(arrays.values()):
            archive.writestr(f"weights/data/{n}", array.tobytes())


def write_torch_legacy(path, arrays, opcodes=None):
    magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
    protocol = b"\x80\x02M\xe9\x03."
    machine = b"\x80\x02}" + text("little_endian") + b"\x88s."
    keys = b"\x80\x02](" + b"".join(text(str(n)) for n in range(len(arrays))) + b"e."
    with path.open("wb") as file:
        file.write(magic + protocol + machine)
        file.write((state_dict_opcodes(arrays) if opcodes is None else opcodes) + keys)
        for array in arrays.values():
            file.write(array.size.to_bytes(8, "little") + array.tobytes())


def write_safetensors(path, arrays, header=None):
    end, entries = 0, {"__metadata__": {"format": "pt"}}
    for name, array in arrays.items():
        span = [end, end := end + array.nbytes]
        dtype = SAFETENSORS_NAMES[array.dtype.name]
        entries[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": span}
    encoded = json.dumps(entries if header is None else header).encode()
    with path.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for array in arrays.values():
            file.write(array.tobytes())


WRITERS = {
    "zip.pth": write_torch_zip,
    "legacy.pth": write_torch_legacy,
    "plain.safetensors": write_safetensors,
}


@pytest.fixture(params=WRITERS)
def written(request, tmp_path):
    """A function that writes arrays by name to a file, in each format in turn, and returns its path."""

    def write(arrays):
        path = tmp_path / request.param
        WRITERS[request.param](path, arrays)
        return path

    return write


@pytest.fixture(scope="session")
def torch_zip():
    return write_torch_zip


@pytest.fixture(scope="session")
def torch_legacy():
    return write_torch_legacy


@pytest.fixture(scope="session")
def safetensors():
    return write_safetensors


@pytest.fixture(scope="session")
def convolved():
    """A convolution by NumPy of x [height, width, in] with a kernel [out, in / groups, size, size]."""

    def convolve(x, kernel, *, stride, pads, groups=1):
        out, inputs, size, _ = kernel.shape
        x = np.pad(x, [*pads, (0, 0)]).astype(np.float64)
        windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(0, 1))[::stride, ::stride]
        if groups == 1:
            return np.tensordot(windows, kernel, ([2, 3, 4], [1, 2, 3]))
        assert (groups, inputs) == (out, 1)
        return np.einsum("hwcij,cij->hwc", windows, kernel[:, 0])

    return convolve
