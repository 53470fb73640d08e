"""Which theta makes q_theta closest to p: by gradient, and by expectation-maximisation.

| file | what it holds |
|---|---|
| `gradient` | KL in both directions as objectives, densities, and the loop that lowers them with optax |
| `em` | expectation-maximisation for any model |
| `gaussian_mixture`, `bernoulli_mixture` | mixtures fitted by it |
| `mixture` | what mixtures share: predictive score, responsibilities, BIC, restarts |
| `kmeans` | where EM starts |
"""

from infogan_jax.fitting.bernoulli_mixture import BernoulliMixture, fit_bernoulli_mixture
from infogan_jax.fitting.em import Fit, careful_mean, em
from infogan_jax.fitting.gaussian_mixture import GaussianMixture, fit_gaussian_mixture
from infogan_jax.fitting.gradient import (
    GradientFit,
    fit_by_gradient,
    forward_objective,
    gaussian_draw,
    gaussian_log_density,
    gaussian_objective,
    grid_objective,
    mixture_log_density,
    pmf_objective,
    reverse_objective,
)
from infogan_jax.fitting.kmeans import kmeans

__all__ = [
    "BernoulliMixture",
    "Fit",
    "GaussianMixture",
    "GradientFit",
    "careful_mean",
    "em",
    "fit_bernoulli_mixture",
    "fit_by_gradient",
    "fit_gaussian_mixture",
    "forward_objective",
    "gaussian_draw",
    "gaussian_log_density",
    "gaussian_objective",
    "grid_objective",
    "kmeans",
    "mixture_log_density",
    "pmf_objective",
    "reverse_objective",
]
