"""Subsets of the training videos, always the same: a share of every class, and whole groups held out to validate."""

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from hashlib import blake2b
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from vivit.data.datasets.video_table import label_matrix
from vivit.errors import ConfigError


def held_out(classes: Sequence[Hashable], groups: Sequence[str], share: float) -> Bool[np.ndarray, " n"]:
    """Return which videos are held out: of every class about ``share`` of its videos, in whole groups.

    A group counts for its commonest class. At least one group of a class is held out, and one stays, unless it has no
    more. Which ones their names decide, so that new videos of other groups move few old ones.
    """
    content: dict[str, Counter[Hashable]] = defaultdict(Counter)
    for group, name in zip(groups, classes, strict=True):
        content[group][name] += 1
    by_class: dict[Hashable, list[str]] = defaultdict(list)
    for group, counts in content.items():
        by_class[counts.most_common(1)[0][0]].append(group)
    out: set[str] = set()
    for members in by_class.values():
        ordered = sorted(members, key=lambda group: blake2b(group.encode(errors="surrogateescape")).digest())
        videos = np.cumsum([content[group].total() for group in ordered])
        if len(ordered) > 1:
            nearest = int(np.abs(videos[:-1] - share * videos[-1]).argmin())
            out |= set(ordered[: nearest + 1])
    return np.array([group in out for group in groups], bool)


def groups_of_paths(paths: Sequence[str], pattern: str | None) -> list[str]:
    """Return the group of every video: its file's stem before a regular expression; without one the path itself.

    Raises ConfigError for a pattern that is none.
    """
    if pattern is None:
        return list(paths)
    try:
        before = re.compile(pattern)
    except (re.error, TypeError) as error:
        problem = f"is no regular expression ({error})"
        raise ConfigError("data.dataset.group_before", pattern, problem, "set one such as _clip") from None
    return [before.split(PurePosixPath(path).stem, maxsplit=1)[0] for path in paths]


def combined_classes(table: pa.Table) -> list[Hashable]:
    """Return the classes of every video, of the heads of which it has one; of multi-label heads none."""
    single = [name for name in label_names(table) if pa.types.is_integer(table[name].type)]
    return list(zip(*(table[name].to_pylist() for name in single), strict=True)) if single else [()] * len(table)


def label_names(table: pa.Table) -> list[str]:
    """Return the names of the columns of labels, one a head."""
    return [name for name in table.column_names if name.startswith("label_")]


def stratified_subset(table: pa.Table, share: float) -> pa.Table:
    """Return a share of the rows of every class, or of every pair of classes where there are two heads."""
    if share == 1:
        return table
    order = np.random.default_rng(0).permutation(len(table))
    labels = label_matrix([table[name] for name in label_names(table)])[order]
    classes = np.unique(labels, axis=0, return_inverse=True)[1]
    by_class = np.split(np.argsort(classes, kind="stable"), np.cumsum(np.bincount(classes))[:-1])
    selected = [order[rows[: max(1, round(share * len(rows)))]] for rows in by_class]
    return table.take(np.sort(np.concatenate(selected)))
