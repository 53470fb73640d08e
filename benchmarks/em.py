"""Times EM for Gaussian mixtures on this machine's CPU: ours, and scikit-learn's.

    python benchmarks/em.py             # MNIST's training images, 50 principal components, K = 50
    python benchmarks/em.py --small     # scikit-learn's digits, for a quick check

Both sides get the same rows, the same starts (labels of a few k-means iterations), the same tolerance and
the same precision, and stop by the same rule, so they make the same updates. Each works in a process of
its own that stands still while the other is timed; compilation is timed apart.
"""

import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, NamedTuple

import machine
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

Side = Literal["ours", "sklearn"]

SIDES: dict[Side, str] = {"ours": "ours (JAX)", "sklearn": "scikit-learn"}

FLOOR = 1e-8
"""Ours holds variances at or above it, relative to the columns' variances; scikit-learn adds it. Its default
of 1e-6 would show in the first updates, where it is one in two thousand of the smallest variances."""

ANY_GAIN = 1e9
"""A tolerance that the first gain meets."""


@dataclass(frozen=True)
class Options:
    """Times EM for Gaussian mixtures: ours and scikit-learn's."""

    components: int = 50
    """Gaussians in a mixture."""
    columns: int = 50
    """Principal components of the images that the mixtures are fitted to."""
    restarts: int = 20
    """Starts, each fitted to its end."""
    covariance: Literal["full", "tied", "diag", "spherical"] = "full"
    """Kind of covariances."""
    precision: Literal["float32", "float64"] = "float32"
    """Of both sides."""
    tolerance: float = 1e-3
    """Nats a row at which a fit stops."""
    max_iterations: int = 200
    """The most updates of a fit."""
    blas_threads: int = 0
    """Threads of scikit-learn's matrix products; 0 takes one or all, whichever fits the first start
    faster: on a busy machine, or for small matrices, one can be much faster."""
    rounds: int = 1
    """Times that each side does the whole job."""
    small: bool = False
    """Take scikit-learn's digits, 20 columns, 10 components and 4 restarts."""
    json: Path | None = None
    """Where the numbers are written."""


class Job(NamedTuple):
    """What both sides are given."""

    options: Options
    rows: np.ndarray
    labels: np.ndarray
    """A start for each restart, int32 [restarts, rows]."""


class Result(NamedTuple):
    """What one side answers."""

    seconds: float
    iterations: list[int]
    log_likelihood: list[float]
    """Mean log-likelihood of a row, of each restart."""
    threads: int


def prepare_data(options: Options) -> Job:
    """The rows and the starts."""
    if options.small:
        images = load_digits().data
    else:
        from infogan_jax.data import tfds

        images = tfds.load("mnist").train.images.astype(np.float32) / 255
    flat = images.reshape(len(images), -1)
    rows = PCA(options.columns, random_state=0).fit_transform(flat).astype(options.precision)
    starts = [
        KMeans(options.components, n_init=1, max_iter=5, random_state=seed).fit(rows).labels_
        for seed in range(options.restarts)
    ]
    return Job(options, rows, np.stack(starts).astype(np.int32))


def ours(job: Job) -> Callable[[float], Result]:
    """Our fit: one call for all restarts."""
    import jax

    from infogan_jax.fitting import fit_gaussian_mixture

    rows, labels = jax.numpy.asarray(job.rows), jax.numpy.asarray(job.labels)

    def fit(tolerance: float) -> Result:
        started = time.perf_counter()
        result = fit_gaussian_mixture(
            jax.random.key(0),
            rows,
            job.options.components,
            covariance=job.options.covariance,
            start=labels,
            tolerance=tolerance,
            max_iterations=job.options.max_iterations,
            covariance_floor=FLOOR,
        )
        jax.block_until_ready(result)
        seconds = time.perf_counter() - started
        return Result(
            seconds, result.restart_iterations.tolist(), result.restarts.tolist(), machine.threads()
        )

    return fit


def sklearn(job: Job) -> Callable[[float], Result]:
    """scikit-learn's fit, from one start after the other by its public arguments."""
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    options = job.options
    starts = [_moments(job.rows, labels, options) for labels in job.labels]

    def fit_one(start: tuple[np.ndarray, ...], tolerance: float) -> tuple[float, GaussianMixture]:
        weights, means, precisions = start
        started = time.perf_counter()
        mixture = GaussianMixture(
            options.components,
            covariance_type=options.covariance,
            tol=tolerance,
            reg_covar=FLOOR,
            max_iter=options.max_iterations,
            init_params="random",  # Not used, but drawn all the same; this is the cheapest.
            weights_init=weights,
            means_init=means,
            precisions_init=precisions,
            random_state=0,
        ).fit(job.rows)
        return time.perf_counter() - started, mixture

    def seconds_with(threads: int) -> float:
        with threadpool_limits(threads, "blas"):
            fit_one(starts[0], ANY_GAIN)
            return fit_one(starts[0], ANY_GAIN)[0]

    threads = options.blas_threads or min({1, machine.threads()}, key=seconds_with)
    threadpool_limits(threads, "blas")

    def fit(tolerance: float) -> Result:
        fitted = [fit_one(start, tolerance) for start in starts]
        scores = [float(mixture.score(job.rows)) for _, mixture in fitted]
        seconds = sum(seconds for seconds, _ in fitted)
        return Result(seconds, [mixture.n_iter_ for _, mixture in fitted], scores, threads)

    return fit


PREPARE: dict[Side, Callable[[Job], Callable[[float], Result]]] = {"ours": ours, "sklearn": sklearn}


def _moments(rows: np.ndarray, labels: np.ndarray, options: Options) -> tuple[np.ndarray, ...]:
    """Weights, means and precisions of the labelled rows, in scikit-learn's shapes."""
    rows = rows.astype(np.float64)
    groups = [rows[labels == k] for k in range(options.components)]
    weights = np.array([len(group) for group in groups]) / len(rows)
    means = np.stack([group.mean(0) for group in groups])
    full = np.stack([np.cov(group.T, bias=True) for group in groups])
    floor = FLOOR * np.eye(options.columns)
    if options.covariance == "full":
        precisions = np.linalg.inv(full + floor[None])
    elif options.covariance == "tied":
        precisions = np.linalg.inv(np.einsum("k,kij->ij", weights, full) + floor)
    else:
        variances = np.diagonal(full, axis1=1, axis2=2) + FLOOR
        precisions = 1 / (variances if options.covariance == "diag" else variances.mean(1))
    return tuple(moment.astype(options.precision) for moment in (weights, means, precisions))


def work(side: Side, job: Job, requests: Connection) -> None:
    """A side's process: fits when it is asked to, says how long it took, and waits."""
    import warnings

    import jax

    warnings.simplefilter("ignore")  # scikit-learn's, where a fit comes to the limit.
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", job.options.precision == "float64")
    os.environ["NPROC"] = str(machine.threads())  # The number of XLA's threads, read when its client starts.
    fit = PREPARE[side](job)
    # The same compiled program as later, for two updates.
    requests.send([fit(ANY_GAIN).seconds, fit(ANY_GAIN).seconds] if side == "ours" else [])
    while requests.recv():
        requests.send(fit(job.options.tolerance))
    requests.close()


def measure(job: Job) -> dict[str, Any]:
    """Each side's results, a round after another, and the seconds of its first and second call."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[Side, Connection] = {}
    warm: dict[Side, list[float]] = {}
    for side in SIDES:
        pipes[side], theirs = context.Pipe()
        context.Process(target=work, args=(side, job, theirs), daemon=True).start()
        theirs.close()
        try:
            warm[side] = pipes[side].recv()
        except EOFError:
            sys.exit(f"{SIDES[side]} could not start: its error is above")
    results: dict[Side, list[Result]] = {side: [] for side in SIDES}
    for _ in range(job.options.rounds):
        for side, pipe in pipes.items():
            time.sleep(0.2)  # Both libraries' threads spin for some milliseconds before they sleep.
            pipe.send(True)
            results[side].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send(False)
    return {"results": results, "warm": warm}


def report(job: Job, measured: dict[str, Any]) -> dict[str, Any]:
    """The numbers that are printed and written, and what they were measured on."""
    options, results = job.options, measured["results"]
    seconds = {side: [r.seconds for r in rounds] for side, rounds in results.items()}
    last = {side: rounds[-1] for side, rounds in results.items()}
    a, b = (np.array(last[side].log_likelihood) for side in SIDES)
    return {
        "options": {k: v for k, v in vars(options).items() if k != "json"},
        "rows": len(job.rows),
        "seconds": seconds,
        "seconds_per_iteration": {s: [t / sum(last[s].iterations) for t in seconds[s]] for s in SIDES},
        "ratio": [ours / theirs for ours, theirs in zip(seconds["ours"], seconds["sklearn"], strict=True)],
        "iterations": {side: last[side].iterations for side in SIDES},
        "log_likelihood": {side: last[side].log_likelihood for side in SIDES},
        "largest_relative_difference": float(np.abs(a / b - 1).max()),
        "compilation_seconds": measured["warm"]["ours"][0] - measured["warm"]["ours"][1],
        "processor": machine.processor(),
        "threads": {side: last[side].threads for side in SIDES},
        "versions": {name: version(name) for name in ("jax", "scikit-learn", "numpy")},
        "python": platform.python_version(),
    }


def show(numbers: dict[str, Any]) -> None:
    """Prints the numbers as a table."""
    options, console = numbers["options"], Console()
    table = Table(
        title=f"{options['restarts']} restarts of K = {options['components']}, {options['covariance']}, "
        f"{numbers['rows']} x {options['columns']}, {options['precision']}"
    )
    for heading in ("", "seconds", "iterations", "s / iteration", "best log-likelihood"):
        table.add_column(heading, justify="right" if heading else "left")
    for side, name in SIDES.items():
        table.add_row(
            name,
            f"{statistics.median(numbers['seconds'][side]):.2f}",
            str(sum(numbers["iterations"][side])),
            f"{statistics.median(numbers['seconds_per_iteration'][side]):.4f}",
            f"{max(numbers['log_likelihood'][side]):.5f}",
        )
    console.print(table)
    same = sum(a == b for a, b in zip(*numbers["iterations"].values(), strict=True))
    console.print(
        f"ours / scikit-learn: {statistics.median(numbers['ratio']):.3f} of {len(numbers['ratio'])} rounds, "
        f"besides {numbers['compilation_seconds']:.1f} s of compilation\n"
        f"restarts with the same number of updates: {same} of {options['restarts']}; largest relative "
        f"difference of a final log-likelihood: {numbers['largest_relative_difference']:.1e}"
    )
    versions = ", ".join(f"{name} {v}" for name, v in numbers["versions"].items())
    threads = ", ".join(f"{name} {numbers['threads'][side]}" for side, name in SIDES.items())
    console.print(f"{numbers['processor']}; threads: {threads}; {versions}, Python {numbers['python']}")


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    if options.small:
        options = replace(options, columns=20, components=10, restarts=4)
    job = prepare_data(options)
    numbers = report(job, measure(job))
    show(numbers)
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=2) + "\n")


if __name__ == "__main__":
    main()
