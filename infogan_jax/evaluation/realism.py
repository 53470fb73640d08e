"""How far generated images are from held-out real ones."""

from collections.abc import Sequence

import numpy as np

from infogan_jax.config import InfoGANConfig
from infogan_jax.data.dataset import Dataset
from infogan_jax.errors import UserError
from infogan_jax.evaluation.distances import frechet_distance, kernel_distance
from infogan_jax.evaluation.image_features import PIXELS, ImageFeatures
from infogan_jax.evaluation.inference import generate_images
from infogan_jax.evaluation.precision_recall import precision_recall
from infogan_jax.evaluation.report import Metrics, rounded
from infogan_jax.images import to_uint8
from infogan_jax.tasks.infogan import State
from infogan_jax.tasks.replica import sample_key

EXAMPLES = 1000
"""Of either set. The numbers depend on how many there are, so runs compare only at the same number."""

_SUBSETS = 10
"""Independent ones, whose spread gives the kernel distance's standard error."""

_FEWEST = 20
_NEIGHBOURS = 3
_DRAW = 1002
"""Of the keys of pictures: one that no picture has."""


def measure_realism(
    config: InfoGANConfig, state: State, dataset: Dataset, features: Sequence[ImageFeatures] = ()
) -> Metrics | None:
    """Distances, precision and recall between generated and test images, on pixels and by other features.

    These numbers compare runs on one data set by the same features; they are not the FID, whose features are
    an Inception network's.

    Args:
        config: the run's configuration.
        state: the trained state.
        dataset: the run's data set.
        features: what they are compared by, beside pixels.

    Returns:
        For each features by name "told", what they are, and "examples", the number of either set;
        "frechet_distance", "kernel_distance" with its "kernel_standard_error", "precision" and "recall". None
        where there are fewer than 20 test images.

    Raises:
        UserError: there are fewer, and features are given.
    """
    images = dataset.test.images
    if len(images) < _FEWEST:
        if features:
            raise UserError(f"--features needs {_FEWEST} test images or more, and here are {len(images)}")
        return None
    # Stored sets are often in the order of a class.
    chosen = np.sort(np.random.default_rng(0).permutation(len(images))[:EXAMPLES])
    draw = config.codes.sample(sample_key(state.key, _DRAW), len(chosen))
    made = to_uint8(generate_images(config, state, draw), *config.networks.image_range)
    return {each.name: _compare(each, images[chosen], made) for each in (PIXELS, *features)}


def _compare(features: ImageFeatures, images: np.ndarray, made: np.ndarray) -> Metrics:
    real, generated = features.of(images), features.of(made)
    kernel = kernel_distance(real, generated, subset_size=len(real) // _SUBSETS)
    shares = precision_recall(real, generated, neighbours=_NEIGHBOURS)
    return {
        "told": features.told,
        "examples": len(real),
        "frechet_distance": rounded(frechet_distance(real, generated)),
        "kernel_distance": rounded(kernel.mean),
        "kernel_standard_error": rounded(kernel.standard_error),
        "precision": rounded(shares.precision),
        "recall": rounded(shares.recall),
    }


def results(metrics: Metrics | None) -> list[tuple[str, str, str]]:
    """The report's rows: name, value, meaning."""
    rows = []
    for found in (metrics or {}).values():
        of = f"of {found['examples']:,} generated and as many test images, {found['told']}"
        error = found["kernel_standard_error"]
        rows += [
            ("Fréchet distance", f"{found['frechet_distance']:.2f}", f"{of}; not the FID"),
            ("Kernel distance", f"{found['kernel_distance']:.4f}", f"{of}; standard error {error:.4f}"),
            (
                "Precision",
                f"{found['precision']:.2f}",
                f"share of generated among real ones, {found['told']}",
            ),
            ("Recall", f"{found['recall']:.2f}", f"share of real among generated ones, {found['told']}"),
        ]
    return rows
