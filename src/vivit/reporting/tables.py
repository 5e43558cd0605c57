"""Tables before they are written in any format; means and standard deviations over seeds."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Value = str | float | int | None
EMPTY_CELL = "-"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: the key of its values, its head, digits after the point, and the key of a standard deviation.

    ``interval`` are the keys of the two ends of an interval, and ``texts`` what stands for a value that is text.
    """

    key: str
    title: str
    digits: int = 0
    stdev: str | None = None
    from_paper: bool = False
    """Whether its numbers are the paper's."""
    interval: tuple[str, str] | None = None
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all its numbers."""
        return (self.key, *([self.stdev] if self.stdev else []), *(self.interval or ()))

    def format(self, line: Mapping[str, Value]) -> str:
        """Return the text of a line's cell, with its standard deviation or interval; a dash where there is no value.

        Whole numbers of the paper are printed without a point.
        """
        value = line.get(self.key)
        if value is None or isinstance(value, str):
            return self.texts.get(value or "", value) or EMPTY_CELL
        if self.from_paper and isinstance(value, int):
            return f"{value:,}"
        deviation = line.get(self.stdev) if self.stdev else None
        low, high = map(line.get, self.interval or ("", ""))
        text = self._number(value) + ("" if deviation is None else f" ± {self._number(deviation)}")
        return text if low is None or high is None else f"{text} [{self._number(low)}, {self._number(high)}]"

    def _number(self, value: Value) -> str:
        assert isinstance(value, int | float)
        return f"{round(value, self.digits) + 0.0:,.{self.digits}f}"  # plus zero: without the sign of -0.0


@dataclass(frozen=True, slots=True)
class Table:
    """Lines of values by the columns' keys, with a title, a caption above and notes below."""

    name: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    lines: tuple[Mapping[str, Value], ...]
    notes: tuple[str, ...] = field(default=())
    all_columns: bool = False
    """Whether its CSV file has the columns without values too, and the hidden ones."""
    hidden: tuple[str, ...] = ()
    """Keys of columns that are left out elsewhere: all lines have the same, which the caption contains."""
    links: tuple[str, ...] = ()
    """What the first cell of every line links to on the page, if anything."""

    def nonempty_columns(self) -> tuple[Column, ...]:
        """Return the columns in which any line has a value, but for hidden ones."""
        visible = [column for column in self.columns if column.key not in self.hidden]
        return tuple(column for column in visible if any(line.get(column.key) is not None for line in self.lines))


def mean(values: Sequence[float | int | None]) -> float | int | None:
    """Return the mean of the values that are not None; None without any."""
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None


def stdev(values: Sequence[float | int]) -> float | None:
    """Return the sample standard deviation; None of a single value."""
    return statistics.stdev(values) if len(values) > 1 else None


def multiply(value: float | int | None, factor: float | int) -> float | None:
    """Return a value in another unit; None of None."""
    return None if value is None else value * factor
