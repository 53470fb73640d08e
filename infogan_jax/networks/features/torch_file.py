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

_MOST_STEPS = 200_000
"""Opcodes, and what they copy, in one pickle: enough for 4,000 tensors."""

_MOST = 2**48
"""What numbers in a storage, and so offsets, sides and strides, can be."""

_MOST_AXES = 64

_SAVE_INSTEAD = "save model.state_dict(), and nothing else, with torch.save"


class _Global(NamedTuple):
    """What a pickle names, to be called or as a storage's type."""

    module: str
    name: str


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
        of_strings = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
        if not of_strings or sorted(keys) != sorted(storages):
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
    except (IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"its pickle makes no sense: {type(error).__name__} {error}") from error


def _interpret(file: BinaryIO) -> tuple[Any, dict[str, _Storage]]:
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}
    storages: dict[str, _Storage] = {}
    steps = 0
    argument: Any  # None of an opcode that has none

    def pop(start: int) -> list[Any]:
        taken = stack[start:]
        del stack[start:]
        return taken

    for opcode, argument, _ in pickletools.genops(file):
        steps += 1
        if steps > _MOST_STEPS:
            raise ValueError(f"its pickle takes more than {_MOST_STEPS:,} steps: {_SAVE_INSTEAD}")
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
                stack[-1].update(_entries([(key, value)]))
            case "SETITEMS":
                values = pop(marks.pop())
                stack[-1].update(_entries(list(zip(values[::2], values[1::2], strict=True))))
            case "GLOBAL":
                stack.append(_Global(*argument.split(" ")))
            case "STACK_GLOBAL":
                stack.append(_Global(*pop(-2)))
            case "BINPERSID":
                storage = _storage(*stack.pop())
                stack.append(storages.setdefault(storage.key, storage))
            case "REDUCE" | "NEWOBJ":
                called, arguments = pop(-2)
                stack.append(_rebuilt(called, arguments))
                # One list can be copied again and again.
                steps += len(arguments) + sum(len(each) for each in arguments if isinstance(each, list))
            case "BUILD":
                stack.pop()  # attributes, such as a state dict's versions: none is needed
            case other:
                raise ValueError(f"its pickle has the opcode {other}, which no tensor needs: {_SAVE_INSTEAD}")
    raise ValueError("it ends early")


def _entries(pairs: list[Any]) -> dict[str | int, Any]:
    """Pairs as a dict, by names or numbers alone: tuples in tuples can take for ever to be hashed."""
    if not isinstance(pairs, list) or not all(isinstance(key, str | int) for key, _ in pairs):
        raise ValueError(f"its pickle has a dict by other keys than names and numbers: {_SAVE_INSTEAD}")
    return dict(pairs)


def _rebuilt(called: Any, arguments: tuple[Any, ...]) -> Any:
    match _named(called):
        case "collections", "OrderedDict":
            return _entries(*arguments) if arguments else {}
        case "torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2":
            return _tensor(*arguments[:4])
        case ("torch._utils", "_rebuild_parameter") | ("torch.nn.parameter", "Parameter"):
            return arguments[0]
    raise ValueError(f"its pickle calls {'.'.join(called)}, which was not run: {_SAVE_INSTEAD}")


def _storage(kind: Any, called: Any, key: Any, device: Any, count: Any, view: Any = None) -> _Storage:
    module, storage_type = _named(called)
    if kind != "storage" or module != "torch" or storage_type not in _DTYPES:
        raise ValueError(f"it refers to an object of type {module}.{storage_type}: {_SAVE_INSTEAD}")
    if view is not None or not isinstance(key, str) or not isinstance(count, int) or not 0 <= count <= _MOST:
        raise ValueError(f"a storage is part of another or has no size: {_SAVE_INSTEAD}")
    return _Storage(key, _DTYPES[storage_type], count)


def _named(called: Any) -> _Global:
    """What a pickle names, checked to be text: of tuples in tuples the text may be endless."""
    if not isinstance(called, _Global) or not all(isinstance(part, str) for part in called):
        raise ValueError(f"its pickle has something else where a name must be: {_SAVE_INSTEAD}")
    return called


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> _Tensor:
    few = all(isinstance(ns, tuple) and len(ns) <= _MOST_AXES for ns in (shape, strides))
    whole = few and all(isinstance(n, int) and 0 <= n <= _MOST for n in (offset, *shape, *strides))
    if not isinstance(storage, _Storage) or not whole or len(shape) != len(strides):
        raise ValueError("a tensor has no storage, or a shape or strides that aren't whole numbers from 0")
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if 0 not in shape and last >= storage.length:
        raise ValueError(f"a tensor reaches outside its storage of {storage.length} numbers")
    return _Tensor(storage, offset, shape, strides)
