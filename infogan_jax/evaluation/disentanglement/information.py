"""Entropies and mutual information of binned variables, exact on the bins, in nats."""

import numpy as np
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score


def entropies(bins: np.ndarray) -> np.ndarray:
    """The entropy of each column's distribution over its bins.

        H(x) = -sum_k p_k log p_k, p_k = #{n : x_n = k} / N

    Args:
        bins: integers [N, K], from 0.

    Returns:
        float64 [K] in nats, 0 or more.

    References:
        Cover and Thomas 2006, "Elements of information theory", eq. 2.1.
    """
    return np.array([entropy(np.bincount(column)) for column in bins.T])


def information_matrix(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """The mutual information of every code with every factor, of their empirical joint distribution.

        I(c; v) = sum_kl p_kl log(p_kl / (p_k p_l))

    Of independent variables it is above 0 by about (K - 1)(L - 1) / (2 N) nats, for K and L bins.

    Args:
        codes: integers [N, C], from 0.
        factors: integers [N, F], from 0.

    Returns:
        float64 [C, F] in nats, each between 0 and the lower of the two entropies.

    References:
        Cover and Thomas 2006, eq. 2.28; Miller 1955, "Note on the bias of information estimates".
    """
    return np.array([[_information(code, factor) for factor in factors.T] for code in codes.T])


def _information(code: np.ndarray, factor: np.ndarray) -> float:
    counts = np.zeros((code.max() + 1, factor.max() + 1), np.int64)
    np.add.at(counts, (code, factor), 1)
    return float(mutual_info_score(None, None, contingency=counts))
