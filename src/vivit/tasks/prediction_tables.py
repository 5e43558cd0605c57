"""Predictions as tables: ``predictions.csv``, a row a video, and the table on the terminal."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from vivit.evaluation import TopK
from vivit.text import one_line

MAX_TABLE_VIDEOS = 50
"""Videos in the table on the terminal, at most; all are in predictions.csv and predictions.json."""
NONE = {"class": "none"}
"""Printed for a multi-label head of which no class reaches its threshold."""


def write_predictions_csv(file: Path, predictions: Sequence[Mapping[str, Any]], problems: Mapping[str, str]) -> None:
    """Write a row for every video: its name and, where a list has one, its ``label``; then classes and probabilities.

    A single head has columns ``class`` and ``probability``, then ``class_2`` and so on; several heads have columns
    with their names. The classes of a multi-label head are in one entry, separated by semicolons. ``problems`` are
    those of videos that were left out, by name.
    """
    rows = [
        {"video": each["name"]} | ({"label": each["label"]} if "label" in each else {}) | _cells(each["classes"])
        for each in predictions
    ]
    rows += [{"video": name, "problem": problem} for name, problem in problems.items()]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as text:
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _cells(classes: TopK) -> dict[str, Any]:
    """Return the entries of the classes of a video, by column; combinations of heads are left out."""
    heads = {head: rows for head, rows in classes.items() if not rows or "class" in rows[0]}
    cells: dict[str, Any] = {}
    for head, rows in heads.items():
        name, prefix = ("class", "") if len(heads) == 1 else (head, f"{head}_")
        if not rows or "threshold" in rows[0]:
            cells[name] = "; ".join(row["class"] for row in rows)
            cells[f"{prefix}probability"] = "; ".join(f"{row['probability']:.4f}" for row in rows)
            continue
        for rank, row in enumerate(rows, 1):
            behind = "" if rank == 1 else f"_{rank}"
            cells |= {f"{name}{behind}": row["class"], f"{prefix}probability{behind}": f"{row['probability']:.4f}"}
    return cells


def print_predictions(predictions: Sequence[Mapping[str, Any]]) -> None:
    """Print a table of the classes of videos, of many the first; names of heads are left out where there is one."""
    several = any(len(prediction["classes"]) > 1 for prediction in predictions)
    video = Column("video", overflow="fold")
    table = Table(video, *(["head"] if several else []), "class", Column("probability", justify="right"))
    for prediction in predictions[:MAX_TABLE_VIDEOS]:
        classes: TopK = prediction["classes"]
        for head, rows in classes.items():
            for rank, row in enumerate(rows or [NONE]):
                name = ", ".join(str(part) for key, part in row.items() if key not in ("probability", "threshold"))
                first = "" if rank or head != next(iter(classes)) else prediction["name"]
                cells = map(one_line, (first, *(["" if rank else head] if several else []), name))
                table.add_row(*cells, f"{100 * row['probability']:.1f} %" if rows else "")
        table.add_section()
    Console(markup=False, emoji=False).print(table)  # names may contain what looks like markup
    if (rest := len(predictions) - MAX_TABLE_VIDEOS) > 0:
        print(f"and {rest} more in predictions.csv")
