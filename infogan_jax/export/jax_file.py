"""A `.jax` file: G and Q as programs of `jax.export`, and their weights.

It is a zip archive of four members: "about.json" (format, versions, step, configuration), "generate" and
"read" (each a serialised `jax.export.Exported` of the variables and a batch of any size, for CPU, CUDA and
TPU), and "weights.npz" (every variable by its path). Nothing in it is executed but the two programs.
"""

import io
import json
import lzma
import struct
import zipfile
import zlib
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
from infogan_jax.export.model import Model, in_float32, model_variables
from infogan_jax.images import write_atomically
from infogan_jax.networks.layers import for_every_platform
from infogan_jax.tasks import infogan

FORMAT = 1
"""Raised when an older version could no longer read what is written."""

PLATFORMS = ("cpu", "cuda", "tpu")

MAX_BYTES = 2**26
"""A file whose programs or description unpack to more is refused: those written here have some thousands."""

# What the readers of archives, JSON, arrays and programs raise, one or the other, for what is none.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, UnicodeError),
    *(KeyError, IndexError, ValueError, TypeError, AttributeError, AssertionError),
    *(NotImplementedError, RuntimeError, OverflowError, MemoryError),
)


def write_jax_file(path: Path, config: InfoGANConfig, state: infogan.State, step: int) -> None:
    """Writes G and Q of a state, for any batch size and every platform of `PLATFORMS`, in float32.

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
            program = export.export(jax.jit(partial(function, in_float32(config))), platforms=PLATFORMS)
            with for_every_platform():
                exported = program(_shapes(variables[name]), arguments)
            archive.writestr(zipfile.ZipInfo(name), bytes(exported.serialize()), zipfile.ZIP_DEFLATED)
        archive.writestr(zipfile.ZipInfo("weights.npz"), weights.getvalue())
    write_atomically(path, buffer.getvalue())


def read_jax_file(path: Path) -> Model:
    """The model that `write_jax_file` wrote.

    Raises:
        UserError: the file is damaged, no such file, meant to fill the memory, or of a version that this one
            can't read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            about = json.loads(_member(archive, "about.json", MAX_BYTES))
            versions, step, kind = about["versions"], about["step"], about["format"]
            if kind > FORMAT:
                raise UserError(
                    f"{path} was written by infogan-jax {versions['infogan-jax']}: "
                    "install that version or a newer one"
                )
            serialised = {name: _member(archive, name, MAX_BYTES) for name in ("generate", "read")}
            # Weights aren't compressed, so they can't be larger than the file.
            variables = _arrays(_member(archive, "weights.npz", path.stat().st_size))
        config = from_json(about["config"])
        written = f"jax {versions['jax']} (infogan-jax {versions['infogan-jax']})"
    except _DAMAGE as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{path} can't be read, it is no .jax file of eval.py --export ({_reason(error)})"
        ) from error
    try:
        programs = {name: export.deserialize(bytearray(content)) for name, content in serialised.items()}
    except _DAMAGE as error:
        raise UserError(
            f"{path} was written with {written}, and jax {jax.__version__} can't read its programs "
            f"({_reason(error)}): install that version of jax, or export the run again"
        ) from error
    if not isinstance(config, InfoGANConfig):
        raise UserError(f"{path} holds the configuration of another task: eval.py --export writes InfoGANs")
    generate, read = (
        partial(jax.jit(programs[name].call), _whole(variables.get(name, {}))) for name in programs
    )
    return Model(config, step, versions, generate, read)


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """What a member unpacks to.

    Raises:
        ValueError: it is more than ``most`` bytes, or compressed as none is that is written here.
    """
    member = archive.getinfo(name)
    # Of the other kinds `zipfile` unpacks all that there is, whatever it is asked for.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is neither stored nor deflated")
    if member.file_size > most:
        raise ValueError(f"{name} unpacks to more than {most:,} bytes")
    # What the archive says of its size need not be true: no more than that is unpacked.
    with archive.open(member) as file:
        return file.read(most)


def _arrays(content: bytes) -> dict[str, Any]:
    """The variables in an `.npz` file, whose members aren't compressed and lie one behind another.

    Raises:
        ValueError: they unpack to more than there is, or are no arrays.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > len(content):
            raise ValueError(f"the weights unpack to more than {len(content):,} bytes")
        arrays = {}
        for name in archive.namelist():
            member = io.BytesIO(_member(archive, name, len(content)))
            array = np.lib.format.read_array(member, allow_pickle=False)
            arrays[name.removesuffix(".npy")] = jnp.asarray(array)
    variables: dict[str, Any] = unflatten_dict(arrays, sep="/")
    return variables


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _shapes(variables: Any) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), variables)


def _whole(variables: dict[str, Any]) -> dict[str, Any]:
    """With "batch_stats" where there are none, which the archive can't say."""
    return {"params": {}, "batch_stats": {}} | variables
