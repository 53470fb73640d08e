"""One web page about several runs: their figures side by side, their curves over each other."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from infogan_jax.config import to_json
from infogan_jax.evaluation.curves import quantities
from infogan_jax.evaluation.direction import direction
from infogan_jax.evaluation.figures import comparison_figure
from infogan_jax.evaluation.page import render
from infogan_jax.evaluation.report import picture
from infogan_jax.evaluation.sweep import newest_metrics, numbers
from infogan_jax.images import write_atomically
from infogan_jax.training import run_folder
from infogan_jax.training.logging import Record, read_records


class Row(NamedTuple):
    """A line of a table: a name, and what each run has of it.

    Attributes:
        name: of the quantity.
        cells: one for each run, as it is shown; a dash where the run has none.
        best: the places of the best runs; none where no value is better than another, fewer than two runs
            have one, or all have the same.
    """

    name: str
    cells: list[str]
    best: frozenset[int] = frozenset()


def write_comparison(path: Path, runs: Sequence[Path]) -> None:
    """Writes the page; a run whose newest checkpoint hasn't been measured is measured first.

    Args:
        path: the HTML file; replaced as a whole if it exists; its folder is made where it isn't there.
        runs: the runs' folders, of any tasks.

    Raises:
        UserError: a run can't be read, or has to be measured and its data set isn't there.
    """
    steps = [run_folder.find_step(run) for run in runs]
    configs = [run_folder.config(run, step) for run, step in zip(runs, steps, strict=True)]
    measured = [numbers(newest_metrics(run)) for run in runs]
    labels = [str(run) for run in runs]
    logs = {label: read_records(run) for label, run in zip(labels, runs, strict=True)}
    curves = curve_names(list(logs.values()))
    pictures = []
    if curves:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "curves.png"
            comparison_figure(file, logs, curves)
            pictures.append(picture("Training, each run in its colour", file))
    for label, run in zip(labels, runs, strict=True):
        # A picture's name is its step, with leading zeros.
        if samples := sorted((run / "samples").glob("*.png")):
            pictures.append(picture(f"{label}: samples at step {int(samples[-1].stem):,}", samples[-1]))
    page = render(
        "comparison.html.jinja",
        title=f"{len(runs)} runs compared",
        labels=labels,
        tables=[
            ("Settings that differ", "settings", setting_rows([to_json(c) for c in configs], steps)),
            ("Results", "measures", result_rows(measured)),
        ],
        pictures=pictures,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, page)


def curve_names(logs: Sequence[Sequence[Record]]) -> list[str]:
    """The quantities that two logs have or more, in the order in which they are met."""
    having = [set().union(*log) for log in logs]
    met = dict.fromkeys(name for log in logs for name in quantities(list(log)))
    return [name for name in met if sum(name in each for each in having) > 1]


def setting_rows(configs: Sequence[dict[str, Any]], steps: Sequence[int]) -> list[Row]:
    """The checkpoints' steps, and each setting that isn't the same in all runs.

    Args:
        configs: the configurations as `config.to_json` has them.
        steps: the checkpoints'.
    """
    flat = [_flat(config) for config in configs]
    names = dict.fromkeys(name for each in flat for name in each)
    rows = [Row("step", [f"{step:,}" for step in steps])]
    for name in names:
        cells = [json.dumps(each[name]).strip('"') if name in each else "–" for each in flat]
        if len(set(cells)) > 1:
            rows.append(Row(name, cells))
    return rows


def result_rows(measured: Sequence[dict[str, float]]) -> list[Row]:
    """Each measure that a run has or more.

    Args:
        measured: each run's numbers by name.
    """
    rows = []
    for name in dict.fromkeys(name for each in measured for name in each):
        values = np.array([each.get(name, np.nan) for each in measured])
        there = np.isfinite(values)
        best: frozenset[int] = frozenset()
        if (sign := direction(name)) and there.sum() > 1 and np.ptp(values[there]) > 0:
            best = frozenset(np.flatnonzero(sign * values == np.nanmax(sign * values)).tolist())
        cells = [f"{value:.4f}".replace("-", "−") if np.isfinite(value) else "–" for value in values]
        rows.append(Row(name, cells, best))
    return rows


def _flat(values: Any, path: str = "") -> dict[str, Any]:
    """JSON values by path; a list is one value, since rows of a network have no names."""
    if not isinstance(values, dict):
        return {path: values}
    return {
        name: value
        for key, each in values.items()
        for name, value in _flat(each, f"{path}.{key}" if path else key).items()
    }
