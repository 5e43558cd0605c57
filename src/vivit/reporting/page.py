"""The report as one HTML page that needs nothing beside itself; ``page.html.j2`` is its template."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vivit.reporting.figure_files import FigureData
from vivit.reporting.tables import Column, Table
from vivit.reporting.writers import format_cells, is_number, nonbreaking
from vivit.web_pages import page_environment


@dataclass(frozen=True, slots=True)
class Section:
    """Part of the page: its title, how much of it is done, tables under their titles, and figures."""

    title: str
    state: str
    tables: Sequence[Table] = ()
    figures: Sequence[FigureData] = ()

    @property
    def anchor(self) -> str:
        """Name to which the contents link, with the number of the section behind it."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


def render_page(title: str, lead: Sequence[str], sections: Sequence[Section]) -> str:
    """Return the page; ``lead`` are its first sentences, with ``code`` between backticks."""
    environment = page_environment(
        "vivit.reporting", css_class=css_class, format_cells=format_cells, nonbreaking=nonbreaking
    )
    return environment.get_template("page.html.j2").render(title=title, lead=lead, sections=sections)


def css_class(column: Column, table: Table) -> str:
    """Return the class of a column's cells: ``n`` for numbers, ``t`` for text, ``paper`` for the paper's numbers."""
    return f"{'n' if is_number(column, table) else 't'}{' paper' if column.from_paper else ''}"
