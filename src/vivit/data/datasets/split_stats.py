"""How many videos of a split are left out, and why."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from vivit.errors import ConfigError

MISSING = "missing"
"""The problem of a file that is not there."""


class SplitStats(NamedTuple):
    """Number of videos that a split lists, number of those left out, and the reason for each file left out."""

    listed: int
    skipped: int
    reasons: Mapping[str, str]


def format_reasons(reasons: Mapping[str, str], most: int = 20) -> str:
    """Return the first few paths with their reasons, and the number of the others, as text."""
    first = ", ".join(f"{path} ({why})" for path, why in islice(reasons.items(), most))
    return first + (f" and {len(reasons) - most} more" if len(reasons) > most else "")


def are_too_many(problems: Sequence[str], listed: int, max_missing: int | float, max_unreadable: int | float) -> bool:
    """Return whether a split of ``listed`` videos cannot be used that has ``problems``, one of each bad video.

    ``max_missing`` is the share that may be bad in any way, ``max_unreadable`` the share that may be there and
    unreadable, whatever the other is. Without any usable video none can.
    """
    if len(problems) == listed:
        return True
    missing = sum(problem == MISSING for problem in problems)
    return len(problems) > max_missing * listed and (
        missing > max_missing * listed or len(problems) - missing > max_unreadable * listed
    )


def describe_skipped(split: str, stats: SplitStats) -> str:
    """Return how many videos of a split cannot be used, and why, as text."""
    return f"{stats.skipped} of {stats.listed} {split} videos cannot be used: {format_reasons(stats.reasons)}"


def too_many_error(root: object, split: str, max_missing: int | float, stats: SplitStats) -> ConfigError:
    """Return the error about a split of which more videos cannot be used than ``max_missing``, a share."""
    hint = next((_other_spelling(root, path) for path, why in stats.reasons.items() if why == MISSING), "")
    remedy = hint or f"check that data.root={root} is right, or set a larger share"
    return ConfigError(f"data.dataset.max_missing.{split}", max_missing, describe_skipped(split, stats), remedy)


def _other_spelling(root: object, path: str) -> str:
    """Return what to write in a list in place of a path that is there as another; nothing where it is not."""
    if not isinstance(root, Path):
        return ""
    with_slashes = path.replace("\\", "/")
    if with_slashes != path and (root / with_slashes).exists():
        return f"write / in place of \\ in the list: {with_slashes} is there"
    folder, name = (root / path).parent, (root / path).name
    same = sorted(file.name for file in folder.iterdir() if file.stem == name) if folder.is_dir() else []
    return f"write names with their endings in the list: {same[0]} is there" if same else ""
