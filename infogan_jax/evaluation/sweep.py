"""Several runs that differ in their seeds: mean, spread, best, and a choice that needs no labels."""

import json
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from infogan_jax.config import Config, InfoGANConfig, to_json
from infogan_jax.data import sources
from infogan_jax.data.dataset import Dataset, Factor
from infogan_jax.evaluation import selection
from infogan_jax.evaluation.direction import direction
from infogan_jax.evaluation.disentanglement.bins import bin_factors
from infogan_jax.evaluation.disentanglement.examples import varies
from infogan_jax.evaluation.disentanglement.factor_vae import factor_vae_score
from infogan_jax.evaluation.disentanglement.groups import groups_of_examples
from infogan_jax.evaluation.evaluate import evaluate
from infogan_jax.evaluation.inference import generate_images, read_codes
from infogan_jax.evaluation.infogan import READING_STATISTICS
from infogan_jax.evaluation.report import Metrics, rounded
from infogan_jax.images import to_uint8, write_atomically
from infogan_jax.tasks.infogan import State
from infogan_jax.tasks.replica import sample_key
from infogan_jax.training import run_folder
from infogan_jax.training.checkpoints import restore

SWEEP_FILE = "sweep.json"

_IMAGES = 10_000
"""Training images that the runs are compared on: enough that an agreement's error is far below its spread."""

_GENERATED = 2000
"""Images of each run's generator that the others read."""

_BINS = 20
"""Of a continuous code that those images were made from."""

_CENTRALITY_DRAW = 1001
"""Of the keys of pictures: one that no picture has."""

_INFORMATIVE = 0.01
"""Nats of L_I above which a continuous code counts: what Duan et al. 2020 set on its counterpart."""


# Of the command line's table; the file has all.
_LEFT_OUT = (
    "kmeans_error",
    "code_error_by_statistics",
    "mutual_information_standard_error",
    "prior_entropy",
    "continuous_codes",
)


# What a choice is compared with the best run by: the first that there is. Every InfoGAN has the last.
_HEADLINES = ("code_error", "disentanglement.dci_disentanglement", "mutual_information.total")

# With DCI goes what is easier to read: R^2, or of a category the accuracy above chance.
_BEST_CODES = "recovery.*.best_code_flexible"


class Choice(NamedTuple):
    """A run chosen without labels.

    Attributes:
        rule: the function of `selection` that chose it.
        scores: the rule's score of each run, in the runs' order.
        run: the chosen one's place in that order.
    """

    rule: str
    scores: list[float]
    run: int


class Sweep(NamedTuple):
    """Runs of one configuration.

    Attributes:
        experiment: its name.
        step: that of the checkpoints.
        folders: the runs' folders.
        seeds: their seeds.
        metrics: numbers by name, of each run, in the runs' order.
        choice: the label-free one, None where there are fewer than three runs, no rule applies, or none says
            anything.
        notes: a line for each run that lacks what others have, and one where values are too rare to
            choose by.
    """

    experiment: str
    step: int
    folders: list[Path]
    seeds: list[int]
    metrics: dict[str, list[float]]
    choice: Choice | None
    notes: Sequence[str] = ()

    def best(self, name: str) -> int | None:
        """The place of the run that is best by a metric; None where it makes no run better than another."""
        sign = direction(name)
        return int(np.argmax(sign * np.array(self.metrics[name]))) if sign else None


def summarize(
    runs: Sequence[Path], folder: Path, dataset: Dataset | None = None, wandb: str | None = None
) -> list[Sweep]:
    """Measures runs, and writes `sweep.json`.

    Runs are told apart whose configurations differ in more than the seed, or whose newest checkpoints are
    of different steps. A run whose newest checkpoint has been measured is not measured again.

    Args:
        runs: the runs' folders.
        folder: the folder for the file, which holds them.
        dataset: the data set of all of them, where it is loaded already.
        wandb: a project of Weights & Biases that shows what is measured, too.

    Returns:
        A summary for each kind of run, in the order of the folders.

    Raises:
        UserError: a run can't be read, or its data set isn't there.
    """
    groups: dict[str, list[tuple[Path, Config]]] = {}
    for run in runs:
        step = run_folder.find_step(run)
        config = run_folder.config(run, step)
        key = json.dumps([to_json(replace(config, seed=0)), step], sort_keys=True)
        groups.setdefault(key, []).append((run, config))
    sweeps = [
        _summarize(group, dataset or sources.load(group[0][1].data), wandb) for group in groups.values()
    ]
    values = [
        sweep._asdict()
        | {"folders": [str(f.relative_to(folder)) for f in sweep.folders]}
        | {"choice": sweep.choice and sweep.choice._asdict()}
        for sweep in sweeps
    ]
    write_atomically(folder / SWEEP_FILE, (json.dumps(values, indent=2) + "\n").encode())
    return sweeps


def lines(sweep: Sweep) -> list[str]:
    """A table for the command line, a metric in each row and a run in each column, notes, and the choice."""
    names = [folder.name for folder in sweep.folders]
    rows = [["", *names, "mean", "sd", "best"]]
    for name, values in sweep.metrics.items():
        if name.startswith(_LEFT_OUT):
            continue
        # One run has no spread.
        spread = np.std(values, ddof=1) if len(values) > 1 else np.nan
        cells = [f"{x:.4f}" for x in (*values, np.mean(values), spread)]
        best = sweep.best(name)
        rows.append([name, *cells, "–" if best is None else names[best]])
    first = max(len(row[0]) for row in rows)
    width = max(8, 2 + max(len(cell) for row in rows for cell in row[1:]))
    table = [f"{sweep.experiment}: {len(names)} runs of {sweep.step:,} steps"]
    table += [f"{row[0]:<{first}}" + "".join(f"{cell:>{width}}" for cell in row[1:]) for row in rows]
    table += sweep.notes
    if sweep.choice:
        chosen = sweep.choice.run
        told = f"chosen without labels ({sweep.choice.rule}): {names[chosen]}"
        table += [f"{told}, {each}" for each in _beside_the_best(sweep, chosen, names)]
    return table


def _beside_the_best(sweep: Sweep, chosen: int, names: list[str]) -> list[str]:
    """By each measure that a choice is judged by: the chosen run's, the best run's, and the difference."""
    headline = next(name for name in _HEADLINES if name in sweep.metrics)
    compared = {headline: np.array(sweep.metrics[headline])}
    skills = [values for name, values in sweep.metrics.items() if fnmatchcase(name, _BEST_CODES)]
    if skills and headline.startswith("disentanglement"):
        compared["mean of " + _BEST_CODES] = np.mean(skills, axis=0)
    told = []
    for name, values in compared.items():
        best = int(np.argmax(direction(headline) * values))
        behind = abs(values[best] - values[chosen])
        told.append(
            f"{name} {values[chosen]:.4f}; the best is {names[best]}, {values[best]:.4f}: {behind:.4f} behind"
        )
    return told


def _summarize(runs: list[tuple[Path, Config]], dataset: Dataset, wandb: str | None) -> Sweep:
    config = runs[0][1]
    found = [newest_metrics(run, dataset, wandb) for run, _ in runs]
    measured = [numbers(metrics) for metrics in found]
    choice, notes = _choose([run for run, _ in runs], config, dataset, measured)
    names = [name for name in measured[0] if all(name in each for each in measured)]
    return Sweep(
        experiment=config.experiment,
        step=run_folder.find_step(runs[0][0]),
        folders=[run for run, _ in runs],
        seeds=[config.seed for _, config in runs],
        metrics={name: [each[name] for each in measured] for name in names},
        choice=choice,
        notes=[
            f"{run.name} lacks measures of {', '.join(groups)}, so that no row has all of them: "
            f"python eval.py {run} measures it again"
            for (run, _), metrics in zip(runs, found, strict=True)
            if (groups := _lacking(metrics, found))
        ]
        + notes,
    )


def _lacking(metrics: Metrics, others: Sequence[Metrics]) -> list[str]:
    """The groups of a run's metrics, or names in none, of which others have more: None counts as had."""

    def lacks(mine: Metrics, others: Metrics) -> bool:
        return any(
            name not in mine
            or (isinstance(value, dict) and isinstance(mine[name], dict) and lacks(mine[name], value))
            for name, value in others.items()
        )

    metrics, others = _usual(metrics), list(map(_usual, others))
    groups = dict.fromkeys(name for each in others for name in each)
    return [
        group
        for group in groups
        if any(group in each and lacks(metrics, {group: each[group]}) for each in others)
    ]


def _usual(metrics: Metrics) -> Metrics:
    """Metrics without what `--features` adds, which a run has as it was asked for."""
    realism = metrics.get("realism")
    if not isinstance(realism, dict):
        return metrics
    return metrics | {"realism": {name: found for name, found in realism.items() if name == "pixels"}}


def newest_metrics(run: Path, dataset: Dataset | None = None, wandb: str | None = None) -> Metrics:
    """The metrics of a run's newest checkpoint, which is measured where it hasn't been.

    Args:
        run: the run's folder.
        dataset: the run's data set, where it is loaded already.
    """
    try:
        metrics: Metrics = json.loads((run / "eval" / "metrics.json").read_text())
        if metrics["step"] == run_folder.find_step(run):
            return metrics
    # There is none, it is cut short, or it is JSON of another kind.
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    return evaluate(run, dataset=dataset, wandb=wandb).metrics


def numbers(metrics: Metrics, prefix: str = "") -> dict[str, float]:
    """The numbers among a run's metrics; of a group of them, each by the group's name and its own."""
    found: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, dict):
            found |= numbers(value, f"{prefix}{name}.")
        elif isinstance(value, float):
            found[prefix + name] = value
    return found


def _choose(
    folders: list[Path], config: Config, dataset: Dataset, measured: list[dict[str, float]]
) -> tuple[Choice | None, list[str]]:
    """The run that the others agree with most, on training images and without their labels; and what is to be
    said where such a choice can't be made.
    """
    if not isinstance(config, InfoGANConfig) or len(folders) < selection.FEWEST_MODELS:
        return None, []
    codes = config.codes
    continuous = [name for name in codes.named if name not in codes.categorical]
    if not codes.codes:
        return None, []
    rule: Any
    chance = 0.0
    if len(codes.categorical) > 1:
        rule = selection.model_centrality
        found = _scores_of_each_other(folders)
        if found is None:
            rare = f"among {_GENERATED:,} generated images, values of a code are too rare to compare runs by"
            return None, [f"no run is chosen: {rare}"]
        scores, chance = rule(found[0]), found[1]
    elif len(codes.categorical) == 1:
        (name,) = codes.categorical
        rule = selection.category_agreement
        scores = rule(np.stack([_readings(folder, dataset)[name] for folder in folders]))
    else:
        rule = selection.udr_spearman
        read = [_readings(folder, dataset) for folder in folders]
        informative = [[m[f"mutual_information.{n}"] > _INFORMATIVE for n in continuous] for m in measured]
        representations = [np.stack([codes[n] for n in continuous], axis=1) for codes in read]
        scores = rule(np.stack(representations).astype(np.float64), np.array(informative))
    # Where no run says anything, none is to be preferred.
    if np.max(scores) <= chance:
        return None, []
    return Choice(rule.__name__, [rounded(score) for score in scores], int(np.argmax(scores))), []


def _newest(folder: Path) -> tuple[InfoGANConfig, State]:
    """The configuration and the state of an InfoGAN's newest checkpoint."""
    config, state = restore(folder, run_folder.find_step(folder))
    assert isinstance(config, InfoGANConfig)
    return config, state


def _readings(folder: Path, dataset: Dataset) -> dict[str, np.ndarray]:
    config, state = _newest(folder)
    # Stored sets are often in the order of a class.
    chosen = np.sort(np.random.default_rng(0).permutation(len(dataset.train.images))[:_IMAGES])
    return read_codes(config, state, dataset.train.images[chosen], READING_STATISTICS)


def _scores_of_each_other(folders: list[Path]) -> tuple[np.ndarray, float] | None:
    """FactorVAE's score of each run's codes, row by row, on images of each run's generator: their factors are
    the codes that they were made from. Float [runs, runs]; with the highest score that codes have which say
    nothing, the same ones read from the same images in another order. None where too few images share values.

    By chance a score is 1 / codes on average, but a finite draw of groups is above it as often as below.
    """
    models = [_newest(folder) for folder in folders]
    scores, chance = np.eye(len(models)), 0.0
    rng = np.random.default_rng(0)
    for j, (config, state) in enumerate(models):
        codes = config.codes
        draw = codes.sample(sample_key(state.key, _CENTRALITY_DRAW), _GENERATED)
        images = to_uint8(generate_images(config, state, draw), *config.networks.image_range)
        values = np.stack([np.asarray(draw[name], np.float64) for name in codes.named], axis=1)
        factors = [
            Factor(name, "category" if name in codes.categorical else "number") for name in codes.named
        ]
        rows = _sharing(values, factors)
        values = values[rows]
        if len(rows) < _GENERATED / 2 or not all(map(varies, values.T, factors)):
            return None
        for i, (_, reader) in enumerate(models):
            if i == j:
                continue
            read = read_codes(config, reader, images[rows], "fake")
            matrix = np.stack([read[name] for name in codes.named], axis=1).astype(np.float64)
            categorical = [n for n, name in enumerate(codes.named) if name in codes.categorical]
            scores[i, j], by_chance = (
                factor_vae_score(
                    groups_of_examples(each, values, factors, factor_bins=_BINS),
                    each,
                    len(factors),
                    seed=0,
                    categorical=categorical,
                ).score
                for each in (matrix, rng.permutation(matrix))
            )
            chance = max(chance, by_chance)
    return scores, chance


def _sharing(values: np.ndarray, factors: Sequence[Factor]) -> np.ndarray:
    """The rows without those that share a factor's value or bin with no other: a group needs two."""
    rows = np.arange(len(values))
    while len(rows):
        binned = bin_factors(values[rows], factors, _BINS)
        shared = np.all([np.bincount(column)[column] > 1 for column in binned.T], axis=0)
        if shared.all():
            break
        rows = rows[shared]
    return rows
