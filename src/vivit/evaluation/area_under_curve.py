"""The area under the ROC curve of heads of two classes, with a 95 % interval by bootstrap over videos."""

import numpy as np
from jaxtyping import Bool, Float, Int

from vivit.evaluation.bootstrap import CELLS, RESAMPLES, SEED, draw_counts


def areas_under_curve(
    positive: Bool[np.ndarray, " n"], scores: Float[np.ndarray, " n"], counts: Float[np.ndarray, "n r"]
) -> Float[np.ndarray, " r"]:
    """Return the area under the ROC curve of every sample, in which video i is ``counts[i]`` times.

    It is the share of pairs of a positive and a negative video in which the positive one has the higher score; equal
    scores count one half. Not a number in a sample that lacks one of the two.
    """
    order = np.argsort(scores, kind="stable")
    counts, positive, ascending = counts[order].astype(np.float64), positive[order], scores[order]
    starts = np.append(0, np.flatnonzero(np.diff(ascending)) + 1)  # of each group of equal scores
    above, below = (
        np.add.reduceat(counts * side[:, None], starts, axis=0) for side in (positive, ~positive)
    )
    lower = np.cumsum(below, axis=0) - below / 2
    with np.errstate(invalid="ignore"):
        return np.asarray((above * lower).sum(0) / (above.sum(0) * below.sum(0)))


def area_under_curve(labels: Int[np.ndarray, " n"], scores: Float[np.ndarray, " n"]) -> float | None:
    """Return the area of videos by scores of class 1 over class 0; None where all videos are of one class."""
    area = float(areas_under_curve(labels == 1, scores, np.ones((len(labels), 1)))[0])
    return area if np.isfinite(area) else None


def area_interval(labels: Int[np.ndarray, " n"], scores: Float[np.ndarray, " n"]) -> list[float]:
    """Return the 95 % interval: percentiles 2.5 and 97.5 over samples of all videos with replacement.

    Samples without one of the two classes are left out.
    """
    rng, at_once = np.random.default_rng(SEED), max(1, min(RESAMPLES, CELLS // len(labels)))
    areas = [
        areas_under_curve(labels == 1, scores, draw_counts(len(labels), min(at_once, RESAMPLES - begin), rng))
        for begin in range(0, RESAMPLES, at_once)
    ]
    return [float(end) for end in np.nanpercentile(np.concatenate(areas), [2.5, 97.5])]
