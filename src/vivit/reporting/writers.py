"""Write a table as Markdown, LaTeX, CSV and HTML."""

import re
from collections.abc import Callable, Mapping

import pandas as pd

from vivit.reporting.tables import Column, Table, Value
from vivit.text import one_line

LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "<": r"$<$", ">": r"$>$",
}  # fmt: skip


def to_csv(table: Table) -> str:
    """Return plain numbers, unrounded; a standard deviation and each end of an interval are columns of their own."""
    columns = table.columns if table.all_columns else table.nonempty_columns()
    keys = [key for column in columns for key in column.keys]
    frame = pd.DataFrame([[line.get(key) for key in keys] for line in table.lines], columns=keys, dtype=object)
    return str(frame.to_csv(index=False, lineterminator="\n"))


def to_markdown(table: Table) -> str:
    """Return a table under its title, with its notes."""
    columns = table.nonempty_columns()
    alignment = ["---:" if is_number(column, table) else "---" for column in columns]
    rows = [[column.title for column in columns], alignment, *format_cells(table, escape_markdown)]
    text = "\n".join("| " + " | ".join(row) + " |" for row in rows) if columns else ""
    notes = "\n".join(f"* {note}" for note in table.notes)
    return "\n\n".join(part for part in (f"## {table.title}", table.caption, text, notes) if part) + "\n"


def to_latex(table: Table) -> str:
    """Return a ``table`` of package booktabs, numbers to the right, with its notes in the caption."""
    texts = [part for part in (table.title, table.caption, *table.notes) if part]
    if not (columns := table.nonempty_columns()):
        return "".join(f"% {text}\n" for text in texts)
    layout = "".join("r" if is_number(column, table) else "l" for column in columns)
    rows = [[escape_latex(column.title) for column in columns], *format_cells(table, escape_latex)]
    head, *body = (" & ".join(row) + r" \\" for row in rows)
    caption = " ".join(escape_latex(f"{text.rstrip('.')}.") for text in texts)
    lines = [
        *(r"\begin{table}", r"\centering", rf"\caption{{{caption}}}", rf"\label{{tab:{table.name}}}"),
        *(r"\resizebox{\linewidth}{!}{%", rf"\begin{{tabular}}{{{layout}}}", r"\toprule", head, r"\midrule", *body),
        *(r"\bottomrule", r"\end{tabular}}", r"\end{table}"),
    ]
    return "\n".join(lines) + "\n"


def is_number(column: Column, table: Table) -> bool:
    """Whether a column has numbers, which are aligned to the right."""
    return any(isinstance(line.get(column.key), int | float) for line in table.lines)


def format_cells(table: Table, escape: Callable[[str], str] = str) -> list[list[str]]:
    """Return the text of every cell that is not in an empty column, each on one line."""
    columns = table.nonempty_columns()
    return [[_format_cell(line, column, escape) for column in columns] for line in table.lines]


def _format_cell(line: Mapping[str, Value], column: Column, escape: Callable[[str], str]) -> str:
    return escape(one_line(column.format(line)))


def escape_latex(text: str) -> str:
    """Return text that LaTeX prints as it is."""
    return "".join(LATEX.get(letter, letter) for letter in text)


def escape_markdown(text: str) -> str:
    """Return text in which Markdown finds no column and no emphasis."""
    return text.replace("|", "\\|").replace("*", "\\*")


def nonbreaking(text: str) -> str:
    """Return text with words such as top-1, and their unit, kept on one line."""
    return re.sub(r"(?<=\w)-(?=\w)", "\N{NON-BREAKING HYPHEN}", text).replace(", %", ",\N{NO-BREAK SPACE}%")
