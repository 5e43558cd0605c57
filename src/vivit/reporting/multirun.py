"""The answer of a multirun: ``summary.json`` and ``summary.csv`` in its folder, and the same as a short table."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import table as terminal
from rich.console import Console

from vivit.io import atomic_write, write_json
from vivit.reporting.load_runs import RunRecord, read_multirun
from vivit.reporting.repetitions import Setting, labels, shared_overrides, sort_into_settings
from vivit.reporting.setting_rows import SettingRows, setting_rows
from vivit.reporting.tables import Column, Value, multiply
from vivit.text import one_line

SUMMARY = "summary"
PERCENT = ("pooled", "low", "high", "mean", "stdev", "difference", "difference_low", "difference_high")
KEYS = (
    "setting", "metric", "folds_done", "folds", "seeds", "runs", "pooled", "low", "high", "videos", "groups", "mean",
    "stdev", "n", "over", "difference", "difference_low", "difference_high", "compared", "minutes", "missing",
)  # fmt: skip
"""Columns of the CSV file."""
NUMBERS = (
    *(Column("folds_text", "folds"), Column("seeds", "seeds"), Column("metric", "metric")),
    Column("pooled", "all videos, % [95 %]", 1, interval=("low", "high")),
    *(Column("mean", "mean ± sd, %", 1, stdev="stdev"), Column("of", "over")),
    Column("difference", "to the first [95 %]", 1, interval=("difference_low", "difference_high")),
    Column("minutes", "training, min", 1),
)
WIDTH = 160
"""Of a table where there is no terminal."""


def summarize_multirun(folder: Path, order: Sequence[Path] = ()) -> None:
    """Write the summary of a multirun's jobs into its folder, and print it; nothing for fewer than two jobs.

    ``order`` are folders of jobs, in the order in which their settings are to stand; others come last. A setting that
    lacks folds, and every job that is not done, is named.
    """
    runs = read_multirun(folder)
    if len(runs) < 2:
        return
    places = {path.absolute(): place for place, path in enumerate(order)}
    runs = sorted(runs, key=lambda run: places.get(run.folder.absolute(), len(places)))
    settings = sort_into_settings(runs)
    summary = setting_rows(settings, labels(settings))
    counts = Counter(run.status for run in runs)
    unfinished = {run.folder.name: run.error or run.status for run in runs if run.status != "done"}
    content = {"jobs": len(runs), "status": dict(counts), "not_done": unfinished, "shared": shared_overrides(settings)}
    write_json(folder / f"{SUMMARY}.json", content | {"settings": summary.rows, "notes": summary.notes})
    _write_csv(folder / f"{SUMMARY}.csv", summary.rows)
    _print(folder, runs, settings, summary)


def _write_csv(target: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with atomic_write(target) as partial, partial.open("w", newline="", encoding="utf-8", errors="replace") as file:
        writer = csv.DictWriter(file, KEYS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "missing": "; ".join(row["missing"])} for row in rows)


def percent_line(row: Mapping[str, Any]) -> dict[str, Value]:
    """Return a row as a line of a table: in percent, with its folds, what the mean is over, and what is missing."""
    line = {key: multiply(value, 100) if key in PERCENT else value for key, value in row.items()}
    folds = row["folds"]
    of = "" if folds is None else f" of {folds}"
    texts = {"folds_text": None if row["folds_done"] is None else f"{row['folds_done']}{of}"}
    if row.get("n"):
        texts["of"] = f"{row['n']} {row['over'].removesuffix('s') if row['n'] == 1 else row['over']}"
    return {**line, **texts, "missing": "; ".join(row["missing"]) or None, "repetitions": None}


def _print(folder: Path, runs: Sequence[RunRecord], settings: Sequence[Setting], summary: SettingRows) -> None:
    lines = [percent_line(row) for row in summary.rows]
    metrics = {line["metric"] for line in lines if line["metric"]}
    columns = [column for column in NUMBERS if any(line.get(column.key) is not None for line in lines)]
    columns = [column for column in columns if column.key != "metric" or len(metrics) > 1]
    title = " ".join(shared_overrides(settings)) if len(settings) > 1 else " ".join(settings[0].overrides)
    if len(metrics) == 1:
        title = f"{title}: {metrics.copy().pop()}" if title else str(metrics.copy().pop())
    heads = [terminal.Column(column.title, justify="right") for column in columns]
    table = terminal.Table(terminal.Column("setting", overflow="fold"), *heads, title=one_line(title) or None)
    for line in lines:
        table.add_row(one_line(str(line["setting"])), *(one_line(column.format(line)) for column in columns))
    console = Console(markup=False, emoji=False)
    (console if console.is_terminal else Console(width=WIDTH, markup=False, emoji=False)).print(table)
    for note in summary.notes:
        print(one_line(note))
    counts = Counter(run.status for run in runs)
    print(f"{len(runs)} jobs: {', '.join(f'{count} {status}' for status, count in sorted(counts.items()))}")
    print(f"Summary: {folder / SUMMARY}.json and .csv", flush=True)
