"""PyTorch's files of tensors by name, read without PyTorch.

Such a file holds a pickle, and a pickle is a program: the usual way to load it imports and calls what it
names. Here its opcodes are read as data. A name stays a pair of strings; the few calls that rebuild tensors
are recognised by these strings, and every other one is refused. Nothing is imported, called or given
attributes.

There are two containers. The older one, in which torchvision's VGG19 was published, is a row of pickles with
the numbers behind them; since PyTorch 1.6 `torch.save` writes a zip archive.

References:
    The Python standard library's `pickletools`, for the opcodes; PyTorch's `torch/serialization.py`, for the
    two containers.
"""

import os
import pickletools
import zipfile
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import jax.numpy as jnp
import numpy as np

from infogan_jax.networks.features.stored_array import StoredArray

_ZIP = b"PK\x03\x04"
_LEGACY = 0x1950A86A20F9469CFC6C, 1001
"""The number and the version that the older container begins with."""

_DTYPES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(jnp.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}

_SAVE_INSTEAD = "save model.state_dict(), and nothing else, with torch.save"


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype
    length: int


class _Tensor(NamedTuple):
    """A view of a storage; offset and strides count numbers, not bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(path: Path) -> dict[str, StoredArray]:
    """The tensors of a state dict.

    Args:
        path: a file that `torch.save` wrote, in either container.

    Returns:
        The tensors by name, their numbers unread.

    Raises:
        ValueError: the file is broken, or holds more than tensors. Where `zipfile` finds an archive broken,
            its own errors are raised, here or when numbers are read.
    """
    with path.open("rb") as file:
        return _read_zip(path) if file.read(len(_ZIP)) == _ZIP else _read_legacy(path)


def _read_zip(path: Path) -> dict[str, StoredArray]:
    def contents(name: str) -> bytes:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)

    def numbers(storage: _Storage) -> np.ndarray:
        return np.frombuffer(contents(f"{folder}data/{storage.key}"), storage.dtype)

    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    # PyTorch stores them as they are; what is deflated could be as large as it likes.
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("the archive is compressed, which PyTorch's are not")
    sizes = {entry.filename: entry.file_size for entry in entries}
    pickles = [name for name in sizes if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise ValueError(f"the archive has {len(pickles)} entries data.pkl where PyTorch writes one")
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}byteorder" in sizes and contents(f"{folder}byteorder") != b"little":
        raise ValueError("its numbers are big-endian: save it again on a little-endian machine")
    state, storages = _unpickle(BytesIO(contents(pickles[0])))
    for key, storage in storages.items():
        if sizes.get(f"{folder}data/{key}") != storage.length * storage.dtype.itemsize:
            raise ValueError(f"storage {key} is not there or not of {storage.length} numbers")
    return _arrays(state, numbers)


def _read_legacy(path: Path) -> dict[str, StoredArray]:
    offsets: dict[str, int] = {}

    def numbers(storage: _Storage) -> np.ndarray:
        return np.fromfile(path, storage.dtype, storage.length, offset=offsets[storage.key])

    with path.open("rb") as file:
        if (_unpickle(file)[0], _unpickle(file)[0]) != _LEGACY:
            raise ValueError("it does not begin as torch.save's files do")
        machine, _ = _unpickle(file)
        if not (isinstance(machine, dict) and machine.get("little_endian") is True):
            raise ValueError("its numbers are not little-endian: save it again on another machine")
        state, storages = _unpickle(file)
        keys, _ = _unpickle(file)
        if not isinstance(keys, list) or sorted(map(repr, keys)) != sorted(map(repr, storages)):
            raise ValueError("the list of its storages is not that of its tensors")
        size = os.fstat(file.fileno()).st_size
        for key in keys:
            storage = storages[key]
            if int.from_bytes(file.read(8), "little") != storage.length:
                raise ValueError(f"storage {key} is not of {storage.length} numbers")
            offsets[key] = file.tell()
            if file.seek(storage.length * storage.dtype.itemsize, os.SEEK_CUR) > size:
                raise ValueError("it ends early")
    return _arrays(state, numbers)


def _arrays(state: Any, numbers: Callable[[_Storage], np.ndarray]) -> dict[str, StoredArray]:
    if not isinstance(state, dict):
        raise ValueError(f"it holds a {type(state).__name__}, not tensors by name: {_SAVE_INSTEAD}")
    return {
        name: StoredArray(tensor.shape, tensor.storage.dtype, partial(_view, tensor, numbers))
        for name, tensor in state.items()
        if isinstance(name, str) and isinstance(tensor, _Tensor)
    }


def _view(tensor: _Tensor, numbers: Callable[[_Storage], np.ndarray]) -> np.ndarray:
    flat = numbers(tensor.storage)
    if len(flat) != tensor.storage.length:
        raise ValueError("it ends early")
    strides = [stride * flat.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides).copy()


def _unpickle(file: BinaryIO) -> tuple[Any, dict[str, _Storage]]:
    """The value of the pickle at the file's position, and the storages that it names by their keys."""
    try:
        return _interpret(file)
    except (IndexError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"its pickle makes no sense: {type(error).__name__} {error}") from error


def _interpret(file: BinaryIO) -> tuple[Any, dict[str, _Storage]]:
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}
    storages: dict[str, _Storage] = {}
    argument: Any  # None of an opcode that has none

    def pop(start: int) -> list[Any]:
        taken = stack[start:]
        del stack[start:]
        return taken

    for opcode, argument, _ in pickletools.genops(file):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop(), storages
            case "MARK":
                marks.append(len(stack))
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(opcode.name == "NEWTRUE")
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT":
                stack.append(argument)
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINSTRING" | "SHORT_BINSTRING":
                stack.append(argument)
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(pop(-int(opcode.name[-1]))))
            case "TUPLE":
                stack.append(tuple(pop(marks.pop())))
            case "EMPTY_LIST":
                stack.append([])
            case "APPEND":
                value = stack.pop()
                stack[-1].append(value)
            case "APPENDS":
                values = pop(marks.pop())
                stack[-1].extend(values)
            case "EMPTY_DICT":
                stack.append({})
            case "SETITEM":
                key, value = pop(-2)
                stack[-1][key] = value
            case "SETITEMS":
                values = pop(marks.pop())
                stack[-1].update(zip(values[::2], values[1::2], strict=True))
            case "GLOBAL":
                stack.append(tuple(argument.split(" ")))
            case "STACK_GLOBAL":
                stack.append(tuple(pop(-2)))
            case "BINPERSID":
                storage = _storage(*stack.pop())
                stack.append(storages.setdefault(storage.key, storage))
            case "REDUCE" | "NEWOBJ":
                name, arguments = pop(-2)
                stack.append(_rebuilt(name, arguments))
            case "BUILD":
                stack.pop()  # attributes, such as a state dict's versions: none is needed
            case other:
                raise ValueError(f"its pickle has the opcode {other}, which no tensor needs: {_SAVE_INSTEAD}")
    raise ValueError("it ends early")


def _rebuilt(name: tuple[str, str], arguments: tuple[Any, ...]) -> Any:
    match name:
        case "collections", "OrderedDict":
            return dict(*arguments)
        case "torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2":
            return _tensor(*arguments[:4])
        case ("torch._utils", "_rebuild_parameter") | ("torch.nn.parameter", "Parameter"):
            return arguments[0]
    raise ValueError(f"its pickle calls {'.'.join(map(str, name))}, which was not run: {_SAVE_INSTEAD}")


def _storage(
    kind: str, name: tuple[str, str], key: str, device: str, count: int, view: None = None
) -> _Storage:
    module, storage_type = name
    if kind != "storage" or module != "torch" or storage_type not in _DTYPES:
        raise ValueError(f"it refers to a {kind} of type {module}.{storage_type}: {_SAVE_INSTEAD}")
    if view is not None or not isinstance(key, str) or not isinstance(count, int) or count < 0:
        raise ValueError(f"storage {key} is part of another or has no size: {_SAVE_INSTEAD}")
    return _Storage(key, _DTYPES[storage_type], count)


def _tensor(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> _Tensor:
    whole = all(isinstance(n, int) and n >= 0 for n in (offset, *shape, *strides))
    if not isinstance(storage, _Storage) or not whole or len(shape) != len(strides):
        raise ValueError("a tensor has no storage, or a shape or strides that aren't whole numbers from 0")
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if 0 not in shape and last >= storage.length:
        raise ValueError(f"a tensor reaches outside its storage of {storage.length} numbers")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))
