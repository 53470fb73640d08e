"""Keras' weights files in HDF5 (`.h5`), as the published networks of `keras.applications` have them."""

from functools import partial
from pathlib import Path

import numpy as np

from infogan_jax.errors import UserError
from infogan_jax.networks.features.stored_array import StoredArray


def read(path: Path) -> dict[str, StoredArray]:
    """The kernels and biases of a network's layers.

    Args:
        path: what `save_weights` or `save` of Keras wrote to a file that ends in `.h5`.

    Returns:
        Arrays named `layer/kernel` and `layer/bias`, their numbers unread.

    Raises:
        ValueError: the file is broken or not of this layout.
        UserError: h5py is not installed.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise UserError(f"reading {path} needs h5py: pip install h5py") from error

    def numbers(name: str) -> np.ndarray:
        with h5py.File(path) as file:
            stored: np.ndarray = file[name][()]
            return stored

    arrays = {}
    try:
        with h5py.File(path) as file:
            # A file of weights has the layers at its root, a saved model has them in a group.
            layers = file.get("model_weights", file)
            for layer, group in layers.items():
                # The arrays' own names differ between Keras' versions; a layer's kernel always comes first.
                for kind, name in zip(("kernel", "bias"), group.attrs.get("weight_names", ()), strict=False):
                    stored = group[name.decode() if isinstance(name, bytes) else name]
                    arrays[f"{layer}/{kind}"] = StoredArray(
                        stored.shape, stored.dtype, partial(numbers, stored.name)
                    )
    except (OSError, RuntimeError, KeyError, AttributeError) as error:
        raise ValueError(str(error)) from error
    return arrays
