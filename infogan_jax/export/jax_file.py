"""A `.jax` file: G and Q as programs of `jax.export`, and their weights.

It is a zip archive of four members: "about.json" (format, versions, step, configuration), "generate" and
"read" (each a serialised `jax.export.Exported` of the variables and a batch of any size, for CPU, CUDA and
TPU), and "weights.npz" (every variable by its path). Nothing in it is executed but the two programs.
"""

import io
import json
import zipfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import export

from infogan_jax import __version__
from infogan_jax.codes import Categorical
from infogan_jax.config import InfoGANConfig, from_json, to_json
from infogan_jax.errors import UserError
from infogan_jax.export.model import Model, model_variables
from infogan_jax.images import write_atomically
from infogan_jax.tasks import infogan

FORMAT = 1
"""Raised when an older version could no longer read what is written."""

PLATFORMS = ("cpu", "cuda", "tpu")


def write_jax_file(path: Path, config: InfoGANConfig, state: infogan.State, step: int) -> None:
    """Writes G and Q of a state, for any batch size and every platform of `PLATFORMS`.

    Args:
        path: the file; replaced as a whole if it exists.
        config: the run's configuration.
        state: the trained state.
        step: the checkpoint's.
    """
    variables = dict(zip(("generate", "read"), map(jax.device_get, model_variables(state)), strict=True))
    (n,) = export.symbolic_shape("n")
    codes = config.codes
    draw = {"noise": jax.ShapeDtypeStruct((n, codes.noise_dim), jnp.float32)}
    for name, code in codes.named.items():
        dtype = jnp.int32 if isinstance(code, Categorical) else jnp.float32
        draw[name] = jax.ShapeDtypeStruct((n,), dtype)
    images = jax.ShapeDtypeStruct((n, *config.networks.image_shape), jnp.float32)
    programs: dict[str, tuple[Callable[..., Any], Any]] = {
        "generate": (infogan.make_images, draw),
        "read": (infogan.read_images, images),
    }
    about = {
        "format": FORMAT,
        "versions": {"infogan-jax": __version__} | {name: version(name) for name in ("jax", "flax")},
        "step": step,
        "config": to_json(config),
    }
    weights = io.BytesIO()
    np.savez(weights, **flatten_dict(variables, sep="/"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        # `ZipInfo` has a fixed date, so that what is written doesn't hang on when.
        archive.writestr(zipfile.ZipInfo("about.json"), json.dumps(about, indent=2))
        for name, (function, arguments) in programs.items():
            program = export.export(jax.jit(partial(function, config)), platforms=PLATFORMS)
            exported = program(_shapes(variables[name]), arguments)
            archive.writestr(zipfile.ZipInfo(name), bytes(exported.serialize()), zipfile.ZIP_DEFLATED)
        archive.writestr(zipfile.ZipInfo("weights.npz"), weights.getvalue())
    write_atomically(path, buffer.getvalue())


def read_jax_file(path: Path) -> Model:
    """The model that `write_jax_file` wrote.

    Raises:
        UserError: the file is damaged, no such file, or of a version that this one can't read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            about = json.loads(archive.read("about.json"))
            if about["format"] > FORMAT:
                raise UserError(
                    f"{path} was written by infogan-jax {about['versions']['infogan-jax']}: "
                    "install that version or a newer one"
                )
            programs = {
                name: export.deserialize(bytearray(archive.read(name))) for name in ("generate", "read")
            }
            with np.load(io.BytesIO(archive.read("weights.npz")), allow_pickle=False) as arrays:
                variables = unflatten_dict({name: jnp.asarray(arrays[name]) for name in arrays}, sep="/")
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise UserError(f"{path} can't be read, it is no .jax file of eval.py --export ({reason})") from error
    config = from_json(about["config"])
    if not isinstance(config, InfoGANConfig):
        raise UserError(f"{path} holds the configuration of another task: eval.py --export writes InfoGANs")
    generate, read = (
        partial(jax.jit(programs[name].call), _whole(variables.get(name, {}))) for name in programs
    )
    return Model(config, about["step"], about["versions"], generate, read)


def _shapes(variables: Any) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), variables)


def _whole(variables: dict[str, Any]) -> dict[str, Any]:
    """With "batch_stats" where there are none, which the archive can't say."""
    return {"params": {}, "batch_stats": {}} | variables
