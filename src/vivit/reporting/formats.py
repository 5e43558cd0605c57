"""A table as Markdown, LaTeX, CSV and HTML."""

import csv
import html
import io
import re
from collections.abc import Callable, Mapping

from vivit.reporting.tables import Column, Table, Value
from vivit.text import one_line

TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "<": r"$<$", ">": r"$>$",
}  # fmt: skip


def tex(text: str) -> str:
    """Write text so that LaTeX prints it."""
    return "".join(TEX.get(letter, letter) for letter in text)


def is_number(column: Column, table: Table) -> bool:
    """Whether a column holds numbers, which stand to the right."""
    return any(isinstance(line.get(column.key), int | float) for line in table.lines)


def markdown(table: Table) -> str:
    """Write a table under its title, and what is to be said of it."""
    columns = table.filled()
    marks = ["---:" if is_number(column, table) else "---" for column in columns]
    lines = [_cells(line, columns, _escaped) for line in table.lines]
    rows = [[column.title for column in columns], marks, *lines]
    text = "\n".join("| " + " | ".join(row) + " |" for row in rows) if columns else ""
    notes = "".join(f"\n* {note}" for note in table.notes)
    return "\n\n".join(part for part in (f"## {table.title}", table.caption, text, notes.strip()) if part) + "\n"


def _escaped(text: str) -> str:
    """Leave nothing in a cell that Markdown would take for a column or for emphasis."""
    return text.replace("|", "\\|").replace("*", "\\*")


def latex(table: Table) -> str:
    """Write a ``table`` of package booktabs; numbers to the right, what is missing in the caption."""
    if not (columns := table.filled()):
        return "".join(f"% {part}\n" for part in (table.title, table.caption, *table.notes) if part)
    layout = "".join("r" if is_number(column, table) else "l" for column in columns)
    rows = [[tex(column.title) for column in columns], *(_cells(line, columns, tex) for line in table.lines)]
    head, *body = (" & ".join(row) + r" \\" for row in rows)
    said = " ".join(tex(f"{part.rstrip('.')}.") for part in (table.title, table.caption, *table.notes) if part)
    lines = [
        *(r"\begin{table}", r"\centering", rf"\caption{{{said}}}", rf"\label{{tab:{table.name}}}"),
        *(r"\resizebox{\linewidth}{!}{%", rf"\begin{{tabular}}{{{layout}}}", r"\toprule", head, r"\midrule", *body),
        *(r"\bottomrule", r"\end{tabular}}", r"\end{table}"),
    ]
    return "\n".join(lines) + "\n"


def comma_separated(table: Table) -> str:
    """Write plain numbers, unrounded; a spread is a column of its own."""
    text = io.StringIO()
    keys = [key for column in table.filled() for key in (column.key, column.spread) if key]
    rows = ([line.get(key) for key in keys] for line in table.lines)
    csv.writer(text, lineterminator="\n").writerows([keys, *rows])
    return text.getvalue()


def web(table: Table) -> str:
    """Write a table that scrolls sideways where it is too wide, and what is to be said of it."""
    columns = table.filled()
    kinds = [f"{'n' if is_number(c, table) else 't'}{' paper' if c.by_paper else ''}" for c in columns]
    head = "".join(
        f'<th class="{kind}" scope="col">{unbroken(html.escape(c.title))}</th>'
        for kind, c in zip(kinds, columns, strict=True)
    )
    lines = [_cells(line, columns, html.escape) for line in table.lines]
    body = "".join(
        "<tr>" + "".join(f'<td class="{kind}">{cell}</td>' for kind, cell in zip(kinds, line, strict=True)) + "</tr>\n"
        for line in lines
    )
    caption = f"<p>{html.escape(table.caption)}</p>\n" if table.caption else ""
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in table.notes)
    listed = f'<ul class="notes">{notes}</ul>\n' if notes else ""
    if not columns:
        return caption + listed
    return (
        f'{caption}<div class="wide" tabindex="0"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}</tbody></table></div>\n{listed}"
    )


def unbroken(text: str) -> str:
    """Keep words such as top-1, and their unit, on one line."""
    return re.sub(r"(?<=\w)-(?=\w)", "\N{NON-BREAKING HYPHEN}", text).replace(", %", ",\N{NO-BREAK SPACE}%")


def _cells(line: Mapping[str, Value], columns: tuple[Column, ...], written: Callable[[str], str]) -> list[str]:
    return [written(one_line(column.shown(line))) for column in columns]
