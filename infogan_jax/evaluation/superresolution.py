"""What a super-resolver's checkpoint is measured by: held-out images beside bicubic and nearest pixels."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from infogan_jax.config import Content, SuperResolutionConfig
from infogan_jax.data import folder as image_folder
from infogan_jax.data.bicubic import enlarge, low_resolution
from infogan_jax.data.dataset import Dataset
from infogan_jax.errors import NotInstalled
from infogan_jax.evaluation.curves import training_curves
from infogan_jax.evaluation.enlargement import enlarge_image
from infogan_jax.evaluation.image_quality import y_psnr, y_ssim
from infogan_jax.evaluation.report import Measurement, Metrics, rounded
from infogan_jax.images import BORDER, save_png, tile, to_uint8
from infogan_jax.networks.features import phi
from infogan_jax.tasks import superresolution
from infogan_jax.tasks.superresolution import State
from infogan_jax.training.logging import Record
from losses.perceptual import feature_content_error

_STAGES = ("3", "5")
"""Of EfficientNet-Lite0: maps of a quarter and a sixteenth of the image's sides."""

Enlarger = Callable[[np.ndarray], np.ndarray]
"""From an image of low resolution, uint8 [h, w, 3], to one of high resolution, uint8."""

_MEANINGS = {
    "nearest": "each pixel a square",
    "bicubic": "bicubic enlargement",
    "content_only": "the generator that the run began with",
    "super_resolved": "the run's generator",
}


class _Distance(NamedTuple):
    """A feature network's layer and its weights."""

    network: str
    name: str
    measure: Callable[[np.ndarray, np.ndarray], float]
    sha256: str


def measure(
    config: SuperResolutionConfig, state: State, dataset: Dataset, records: list[Record], folder: Path
) -> Measurement:
    """Measures a trained super-resolver on held-out images: whole ones where a folder's were cut.

    Args:
        config: the run's configuration.
        state: the trained state.
        dataset: the run's data set.
        records: the training's log.
        folder: where the pictures go.

    Returns:
        The measurement: PSNR and SSIM of the luma and feature distances, by way of enlarging.
    """
    crops = superresolution.middles(config, superresolution.spread(dataset.test.images))
    measured = measure_images(config, state, _held_out(config, dataset), crops, folder, told="held-out")
    return measured._replace(pictures=measured.pictures + training_curves(records, folder))


def measure_images(
    config: SuperResolutionConfig,
    state: State,
    images: Iterable[np.ndarray],
    crops: np.ndarray,
    folder: Path,
    *,
    told: str,
) -> Measurement:
    """Measures a trained super-resolver on images that it has not been trained on.

    Args:
        config: the run's configuration.
        state: the trained state.
        images: uint8 [height, width, 3], of any size.
        crops: what the sheet `crops.png` shows, uint8 [n, h, w, 3].
        folder: where the sheet goes.
        told: which images they are, in a word or two.

    Returns:
        The measurement: PSNR and SSIM of the luma and feature distances, by way of enlarging.
    """
    distances, left_out = _distances(config)
    scores = score_images(enlargers(config, state), images, config.networks.factor, distances)
    metrics = {
        "images": scores.pop("images"),
        "content": config.content.error,
        "adversarial_weight": config.adversarial_weight,
        "feature_weights_sha256": {distance.name: distance.sha256 for distance in distances},
        **scores,
    }
    path = folder / "crops.png"
    pictures, columns = superresolution.rows_of_ways(config, crops)(state)
    save_png(path, tile(pictures, columns), scale=2)
    rows = ["nearest pixels", "bicubic", *(["the generator at the start"] if state.start else [])]
    return Measurement(
        metrics=metrics,
        headline=[*_headline(scores, f"{metrics['images']} {told} images"), *left_out],
        summary=[
            ("Content error", " ".join(filter(None, (config.content.error, config.content.layer)))),
            ("Adversarial weight", f"{config.adversarial_weight:g}"),
            *_weights(distances),
        ],
        results=[
            (f"{measured} {name}".replace("_", " "), f"{value:.4g}", _MEANINGS[name])
            for measured in scores
            for name, value in scores[measured].items()
        ],
        information=[],
        pictures=[
            (
                f"{told.capitalize()} crops, by row: {', '.join(rows)}, the run's generator, the truth",
                path,
            )
        ],
    )


def _headline(scores: dict[str, dict[str, float]], told: str) -> list[str]:
    """A line for each measure."""
    forms = {"y_psnr": (f"Y-PSNR in dB on {told}", ".2f"), "y_ssim": ("Y-SSIM", ".3f")}
    lines = []
    for measured, values in scores.items():
        title, form = forms.get(measured, (measured.replace("_", " "), ",.0f"))
        by_way = ", ".join(f"{way.replace('_', ' ')} {value:{form}}" for way, value in values.items())
        lines.append(f"{title}: {by_way}")
    return lines


def _weights(distances: Sequence[_Distance]) -> list[tuple[str, str]]:
    """Whose weights measured, as a row of the summary: enough of each hash to tell them apart."""
    weights = {distance.network: distance.sha256[:12] for distance in distances}
    name = "Weights of the feature network" + "s" * (len(weights) > 1)
    value = ", ".join(f"{network} (sha256 {sha256}…)" for network, sha256 in weights.items())
    return [(name, value)] if weights else []


def enlargers(config: SuperResolutionConfig, state: State) -> dict[str, Enlarger]:
    """The ways of enlarging that are compared, by name."""
    factor = config.networks.factor

    def nearest(low: np.ndarray) -> np.ndarray:
        return low.repeat(factor, axis=0).repeat(factor, axis=1)

    def bicubic(low: np.ndarray) -> np.ndarray:
        return to_uint8(np.asarray(enlarge(low[np.newaxis].astype(np.float32), factor)[0]), 0, 255)

    found: dict[str, Enlarger] = {"nearest": nearest, "bicubic": bicubic}
    if state.start:
        found["content_only"] = partial(enlarge_image, config, state.start["params"], state.start["stats"])
    return found | {"super_resolved": partial(enlarge_image, config, state.params["generator"], state.stats)}


def score_images(
    ways: dict[str, Enlarger], images: Iterable[np.ndarray], factor: int, distances: Sequence[_Distance]
) -> Metrics:
    """Makes images small and large again, and compares.

    Args:
        ways: the ways of enlarging, by name.
        images: uint8 [height, width, 3], of any size; rows and columns beyond a multiple of the factor are
            cut off.
        factor: the reduction.
        distances: what `_distances` returns first.

    Returns:
        "images", their number; then by measure and by way the mean over the images.
    """
    measures: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
        "y_psnr": partial(y_psnr, border=BORDER),
        "y_ssim": partial(y_ssim, border=BORDER),
        **{distance.name: distance.measure for distance in distances},
    }
    values: dict[str, dict[str, list[float]]] = {name: {way: [] for way in ways} for name in measures}
    count = 0
    for image in images:
        count += 1
        true = image[: image.shape[0] // factor * factor, : image.shape[1] // factor * factor]
        low = np.asarray(low_resolution(true[np.newaxis], factor)[0])
        for way, enlarged in ways.items():
            made = enlarged(low)
            for name, compare in measures.items():
                values[name][way].append(compare(made, true))
    means = {name: {way: rounded(np.mean(x)) for way, x in of.items()} for name, of in values.items()}
    return {"images": count} | means


def _held_out(config: SuperResolutionConfig, dataset: Dataset) -> Iterable[np.ndarray]:
    data = config.data
    if data.source != "folder" or not data.crop:
        return dataset.test.images
    return image_folder.held_out(data.folder, skip_unreadable=data.skip_unreadable)


def _distances(config: SuperResolutionConfig) -> tuple[list[_Distance], list[str]]:
    """The feature distances that can be measured: by the run's own layer, and by EfficientNet-Lite0's.

    Returns:
        The distances, by network and layer; and a line about each network that is left out.

    Raises:
        UserError: the weights that the run was trained with aren't there or aren't the same.
    """
    wanted = {("efficientnet-lite0", stage): Content("efficientnet-lite0", stage) for stage in _STAGES}
    content = config.content
    if content.has_features:
        wanted[content.error, content.layer] = content
    found, left_out = [], {}
    for (network, layer), each in sorted(wanted.items(), key=lambda item: item[0]):
        try:
            loaded = superresolution.load_features(each)
        except NotInstalled as error:
            # What needs no extra is measured all the same.
            left_out[network] = f"Feature distances of {network} are left out: {error}"
            continue
        compare = partial(_distance, network, layer, loaded.params)
        name = f"{network.replace('-', '_')}_{layer}_distance"
        found.append(_Distance(network, name, compare, loaded.sha256))
    return found, list(left_out.values())


def _distance(network: str, layer: str, params: Any, made: np.ndarray, true: np.ndarray) -> float:
    return float(_feature_error(network, layer, params, made[np.newaxis], true[np.newaxis])[0])


@partial(jax.jit, static_argnums=(0, 1))
def _feature_error(network: str, layer: str, params: Any, made: Array, true: Array) -> Array:
    def maps(images: Array) -> Array:
        return phi.features(network, layer, params, images)

    return feature_content_error(
        maps, made.astype(jnp.float32) / 255, true.astype(jnp.float32) / 255, rescale=1.0
    )
