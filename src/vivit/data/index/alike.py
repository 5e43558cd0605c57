"""The list of videos that look alike, and whether they are in several splits."""

import csv
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from vivit.data.index.appearance import groups_of_alike
from vivit.io import atomic_write

log = logging.getLogger(__name__)

MOST_VIDEOS = 30_000
"""More are not compared: time grows with the square of their number."""


def write_alike(
    file: Path, hashes: Mapping[str, Sequence[int | None]], paths_by_split: Mapping[str, Sequence[str]]
) -> dict[str, int]:
    """Write a CSV file of path, group and splits of the videos that look alike; return how many there are.

    ``hashes`` are those of the usable videos, by path. Groups in several splits are warned of: accuracies on the second
    split are then those of videos that were trained on.
    """
    if len(hashes) > MOST_VIDEOS:
        log.info("%d videos are too many to look for those that look alike", len(hashes))
        return {}
    splits: dict[str, list[str]] = defaultdict(list)
    for split, paths in paths_by_split.items():
        for path in set(paths):
            splits[path].append(split)
    paths = sorted(hashes)
    groups = [[paths[number] for number in group] for group in groups_of_alike([hashes[path] for path in paths])]
    with atomic_write(file) as partial, partial.open("w", newline="", encoding="utf-8") as text:
        rows = csv.writer(text)
        rows.writerow(["path", "group", "splits"])
        for number, group in enumerate(groups):
            rows.writerows([path, number, " ".join(splits[path])] for path in group)
    across = [group for group in groups if len({split for path in group for split in splits[path]}) > 1]
    if across:
        log.warning(
            "%d groups of videos of one film or camera, as they look, are in several splits, such as %s; %s has all",
            *(len(across), ", ".join(across[0][:3]), file),
        )
    return {"alike": sum(map(len, groups)), "alike_in_several_splits": sum(map(len, across))}
