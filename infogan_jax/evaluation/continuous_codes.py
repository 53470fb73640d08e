"""What a continuous code does to generated images, inside the range that it was trained on and beyond."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.stats import spearmanr

from infogan_jax.codes import Categorical, Uniform
from infogan_jax.config import InfoGANConfig
from infogan_jax.evaluation.extrapolation import path_length, rank_correlation
from infogan_jax.evaluation.inference import generate_images
from infogan_jax.evaluation.moments import stroke_geometry
from infogan_jax.evaluation.report import Metrics, rounded
from infogan_jax.images import to_uint8
from infogan_jax.tasks.infogan import State
from infogan_jax.tasks.replica import sample_key

STROKE_SETS = ("mnist", "digits")
"""Data sets of bright strokes on a dark ground: what `moments` measures is what a person sees in them."""

_DRAWS = 1000
_PICTURE = 1000
"""Of the keys of pictures: one that no picture has."""

# Twice as far as the trained range in both directions, in steps of a third of it, its ends among them.
_REACH = np.linspace(-2, 2, 13)
_TRAVERSALS = 200


def measure_continuous_codes(config: InfoGANConfig, state: State) -> dict[str, Metrics]:
    """Measures each uniform code on generated images.

    Args:
        config: the run's configuration.
        state: the trained state.

    Returns:
        For each uniform code by name, under "path_length" how far the image goes per unit of the code,
        "below", "inside" and "above" the trained range. Of strokes also, under "angle" and "width", the
        principal axis's and the bounding box's: "rank_correlation" with the code over random images,
        "within_categories", the same over those of one category of the first categorical code, a mean over
        the categories (a one is narrower than a zero whatever the code says), and "traversal", the mean rank
        correlation along traversals, in the same three parts and as a whole. Over random images an axis is
        ranked by how far it is turned from their circular mean (of a category, from its own).
    """
    uniform = {name: code for name, code in config.codes.named.items() if isinstance(code, Uniform)}
    key = sample_key(state.key, _PICTURE)
    draw = config.codes.sample(key, _DRAWS)
    strokes = _shows_strokes(config)
    drawn = stroke_geometry(_images(config, state, draw)) if strokes and uniform else None
    groups = _categories(config, draw)
    measured: dict[str, Metrics] = {}
    for name, code in uniform.items():
        middle, half = (code.low + code.high) / 2, (code.high - code.low) / 2
        values = middle + half * _REACH
        few = jax.tree.map(lambda x: x[:_TRAVERSALS], draw)
        grid = np.stack(
            [_images(config, state, few | {name: jnp.full(_TRAVERSALS, value)}) for value in values]
        )
        trained = (code.low, code.high)
        measured[name] = {"path_length": _rounded(path_length(values, grid, trained=trained))}
        if drawn is None:
            continue
        flat = stroke_geometry(grid.reshape(-1, *grid.shape[2:]))
        for what in ("angle", "width"):
            along = getattr(flat, what).reshape(grid.shape[:2])
            if what == "angle":
                along = np.unwrap(along, period=np.pi, axis=0)
            drawn_code, drawn_measure = np.asarray(draw[name]), getattr(drawn, what)
            within = [_spearman(drawn_code[group], drawn_measure[group], what) for group in groups]
            measured[name][what] = {
                "rank_correlation": rounded(_spearman(drawn_code, drawn_measure, what)),
                "within_categories": rounded(np.mean(within)),
                "traversal": _rounded(rank_correlation(values, along, trained=trained)),
            }
    return measured


def _categories(config: InfoGANConfig, draw: dict[str, Array]) -> list[np.ndarray]:
    """The places of the images of each category of the first categorical code; without one, of all."""
    for name, code in config.codes.named.items():
        if isinstance(code, Categorical):
            category = np.asarray(draw[name])
            return [np.flatnonzero(category == k) for k in range(code.categories)]
    return [np.arange(_DRAWS)]


def _shows_strokes(config: InfoGANConfig) -> bool:
    # A folder may be called anything.
    known = config.data.source != "folder" and config.data.name.split(":")[0] in STROKE_SETS
    return known and config.networks.image_shape[2] == 1


def best(measured: dict[str, Metrics], what: str) -> tuple[str, Metrics] | None:
    """The code whose traversals follow "angle" or "width" most, and its measures; None without any."""
    having = {name: metrics[what] for name, metrics in measured.items() if what in metrics}
    if not having:
        return None
    return max(having.items(), key=lambda item: abs(item[1]["traversal"]["inside"] or 0.0))


def strokes(measured: dict[str, Metrics]) -> dict[str, Metrics]:
    """Of "angle" and "width", where they are measured: the code that they follow most, and how far."""
    summary = {}
    for what in ("angle", "width"):
        if found := best(measured, what):
            code, follows = found
            summary[what] = {
                "code": code,
                "rank_correlation": abs(follows["rank_correlation"]),
                "within_categories": abs(follows["within_categories"]),
                "traversal": abs(follows["traversal"]["inside"] or 0.0),
            }
    return summary


def results(measured: dict[str, Metrics]) -> list[tuple[str, str, str]]:
    """The report's rows: name, value, meaning."""

    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:.2f}"

    rows = []
    for what, told in (("angle", "Turned by"), ("width", "Widened by")):
        if found := best(measured, what):
            name, along = found[0], found[1]["traversal"]
            rows.append(
                (
                    told,
                    f"{name}: {number(along['inside'])}",
                    f"mean rank correlation of the {what} along traversals inside the trained range; "
                    f"below it {number(along['below'])}, above it {number(along['above'])}; over random "
                    f"images of one category {number(found[1]['within_categories'])}",
                )
            )
    for name, metrics in measured.items():
        path = metrics["path_length"]
        rows.append(
            (
                f"Path of {name}",
                number(path["inside"]),
                "how far an image moves, in pixels from black to white, per unit of the code inside the "
                f"trained range; below it {number(path['below'])}, above it {number(path['above'])}",
            )
        )
    return rows


def _spearman(code: np.ndarray, measure: np.ndarray, what: str) -> float:
    """Of the images that can be measured; 0 where all measure the same."""
    there = np.isfinite(measure)
    code, measure = code[there], measure[there]
    if what == "angle" and len(measure):
        measure = _from_their_mean(measure)
    if not len(measure) or np.ptp(measure) == 0:
        return 0.0
    return float(spearmanr(code, measure).statistic)


def _from_their_mean(axes: np.ndarray) -> np.ndarray:
    """How far axes are turned from their circular mean, in [-pi/2, pi/2).

        m = arg(mean_n exp(2i a_n)) / 2

    An axis that is turned by pi is the same one, so that ranks need a cut of the circle. Opposite to the mean
    it parts the fewest, whatever a code says: the cut that suits each code best would lift one of noise.

    References:
        Mardia and Jupp 2000, "Directional statistics" (angles of axes are doubled).
    """
    mean = np.angle(np.mean(np.exp(2j * axes))) / 2
    turned: np.ndarray = np.mod(axes - mean + np.pi / 2, np.pi) - np.pi / 2
    return turned


def _images(config: InfoGANConfig, state: State, draw: dict[str, Array]) -> np.ndarray:
    return to_uint8(generate_images(config, state, draw), *config.networks.image_range)


def _rounded(numbers: Any) -> Metrics:
    # JSON has no nan.
    return {name: None if np.isnan(value) else rounded(value) for name, value in numbers._asdict().items()}
