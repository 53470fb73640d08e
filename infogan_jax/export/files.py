"""Which file a model is written to and read from: by the ending of its name."""

from pathlib import Path

from infogan_jax.config import InfoGANConfig
from infogan_jax.errors import UserError
from infogan_jax.export import jax_file, onnx_file
from infogan_jax.export.model import Model, model_of
from infogan_jax.training import run_folder

_WRITERS = {".jax": jax_file.write_jax_file, ".onnx": onnx_file.write_onnx_files}
_READERS = {".jax": jax_file.read_jax_file, ".onnx": onnx_file.read_onnx_files}


def check_export(path: Path) -> list[Path]:
    """The files that an export to a path writes.

    Raises:
        UserError: the name has another ending, the folder isn't there, a file is there already, or the
            package that writes it isn't installed.
    """
    if path.suffix not in _WRITERS:
        raise UserError(f"{path} must end in {' or '.join(_WRITERS)}: that says what is written")
    if not path.absolute().parent.is_dir():
        raise UserError(f"{path} can't be written: {path.parent} is no folder")
    files = [path]
    if path.suffix == ".onnx":
        onnx_file.require()
        files.append(onnx_file.reader_path(path))
    for file in files:
        if file.exists():
            raise UserError(f"{file} is there already: delete it, or name another file")
    return files


def export_run(run_dir: Path, path: Path, *, step: int | None = None) -> list[Path]:
    """Writes the generator and Q of a run's checkpoint to a file that needs no run's folder.

    Args:
        run_dir: the run's folder.
        path: NAME.jax, for `load` and JAX on CPU, CUDA and TPU; or NAME.onnx, for ONNX runtimes, which
            leaves Q in NAME-codes.onnx beside it.
        step: which checkpoint; the newest by default.

    Returns:
        The files that were written.

    Raises:
        UserError: the path is none to write to, the folder holds no such checkpoint, or not an InfoGAN's.
    """
    files = check_export(path)
    step = run_folder.find_step(run_dir, step)
    config = _check_generates(run_dir, step)
    # Orbax, which reading a file doesn't need.
    from infogan_jax.training.checkpoints import restore

    _, state = restore(run_dir, step)
    _WRITERS[path.suffix](path, config, state, step)
    return files


def load(path: str | Path, *, step: int | None = None) -> Model:
    """A trained model to call: from a file of `eval.py --export`, or from a run's folder.

        images = model(model.sample_noise(1), {"c1": [3], "c2": [0.5]})
        codes = model.recognize(images)

    Args:
        path: NAME.jax or NAME.onnx, which need nothing else (the latter NAME-codes.onnx beside it), or a
            run's folder.
        step: of a folder, which checkpoint; the newest by default.

    Returns:
        The model; see `Model`.

    Raises:
        UserError: there is no such file or checkpoint, it can't be read, or it isn't an InfoGAN's.
    """
    path = Path(path)
    if path.suffix in _READERS and not path.is_dir():
        if step is not None:
            raise UserError(f"{path} holds one checkpoint: leave out the step")
        if not path.exists():
            raise UserError(f"{path} isn't there: eval.py RUN --export {path.name} writes such a file")
        return _READERS[path.suffix](path)
    if not path.is_dir():
        endings = " or ".join(f"*{ending}" for ending in _READERS)
        raise UserError(f"{path} is no run's folder, nor a file of eval.py --export ({endings})")
    step = run_folder.find_step(path, step)
    config = _check_generates(path, step)
    from infogan_jax.training.checkpoints import restore

    _, state = restore(path, step)
    return model_of(config, state, step)


def _check_generates(run_dir: Path, step: int) -> InfoGANConfig:
    config = run_folder.config(run_dir, step)
    if not isinstance(config, InfoGANConfig):
        raise UserError(f"{run_dir} is a run of {config.experiment}, which has no generator with codes")
    return config
