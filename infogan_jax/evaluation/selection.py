"""Which of several trained models to keep, without labels: the one that the others agree with most.

What is right is learned again from another seed; what goes wrong goes wrong in many ways. Where most models
go wrong in the same way, agreement does not show it.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from sklearn.linear_model import Lasso
from sklearn.metrics import adjusted_rand_score

# Of two models neither is nearer to the other.
FEWEST_MODELS = 3
# Of the released code of UDR; codes that coincide have a coefficient of 1 less this.
LASSO_PENALTY = 0.1


def udr_spearman(representations: ArrayLike, informative: ArrayLike | None = None) -> np.ndarray:
    """Unsupervised disentanglement ranking, codes compared by rank correlation.

    UDR_i = median over j != i of UDR_ij
    UDR_ij = (sum_b max_a R_ab^2 / sum_a R_ab + sum_a max_b R_ab^2 / sum_b R_ab) / (d_i + d_j)
    R_ab = |Spearman's correlation of code a of model i and code b of model j|

    with a and b over the d_i and d_j informative codes. It is 1 where each code of one model is one code of
    the other, up to order, direction and any rising map, and is uncorrelated with the rest.

    Args:
        representations: float [M, N, C], the C codes that each of M >= 3 models reads from the same N >= 3
            images; numbers, not categories.
        informative: bool [M, C], which codes count; the paper takes those whose KL from the prior is above
            0.01 nats, for which InfoGAN's counterpart is L_I. None for all. A code that is the same for all
            images never counts.

    Returns:
        float64 [M] in [0, 1], the higher the better; a model without informative codes has 0.

    Raises:
        ValueError: the arguments are not as above.

    References:
        Duan et al. 2020, "Unsupervised model selection for variational disentangled representation
        learning" (UDR_S).
    """
    representations, informative = _representations(representations, informative)
    ranks = rankdata(representations, axis=1)

    def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        correlations: np.ndarray = np.abs(_standardised(a).T @ _standardised(b)) / len(a)
        return correlations

    return _udr(ranks, informative, similarity)


def udr_lasso(representations: ArrayLike, informative: ArrayLike | None = None) -> np.ndarray:
    """Unsupervised disentanglement ranking, codes compared by how they predict each other.

    As `udr_spearman`, with R_ab = |w_ab|, the coefficients w_a that predict code a of model i from the codes
    of model j, both standardised:

    argmin over w_a of |x_a - sum_b w_ab y_b|^2 / (2 N) + 0.1 sum_b |w_ab|

    The penalty shrinks every coefficient, so models that coincide have 0.9.

    Args:
        representations: as of `udr_spearman`.
        informative: as of `udr_spearman`.

    Returns:
        float64 [M], at least 0, the higher the better; a model without informative codes has 0.

    Raises:
        ValueError: the arguments are not as above.

    References:
        Duan et al. 2020 (UDR_L), with the penalty of the released code, in which too a model is scored by
        how well the others predict it.
    """
    representations, informative = _representations(representations, informative)

    def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        weights = Lasso(alpha=LASSO_PENALTY).fit(_standardised(b), _standardised(a)).coef_
        sizes: np.ndarray = np.abs(weights).reshape(a.shape[1], b.shape[1])
        return sizes

    return _udr(representations, informative, similarity)


def model_centrality(scores: ArrayLike) -> np.ndarray:
    """How near each model is to all others: the highest is the medoid.

    centrality_i = mean over j != i of (B_ij + B_ji) / 2

    B_ij is the disentanglement score of model i where model j's generator stands in for the data with known
    factors: images are generated from known codes of j and read by model i, and i's codes are scored against
    j's, in the paper by FactorVAE's metric.

    Args:
        scores: float [M, M], B for M >= 3 models, the higher the more alike; the diagonal is not read.

    Returns:
        float64 [M], in the scores' unit.

    Raises:
        ValueError: the scores are not as above, or not finite off the diagonal.

    References:
        Lin et al. 2020, "InfoGAN-CR and ModelCentrality: self-supervised model training and selection for
        disentangling GANs".
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1]:
        raise ValueError(f"scores are {scores.shape}: they must be [M, M], a row and a column for each model")
    _check_count(len(scores))
    others = ~np.eye(len(scores), dtype=bool)
    if not np.isfinite(scores[others]).all():
        raise ValueError("scores must be finite off the diagonal: score every pair of models")
    means: np.ndarray = np.mean((scores + scores.T) / 2, axis=1, where=others)
    return means


def category_agreement(categories: ArrayLike) -> np.ndarray:
    """How far the other models put the same images together as each model does.

    agreement_i = mean over j != i of ARI(categories_i, categories_j)

    This is ModelCentrality for a single categorical code, on real images: our own form of it, not the
    paper's. The adjusted Rand index needs no matching of one model's categories to another's, and is 0 in
    expectation where they are unrelated. A model that puts all images into one category agrees with none,
    another such model included.

    Args:
        categories: integers [M, N], the category that each of M >= 3 models gives to the same N images.

    Returns:
        float64 [M], at most 1.

    Raises:
        ValueError: the categories are not as above.

    References:
        Hubert and Arabie 1985, "Comparing partitions" (the index); Lin et al. 2020 (`model_centrality`).
    """
    categories = np.asarray(categories)
    if categories.ndim != 2 or categories.size == 0 or not np.issubdtype(categories.dtype, np.integer):
        raise ValueError(
            f"categories are {categories.dtype} {categories.shape}: they must be integers [M, N], N above 0"
        )
    _check_count(len(categories))
    varied = np.ptp(categories, axis=1) > 0
    agreement = np.zeros((len(categories), len(categories)))
    for i, j in zip(*np.triu_indices(len(categories), 1), strict=True):
        if varied[i] and varied[j]:
            agreement[i, j] = agreement[j, i] = adjusted_rand_score(categories[i], categories[j])
    return model_centrality(agreement)


def _udr(
    representations: np.ndarray,
    informative: np.ndarray,
    similarity: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    codes = [x[:, counts] for x, counts in zip(representations, informative, strict=True)]

    def pair(i: int, j: int) -> float:
        if not (codes[i].size and codes[j].size):
            return 0.0
        alike = similarity(codes[i], codes[j])
        return float(np.concatenate([_relative_strength(alike), _relative_strength(alike.T)]).mean())

    models = range(len(codes))
    return np.array([np.median([pair(i, j) for j in models if j != i]) for i in models])


def _relative_strength(alike: np.ndarray) -> np.ndarray:
    """Of each row: its largest entry, times that entry's share of the row; 0 for a row of zeros."""
    total, largest = alike.sum(axis=1), alike.max(axis=1)
    strength: np.ndarray = largest**2 / np.where(total > 0, total, 1)
    return strength


def _standardised(x: np.ndarray) -> np.ndarray:
    standardised: np.ndarray = (x - x.mean(axis=0)) / x.std(axis=0)
    return standardised


def _representations(
    representations: ArrayLike, informative: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray]:
    representations = np.asarray(representations)
    if representations.ndim != 3 or not np.issubdtype(representations.dtype, np.floating):
        raise ValueError(
            f"representations are {representations.dtype} {representations.shape}: "
            "they must be float [M, N, C], the codes of M models for the same N images"
        )
    _check_count(len(representations))
    if representations.shape[1] < 3 or representations.shape[2] == 0:
        raise ValueError(f"representations are {representations.shape}: they need 3 images and a code")
    if not np.isfinite(representations).all():
        raise ValueError("representations must be finite")
    counts = np.ptp(representations, axis=1) > 0
    if informative is not None:
        informative = np.asarray(informative)
        if informative.dtype != bool or informative.shape != counts.shape:
            raise ValueError(
                f"informative is {informative.dtype} {informative.shape}: it must be bool {counts.shape}, "
                "an entry for each code of each model"
            )
        counts &= informative
    return representations.astype(np.float64), counts


def _check_count(models: int) -> None:
    if models < FEWEST_MODELS:
        raise ValueError(f"{models} models: the choice needs at least {FEWEST_MODELS}, as two always tie")
