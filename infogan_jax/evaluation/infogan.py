"""What an InfoGAN's checkpoint is measured by: its categories against classes, L_I, and pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from infogan_jax.codes import Categorical
from infogan_jax.config import InfoGANConfig
from infogan_jax.data.dataset import Dataset
from infogan_jax.evaluation import clustering, continuous_codes, factors, figures, realism
from infogan_jax.evaluation.curves import training_curves
from infogan_jax.evaluation.image_features import ImageFeatures
from infogan_jax.evaluation.inference import estimate_information, generate_images, read_codes
from infogan_jax.evaluation.report import Measurement, Metrics, Picture, rounded
from infogan_jax.images import save_png, tile, to_uint8
from infogan_jax.tasks.infogan import State
from infogan_jax.tasks.replica import sample_key
from infogan_jax.training.logging import Record

# Real images are read with the statistics that batch norm recorded on real images: those that D
# saw them with. docs/batch-norm.md has both measured.
READING_STATISTICS: Literal["real", "fake"] = "real"

SAMPLE_COLUMNS = 10

_MOST_CLASSES = 100
"""With more, k-means takes longer than a training, and a confusion matrix can't be read."""


def measure(
    config: InfoGANConfig,
    state: State,
    dataset: Dataset,
    records: list[Record],
    folder: Path,
    features: Sequence[ImageFeatures] = (),
) -> Measurement:
    """Measures a trained InfoGAN.

    Args:
        config: the run's configuration.
        state: the trained state.
        dataset: the run's data set.
        records: the training's log.
        folder: where the pictures go.
        features: what generated images are compared with test images by, beside pixels.

    Returns:
        The measurement. Measures that need labels or a categorical code are None without them.
    """
    information = estimate_information(config, state)
    entropy = config.codes.entropy
    entropy = entropy | {"total": sum(entropy.values())}
    scores, pictures = _clustering(config, state, dataset, folder)
    metrics = scores
    if dataset.factors:
        examples, values = factors.choose_examples(dataset)
        read = read_codes(config, state, examples, READING_STATISTICS)
        found, more = factors.measure_factors(read, values, dataset.factors, config.codes, folder)
        metrics |= found
        pictures += more
    metrics |= {
        "mutual_information": {name: rounded(e.mean) for name, e in information.items()},
        "mutual_information_standard_error": {
            name: rounded(e.standard_error) for name, e in information.items()
        },
        "prior_entropy": {name: rounded(h) for name, h in entropy.items()},
        "continuous_codes": continuous_codes.measure_continuous_codes(config, state),
        "realism": realism.measure_realism(config, state, dataset, features),
    }
    metrics["strokes"] = continuous_codes.strokes(metrics["continuous_codes"])
    pictures = [*_generated(config, state, folder), _real(dataset, folder), *pictures]
    if records and config.codes.codes:
        figures.curves_figure(folder / "curves.png", records, config.codes.entropy)
        pictures.append(("Training: the two losses, and L_I of each code", folder / "curves.png"))
    else:
        pictures += training_curves(records, folder)
    labels = config.codes.named
    return Measurement(
        metrics=metrics,
        headline=_headline(metrics),
        summary=[("Codes", ", ".join(f"{name} ~ {code.label}" for name, code in labels.items()) or "none")],
        results=_results(metrics),
        information=[
            (f"{name} ~ {labels[name].label}" if name in labels else name, *estimate, entropy[name])
            for name, estimate in information.items()
        ],
        pictures=pictures,
    )


def _headline(metrics: Metrics) -> list[str]:
    lines = []
    if metrics["code_error"] is not None:
        kmeans = metrics["kmeans_error"]
        beside = "" if kmeans is None else f" (k-means on pixels: {kmeans:.1%})"
        lines.append(f"code error {metrics['code_error']:.1%} on test images{beside}")
    if "recovery" in metrics:
        lines += factors.headline(metrics)
    information, entropy = metrics["mutual_information"], metrics["prior_entropy"]
    bounds = [f"{name} {nats:.2f} of {entropy[name]:.2f}" for name, nats in information.items()]
    return [*lines, f"L_I in nats: {', '.join(bounds)}"]


def _results(metrics: Metrics) -> list[tuple[str, str, str]]:
    def percent(name: str) -> str:
        return "–" if metrics[name] is None else f"{100 * metrics[name]:.1f} %"

    def number(name: str) -> str:
        return "–" if metrics[name] is None else f"{metrics[name]:.3f}"

    clustered = [
        ("Code error", percent("code_error"), "test images whose category, matched one to one, is wrong"),
        ("By majority", percent("code_error_majority"), "the same, where categories may share a class"),
        ("k-means", percent("kmeans_error"), "the same for k-means on pixels"),
        ("NMI", number("nmi"), "normalised mutual information of category and class"),
        ("ARI", number("ari"), "adjusted Rand index: 0 by chance, 1 if perfect"),
    ]
    return [
        *(clustered if metrics["code_error"] is not None else []),
        *(factors.results(metrics) if "recovery" in metrics else []),
        *continuous_codes.results(metrics["continuous_codes"]),
        *realism.results(metrics["realism"]),
    ]


def _clustering(
    config: InfoGANConfig, state: State, dataset: Dataset, folder: Path
) -> tuple[Metrics, list[Picture]]:
    """How well a categorical code tells the classes apart, beside k-means on pixels."""
    names = ("code_error", "code_error_majority", "kmeans_error", "nmi", "ari")
    nothing: Metrics = dict.fromkeys((*names, "code", "code_error_by_statistics"))
    if not config.codes.categorical or dataset.num_classes is None:
        return nothing, []
    classes = dataset.num_classes
    sizes = {name: c.categories for name, c in config.codes.named.items() if isinstance(c, Categorical)}
    train, train_labels, _ = dataset.train
    test, test_labels, _ = dataset.test
    assert train_labels is not None and test_labels is not None

    def score(name: str, stats: Literal["real", "fake"]) -> tuple[clustering.ClusteringScores, np.ndarray]:
        categories = sizes[name]
        read, read_test = predicted[stats]["train"][name], predicted[stats]["test"][name]
        scores = clustering.score_clustering(read, train_labels, read_test, test_labels, categories, classes)
        return scores, clustering.match_categories(read, train_labels, categories, classes)

    predicted = {
        stats: {
            "train": read_codes(config, state, train, stats),
            "test": read_codes(config, state, test, stats),
        }
        for stats in ("real", "fake")
    }

    def train_error(name: str) -> float:
        read = predicted[READING_STATISTICS]["train"][name]
        return clustering.error_rate(read, train_labels, score(name, READING_STATISTICS)[1])

    # Of several categorical codes, the one that matches the classes best in the training split.
    code = min(config.codes.categorical, key=train_error)
    scores, mapping = score(code, READING_STATISTICS)
    categories = sizes[code]
    kmeans_error = None
    if classes <= min(_MOST_CLASSES, len(train)):
        kmeans_train, kmeans_test = clustering.kmeans_predictions(train, test, classes, seed=0)
        kmeans_error = rounded(
            clustering.score_clustering(
                kmeans_train, train_labels, kmeans_test, test_labels, classes, classes
            ).code_error
        )
    matrix = clustering.confusion_matrix(
        predicted[READING_STATISTICS]["test"][code], test_labels, categories, classes
    )
    pictures = []
    if max(matrix.shape) <= _MOST_CLASSES:
        path = folder / "confusion.png"
        figures.confusion_figure(path, matrix, mapping, [str(label) for label in range(classes)])
        pictures.append((f"Test images by class and by category of {code}", path))
    metrics = {
        "code_error": rounded(scores.code_error),
        "code_error_majority": rounded(scores.code_error_majority),
        "kmeans_error": kmeans_error,
        "nmi": rounded(scores.nmi),
        "ari": rounded(scores.ari),
        "code": code,
        "code_error_by_statistics": {
            stats: rounded(score(code, stats)[0].code_error) for stats in ("real", "fake")
        },
    }
    return metrics, pictures


def _generated(config: InfoGANConfig, state: State, folder: Path) -> list[Picture]:
    """Pictures of what the generator makes: random samples, and a traversal of each code."""

    def images(draw: dict[str, Any]) -> np.ndarray:
        return to_uint8(generate_images(config, state, draw), *config.networks.image_range)

    pictures = []
    for picture, (name, code) in enumerate(config.codes.named.items(), start=2):
        grid = config.codes.traversal(name, sample_key(state.key, picture))
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
    draw = config.codes.sample(sample_key(state.key, 1), SAMPLE_COLUMNS**2)
    pictures.append(("Random samples", _sheet(folder / "samples.png", images(draw))))
    return pictures


def _real(dataset: Dataset, folder: Path) -> Picture:
    """As many training images as there are samples: what was read or rendered, for the eye to compare.

    Of data without end they are the first, which a training is as likely to see as any others.
    """
    train = dataset.train.images
    # Stored sets are often in the order of a class.
    chosen = np.random.default_rng(0).permutation(len(train))[: SAMPLE_COLUMNS**2]
    return "Training images", _sheet(folder / "training-images.png", train[chosen])


def _sheet(path: Path, images: np.ndarray) -> Path:
    sheet = tile(images, SAMPLE_COLUMNS)
    save_png(path, sheet, scale=max(1, 560 // sheet.shape[1]))
    return path
