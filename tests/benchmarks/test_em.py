"""Both sides of EM's benchmark do the same job."""

import em
import numpy as np
import pytest


@pytest.fixture(scope="module")
def job():
    """Three clouds of points, and two starts that are partly wrong."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 60)
    centres = np.array([[0.0, 0], [6, 0], [0, 6]])
    rows = (centres[labels] + rng.standard_normal((180, 2))).astype(np.float32)
    starts = [np.where(rng.random(180) < 0.3, rng.integers(0, 3, 180), labels) for _ in range(2)]
    options = em.Options(components=3, columns=2, restarts=2, tolerance=1e-5, blas_threads=1)
    return em.Job(options, rows, np.stack(starts).astype(np.int32))


@pytest.fixture(scope="module")
def results(job):
    return {side: prepare(job)(job.options.tolerance) for side, prepare in em.PREPARE.items()}


def test_both_sides_make_the_same_updates(results):
    ours, sklearn = results["ours"], results["sklearn"]
    assert ours.iterations == sklearn.iterations and min(ours.iterations) > 2
    np.testing.assert_allclose(ours.log_likelihood, sklearn.log_likelihood, rtol=1e-5)


def test_the_report_compares_them(job, results, capsys):
    measured = {"results": {side: [result] for side, result in results.items()}, "warm": {"ours": [3.0, 1.0]}}
    numbers = em.report(job, measured)
    assert numbers["ratio"] == [results["ours"].seconds / results["sklearn"].seconds]
    assert numbers["largest_relative_difference"] < 1e-5
    assert numbers["compilation_seconds"] == 2.0
    em.show(numbers)
    assert "restarts with the same number of updates: 2 of 2" in capsys.readouterr().out.replace("\n", " ")
