"""Folds of videos that keep groups together, and intervals that count groups and not videos."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from sklearn.model_selection import StratifiedGroupKFold

from vivit.errors import ConfigError

RESAMPLES = 4000


class Fold(NamedTuple):
    """Rows of the videos to train on, to choose by, and to score."""

    train: Int[np.ndarray, " a"]
    val: Int[np.ndarray, " b"]
    test: Int[np.ndarray, " c"]


def grouped_folds(labels: Int[np.ndarray, " n"], groups: Sequence[str], number: int, seed: int = 0) -> Iterator[Fold]:
    """Yield folds with about the same share of every class, of which each video is in the test of one.

    Videos of a group are together in one part. The videos to choose by are the test of the next fold.

    Raises ConfigError where there are fewer groups, or fewer videos of every class, than folds.
    """
    distinct, most = len(set(groups)), int(np.bincount(labels).max(initial=0))
    if (limit := min(distinct, most)) < number:
        problem = f"there are {distinct} groups of videos, and at most {most} videos of a class"
        remedy = f"set {limit} or less" if limit >= 3 else "leave it out, and set splits of train, val and test"
        raise ConfigError("folds", number, problem, remedy)
    splitter = StratifiedGroupKFold(number, shuffle=True, random_state=seed)
    parts = [test for _, test in splitter.split(np.zeros(len(labels)), labels, np.asarray(groups))]
    for i, test in enumerate(parts):
        val = parts[(i + 1) % number]
        train = np.setdiff1d(np.arange(len(labels)), np.concatenate([test, val]))
        yield Fold(train, val, test)


def bootstrap_interval(values: Float[np.ndarray, " n"], groups: Sequence[str], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of a mean over videos, by drawing whole groups with replacement (percentiles)."""
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    sums, counts = np.bincount(group, values), np.bincount(group)
    drawn = np.random.default_rng(seed).integers(len(counts), size=(RESAMPLES, len(counts)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
