"""Checkpoints: the state's arrays, and beside them what it takes to read them again.

Each is one atomic Orbax step folder with two items: "state", and "run" (JSON: configuration, data
set, library versions); `checksums.py` adds a file. An evaluation needs the run's folder and the data set
that it names, no more.
"""

import ctypes
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, EveryNSteps, LatestN

from infogan_jax import __version__
from infogan_jax.config import Config, to_json
from infogan_jax.errors import NonFiniteError, UserError
from infogan_jax.tasks.registry import task_of
from infogan_jax.training import checksums, run_folder
from infogan_jax.training.checksums import DamagedCheckpoint

_LIBRARIES = ("jax", "flax", "optax", "orbax-checkpoint", "chex", "numpy")

_FOR_EVER = 10**9
"""Thirty years in seconds: Orbax adds them to today's date."""

# Orbax logs what its threads raise, with tracebacks, and raises it in the caller's thread too.
logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname or not record.exc_info)
logging.getLogger("asyncio").addFilter(lambda record: "never retrieved" not in record.getMessage())

_unraisable = sys.unraisablehook


def _without_echoes(unraisable: Any) -> None:
    """Where one array fails, TensorStore says of all others, on its threads, that nobody waits for them."""
    if "Event loop is closed" not in str(unraisable.exc_value):
        _unraisable(unraisable)


# Often before the failure is heard of in the caller's thread.
sys.unraisablehook = _without_echoes


class Checkpoints:
    """Saves and restores one run's checkpoints; a context that waits for what is being written."""

    def __init__(self, run_dir: Path, *, keep: int = 1, keep_every: int = 0, read_only: bool = False) -> None:
        """Opens a run's checkpoints.

        Args:
            run_dir: the run's folder.
            keep: number of newest checkpoints kept.
            keep_every: keep for good checkpoints at least this many steps apart; 0: none.
            read_only: whether nothing will be saved; then this process reads alone, whatever others do.
        """
        self._run_dir = run_dir
        self._step = -1
        policies = [LatestN(keep)]
        if keep_every:
            policies.append(EveryNSteps(keep_every, exact_interval=False))
        alone = {}
        if read_only:
            index = jax.process_index()
            alone["multiprocessing_options"] = ocp.options.MultiprocessingOptions(
                primary_host=index, active_processes={index}
            )
        # Orbax gives up a save by a clock that may be set while it is written, and waits for folders that a
        # thread makes no longer than ten minutes of that clock. Of several processes one may be gone, and the
        # others must not wait for it for ever.
        patience: dict[str, Any] = {}
        if jax.process_count() == 1:
            patience = {"timeout_secs": _FOR_EVER, "create_directories_asynchronously": False}
        options = ocp.CheckpointManagerOptions(
            preservation_policy=AnyPreservationPolicy(policies),
            cleanup_tmp_directories=not read_only,
            create=not read_only,
            async_options=ocp.options.AsyncOptions(post_finalization_callback=self._finished, **patience),
            **alone,
        )
        handlers = {
            "state": ocp.StandardCheckpointHandler(),
            "run": ocp.JsonCheckpointHandler(run_folder.RUN_FILE),
        }
        self._manager = ocp.CheckpointManager(
            run_folder.checkpoints(run_dir), options=options, item_handlers=handlers
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind not in (None, NonFiniteError) and jax.process_count() > 1:
            # What is being written waits for other processes, which may be gone. Numbers that aren't finite
            # are so in all of them.
            return
        with self._writing():
            self._manager.close()

    def save(self, step: int, state: Any, config: Config) -> None:
        """Starts to write a checkpoint; the arrays are copied before it returns.

        Raises:
            UserError: this checkpoint or the one before can't be written.
        """
        versions = {"infogan-jax": __version__} | {name: version(name) for name in _LIBRARIES}
        run = {"schema": run_folder.SCHEMA, "step": step, "config": to_json(config), "versions": versions}
        items = ocp.args.Composite(state=ocp.args.StandardSave(state), run=ocp.args.JsonSave(run))
        with self._writing():
            # The next save waits for this one, so one step is being written at a time.
            self._manager.wait_until_finished()
            _give_back()
            self._step = step
            self._manager.save(step, args=items, force=True)

    def wait(self) -> None:
        """Returns when all is written; raises what `save` does."""
        with self._writing():
            self._manager.wait_until_finished()

    def check(self) -> None:
        """Raises what became of a checkpoint that is being written, if anything did: see `save`."""
        with self._writing():
            self._manager.check_for_errors()

    def _finished(self) -> None:
        """All files are there; with their checksums the folder then gets its final name."""
        if jax.process_index():
            return
        folder = run_folder.checkpoints(self._run_dir)
        unnamed = sorted(folder.glob(f"{self._step}.orbax-checkpoint-tmp*"))
        checksums.write(unnamed[0] if unnamed else folder / str(self._step))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        # Orbax raises a ValueError for what TensorStore reports, a full disk among it.
        try:
            yield
        except TimeoutError as error:
            if jax.process_count() > 1:
                # They wait for each other in a save: `processes.with_others` says that one is missing.
                raise
            raise UserError(
                f"{self._manager.directory}: a checkpoint wasn't written in time ({_reason(error)}); those "
                "before it are whole: see what holds the disk up, then go on with --resume"
            ) from error
        except (OSError, ValueError) as error:
            raise UserError(
                f"{self._manager.directory}: a checkpoint can't be written ({_reason(error)}); those before "
                "it are whole: make room, then go on with --resume"
            ) from error

    def state(self, step: int, like: Any) -> Any:
        """A checkpoint's arrays.

        Args:
            step: which.
            like: the state's shapes, types and shardings (`jax.ShapeDtypeStruct`): where the arrays
                shall be now, whatever devices they were saved from.

        Raises:
            DamagedCheckpoint: they can't be read, aren't of these shapes, or aren't what was saved.
        """
        run_folder.check(self._run_dir, step)
        items = ocp.args.Composite(state=ocp.args.StandardRestore(like))
        try:
            return self._manager.restore(step, args=items)["state"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            folder = self._manager.directory / str(step)
            raise DamagedCheckpoint(
                f"{folder} can't be read, the checkpoint is damaged ({_reason(error)})"
            ) from error


def local_copy(state: Any) -> Any:
    """A replicated state as this process has it, on one of its devices."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), state)


def host_arrays(state: Any) -> dict[str, np.ndarray]:
    """A replicated state's arrays by path; of keys their bits."""

    def read(leaf: jax.Array) -> np.ndarray:
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if is_key else leaf)

    leaves = jax.tree.leaves_with_path(local_copy(state))
    return {jax.tree_util.keystr(path): read(leaf) for path, leaf in leaves}


def _give_back() -> None:
    """Returns to the system what malloc keeps of freed memory, where the C library is glibc.

    Saves, on threads that come and go, leave it in pieces: it grew by some MiB in a thousand steps of digits.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _reason(error: Exception) -> str:
    """The last clause of what is often a chain of paths: what the system said."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) <= 200 else '... ' + text[-160:]}"


def abstract(state: Any, sharding: jax.sharding.Sharding) -> Any:
    """The shapes and types of a state, placed by ``sharding``."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), state)


def restore(run_dir: Path, step: int) -> tuple[Config, Any]:
    """What a checkpoint holds: the run's configuration and its task's state, on the first device.

    Args:
        run_dir: the run's folder.
        step: a step that `run_folder.find_step` found.

    Raises:
        UserError: the configuration or the arrays can't be read, or are of another version.
    """
    config = run_folder.config(run_dir, step)
    shapes = jax.eval_shape(lambda: task_of(config).init(config, jax.random.key(config.seed)))
    first = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    with Checkpoints(run_dir, read_only=True) as saved:
        return config, saved.state(step, abstract(shapes, first))
