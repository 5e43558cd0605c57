"""How many videos of a split are left out, and why."""

from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple


class SplitStats(NamedTuple):
    """Number of videos that a split lists, number of those left out, and the reason for each file left out."""

    listed: int
    skipped: int
    reasons: Mapping[str, str]


def format_reasons(reasons: Mapping[str, str], most: int = 20) -> str:
    """Return the first few paths with their reasons, and the number of the others, as text."""
    first = ", ".join(f"{path} ({why})" for path, why in islice(reasons.items(), most))
    return first + (f" and {len(reasons) - most} more" if len(reasons) > most else "")
