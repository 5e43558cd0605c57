"""Precision, recall and F1 of every class, of the latest run of one's own."""

from collections.abc import Sequence
from pathlib import Path

from vivit.reporting.load_runs import RunRecord
from vivit.reporting.sources import run_path
from vivit.reporting.tables import Column, Table, Value, multiply

TITLE = "Classes of the latest run"
MOST_CLASSES = 40
"""Rows of a table: of more classes, those with the lowest F1."""
SHARES = ("precision", "precision_low", "precision_high", "recall", "recall_low", "recall_high", "f1")
COLUMNS = (
    *(Column("class", "class"), Column("videos", "videos")),
    Column("precision", "precision, %", 1, interval=("precision_low", "precision_high")),
    Column("recall", "recall, %", 1, interval=("recall_low", "recall_high")),
    *(Column("f1", "F1, %", 1), Column("most_confused_with", "most often taken for"), Column("times", "times")),
)


def class_tables(runs: Sequence[RunRecord], logs: Path) -> list[Table]:
    """Return a table for each head of the latest of some runs that is done and has one; ``runs`` are oldest first."""
    latest = next((run for run in reversed(runs) if run.status == "done" and run.results.get("classes")), None)
    if latest is None:
        return []
    return [_table(head, rows, run_path(latest, logs)) for head, rows in latest.results["classes"].items() if rows]


def _table(head: str, rows: Sequence[dict[str, Value]], run: str) -> Table:
    lines = [row | {key: _percent(row.get(key)) for key in SHARES} for row in rows]
    caption = f"{run}, {head}: 95 % score intervals in brackets."
    if len(lines) > MOST_CLASSES:
        caption += f" The {MOST_CLASSES} of {len(lines):,} classes with the lowest F1; classes_{head}.csv has all."
        lines = sorted(lines, key=_f1)[:MOST_CLASSES]
    return Table(f"classes_{head}", TITLE, caption, COLUMNS, tuple(lines))


def _percent(share: Value) -> float | None:
    return multiply(share, 100) if isinstance(share, int | float) else None


def _f1(line: dict[str, Value]) -> float:
    return float(line["f1"]) if isinstance(line["f1"], int | float) else 0.0
