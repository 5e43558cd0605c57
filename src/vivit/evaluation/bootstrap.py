"""Bootstrap over videos of mean average precision, whose 95 % interval no formula has."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

RESAMPLES = 1000
SEED = 0
CELLS = 1 << 22
"""Videos times resamples that are in memory at a time, in numbers of four bytes."""


def map_intervals(
    of_heads: Mapping[str, tuple[Int[np.ndarray, "n _k"], Float[np.ndarray, "n _k"]]], *, several: bool
) -> dict[str, list[float]]:
    """Return the 95 % interval of the mean average precision of heads, by the metrics' names.

    ``of_heads`` has 0 or 1 for every class of every video, and scores. The ends are percentiles 2.5 and 97.5 of
    ``RESAMPLES`` samples of all videos with replacement, the same ones for all heads and every time. Of ``several``
    heads each has one, and ``map`` their mean. A class that no video of a sample has is left out of its mean, as
    ever; a sample without any class counts as 0.
    """
    if not of_heads:
        return {}
    videos = len(next(iter(of_heads.values()))[0])
    rng, at_once = np.random.default_rng(SEED), max(1, min(RESAMPLES, CELLS // max(videos, 1)))
    values: dict[str, list[np.ndarray]] = {head: [] for head in of_heads}
    for begin in range(0, RESAMPLES, at_once):
        counts = draw_counts(videos, min(at_once, RESAMPLES - begin), rng)
        for head, (labels, scores) in of_heads.items():
            values[head].append(resampled_map(labels, scores, counts))
    joined = {head: np.concatenate(parts) for head, parts in values.items()}
    named = {f"{head}_map": each for head, each in joined.items()} if several else {}
    named["map"] = np.mean(list(joined.values()), axis=0)
    return {name: np.percentile(each, [2.5, 97.5]).tolist() for name, each in named.items()}


def draw_counts(videos: int, resamples: int, rng: np.random.Generator) -> Float[np.ndarray, "n r"]:
    """Return how often each video is in each of so many samples with replacement, as float32."""
    counts = np.empty((resamples, videos), np.float32)
    for row in counts:
        row[:] = np.bincount(rng.integers(videos, size=videos), minlength=videos)
    return np.ascontiguousarray(counts.T)


def resampled_map(
    labels: Int[np.ndarray, "n k"], scores: Float[np.ndarray, "n k"], counts: Float[np.ndarray, "n r"]
) -> Float[np.ndarray, " r"]:
    """Return the mean average precision of every sample, in which video i is ``counts[i]`` times."""
    occurring = np.flatnonzero(labels.any(0))
    if not len(occurring):
        return np.zeros(counts.shape[1])
    of_classes = np.stack([_average_precision(labels[:, at] > 0, scores[:, at], counts) for at in occurring])
    defined = np.isfinite(of_classes)
    return np.where(defined, of_classes, 0).sum(0) / np.maximum(defined.sum(0), 1)


def _average_precision(
    positive: np.ndarray, scores: Float[np.ndarray, " n"], counts: Float[np.ndarray, "n r"]
) -> Float[np.ndarray, " r"]:
    """Return the average precision of one class in every sample; not a number where no video of it has the class.

    Precision counts at the last video of each group of equal scores, and only groups with the class add recall.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # of each group of equal scores
    hits = positive[order]
    group = np.searchsorted(last, np.flatnonzero(hits))
    with_class, first_hit = np.unique(group, return_index=True)
    begins = np.append(0, last[with_class[:-1]] + 1)
    until = np.cumsum(np.add.reduceat(counts[order[: last[with_class[-1]] + 1]], begins, axis=0), axis=0)
    right = np.add.reduceat(counts[order[hits]], first_hit, axis=0)
    right_until = np.cumsum(right, axis=0, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        precision = right_until / np.maximum(until, 1)
        return np.asarray((right * precision).sum(0) / right_until[-1])
