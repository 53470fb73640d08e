"""How far the best code of each factor is ahead of the second best."""

import numpy as np


def gap_of_the_two_best(scores: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """The difference of the two highest scores of each factor.

        max_i S_ij - max_{i' != i} S_i'j

    Args:
        scores: of each code for each factor, float [C, F], none below `floor`.
        floor: the score of a code that says nothing of the factor, float [F]: the rival of a lone code.

    Returns:
        float64 [F], 0 or more.
    """
    second, best = np.sort(np.vstack([floor, scores]), axis=0)[-2:]
    gaps: np.ndarray = best - second
    return gaps
