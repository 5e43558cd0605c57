"""Probes on frozen features: the accuracies that ``features.py`` left in its run folders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vivit.reporting.load_runs import read_lines
from vivit.reporting.tables import Column, Table, Value

COLUMNS = (
    Column("features", "features"),
    *(Column("data", "data"), Column("head", "head"), Column("probe", "probe")),
    Column("accuracy", "accuracy, %", 1, interval=("low", "high")),
    Column("difference", "to the first, points", 1, interval=("difference_low", "difference_high")),
    *(Column("videos", "videos"), Column("groups", "groups"), Column("folds", "folds")),
    *(Column("settings", "chosen"), Column("seconds", "seconds", 1)),
)
PERCENT = ("accuracy", "low", "high", "difference", "difference_low", "difference_high")
CAPTION = (
    "Chosen on validation videos, scored on others. 95 % intervals are bootstrapped over groups; differences are video "
    "by video."
)


def probes_table(logs: Path) -> Table:
    """Return a table with a line for every probe of every run of ``features.py`` below ``logs``, oldest first.

    A file that cannot be read is a note.
    """
    lines, notes = read_lines(logs, "features", _lines)
    return Table("probes", "Probes on frozen features", CAPTION, COLUMNS, tuple(lines), tuple(notes))


def _lines(results: Mapping[str, Any]) -> list[dict[str, Value]]:
    """Return the lines of one run. Raises ValueError, TypeError or AttributeError for results of another form."""
    features = results.get("features") or {}
    name, weights, root = (
        features.get("model", ""),
        features.get("weights", ""),
        features.get("data", {}).get("root", ""),
    )
    source = {"features": f"{name.partition('(')[0]}, {Path(weights).name}", "data": Path(root).name}
    rows = results.get("probes") or []
    if unknown := {str(key) for row in rows for key in row} - {column for each in COLUMNS for column in each.keys}:
        raise ValueError(f"a probe has {', '.join(sorted(unknown))}, which no table has")
    return [source | {key: 100 * float(row[key]) if key in PERCENT else row[key] for key in row} for row in rows]
