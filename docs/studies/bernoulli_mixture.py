"""Mixtures of Bernoullis on binarised MNIST: the test images' log-likelihood by number of components.

python docs/studies/bernoulli_mixture.py --components 10 100 --seed 0
"""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from infogan_jax.data import tfds
from infogan_jax.fitting import fit_bernoulli_mixture

THRESHOLD = 128
"""A pixel from this value on is a 1: half of the range."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Fits mixtures of Bernoullis to binarised images and scores the test split."""

    components: tuple[int, ...] = (10, 100)
    """Numbers of components, one fit each."""
    seed: int = 0
    """Seed of the start."""
    restarts: int = 1
    """Starts, of which the best on the training split is kept."""
    probability_floor: float = 1e-3
    """Smallest probability of either value of a pixel."""
    tolerance: float = 1e-3
    """Nats an image at which a fit stops."""
    max_iterations: int = 200
    """The most updates."""
    name: str = "mnist"
    """An image set of TensorFlow Datasets."""
    json: Path | None = None
    """Where the numbers are written."""


def binarised(images: np.ndarray) -> np.ndarray:
    """Images as rows of 0 and 1."""
    return (images.reshape(len(images), -1) >= THRESHOLD).astype(np.float32)


def main(options: Options) -> None:
    """Prints the table and writes the numbers."""
    data = tfds.load(options.name)
    train, test = binarised(data.train.images), binarised(data.test.images)
    table = Table(title=f"Bernoulli mixtures on {options.name}, seed {options.seed}, nats per image")
    for heading in ("components", "train", "test", "BIC / image", "iterations", "stopped by"):
        table.add_column(heading, justify="right")
    rows = []
    for components in options.components:
        fit = fit_bernoulli_mixture(
            jax.random.key(options.seed),
            train,
            components,
            restarts=options.restarts,
            tolerance=options.tolerance,
            max_iterations=options.max_iterations,
            probability_floor=options.probability_floor,
        )
        rows.append(
            {
                "components": components,
                "train": fit.final_log_likelihood,
                "test": float(fit.params.log_prob(test).mean()),
                "bic": fit.params.bic(train) / len(train),
                "iterations": int(fit.iterations),
                "reason": fit.reason,
                "smallest_gain": float(np.diff(fit.trace).min(initial=np.inf)),
            }
        )
        cells = (f"{rows[-1][key]:.2f}" for key in ("train", "test", "bic"))
        table.add_row(str(components), *cells, str(rows[-1]["iterations"]), fit.reason)
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps({"options": vars(options), "fits": rows}, indent=2, default=str))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
