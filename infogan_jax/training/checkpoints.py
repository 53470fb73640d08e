"""Checkpoints: the state's arrays, and beside them what it takes to read them again.

Each is one atomic Orbax step folder with two items: "state", and "run" (JSON: configuration, data
set, library versions). An evaluation needs the run's folder and the data set that it names, no more.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, EveryNSteps, LatestN

from infogan_jax import __version__
from infogan_jax.config import Config, to_json
from infogan_jax.errors import UserError
from infogan_jax.tasks.registry import task_of
from infogan_jax.training import run_folder

_LIBRARIES = ("jax", "flax", "optax", "orbax-checkpoint", "chex", "numpy")


class Checkpoints:
    """Saves and restores one run's checkpoints; a context that waits for what is being written."""

    def __init__(self, run_dir: Path, *, keep: int = 1, keep_every: int = 0, read_only: bool = False) -> None:
        """Opens a run's checkpoints.

        Args:
            run_dir: the run's folder.
            keep: number of newest checkpoints kept.
            keep_every: keep for good checkpoints at least this many steps apart; 0: none.
            read_only: whether nothing will be saved.
        """
        policies = [LatestN(keep)]
        if keep_every:
            policies.append(EveryNSteps(keep_every, exact_interval=False))
        options = ocp.CheckpointManagerOptions(
            preservation_policy=AnyPreservationPolicy(policies),
            cleanup_tmp_directories=not read_only,
            create=not read_only,
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

    def __exit__(self, *_: object) -> None:
        self._manager.close()

    def save(self, step: int, state: Any, config: Config) -> None:
        """Starts to write a checkpoint; the arrays are copied before it returns."""
        versions = {"infogan-jax": __version__} | {name: version(name) for name in _LIBRARIES}
        run = {"config": to_json(config), "versions": versions}
        items = ocp.args.Composite(state=ocp.args.StandardSave(state), run=ocp.args.JsonSave(run))
        self._manager.save(step, args=items, force=True)

    def state(self, step: int, like: Any) -> Any:
        """A checkpoint's arrays.

        Args:
            step: which.
            like: the state's shapes, types and shardings (`jax.ShapeDtypeStruct`): where the arrays
                shall be now, whatever devices they were saved from.

        Raises:
            UserError: they can't be read, or aren't of these shapes.
        """
        items = ocp.args.Composite(state=ocp.args.StandardRestore(like))
        try:
            return self._manager.restore(step, args=items)["state"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            folder = self._manager.directory / str(step)
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise UserError(
                f"{folder} can't be read, the checkpoint is damaged ({reason}); delete it to go on from "
                "the one before"
            ) from error


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
