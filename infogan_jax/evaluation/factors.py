"""How far an InfoGAN's codes follow the known factors of its images, by the measures of `disentanglement`."""

from pathlib import Path

import numpy as np

from infogan_jax.codes import LatentCodes
from infogan_jax.data.dataset import Dataset, Factor
from infogan_jax.evaluation import figures
from infogan_jax.evaluation.disentanglement.beta_vae import beta_vae_score
from infogan_jax.evaluation.disentanglement.bins import bin_factors
from infogan_jax.evaluation.disentanglement.dci import dci
from infogan_jax.evaluation.disentanglement.examples import varies
from infogan_jax.evaluation.disentanglement.factor_vae import factor_vae_score
from infogan_jax.evaluation.disentanglement.groups import groups_of_examples
from infogan_jax.evaluation.disentanglement.mig import mutual_information_gap
from infogan_jax.evaluation.disentanglement.modularity import explicitness, modularity
from infogan_jax.evaluation.disentanglement.recovery import Recovery, recovery
from infogan_jax.evaluation.disentanglement.sap import separated_attribute_predictability
from infogan_jax.evaluation.report import Metrics, Picture, rounded

EXAMPLES = 5000
"""Test images that the measures look at: their errors are then about a hundredth."""

_SEED = 0

_BINS = 10
"""Of factors that are numbers or angles, and of codes for the recovery's NMI: each then has hundreds of
examples."""

# With 5,000 examples and 10 bins of a factor, a code that says nothing has 0.017 nats of the factor's 2.3
# (`information_matrix`), with 1,000 it has 0.086. MIG's gap is between two codes that both have them.
_PUBLISHED_BINS = 20
"""Of codes for MIG and modularity, whose published figures have as many (disentanglement_lib)."""

_RARE = 10
"""Examples of a value below which they are left out."""

# Below this the halves, bins and groups of the measures hold too little to say anything.
_FEWEST = 200

_MEANINGS = {
    "beta_vae": ("BetaVAE", "which factor was held, by a linear classifier; chance is 1/factors"),
    "factor_vae": ("FactorVAE", "which factor was held, by the code that varied least"),
    "mig": ("MIG", "how much more the best code knows of a factor than the second, in [0, 1]"),
    "sap": ("SAP", "how much better the best code predicts a factor than the second"),
    "dci_disentanglement": ("DCI disentanglement", "whether each code serves one factor"),
    "dci_completeness": ("DCI completeness", "whether each factor has one code"),
    "dci_informativeness": ("DCI informativeness", "how well all codes together predict the factors"),
    "modularity": ("Modularity", "whether each code knows of one factor"),
    "explicitness": ("Explicitness", "whether a linear model reads the factors off the codes"),
}


def choose_examples(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The test images that the measures look at, and their factors' values.

    Returns:
        uint8 [N, H, W, C] and float32 [N, F], the same examples every time.
    """
    images, _, values = dataset.test
    assert values is not None
    # Stored sets are often in the order of a factor.
    chosen = np.sort(np.random.default_rng(_SEED).permutation(len(images))[:EXAMPLES])
    return images[chosen], values[chosen]


def measure_factors(
    read: dict[str, np.ndarray],
    values: np.ndarray,
    factors: tuple[Factor, ...],
    codes: LatentCodes,
    folder: Path,
) -> tuple[Metrics, list[Picture]]:
    """Measures codes against factors.

    Factors that hardly vary or have hardly two examples alike are left out, and of the others the examples
    of rare values.

    Args:
        read: what Q reads from each image, for each code by name, [N].
        values: the factors' values, float [N, F].
        factors: what they are.
        codes: what the codes are.
        folder: where the picture goes.

    Returns:
        "disentanglement", scores by name, and "recovery", for each factor by name the best code and how
        well it is read; with the picture. Both are None where there are no codes, fewer than 200 examples
        or no factor that varies; the scores that compare factors, where only one does.
    """
    # As the measures do: in float32 the sine of half a turn isn't zero.
    values = values.astype(np.float64)
    rows, columns = _usable(values, factors)
    if not read or len(rows) < _FEWEST or not columns:
        return {"disentanglement": None, "recovery": None}, []
    values, factors = values[rows][:, columns], tuple(factors[i] for i in columns)
    read = {name: x[rows] for name, x in read.items()}
    names = list(read)
    matrix = np.stack([read[name] for name in names], axis=1).astype(np.float64)
    categorical = [i for i, name in enumerate(names) if name in codes.categorical]

    scores: Metrics = dict.fromkeys(_MEANINGS)
    if len(factors) > 1:
        groups = groups_of_examples(matrix, values, factors, factor_bins=_BINS)
        tree = dci(matrix, values, factors, seed=_SEED, categorical=categorical)
        scores |= {
            "beta_vae": beta_vae_score(groups, len(factors), seed=_SEED, categorical=categorical),
            "factor_vae": factor_vae_score(
                groups, matrix, len(factors), seed=_SEED, categorical=categorical
            ).score,
            "dci_disentanglement": tree.disentanglement,
            "dci_completeness": tree.completeness,
            "dci_informativeness": tree.informativeness,
            "modularity": modularity(
                matrix, values, factors, categorical=categorical, factor_bins=_BINS, code_bins=_PUBLISHED_BINS
            ).score,
        }
    scores |= {
        "mig": mutual_information_gap(
            matrix, values, factors, categorical=categorical, factor_bins=_BINS, code_bins=_PUBLISHED_BINS
        ).score,
        "sap": separated_attribute_predictability(matrix, values, factors, categorical=categorical).score,
        "explicitness": explicitness(
            matrix, values, factors, seed=_SEED, factor_bins=_BINS, categorical=categorical
        ).score,
    }
    found = recovery(
        matrix, values, factors, seed=_SEED, categorical=categorical, factor_bins=_BINS, code_bins=_BINS
    )
    path = folder / "factors.png"
    figures.factors_figure(path, found.nmi, names, [factor.name for factor in factors])
    picture = ("What each code knows of each factor: normalised mutual information", path)
    return {
        "disentanglement": {k: None if score is None else rounded(score) for k, score in scores.items()},
        "recovery": {factor.name: _of_factor(found, j, names, factor) for j, factor in enumerate(factors)},
    }, [picture]


def _usable(values: np.ndarray, factors: tuple[Factor, ...]) -> tuple[np.ndarray, list[int]]:
    """The rows without rare values, and the columns that vary: with a few examples of a value, or of a bin of
    values, nothing can be fitted and scored. A column of which most values are rare is left out itself.
    """
    rows, columns = np.arange(len(values)), list(range(len(factors)))
    while True:
        before = len(rows), len(columns)
        for i in list(columns):
            if not len(rows) or not varies(values[rows, i], factors[i]):
                columns.remove(i)
                continue
            binned = bin_factors(values[rows][:, [i]], (factors[i],), _BINS)[:, 0]
            counts = np.bincount(binned)
            common = counts[binned] >= _RARE
            if common.mean() < 0.5 or (counts >= _RARE).sum() < 2:
                columns.remove(i)
            else:
                rows = rows[common]
        if before == (len(rows), len(columns)):
            return rows, columns


def _of_factor(found: Recovery, j: int, names: list[str], factor: Factor) -> Metrics:
    best = int(found.best_code[j])
    rank = found.rank_correlation[best, j]
    return {
        "best_code": names[best],
        # R^2, or of a category the accuracy above chance.
        "best_code_linear": rounded(found.single_linear[best, j]),
        "best_code_flexible": rounded(found.single_flexible[best, j]),
        "all_codes": rounded(found.joint_flexible[j]),
        "rank_correlation": None if np.isnan(rank) else rounded(rank),
        "kind": factor.kind,
    }


def results(metrics: Metrics) -> list[tuple[str, str, str]]:
    """The report's rows: name, value, meaning."""
    if metrics["disentanglement"] is None:
        return []
    rows = []
    for name, score in metrics["disentanglement"].items():
        title, meaning = _MEANINGS[name]
        rows.append((title, "–" if score is None else f"{score:.3f}", meaning))
    for name, one in metrics["recovery"].items():
        what = "accuracy above chance" if one["kind"] == "category" else "R²"
        rank = "" if one["rank_correlation"] is None else f", rank correlation {one['rank_correlation']:.2f}"
        rows.append(
            (
                name.capitalize(),
                f"{one['all_codes']:.2f}",
                f"{what} from all codes; from the best, {one['best_code']}: "
                f"{one['best_code_linear']:.2f} linear, {one['best_code_flexible']:.2f} by a tree{rank}",
            )
        )
    return rows


def headline(metrics: Metrics) -> list[str]:
    """The command line's line."""
    if metrics["recovery"] is None:
        return []
    found = (f"{name} {one['all_codes']:.2f}" for name, one in metrics["recovery"].items())
    return [f"factors read from the codes (1 is perfect): {', '.join(found)}"]
