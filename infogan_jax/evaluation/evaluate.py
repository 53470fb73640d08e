"""Measures a run's checkpoint; writes `eval/metrics.json`, `eval/*.png`, `report.html`, `explorer.html`."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from infogan_jax.config import AutoencoderConfig, Config, InfoGANConfig, SuperResolutionConfig, to_json
from infogan_jax.data import sources
from infogan_jax.data.dataset import Dataset
from infogan_jax.errors import UserError
from infogan_jax.evaluation import autoencoder, image_features, infogan, superresolution
from infogan_jax.evaluation.explorer import write_explorer
from infogan_jax.evaluation.report import Measurement, write_report
from infogan_jax.experiments import command_line
from infogan_jax.images import write_atomically
from infogan_jax.training import run_folder
from infogan_jax.training.checkpoints import restore
from infogan_jax.training.logging import Record, read_records
from infogan_jax.training.writers import flat, writers

_MEASURES: dict[type[Config], Callable[..., Measurement]] = {
    InfoGANConfig: infogan.measure,
    AutoencoderConfig: autoencoder.measure,
    SuperResolutionConfig: superresolution.measure,
}


def evaluate(
    run_dir: Path,
    *,
    step: int | None = None,
    dataset: Dataset | None = None,
    features: Sequence[str] = (),
    wandb: str | None = None,
) -> Measurement:
    """Measures one checkpoint of a run; the same checkpoint gives the same metrics, to the byte.

    Args:
        run_dir: the run's folder.
        step: which checkpoint; the newest by default.
        dataset: the run's data set, where it is loaded already.
        features: what an InfoGAN's images are compared with test images by, beside pixels, each as
            `image_features.find` takes it.
        wandb: a project of Weights & Biases that shows numbers and pictures too, as TensorBoard does.

    Returns:
        The measurement; its metrics are what `eval/metrics.json` holds.

    Raises:
        NotInstalled: the features are of a package that isn't there.
        UserError: the folder holds no such checkpoint, or the run's data set or features are not there or not
            of use for it.
    """
    step = run_folder.find_step(run_dir, step)
    config, state = restore(run_dir, step)
    measure = _MEASURES[type(config)]
    if features:
        if not isinstance(config, InfoGANConfig):
            raise UserError(f"--features is for runs of an InfoGAN; {run_dir} is one of {config.experiment}")
        found = [image_features.find(each, config.networks.image_shape) for each in features]
        measure = partial(measure, features=found)
    if dataset is None:
        dataset = sources.load(config.data)
    folder = run_dir / "eval"
    folder.mkdir(exist_ok=True)
    records = [record for record in read_records(run_dir) if record["step"] <= step]
    measured = measure(config, state, dataset, records, folder)
    run = {"experiment": config.experiment, "seed": config.seed, "step": step}
    measured = measured._replace(metrics=run | measured.metrics)
    title = f"{config.experiment}, seed {config.seed}"
    write_report(
        run_dir / "report.html",
        title=title,
        headline=measured.headline,
        summary=[
            ("Data", _data(config, dataset)),
            ("Step", f"{step:,}"),
            ("Batch", str(config.train.batch)),
            *measured.summary,
            *_training(records, run_folder.versions(run_dir, step)),
        ],
        results=measured.results,
        information=measured.information,
        pictures=measured.pictures,
        command=command_line(config),
        config_text=json.dumps(to_json(config), indent=2),
    )
    if isinstance(config, InfoGANConfig):
        write_explorer(
            run_dir / "explorer.html", title=title, config=config, state=state, metrics=measured.metrics
        )
    numbers = {name: x for name, x in flat(measured.metrics, "eval/").items() if isinstance(x, float)}
    with writers(run_dir, config, None, wandb) as shown:
        for writer in shown:
            writer.scalars(step, numbers)
            for _, picture in measured.pictures:
                writer.picture(step, f"eval/{picture.stem}", picture)
    # The last: where it is, the rest is.
    write_atomically(folder / "metrics.json", (json.dumps(measured.metrics, indent=2) + "\n").encode())
    return measured


def _data(config: Config, dataset: Dataset) -> str:
    train, test = len(dataset.train.images), len(dataset.test.images)
    if config.data.endless:
        return f"{dataset.name}: trained on new images in every step, measured on {train:,} + {test:,}"
    return f"{dataset.name}: {train:,} + {test:,} images"


def _training(records: list[Record], versions: dict[str, str]) -> list[tuple[str, str]]:
    """The report's rows: how long it took up to this checkpoint, and what with."""
    time = str(timedelta(seconds=round(records[-1]["seconds"]))) if records else None
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
    rows = (("Training, h:min:s", time), ("Trained with", libraries))
    return [(name, told) for name, told in rows if told]
