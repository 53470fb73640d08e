"""The study of docs/norms.md, as far as it is checked by statistics from elsewhere."""

from pathlib import Path

import numpy as np
import pytest
import scipy.stats

import losses

STUDIES = Path(__file__).parents[2] / "docs" / "studies"


@pytest.fixture
def norms(monkeypatch):
    monkeypatch.syspath_prepend(STUDIES)
    import norms

    return norms


def test_the_constants_of_least_error_are_mode_median_and_mean(norms):
    fit = norms.fit_constant(np.random.default_rng(0))
    expected = {
        "L0": scipy.stats.mode(fit.samples).mode,
        "L1": np.median(fit.samples),
        "L2": np.mean(fit.samples),
    }
    # The three are far from each other, so none passes for another.
    assert np.diff(list(expected.values())).min() > 0.05
    for name, value in expected.items():
        np.testing.assert_allclose(fit.fitted[name], value, atol=1e-3)
    # A wide smooth L0 is a kernel density's mode, and not the samples'; a narrow one is theirs.
    scales = sorted(fit.smooth, reverse=True)
    density = scipy.stats.gaussian_kde(fit.samples, bw_method=scales[0] / fit.samples.std(ddof=1))
    grid = np.linspace(-0.5, 0.5, 10_001)
    assert abs(fit.smooth[scales[0]] - expected["L0"]) > 0.01
    np.testing.assert_allclose(fit.smooth[scales[0]], grid[density(grid).argmax()], atol=1e-3)
    np.testing.assert_allclose(fit.smooth[scales[-1]], expected["L0"], atol=1e-3)


def test_the_study_stops_at_a_constant_that_is_not_the_statistic(norms, monkeypatch):
    monkeypatch.setattr(losses, "l1_error", losses.l2_error)
    with pytest.raises(ArithmeticError, match="L1 chooses"):
        norms.fit_constant(np.random.default_rng(0))
