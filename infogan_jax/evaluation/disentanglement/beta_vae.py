"""BetaVAE's score: can the factor that pairs share be told from how their codes differ?"""

from collections.abc import Collection

import numpy as np

from infogan_jax.evaluation.disentanglement.examples import Seed, check_count
from infogan_jax.evaluation.disentanglement.groups import Groups, draw_groups
from infogan_jax.evaluation.disentanglement.prediction import linear_classifier, one_thread


@one_thread
def beta_vae_score(
    groups: Groups,
    num_factors: int,
    *,
    seed: Seed,
    categorical: Collection[int] = (),
    pairs: int = 64,
    train_points: int = 200,
    test_points: int = 100,
) -> float:
    """The accuracy of a linear classifier of the shared factor.

        z = 1/L sum_l |c_l1 - c_l2|, where the examples of each of L pairs share the value of factor j

    The classifier, logistic regression, predicts j from z. Of a categorical code, |c_l1 - c_l2| is whether
    the categories differ. It asks that some combination of codes stands still with each factor, not that
    one code does, so it is the most lenient of the measures here.

    Args:
        groups: codes of examples that share a factor's value: `groups_of_examples`, or one that renders.
        num_factors: F, 2 or more.
        seed: of the draws.
        categorical: the columns of the codes that hold a category.
        pairs: L, how many differences each point averages.
        train_points: for each factor, to fit the classifier.
        test_points: for each factor, to score it.

    Returns:
        The accuracy on the test points, in [0, 1]; 1 / F is chance.

    Raises:
        ValueError: a number is too low, or `groups` gave another shape or a code that isn't finite.

    References:
        Higgins et al. 2017, "beta-VAE: learning basic visual concepts with a constrained variational
        framework", section 3.
    """
    check_count("num_factors", num_factors, at_least=2)
    for name, value in (("pairs", pairs), ("train_points", train_points), ("test_points", test_points)):
        check_count(name, value, at_least=1)
    rng = np.random.default_rng(seed)
    points = train_points + test_points

    def differences(factor: int) -> np.ndarray:
        codes = draw_groups(groups, rng, factor, points * pairs, size=2)
        difference = np.abs(codes[:, 0] - codes[:, 1])
        difference[:, list(categorical)] = difference[:, list(categorical)] > 0
        means: np.ndarray = difference.reshape(points, pairs, -1).mean(axis=1)
        return means

    z = np.stack([differences(factor) for factor in range(num_factors)])
    train, test = (part.reshape(-1, z.shape[-1]) for part in (z[:, :train_points], z[:, train_points:]))
    shared = np.arange(num_factors)
    model = linear_classifier().fit(train, np.repeat(shared, train_points))
    return float(model.score(test, np.repeat(shared, test_points)))
