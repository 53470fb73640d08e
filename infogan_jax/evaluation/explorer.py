"""One web page in which the generator runs: its codes are moved, and the picture is seen to change."""

import base64
from pathlib import Path
from typing import Any

import jax
import numpy as np

from infogan_jax.codes import Bernoulli, Categorical, Code, LatentCodes, Uniform
from infogan_jax.config import InfoGANConfig
from infogan_jax.evaluation.page import render
from infogan_jax.evaluation.report import Metrics
from infogan_jax.images import write_atomically
from infogan_jax.networks.folding import Affine, folded
from infogan_jax.networks.tables import KERNEL_SIZE
from infogan_jax.tasks.infogan import State, generator_variables

_SLIDER_STEPS = 80

_LEAST_FOLLOWED = 0.3
"""The rank correlation, or the share of a factor recovered, below which a code is not said to follow it."""

_WORST_CODE_ERROR = 0.6
"""The code error above which a code is not said to follow the class; of ten classes chance errs in 90 %."""


def write_explorer(path: Path, *, title: str, config: InfoGANConfig, state: State, metrics: Metrics) -> None:
    """Writes the page: one file that opens from disk, runs the generator and fetches nothing.

    The weights are in half precision, in units of each row's largest. The forward pass is in `explorer.js`:
    dense maps and transposed convolutions, since a generator's table has no other rows.

    Args:
        path: the HTML file; replaced as a whole if it exists.
        title: heading of the page.
        config: the run's configuration.
        state: the trained state.
        metrics: what was measured of it, as `eval/metrics.json` has it: each code's L_I and what it follows.
    """
    variables = jax.device_get(generator_variables(state))
    stats = variables["batch_stats"].get("table", {})
    rows, weights = _half(folded(config.networks.generator, variables["params"]["table"], stats))
    spec = config.codes
    codes = [_control(name, code) for name, code in spec.named.items()]
    model = {
        "rows": rows,
        "shape": config.networks.image_shape,
        "range": config.networks.image_range,
        "noise": _noise(spec),
        "noiseSize": spec.noise_dim,
        "codes": codes,
    }
    shown = [code | {"measured": measured(metrics, code["name"])} for code in codes]
    page = render(
        "explorer.html.jinja",
        title=title,
        model=model,
        codes=shown,
        pad=[code["name"] for code in codes if code["kind"] == "continuous"],
        weights=base64.b64encode(weights).decode("ascii"),
    )
    write_atomically(path, page)


def measured(metrics: Metrics, name: str) -> str:
    """What is known of a code, in a few words: its L_I, and the class or factor that it follows.

    What it follows too weakly to be seen is not named: "follows nothing measured", where something was.
    """
    bound, entropy = (metrics[each][name] for each in ("mutual_information", "prior_entropy"))
    found = [f"L_I {_signed(bound)} of {_signed(entropy)} nats"]
    follows, looked = [], False
    if metrics.get("code") == name:
        looked = True
        if metrics["code_error"] <= _WORST_CODE_ERROR:
            follows.append(f"the class, but for {metrics['code_error']:.1%} of test images")
    ranks = {
        what: along["traversal"]["inside"]
        for what, along in metrics["continuous_codes"].get(name, {}).items()
        if what in ("angle", "width") and along["traversal"]["inside"] is not None
    }
    if ranks:
        looked = True
        what = max(ranks, key=lambda each: abs(ranks[each]))
        if abs(ranks[what]) >= _LEAST_FOLLOWED:
            follows.append(f"{what} (rank correlation {_signed(ranks[what])})")
    for factor, one in (metrics.get("recovery") or {}).items():
        looked = True
        if one["best_code"] == name and one["best_code_flexible"] >= _LEAST_FOLLOWED:
            follows.append(f"{factor} ({one['best_code_flexible']:.2f}, where 1 is perfect)")
    if looked and not follows:
        follows = ["follows nothing measured"]
    return " · ".join(found + follows)


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _half(maps: list[Affine]) -> tuple[list[dict[str, Any]], bytes]:
    """The rows as the page's script reads them, and their weights, little-endian, one after the other."""
    rows, parts = [], []
    for layer, kernel, bias in maps:
        row: dict[str, Any] = {
            "kind": layer.kind,
            "features": layer.features,
            "activation": layer.activation,
            "stride": layer.stride,
            "size": KERNEL_SIZE,
        }
        for name, values in (("kernel", kernel), ("bias", bias)):
            scale = float(np.abs(values).max(initial=0)) or 1.0
            row |= {f"{name}Size": values.size, f"{name}Scale": scale}
            parts.append((values / scale).astype("<f2").tobytes())
        rows.append(row)
    return rows, b"".join(parts)


def _control(name: str, code: Code) -> dict[str, Any]:
    about = {"name": name, "label": code.label}
    if isinstance(code, Categorical | Bernoulli):
        count = code.categories if isinstance(code, Categorical) else 2
        kind = "categorical" if isinstance(code, Categorical) else "binary"
        return about | {"kind": kind, "categories": count, "middle": 0}
    # As far as traversals go: twice the range of a uniform code, two standard deviations of a normal one.
    low, high = map(float, code.traversal_values(2))
    # A normal code has no ends: all of the slider is where it was trained.
    trained = (code.low, code.high) if isinstance(code, Uniform) else (low, high)
    return about | {
        "kind": "continuous",
        "low": low,
        "high": high,
        "middle": (low + high) / 2,
        "step": (high - low) / _SLIDER_STEPS,
        # As shares of the slider.
        "trained": [round((value - low) / (high - low), 4) for value in trained],
    }


def _noise(spec: LatentCodes) -> dict[str, Any]:
    prior = spec.noise
    if isinstance(prior, Uniform):
        return {"kind": "uniform", "low": prior.low, "high": prior.high}
    return {"kind": "normal", "mean": prior.mean, "std": prior.std}
