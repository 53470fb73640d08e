"""How far generated images are from held-out real ones."""

import numpy as np

from infogan_jax.config import InfoGANConfig
from infogan_jax.data.dataset import Dataset
from infogan_jax.evaluation.distances import frechet_distance, kernel_distance
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


def measure_realism(config: InfoGANConfig, state: State, dataset: Dataset) -> Metrics | None:
    """Distances, precision and recall between generated and test images, on pixels in [0, 1].

    On pixels these numbers compare runs on one data set; they are not the FID, whose features are an
    Inception network's.

    Args:
        config: the run's configuration.
        state: the trained state.
        dataset: the run's data set.

    Returns:
        "features" and "examples", which say what was compared; "frechet_distance", "kernel_distance" with its
        "kernel_standard_error", "precision" and "recall". None where there are fewer than 20 test images.
    """
    images = dataset.test.images
    if len(images) < _FEWEST:
        return None
    # Stored sets are often in the order of a class.
    chosen = np.sort(np.random.default_rng(0).permutation(len(images))[:EXAMPLES])
    draw = config.codes.sample(sample_key(state.key, _DRAW), len(chosen))
    made = to_uint8(generate_images(config, state, draw), *config.networks.image_range)
    real, generated = (x.reshape(len(x), -1).astype(np.float32) / 255 for x in (images[chosen], made))
    kernel = kernel_distance(real, generated, subset_size=len(chosen) // _SUBSETS)
    shares = precision_recall(real, generated, neighbours=_NEIGHBOURS)
    return {
        "features": "pixels",
        "examples": len(chosen),
        "frechet_distance": rounded(frechet_distance(real, generated)),
        "kernel_distance": rounded(kernel.mean),
        "kernel_standard_error": rounded(kernel.standard_error),
        "precision": rounded(shares.precision),
        "recall": rounded(shares.recall),
    }


def results(metrics: Metrics | None) -> list[tuple[str, str, str]]:
    """The report's rows: name, value, meaning."""
    if metrics is None:
        return []
    of = f"of {metrics['examples']:,} generated and as many test images, on pixels"
    error = metrics["kernel_standard_error"]
    return [
        ("Fréchet distance", f"{metrics['frechet_distance']:.2f}", f"{of}; not the FID"),
        ("Kernel distance", f"{metrics['kernel_distance']:.4f}", f"{of}; standard error {error:.4f}"),
        ("Precision", f"{metrics['precision']:.2f}", "share of generated images that lie among real ones"),
        ("Recall", f"{metrics['recall']:.2f}", "share of real images that lie among generated ones"),
    ]
