"""The report in at most 40 lines, for the terminal: one's own runs, then the paper's tables."""

from collections.abc import Sequence
from textwrap import wrap

from vivit.plotting import text_width
from vivit.reporting.page import Section
from vivit.reporting.tables import Table
from vivit.text import one_line

MOST_LEAD, MOST_RUNS, MOST_NOTES, MOST_SECTIONS = 5, 8, 2, 10
"""Lines before all, about the settings of a table, about runs that are not done, and about other sections."""
WIDTH = 110
"""Letters of a line."""
RESULTS = ("top1", "map", "pooled")
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
    for table in tables:
        rows = [_row(table, line) for line in table.lines]
        _, every, shared = table.caption.partition(" All ")
        lines += ["", _short(f"{table.title}.{every}{shared}")]
        lines += [f"  {_short(row)}" for row in rows[:MOST_RUNS]]
        lines += [f"  and {len(rows) - MOST_RUNS} more"] if len(rows) > MOST_RUNS else []
        lines += [f"  {_short(note)}" for note in table.notes[:MOST_NOTES]]
        lines += [f"  and {len(table.notes) - MOST_NOTES} more"] if len(table.notes) > MOST_NOTES else []
    begun = [section for section in sections if section.state and section.state != "not run yet"]
    lines += [""] + [_short(f"{section.title}: {section.state}") for section in begun[:MOST_SECTIONS]]
    if (rest := len(begun) - MOST_SECTIONS) > 0:
        lines.append(f"and {rest} more")
    if waiting := sum(section.state == "not run yet" for section in sections):
        lines.append(f"{waiting} tables of the paper are not run yet")
    return "\n".join(lines)


def _row(table: Table, line: object) -> str:
    """Return the result of a setting, and its other cells by name."""
    assert isinstance(line, dict)
    columns = [column for column in table.nonempty_columns() if line.get(column.key) is not None]
    results = [
        f"{column.format(line)} % {column.title.removesuffix(', %')}" for column in columns if column.key in RESULTS
    ]
    options = [
        str(line[column.key]) if column.key in WRITTEN_OUT else f"{column.key}={line[column.key]}"
        for column in columns
        if column.key in OPTIONS
    ]
    return one_line(f"{', '.join(results) or '-'}: {' '.join(options) or 'default'}")


def _short(text: str) -> str:
    return text if text_width(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
