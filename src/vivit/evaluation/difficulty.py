"""Accuracy over numbers of the videos, such as their speed: how many are right in each part of a number's range."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

BINS = 6
"""Parts of a range at most, each with about as many videos."""
Bins = Sequence[Sequence[float]]
"""The lowest and the highest number of each part."""


def quantile_bins(values: Float[np.ndarray, " n"]) -> list[list[float]]:
    """Return the parts of the range of some numbers, cut at quantiles: fewer where numbers repeat.

    Equal numbers are in one part, so that a few distinct numbers have a part each.
    """
    ordered = np.sort(values)
    lows = np.unique(ordered)
    if len(lows) > BINS:
        lows = np.unique(ordered[np.arange(BINS) * len(ordered) // BINS])
    starts = np.searchsorted(ordered, lows)
    ends = [*starts[1:], len(ordered)]
    return [[float(ordered[start]), float(ordered[end - 1])] for start, end in zip(starts, ends, strict=True)]


def correct_by_difficulty(
    bins: Mapping[str, Bins],
    difficulty: Mapping[str, Float[np.ndarray, " n"]],
    ranks: Mapping[str, Mapping[str, Int[np.ndarray, " n"]]],
    views: str,
) -> dict[str, list[dict[str, Any]]]:
    """Return, for each number and each part of its range, how many videos there are and how many are right.

    ``ranks`` are, by views and by head (or ``action``), the number of classes before the right one. What is right with
    ``views`` is ``correct``, by head; where there are several sets of views, that of each is ``correct_by_views``.
    """
    answer = {}
    for name, edges in bins.items():
        lows = np.array([low for low, _ in edges])
        part = np.maximum(np.searchsorted(lows, difficulty[name], side="right") - 1, 0)
        counts = {
            of_views: {head: np.bincount(part[rank == 0], minlength=len(edges)) for head, rank in heads.items()}
            for of_views, heads in ranks.items()
        }
        videos = np.bincount(part, minlength=len(edges))
        answer[name] = [
            {"low": low, "high": high, "videos": int(videos[i]), "correct": _counts_of(counts[views], i)}
            | (
                {"correct_by_views": {of: _counts_of(heads, i) for of, heads in counts.items()}}
                if len(counts) > 1
                else {}
            )
            for i, (low, high) in enumerate(edges)
        ]
    return answer


def _counts_of(heads: Mapping[str, Int[np.ndarray, " bins"]], part: int) -> dict[str, int]:
    return {head: int(counts[part]) for head, counts in heads.items()}
