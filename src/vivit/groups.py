"""Groups of videos, as clips of one film: folds that keep them whole, and intervals that count them."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from vivit.errors import ConfigError

RESAMPLES = 4000
BLOCK = 4_000_000
"""Numbers that are drawn at a time, to bound the memory."""


def stratified_group_folds(groups: Sequence[str], labels: Sequence[str], folds: int, key: str) -> dict[str, int]:
    """Return the fold of each group: the largest first, each the fold with the fewest videos of its commonest class.

    ``groups`` and ``labels`` have an entry a video. Of equally common classes of a group its first video's counts, so
    that the order of the videos is part of the answer. Raises ConfigError, about ``key``, for more folds than groups.
    """
    content: dict[str, Counter[str]] = defaultdict(Counter)
    for group, label in zip(groups, labels, strict=True):
        content[group][label] += 1
    if len(content) < folds:
        remedy = f"set {len(content)} or less" if len(content) >= 3 else "list videos of three groups or more"
        raise ConfigError(key, folds, f"there are only {len(content)} groups", remedy)
    counts = [Counter[str]() for _ in range(folds)]
    fold_of = {}
    for group in sorted(content, key=lambda g: (-content[g].total(), g)):
        common = content[group].most_common(1)[0][0]
        fold = min(range(folds), key=lambda f: (counts[f][common], counts[f].total(), f))
        counts[fold] += content[group]
        fold_of[group] = fold
    return fold_of


def bootstrap_interval(values: Float[np.ndarray, " n"], groups: Sequence[str], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of a mean over videos, by drawing whole groups with replacement (percentiles)."""
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    sums, counts = np.bincount(group, values), np.bincount(group)
    generator, number, means = np.random.default_rng(seed), len(counts), []
    for begin in range(0, RESAMPLES, rows := max(1, BLOCK // number)):
        drawn = generator.integers(number, size=(min(rows, RESAMPLES - begin), number))
        means.append(sums[drawn].sum(1) / counts[drawn].sum(1))
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)
