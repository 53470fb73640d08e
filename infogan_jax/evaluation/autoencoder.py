"""What an autoencoder's checkpoint is measured by: each error's value on held-out images, and edges."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import losses
from infogan_jax.config import AutoencoderConfig
from infogan_jax.data.dataset import Dataset
from infogan_jax.evaluation.curves import training_curves
from infogan_jax.evaluation.edges import edge_placement_error, intersection_over_union, pixel_error_rate
from infogan_jax.evaluation.inference import in_batches
from infogan_jax.evaluation.report import Measurement, Metrics, rounded
from infogan_jax.images import save_png, tile
from infogan_jax.tasks import autoencoder
from infogan_jax.tasks.autoencoder import State
from infogan_jax.training.logging import Record

_reconstruct = jax.jit(autoencoder.reconstruct, static_argnums=0)


def measure(
    config: AutoencoderConfig, state: State, dataset: Dataset, records: list[Record], folder: Path
) -> Measurement:
    """Measures a trained autoencoder on the test images.

    Args:
        config: the run's configuration.
        state: the trained state.
        dataset: the run's data set.
        records: the training's log.
        folder: where the pictures go.

    Returns:
        The measurement: the errors a pixel, and, of the images cut at 1/2, the share of wrong pixels, the
        overlap and the edges' distances.
    """
    images = dataset.test.images
    made = in_batches(lambda batch: {"made": _reconstruct(config, state, batch)}, images)["made"]
    wanted = images.astype(np.float32) / 255
    pixels = wanted[0].size
    errors = {
        "l0": losses.l0_error(jnp.asarray(made), jnp.asarray(wanted), tolerance=0.1),
        "l1": losses.l1_error(made, wanted),
        "l2": losses.l2_error(made, wanted),
    }
    channels_apart = [
        (a, b)
        for a, b in zip(
            np.moveaxis(wanted > 0.5, -1, 1).reshape(-1, *wanted.shape[1:3]),
            np.moveaxis(made > 0.5, -1, 1).reshape(-1, *wanted.shape[1:3]),
            strict=True,
        )
    ]
    edges = [edge_placement_error(a, b) for a, b in channels_apart]
    unit, per_pixel = ("nm", config.pixel_size) if config.pixel_size else ("pixels", 1.0)
    metrics: Metrics = {
        "error": config.error,
        "errors_per_pixel": {name: rounded(np.mean(e) / pixels) for name, e in errors.items()},
        "pixel_error_rate": rounded(np.mean([pixel_error_rate(a, b) for a, b in channels_apart])),
        "iou": rounded(np.mean([intersection_over_union(a, b) for a, b in channels_apart])),
        "edge_placement_error": {
            "unit": unit,
            "mean": rounded(per_pixel * np.mean([e.mean for e in edges])),
            "worst": rounded(per_pixel * np.mean([e.worst for e in edges])),
        },
    }
    path = folder / "reconstructions.png"
    pictures, columns = autoencoder.samples(config, dataset)(state)
    grid = tile(pictures, columns)
    save_png(path, grid, scale=max(1, 560 // grid.shape[1]))
    placed = metrics["edge_placement_error"]
    return Measurement(
        metrics=metrics,
        headline=[
            f"held-out images: {metrics['pixel_error_rate']:.2%} wrong pixels, IoU {metrics['iou']:.4f}, "
            f"edges off by {placed['mean']:.3g} {unit} (worst of an image {placed['worst']:.3g})"
        ],
        summary=[("Error", config.error)],
        results=[
            ("Wrong pixels", f"{metrics['pixel_error_rate']:.2%}", "of held-out images cut at 1/2"),
            ("IoU", f"{metrics['iou']:.4f}", "intersection over union of the shapes, mean over images"),
            ("Edge placement", f"{placed['mean']:.3g} {unit}", "distance between wanted and made edges"),
            ("Worst edge", f"{placed['worst']:.3g} {unit}", "the largest of an image, mean over images"),
            *(
                (name.upper(), f"{value:.4g}", "error a pixel" + (", tolerance 0.1" if name == "l0" else ""))
                for name, value in metrics["errors_per_pixel"].items()
            ),
        ],
        information=[],
        pictures=[
            ("Held-out images, and below each row its reconstructions", path),
            *training_curves(records, folder),
        ],
    )
