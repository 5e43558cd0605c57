"""What a table is, before it is written in any format; and numbers over seeds."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Value = str | float | int | None
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: the key of its values, its head, the digits behind the point, and the key of a spread beside it."""

    key: str
    title: str
    digits: int = 0
    spread: str | None = None
    by_paper: bool = False
    """Whether its numbers are the paper's."""

    def shown(self, line: Mapping[str, Value]) -> str:
        """Write the value of a line, with its spread; a dash where there is none.

        Of the paper's numbers whole ones are printed without a point.
        """
        value = line.get(self.key)
        if value is None or isinstance(value, str):
            return value or NOTHING
        if self.by_paper and isinstance(value, int):
            return f"{value:,}"
        spread = line.get(self.spread) if self.spread else None
        return f"{value:,.{self.digits}f}" + ("" if spread is None else f" ± {spread:,.{self.digits}f}")


@dataclass(frozen=True, slots=True)
class Table:
    """Lines of values by the columns' keys, what the table shows, and what has to be said below it."""

    name: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    lines: tuple[Mapping[str, Value], ...]
    notes: tuple[str, ...] = field(default=())

    def filled(self) -> tuple[Column, ...]:
        """The columns in which any line has a value."""
        return tuple(column for column in self.columns if any(line.get(column.key) is not None for line in self.lines))


def mean(values: Sequence[float | int | None]) -> float | int | None:
    """Mean of the numbers that there are."""
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None


def spread(values: Sequence[float | int]) -> float | None:
    """Sample standard deviation; None of a single number."""
    return statistics.stdev(values) if len(values) > 1 else None


def scaled(value: float | int | None, factor: float | int) -> float | None:
    """Bring a number into the unit of a table."""
    return None if value is None else value * factor
