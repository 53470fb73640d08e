"""Measures a run's checkpoint and writes `eval/metrics.json`, `eval/*.png` and `report.html`."""

import json
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from infogan_jax.config import Config, to_json
from infogan_jax.data import sources
from infogan_jax.data.dataset import Dataset
from infogan_jax.evaluation import clustering, figures
from infogan_jax.evaluation.inference import (
    Estimate,
    estimate_information,
    generate_images,
    read_categories,
)
from infogan_jax.evaluation.report import write_report
from infogan_jax.images import save_png, tile, to_uint8, write_atomically
from infogan_jax.tasks import infogan
from infogan_jax.tasks.infogan import State
from infogan_jax.training import checkpoints, run_folder
from infogan_jax.training.logging import read_records

# Real images are read with the statistics that batch norm recorded on real images: those that D
# saw them with. docs/batch-norm.md has both measured.
READING_STATISTICS: Literal["real", "fake"] = "real"

SAMPLE_COLUMNS = 10

Metrics = dict[str, Any]


def evaluate(run_dir: Path, *, step: int | None = None, dataset: Dataset | None = None) -> Metrics:
    """Measures one checkpoint of a run; the same checkpoint gives the same metrics, to the byte.

    Args:
        run_dir: the run's folder.
        step: which checkpoint; the newest by default.
        dataset: the run's data set, where it is loaded already.

    Returns:
        What `eval/metrics.json` holds. Measures that need labels or a categorical code are None
        without them.

    Raises:
        UserError: the folder holds no such checkpoint, or the run's data set is not there.
    """
    step = run_folder.find_step(run_dir, step)
    config = run_folder.config(run_dir, step)
    with checkpoints.Checkpoints(run_dir, read_only=True) as saved:
        state = saved.state(step, _on_one_device(config))
    if dataset is None:
        dataset = sources.load(config.data.source, config.data.name)
    folder = run_dir / "eval"
    folder.mkdir(exist_ok=True)

    information = estimate_information(config, state)
    entropy = config.codes.entropy
    entropy = entropy | {"total": sum(entropy.values())}
    scores, pictures = _clustering(config, state, dataset, folder)
    metrics = {
        "experiment": config.experiment,
        "seed": config.seed,
        "step": step,
        **scores,
        "mutual_information": {name: _rounded(e.mean) for name, e in information.items()},
        "mutual_information_standard_error": {
            name: _rounded(e.standard_error) for name, e in information.items()
        },
        "prior_entropy": {name: _rounded(h) for name, h in entropy.items()},
    }
    pictures = _generated(config, state, folder) + pictures
    records = [record for record in read_records(run_dir) if record["step"] <= step]
    if records and config.codes.codes:
        figures.curves_figure(folder / "curves.png", records, config.codes.entropy)
        pictures.append(("Training: the two losses, and L_I of each code", folder / "curves.png"))
    write_atomically(folder / "metrics.json", (json.dumps(metrics, indent=2) + "\n").encode())
    _report(run_dir / "report.html", config, metrics, information, entropy, dataset, pictures)
    return metrics


def _on_one_device(config: Config) -> Any:
    """The state's shapes and types, placed on the first device."""
    shapes = jax.eval_shape(lambda: infogan.init(config, jax.random.key(config.seed)))
    return checkpoints.abstract(shapes, jax.sharding.SingleDeviceSharding(jax.local_devices()[0]))


def _rounded(x: float) -> float:
    # A microunit is far below every standard error.
    return round(float(x), 6)


def _clustering(
    config: Config, state: State, dataset: Dataset, folder: Path
) -> tuple[Metrics, list[tuple[str, Path]]]:
    """How well a categorical code tells the classes apart, beside k-means on pixels."""
    names = ("code_error", "code_error_majority", "kmeans_error", "nmi", "ari")
    nothing: Metrics = dict.fromkeys((*names, "code", "code_error_by_statistics"))
    if not config.codes.categorical or dataset.num_classes is None:
        return nothing, []
    classes = dataset.num_classes
    (train, train_labels), (test, test_labels) = dataset.train, dataset.test

    def score(name: str, stats: Literal["real", "fake"]) -> tuple[clustering.ClusteringScores, np.ndarray]:
        categories = config.codes.named[name].categories
        read, read_test = predicted[stats]["train"][name], predicted[stats]["test"][name]
        scores = clustering.score_clustering(read, train_labels, read_test, test_labels, categories, classes)
        return scores, clustering.match_categories(read, train_labels, categories, classes)

    predicted = {
        stats: {
            "train": read_categories(config, state, train, stats),
            "test": read_categories(config, state, test, stats),
        }
        for stats in ("real", "fake")
    }

    def train_error(name: str) -> float:
        read = predicted[READING_STATISTICS]["train"][name]
        return clustering.error_rate(read, train_labels, score(name, READING_STATISTICS)[1])

    # Of several categorical codes, the one that matches the classes best in the training split.
    code = min(config.codes.categorical, key=train_error)
    scores, mapping = score(code, READING_STATISTICS)
    categories = config.codes.named[code].categories
    kmeans_train, kmeans_test = clustering.kmeans_predictions(train, test, classes, seed=0)
    kmeans = clustering.score_clustering(
        kmeans_train, train_labels, kmeans_test, test_labels, classes, classes
    )
    matrix = clustering.confusion_matrix(
        predicted[READING_STATISTICS]["test"][code], test_labels, categories, classes
    )
    path = folder / "confusion.png"
    figures.confusion_figure(path, matrix, mapping, [str(label) for label in range(classes)])
    metrics = {
        "code_error": _rounded(scores.code_error),
        "code_error_majority": _rounded(scores.code_error_majority),
        "kmeans_error": _rounded(kmeans.code_error),
        "nmi": _rounded(scores.nmi),
        "ari": _rounded(scores.ari),
        "code": code,
        "code_error_by_statistics": {
            stats: _rounded(score(code, stats)[0].code_error) for stats in ("real", "fake")
        },
    }
    return metrics, [(f"Test images by class and by category of {code}", path)]


def _generated(config: Config, state: State, folder: Path) -> list[tuple[str, Path]]:
    """Pictures of what the generator makes: random samples, and a traversal of each code."""

    def images(draw: dict[str, Any]) -> np.ndarray:
        return to_uint8(generate_images(config, state, draw), *config.networks.image_range)

    pictures = []
    for picture, (name, code) in enumerate(config.codes.named.items(), start=2):
        grid = config.codes.traversal(name, infogan.sample_key(state.key, picture))
        path = folder / f"traversal-{name}.png"
        varied = f"{name} ~ {code.label}"
        figures.traversal_figure(
            path,
            images(grid.draw),
            len(grid.columns),
            grid.columns,
            grid.rows,
            f"Varying {varied}",
            name,
        )
        pictures.append((f"Along a row {varied} changes, and nothing else", path))
    path = folder / "samples.png"
    draw = config.codes.sample(infogan.sample_key(state.key, 1), SAMPLE_COLUMNS**2)
    grid = tile(images(draw), SAMPLE_COLUMNS)
    save_png(path, grid, scale=max(1, 560 // grid.shape[1]))
    pictures.append(("Random samples", path))
    return pictures


def _report(
    path: Path,
    config: Config,
    metrics: Metrics,
    information: dict[str, Estimate],
    entropy: dict[str, float],
    dataset: Dataset,
    pictures: list[tuple[str, Path]],
) -> None:
    def percent(name: str) -> str:
        return "–" if metrics[name] is None else f"{100 * metrics[name]:.1f} %"

    def number(name: str) -> str:
        return "–" if metrics[name] is None else f"{metrics[name]:.3f}"

    results = [
        ("Code error", percent("code_error"), "test images whose category, matched one to one, is wrong"),
        ("By majority", percent("code_error_majority"), "the same, where categories may share a class"),
        ("k-means", percent("kmeans_error"), "the same for k-means on pixels"),
        ("NMI", number("nmi"), "normalised mutual information of category and class"),
        ("ARI", number("ari"), "adjusted Rand index: 0 by chance, 1 if perfect"),
    ]
    labels = config.codes.named
    write_report(
        path,
        title=f"{config.experiment}, seed {config.seed}",
        summary=[
            ("Data", f"{dataset.name}: {len(dataset.train.images):,} + {len(dataset.test.images):,} images"),
            ("Step", f"{metrics['step']:,}"),
            ("Batch", str(config.train.batch)),
            ("Codes", ", ".join(f"{name} ~ {code.label}" for name, code in labels.items()) or "none"),
        ],
        results=results,
        information=[
            (f"{name} ~ {labels[name].label}" if name in labels else name, *estimate, entropy[name])
            for name, estimate in information.items()
        ],
        pictures=pictures,
        config_text=json.dumps(to_json(config), indent=2),
    )
