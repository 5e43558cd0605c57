"""The list of videos that look alike: one film twice, or clips of one camera."""

import csv
import logging
from collections.abc import Mapping, Sequence
from itertools import count, pairwise
from pathlib import Path

from vivit.data.index.appearance import ALIKE, PICTURES, SAME_CHANGES, groups_of_alike
from vivit.io import atomic_write

log = logging.getLogger(__name__)

MOST_VIDEOS = 30_000
"""More are not compared: time grows with the square of their number."""
SAME_LENGTH = 0.02
"""Share by which the lengths of a film and a copy of it differ at most."""


def write_alike(file: Path, hashes: Mapping[str, Sequence[int | None]], seconds: Mapping[str, float | None]) -> None:
    """Write a CSV file of the videos that look alike: path, and number of the group and of the film.

    Videos of a ``group`` look alike, as clips of one camera do; those of a ``film`` show the same for as long. Both
    mappings are by path, and of the usable videos.
    """
    groups: list[list[str]] = []
    if len(hashes) > MOST_VIDEOS:
        log.info("%d videos are too many to look for those that look alike", len(hashes))
    else:
        paths = sorted(hashes)
        groups = [
            [paths[row] for row in group]
            for group in groups_of_alike([hashes[path][:PICTURES] for path in paths], ALIKE)
        ]
    numbers = count()
    with (
        atomic_write(file) as partial,
        partial.open("w", newline="", encoding="utf-8", errors="surrogateescape") as text,
    ):
        rows = csv.writer(text)
        rows.writerow(["path", "group", "film"])
        for number, group in enumerate(groups):
            film_of = {
                path: film for members in _films(group, hashes, seconds) for film in [next(numbers)] for path in members
            }
            rows.writerows([path, number, film_of.get(path, -1)] for path in group)


def read_alike(file: Path) -> dict[str, tuple[int, int]]:
    """Return the numbers of group and film of the videos that look alike, by path; empty where there is no file."""
    if not file.is_file():
        return {}
    with file.open(newline="", encoding="utf-8", errors="surrogateescape") as text:
        return {path: (int(group), int(film)) for path, group, film in list(csv.reader(text))[1:]}


def _films(
    group: Sequence[str], hashes: Mapping[str, Sequence[int | None]], seconds: Mapping[str, float | None]
) -> list[list[str]]:
    """Return the films of a group of videos that look alike: those that change alike and are as long."""
    films = []
    for same in groups_of_alike([hashes[path][PICTURES:] for path in group], SAME_CHANGES):
        ordered = sorted((group[row] for row in same), key=lambda path: (seconds[path] or 0.0, path))
        film = [ordered[0]]
        for before, path in pairwise(ordered):
            if (seconds[path] or 0.0) > (1 + SAME_LENGTH) * (seconds[before] or 0.0):
                films.append(film)
                film = []
            film.append(path)
        films.append(film)
    return [film for film in films if len(film) > 1]
