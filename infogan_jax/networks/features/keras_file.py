"""Keras' weights files in HDF5 (`.h5`), as the published networks of `keras.applications` have them.

HDF5 can put parts of a file into others, by links, external storage and virtual datasets. The published
networks have none of these, and they are refused: what comes from another file is not what the hash is of.
It can also store an array in chunks, which memory holds whole, however large, and which inflate to any size.
The published networks have none; chunks are read that lie within their array and aren't compressed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from infogan_jax.errors import UserError
from infogan_jax.networks.features.stored_array import StoredArray

_MOST_MEMBERS, _DEEPEST = 8, 3
"""Of the groups in which a layer's arrays are looked for; a convolution has two arrays, in two groups."""


def read(path: Path) -> dict[str, StoredArray]:
    """The kernels and biases of a network's layers.

    Args:
        path: what `save_weights` or `save` of Keras wrote to a file that ends in `.h5`.

    Returns:
        Arrays named `layer/kernel` and `layer/bias`, their numbers unread.

    Raises:
        ValueError: the file is broken, not of this layout, or not the only one that its numbers are in; or
            it has numbers that are compressed, or in chunks larger than their array.
        UserError: h5py is not installed.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise UserError(f"reading {path} needs h5py: pip install h5py") from error

    def numbers(name: str) -> np.ndarray:
        with _as_value_error(), h5py.File(path) as file:
            stored: np.ndarray = file[name][()]
            return stored

    arrays = {}
    with _as_value_error(), h5py.File(path) as file:
        # A file of weights has the layers at its root, a saved model has them in a group.
        layers = _member(file, "model_weights") if file.get("model_weights", getlink=True) else file
        for layer in layers:
            # Their own names differ between Keras' versions, and say no more than the number of axes does.
            for kind, array in _kernel_and_bias(_arrays_in(_member(layers, layer), _DEEPEST)).items():
                if array.external or array.is_virtual:
                    raise ValueError(f"the numbers of {array.name} are in another file")
                _check_chunks(array)
                arrays[f"{layer}/{kind}"] = StoredArray(
                    array.shape, array.dtype, partial(numbers, array.name)
                )
    return arrays


def _check_chunks(array: Any) -> None:
    """Refuses what HDF5 would take more memory to read than the array itself."""
    if array.chunks and any(chunk > size for chunk, size in zip(array.chunks, array.shape, strict=True)):
        raise ValueError(
            f"{array.name} of the shape {array.shape} is in chunks of {array.chunks}, which are larger"
        )
    # What a chunk inflates to isn't held against its size.
    if array.id.get_create_plist().get_nfilters():
        raise ValueError(f"the numbers of {array.name} are compressed or filtered: store them as they are")


def _kernel_and_bias(arrays: list[Any]) -> dict[str, Any]:
    """Which array of a layer is which; none of a layer that has others, such as batch norm."""
    kinds = ["kernel" if len(array.shape) > 1 else "bias" for array in arrays]
    return dict(zip(kinds, arrays, strict=True)) if len(set(kinds)) == len(kinds) else {}


def _arrays_in(layer: Any, depth: int) -> list[Any]:
    """The arrays in a layer's group and in groups in it.

    The layer's attribute "weight_names" names them too. But to read names of any length HDF5 looks into a
    heap, in which it can go round in circles where a file is broken.
    """
    import h5py

    if isinstance(layer, h5py.Dataset):
        return [layer]
    if not depth or len(layer) > _MOST_MEMBERS:
        return []
    return [array for name in layer for array in _arrays_in(_member(layer, name), depth - 1)]


def _member(group: Any, name: str) -> Any:
    """What is in a group, and no link to elsewhere."""
    import h5py

    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} in {group.name} is a link to another place")
    return group[name]


@contextmanager
def _as_value_error() -> Iterator[None]:
    """What h5py raises of broken files has many types."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(str(error)) from error
