"""Where a run's numbers and pictures are shown beside its own files: TensorBoard, Weights & Biases."""

import json
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import hparams

from infogan_jax.config import Config, to_json
from infogan_jax.errors import UserError
from infogan_jax.images import write_atomically


class Writer(Protocol):
    """Takes what a run has to show."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of a step, by name."""

    def picture(self, step: int, name: str, file: Path) -> None:
        """A PNG file of a step, by name."""

    def close(self) -> None:
        """Nothing comes after it."""


def flat(values: Mapping[str, Any], path: str = "") -> dict[str, str | float | bool]:
    """Nested JSON values by path ("train.batch"); lists stay JSON, null is left out."""
    found: dict[str, str | float | bool] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{path}{name}.")
        elif value is not None:
            found[path + name] = value if isinstance(value, str | int | float) else json.dumps(value)
    return found


@contextmanager
def writers(
    run_dir: Path, config: Config, start: int | None, wandb: str | None = None
) -> Iterator[list[Writer]]:
    """The writers of a run, which are closed at the end.

    Args:
        run_dir: the run's folder, which is there.
        config: its configuration, shown as hyperparameters.
        start: the step that a training starts from; what TensorBoard has of later ones is hidden. None where
            nothing is trained.
        wandb: a project of Weights & Biases, or None for TensorBoard alone.
    """
    with ExitStack() as files:
        opened: list[Writer] = [files.enter_context(closing(TensorBoard(run_dir, config, start)))]
        if wandb is not None:
            opened.append(files.enter_context(closing(WeightsAndBiases(run_dir, config, wandb))))
        yield opened


class TensorBoard:
    """Event files in the run's folder `tensorboard`; the folder of several runs shows them side by side."""

    def __init__(self, run_dir: Path, config: Config, start: int | None) -> None:
        folder = run_dir / "tensorboard"
        folder.mkdir(exist_ok=True)
        # Not through tensorboardX's SummaryWriter: its thread ends where the disk is full or the clock jumps,
        # and what is written then waits for it for ever.
        self._events = EventsWriter(str(folder / "events"))
        # Without a list of measures the HPARAMS tab shows every number that a run has.
        _, begun, _ = hparams(flat(to_json(config)), {})
        try:
            if start is not None:
                self._write(start + 1, session_log=SessionLog(status=SessionLog.START))
            self._write(0, summary=begun)
        except OSError:
            with suppress(OSError):
                self.close()
            raise

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of a step, by name."""
        shown = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(step, summary=Summary(value=shown))

    def picture(self, step: int, name: str, file: Path) -> None:
        """A PNG file of a step, in the IMAGES tab."""
        image = Summary.Image(encoded_image_string=file.read_bytes())
        self._write(step, summary=Summary(value=[Summary.Value(tag=name, image=image)]))

    def close(self) -> None:
        """Closes the file, also where the disk is full and what is left can't be written."""
        try:
            self._events.close()
        except OSError:
            # It has stopped before the file was closed.
            with suppress(OSError):
                self._events._py_recordio_writer.close()
            raise

    def _write(self, step: int, **what: Any) -> None:
        self._events.write_event(Event(wall_time=time.time(), step=step, **what))
        self._events.flush()


class WeightsAndBiases:
    """A run of a Weights & Biases project; going on with a training goes on with it.

    The step is a number beside the others, against which they are drawn: of the service's own counter a run
    that goes on may only log later values, and what comes at the step of the last one, as the measures after
    a training do, would be dropped. Steps that come again after a checkpoint are therefore there twice.
    """

    STEP = "global_step"
    """The step's name, which is that of what the service reads from TensorBoard."""

    def __init__(self, run_dir: Path, config: Config, project: str) -> None:
        module = wandb_module()
        path = run_dir / "wandb" / "run.json"
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            write_atomically(path, json.dumps({"id": secrets.token_hex(8)}).encode())
        self._module = module
        try:
            self._run = module.init(
                project=project,
                id=json.loads(path.read_text())["id"],
                resume="allow",
                # Of several seeds in one program each is a run; otherwise the second is given the first's.
                reinit="create_new",
                dir=str(run_dir),
                name=run_dir.name,
                group=config.experiment,
                config=to_json(config),
            )
        except module.Error as error:
            raise UserError(
                f"--wandb: {str(error).splitlines()[0]}; WANDB_MODE=offline keeps the run here"
            ) from error
        self._run.define_metric("*", step_metric=self.STEP)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of a step, by name."""
        self._run.log({**values, self.STEP: step})

    def picture(self, step: int, name: str, file: Path) -> None:
        """A PNG file of a step."""
        self._run.log({name: self._module.Image(str(file)), self.STEP: step})

    def close(self) -> None:
        """Awaits what is on its way."""
        self._run.finish()


def wandb_module() -> Any:
    """The package `wandb`.

    Raises:
        UserError: it is not installed.
    """
    try:
        import wandb
    except ImportError as error:
        raise UserError(
            f"--wandb needs the package wandb ({error}): {sys.executable} -m pip install 'infogan-jax[wandb]'"
        ) from error
    return wandb
