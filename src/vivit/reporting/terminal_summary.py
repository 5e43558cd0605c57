"""The report in at most 40 lines, for the terminal: one's own runs, then the paper's tables."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

from vivit.plotting import text_width
from vivit.reporting.page import Section
from vivit.reporting.tables import Table, Value
from vivit.text import count, one_line

MOST_LEAD, MOST_RUNS, MOST_NOTES, MOST_SECTIONS = 4, 12, 2, 7
"""Lines before all, about the settings of all tables, about runs of a table that are not done, and about sections."""
WIDTH = 110
"""Letters of a line."""
RESULTS = ("top1", "map", "pooled", "mean")
OPTIONS = (
    "data",
    "model",
    "tokeniser",
    "size",
    "experiment",
    "other",
    "videos_in",
    "setting",
    "metric",
    "scored",
    "views",
)
"""Columns of results, and of what a setting sets."""
WRITTEN_OUT = ("other", "setting")
"""Those that are overrides already."""


def terminal_summary(lead: Sequence[str], tables: Sequence[Table], sections: Sequence[Section]) -> str:
    """Return the first sentences of the report, the settings of one's own runs by ``tables``, and all other sections.

    A setting is a line: its result, and what it sets that others do not. Sections that were not begun are counted.
    """
    lines = [line for sentence in lead for line in wrap(sentence, WIDTH)][:MOST_LEAD]
    most = MOST_RUNS // max(1, len(tables))
    for table in tables:
        rows = [_row(table, line) for line in sorted(table.lines, key=_result, reverse=True)]
        _, every, shared = table.caption.partition(" All ")
        lines += ["", _short(f"{table.title}, the best first.{every}{shared}")]
        lines += [f"  {_short(row)}" for row in rows[:most]]
        lines += [f"  and {len(rows) - most} more"] if len(rows) > most else []
        lines += [f"  {_short(note)}" for note in table.notes[:MOST_NOTES]]
        lines += [f"  and {len(table.notes) - MOST_NOTES} more"] if len(table.notes) > MOST_NOTES else []
    begun = [section for section in sections if section.state and section.state != "not run yet"]
    lines += [""] + [_short(f"{section.title}: {section.state}") for section in begun[:MOST_SECTIONS]]
    if (rest := len(begun) - MOST_SECTIONS) > 0:
        lines.append(f"and {rest} more")
    if waiting := sum(section.state == "not run yet" for section in sections):
        lines.append(f"{count(waiting, 'table')} of the paper {'is' if waiting == 1 else 'are'} not run yet")
    return "\n".join(lines)


def _result(line: Mapping[str, Value]) -> float:
    """Return the first result that a line has."""
    return next((float(value) for key in RESULTS if isinstance(value := line.get(key), int | float)), -1.0)


def _row(table: Table, line: Mapping[str, Value]) -> str:
    """Return the result of a setting, its run, and what it sets that not all do; of a single one all that it sets."""
    columns = [column for column in table.nonempty_columns() if line.get(column.key) is not None]
    results = [
        f"{column.format(line)} % {column.title.removesuffix(', %')}" for column in columns if column.key in RESULTS
    ]
    options = [
        str(line[column.key]) if column.key in WRITTEN_OUT else f"{column.key}={line[column.key]}"
        for column in columns
        if column.key in OPTIONS
        and (len(table.lines) == 1 or any(other.get(column.key) != line[column.key] for other in table.lines))
    ]
    folder = f" in {line['run']}" if line.get("run") else ""
    return one_line(f"{', '.join(results[:2]) or '-'}{folder}: {' '.join(options) or 'default'}")


def _short(text: str) -> str:
    return text if text_width(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
