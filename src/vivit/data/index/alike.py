"""The list of videos that look alike: one film twice, or clips of one camera."""

import csv
import logging
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from vivit.data.index.appearance import ALIKE, PICTURES, SAME_CHANGES, connected_groups, groups_of_alike, turned_copies
from vivit.data.storage.remote_path import Folder
from vivit.errors import DataError
from vivit.io import atomic_write

log = logging.getLogger(__name__)

HEADER = ["path", "group", "film"]
MOST_VIDEOS = 30_000
"""More are not compared: time grows with the square of their number."""
SAME_LENGTH = 0.02
"""Share by which the lengths of a film and a copy of it differ at most."""


def write_alike(file: Path, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a CSV file of the videos that look alike: path, and number of the group and of the film, -1 of none.

    ``rows`` are those of the index, by path. Videos of a ``group`` look alike, as clips of one camera do; those of a
    ``film`` show the same in as many seconds or frames, mirrored or upside down too, or are the same file.
    """
    paths = sorted(rows)
    films, groups = _copies([rows[path]["digest"] for path in paths]), list[list[int]]()
    if len(paths) > MOST_VIDEOS:
        log.warning("%d videos are too many to look for those that look alike; copies of files are found", len(paths))
    else:
        hashes = [list(rows[path]["hashes"] or []) for path in paths]
        lengths = [[float(rows[path][name] or 0) for path in paths] for name in ("seconds", "frames")]
        groups = groups_of_alike([of_video[:PICTURES] for of_video in hashes], ALIKE)
        turned = turned_copies(hashes)
        for values in lengths:
            films += [film for group in groups for film in _films(group, hashes, values)]
            films += [pair for pair in turned if _are_as_long(*sorted(values[row] for row in pair))]
    film_of, group_of = _numbers(len(paths), films), _numbers(len(paths), [*films, *groups])
    with atomic_write(file) as partial, partial.open("w", newline="", encoding="utf-8") as text:
        lines = csv.writer(text)
        lines.writerow(HEADER)
        for row in sorted(range(len(paths)), key=lambda row: (group_of[row], film_of[row], row)):
            if group_of[row] >= 0:
                lines.writerow([paths[row], group_of[row], film_of[row]])


def read_alike(file: Folder) -> dict[str, tuple[int, int]]:
    """Return the numbers of group and film of the videos that look alike, by path; empty where there is no file.

    Raises ``DataError`` for a file of other content.
    """
    if not file.is_file():
        return {}
    with file.open(newline="", encoding="utf-8") as text:
        header, *lines = list(csv.reader(text)) or [[]]
    try:
        if header != HEADER:
            raise ValueError
        return {path: (int(group), int(film)) for path, group, film in lines}
    except ValueError:
        raise DataError(file, "is not what prepare.py writes", "delete it, and prepare again") from None


def _numbers(length: int, groups: Sequence[Sequence[int]]) -> list[int]:
    """Return the number of the group of each row, of groups that share a row one number; -1 of none."""
    pairs = np.array([pair for group in groups for pair in pairwise(group)], int).reshape(-1, 2)
    numbers = [-1] * length
    for number, group in enumerate(connected_groups(pairs[:, 0], pairs[:, 1], length)):
        for row in group:
            numbers[row] = number
    return numbers


def _copies(digests: Sequence[str | None]) -> list[list[int]]:
    """Return the rows of the files that begin and end alike and are as long, byte for byte."""
    rows: dict[str, list[int]] = {}
    for row, digest in enumerate(digests):
        if digest is not None:
            rows.setdefault(digest, []).append(row)
    return [same for same in rows.values() if len(same) > 1]


def _films(group: Sequence[int], hashes: Sequence[Sequence[int | None]], lengths: Sequence[float]) -> list[list[int]]:
    """Return the films of a group of videos that look alike: the rows of those that change alike and are as long."""
    films = []
    for same in groups_of_alike([hashes[row][PICTURES:] for row in group], SAME_CHANGES):
        ordered = sorted((group[place] for place in same), key=lambda row: (lengths[row], row))
        film = [ordered[0]]
        for before, row in pairwise(ordered):
            if not _are_as_long(lengths[before], lengths[row]):
                films.append(film)
                film = []
            film.append(row)
        films.append(film)
    return films


def _are_as_long(shorter: float, longer: float) -> bool:
    return 0 < longer <= (1 + SAME_LENGTH) * shorter
