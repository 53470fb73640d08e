"""How far generated images are from real ones, as two sets of features.

The features are the caller's: a number is "the Fréchet distance on <those features>", and only on one set
of features, and at one number of images, can two models be compared.
"""

from typing import NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike


class KernelDistance(NamedTuple):
    """The squared maximum mean discrepancy, and how uncertain the sample leaves it."""

    mean: float
    """Mean over the subsets: unbiased, so below 0 about half of the time where the sets do not differ."""
    standard_error: float
    """Of that mean, from the spread over the subsets."""


def frechet_distance(real: ArrayLike, generated: ArrayLike) -> float:
    """The squared Fréchet distance between the Gaussians with the features' means and covariances.

    d^2 = |m_1 - m_2|^2 + tr S_1 + tr S_2 - 2 tr (S_1^1/2 S_2 S_1^1/2)^1/2

    Few images make it larger than it is of many: the covariances are estimates.

    Args:
        real: float [N, D], at least 2 examples; N < D is fine.
        generated: float [M, D], likewise.

    Returns:
        d^2, at least 0, in the features' unit squared (the number that the literature quotes).

    Raises:
        ValueError: the features are not as above, or not finite.

    References:
        Dowson and Landau 1982, "The Fréchet distance between multivariate normal distributions";
        Heusel et al. 2017, "GANs trained by a two time-scale update rule", eq. 6.
    """
    real, generated = feature_pair(real, generated)
    real_mean, generated_mean = real.mean(axis=0), generated.mean(axis=0)
    # With S_i = A_i' A_i, the last trace is the sum of the singular values of A_1 A_2'. No covariance and no
    # root of a small eigenvalue is needed, so singular covariances lose no digits; QR makes A_i small.
    real_factor = (real - real_mean) / np.sqrt(len(real) - 1)
    generated_factor = (generated - generated_mean) / np.sqrt(len(generated) - 1)
    # numpy annotates what the other modes return.
    real_r, generated_r = (
        cast(np.ndarray, np.linalg.qr(factor, mode="r")) for factor in (real_factor, generated_factor)
    )
    cross = real_r @ generated_r.T
    squared = (
        np.sum((real_mean - generated_mean) ** 2)
        + np.sum(real_factor**2)
        + np.sum(generated_factor**2)
        - 2 * np.sum(np.linalg.svd(cross, compute_uv=False))
    )
    return max(float(squared), 0.0)


def kernel_distance(
    real: ArrayLike, generated: ArrayLike, *, subset_size: int = 1000, seed: int = 0
) -> KernelDistance:
    """The squared maximum mean discrepancy under a cubic kernel, estimated without bias on subsets.

    MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y),  k(a, b) = (a . b / D + 1)^3

    The subsets have no example in common, so they are independent and the standard error is honest; drawn
    with replacement, as is also done, they share examples and it comes out too small.

    Args:
        real: float [N, D], N >= 2 subset_size.
        generated: float [M, D], M >= 2 subset_size.
        subset_size: examples of each set in a subset, at least 2; what is left over at the end is not used.
        seed: of the shuffle that makes the subsets.

    Returns:
        Mean and standard error over min(N, M) // subset_size subsets.

    Raises:
        ValueError: the features are not as above, not finite, or too few for two subsets.

    References:
        Binkowski et al. 2018, "Demystifying MMD GANs", section 4; Gretton et al. 2012, "A kernel two-sample
        test", eq. 3 (the unbiased estimate).
    """
    real, generated = feature_pair(real, generated)
    if subset_size < 2:
        raise ValueError(f"subset_size is {subset_size}: a subset needs at least 2 examples")
    subsets = min(len(real), len(generated)) // subset_size
    if subsets < 2:
        raise ValueError(
            f"{len(real)} real and {len(generated)} generated examples make no two subsets of {subset_size}: "
            "give more examples or lower subset_size"
        )
    rng = np.random.default_rng(seed)
    shape = (subsets, subset_size)
    real_rows = rng.permutation(len(real))[: subsets * subset_size].reshape(shape)
    generated_rows = rng.permutation(len(generated))[: subsets * subset_size].reshape(shape)
    pairs = zip(real_rows, generated_rows, strict=True)
    values = np.array([_squared_mmd(real[rows], generated[others]) for rows, others in pairs])
    return KernelDistance(float(values.mean()), float(values.std(ddof=1) / np.sqrt(subsets)))


def feature_pair(real: ArrayLike, generated: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The two sets of features as float64, or one line that says what is wrong with them."""
    real, generated = np.asarray(real), np.asarray(generated)
    for name, features in (("real", real), ("generated", generated)):
        if features.ndim != 2 or len(features) < 2 or not np.issubdtype(features.dtype, np.floating):
            raise ValueError(
                f"{name} is {features.dtype} {features.shape}: features must be float [N, D], N at least 2"
            )
        if not np.isfinite(features).all():
            raise ValueError(f"{name} has features that are not finite")
    if real.shape[1] != generated.shape[1]:
        raise ValueError(f"real has {real.shape[1]} features and generated {generated.shape[1]}")
    return real.astype(np.float64), generated.astype(np.float64)


def _squared_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """The unbiased estimate: no example is compared with itself."""

    def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        kernel: np.ndarray = (a @ b.T / a.shape[1] + 1) ** 3
        return kernel

    def within(a: np.ndarray) -> float:
        kernel = between(a, a)
        mean: float = (kernel.sum() - np.trace(kernel)) / (len(a) * (len(a) - 1))
        return mean

    squared: float = within(x) + within(y) - 2 * between(x, y).mean()
    return squared
