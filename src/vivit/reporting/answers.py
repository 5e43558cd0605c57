"""What a run's test answered for each video, from ``video_scores.parquet``, and the same of runs taken together."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from vivit.groups import bootstrap_interval

FILE = "video_scores.parquet"
TOP1 = "acc_top1"
Key = tuple[int | None, str, int]
"""A video of a test: its fold, its path, and how many of that path come before it, as segments of one film do."""


class Answers(NamedTuple):
    """Videos of a test by fold, path and place, their groups, and whether each is right, by name of the accuracy."""

    keys: list[Key]
    groups: list[str]
    right: Mapping[str, Float[np.ndarray, " n"]]
    """1 and 0, or means over seeds."""


def read_answers(folder: Path, fold: int | None) -> Answers:
    """Return what a run answered for the videos of its test; where they have no groups, each is one.

    Accuracies are named as in ``results.json``, without the split. Multi-label heads have none. Raises OSError or
    ValueError where the file is missing or another.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(folder / FILE)
    columns = {field.name: field.type for field in table.schema}
    heads = [name.removeprefix("label_") for name in columns if name.startswith("label_")]
    if "path" not in columns or not heads or any(f"pred_{head}" not in columns for head in heads):
        raise ValueError(f"{FILE} has no columns path, label_HEAD and pred_HEAD")
    single = [head for head in heads if pa.types.is_integer(columns[f"label_{head}"])]
    of_heads = {
        head: (table[f"label_{head}"].to_numpy() == table[f"pred_{head}"].to_numpy()).astype(float) for head in single
    }
    right = {f"{head}_{TOP1}": of_head for head, of_head in of_heads.items()} if len(heads) > 1 else {}
    if single:
        right[TOP1] = np.prod(list(of_heads.values()), axis=0)  # all heads together
    paths = table["path"].to_pylist()
    groups = table["group"].to_pylist() if "group" in columns else [None] * len(paths)
    before: Counter[str] = Counter()
    keys: list[Key] = []
    for path in paths:
        keys.append((fold, path, before[path]))
        before[path] += 1
    return Answers(keys, [group or path for group, path in zip(groups, paths, strict=True)], right)


def pool_answers(runs: Iterable[Answers], metric: str) -> Answers:
    """Return the videos of several tests, each with its mean over the runs that scored it, for one accuracy."""
    values: dict[Key, list[float]] = defaultdict(list)
    group_of: dict[Key, str] = {}
    for run in runs:
        for key, group, value in zip(run.keys, run.groups, run.right[metric].tolist(), strict=True):
            values[key].append(value)
            group_of[key] = group
    means = np.array([float(np.mean(of_video)) for of_video in values.values()])
    return Answers(list(values), [group_of[key] for key in values], {metric: means})


class Estimate(NamedTuple):
    """A mean over videos with its 95 % interval over groups, which fewer than two groups do not have."""

    value: float
    low: float | None
    high: float | None
    videos: int
    groups: int


def estimate(values: Float[np.ndarray, " n"], groups: Sequence[str]) -> Estimate:
    """Return the mean of values of videos, and its interval, bootstrapped over their groups."""
    number = len(set(groups))
    low, high = bootstrap_interval(values, groups) if number > 1 else (None, None)
    return Estimate(float(values.mean()), low, high, len(values), number)


def paired_difference(one: Answers, first: Answers, metric: str) -> Estimate | None:
    """Return how much more often one is right than the first, over the videos that both scored; None without any."""
    of_first = dict(zip(first.keys, first.right[metric].tolist(), strict=True))
    rows = [row for row, key in enumerate(one.keys) if key in of_first]
    if not rows:
        return None
    differences = one.right[metric][rows] - np.array([of_first[one.keys[row]] for row in rows])
    return estimate(differences, [one.groups[row] for row in rows])
