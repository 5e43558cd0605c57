"""The area under the ROC curve of heads of two classes, with a 95 % interval that has no width of 0."""

from math import sqrt

import numpy as np
from jaxtyping import Float, Int

from vivit.evaluation.intervals import Z


def area_under_curve(labels: Int[np.ndarray, " n"], scores: Float[np.ndarray, " n"]) -> float | None:
    """Return the share of pairs of a video of class 1 and one of class 0 in which the former has the higher score.

    Equal scores count one half. None where all videos are of one class.
    """
    from sklearn.metrics import roc_auc_score  # here, as its import takes a second

    return float(roc_auc_score(labels, scores)) if len(np.unique(labels)) == 2 else None


def area_interval(area: float, ones: int, zeros: int) -> list[float]:
    """Return the 95 % interval of an area over so many videos of each class (Newcombe 2006, part 2, method 5).

    It holds those areas from which the observed one lies within Z standard deviations, as large as they would be if
    that area were true, by Hanley and McNeil's variance with both classes at their mean size.
    """
    return [_end(area, ones, zeros, limit) for limit in (0.0, 1.0)]


def _end(area: float, ones: int, zeros: int, limit: float) -> float:
    """Return the end of the interval towards a limit, by bisection."""
    size = (ones + zeros) / 2 - 1
    inside, outside = area, limit
    for _ in range(60):
        middle = (inside + outside) / 2
        spread = 1 + size * ((1 - middle) / (2 - middle) + middle / (1 + middle))
        deviation = sqrt(middle * (1 - middle) * spread / (ones * zeros))
        inside, outside = (middle, outside) if abs(middle - area) <= Z * deviation else (inside, middle)
    return inside
