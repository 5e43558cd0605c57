"""CSV files of annotations as columns: read and checked by Arrow; errors contain file, line and column."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from functools import cached_property
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from vivit.data.datasets.class_names import describe_nearest, describe_spellings, rarer_spellings
from vivit.data.datasets.clock_times import clock_as_number, clock_seconds
from vivit.data.datasets.csv_text import (
    columns_as_expected,
    find_delimiter,
    missing_columns_remedy,
    read_text,
    split_excel_line,
)
from vivit.data.storage.remote_path import Folder
from vivit.errors import ConfigError, DataError

Column: TypeAlias = pa.Array | pa.ChunkedArray


class CsvTable:
    """The rows of a CSV file as text. The ``row`` of a ``DataError`` about it is a line of the file, from 1.

    ``header`` names the columns of a file without header, or at least the first ones: the others are numbered.
    Blanks around names and entries are stripped. ``delimiter`` None is the one of the first line, ``encoding`` None
    that of the byte-order mark, or UTF-8. ``expected`` are columns that the header may name in other letters: ``Path``.
    """

    def __init__(
        self,
        file: Folder,
        *,
        header: Sequence[str] | None = None,
        delimiter: str | None = ",",
        encoding: str | None = None,
        expected: Sequence[str] = (),
    ) -> None:
        if not file.is_file():
            raise DataError(file, "there is no such file", "it lists the videos of a split")
        self.file = file
        self._text, marked = split_excel_line(read_text(file, encoding))
        self._lines_before = int(marked is not None)
        self.delimiter = delimiter or marked or find_delimiter(self._text)
        self.has_header = header is None
        first = columns_as_expected([name.strip() for name in self._first_row()], expected)
        self.columns = first if header is None else [*header, *map(str, range(len(header), len(first)))]
        if repeated := sorted({name for name in self.columns if self.columns.count(name) > 1}):
            if header is not None:
                raise ConfigError(
                    "data.dataset.header", list(header), f"has {repeated[0]!r} twice", "name each column once"
                )
            raise DataError(file, "the column is listed twice", "rename one of them", row=1, column=repeated[0])

    @cached_property
    def _indices(self) -> Column:
        """The index of each row in the file, from 0 without the header."""
        return pa.array(range(len(self.table)))

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield line number and entries of each row; slow, for files that Arrow cannot read, and for errors."""
        reader = csv.reader(io.StringIO(self._text, newline=""), delimiter=self.delimiter, skipinitialspace=True)
        yield from ((reader.line_num + self._lines_before, row) for row in reader if row)

    def _first_row(self) -> list[str]:
        try:
            return next((row for _, row in self._records()), [])
        except csv.Error as error:
            raise DataError(self.file, str(error), "save it as text in UTF-8", row=1) from None

    @cached_property
    def table(self) -> pa.Table:
        """All rows, every entry a text."""
        ragged = []

        def skip(row: pa.csv.InvalidRow) -> str:
            ragged.append(row)
            return "skip"

        options = {
            "read_options": pa.csv.ReadOptions(
                column_names=self.columns, skip_rows=int(self.has_header), use_threads=False
            ),
            "parse_options": pa.csv.ParseOptions(
                delimiter=self.delimiter,
                newlines_in_values=True,
                invalid_row_handler=skip,
            ),
            "convert_options": pa.csv.ConvertOptions(column_types=dict.fromkeys(self.columns, pa.string())),
        }
        try:
            source = io.BytesIO(self._text.encode())
            table = self._parse_in_python() if self._has_loose_quotes() else pa.csv.read_csv(source, **options)
        except csv.Error as error:
            raise DataError(self.file, str(error), "save it as text in UTF-8") from None
        except pa.ArrowInvalid as error:
            if "Empty CSV" not in str(error):
                raise DataError(self.file, str(error)) from None
            table = pa.table({name: pa.array([], pa.string()) for name in self.columns})
        if ragged:
            self._check_lengths()
        trimmed = [pc.utf8_trim_whitespace(column) for column in table.columns]
        return pa.table(trimmed, names=self.columns) if self.columns else table

    def _has_loose_quotes(self) -> bool:
        """Return whether a blank precedes a quoted entry anywhere, which Arrow would include in the entry."""
        return re.search(re.escape(self.delimiter) + r'[ \t]+"', self._text) is not None

    def _parse_in_python(self) -> pa.Table:
        """Return all rows as Python parses them, which is slower."""
        rows = [row for _, row in self._records()][int(self.has_header) :]
        if any(len(row) != len(self.columns) for row in rows):
            self._check_lengths()
        return pa.table(
            {name: pa.array([row[at] for row in rows], pa.string()) for at, name in enumerate(self.columns)}
        )

    def _check_lengths(self) -> None:
        """Raise ``DataError`` for the first row with too few or too many entries."""
        for line, row in self._records():
            if len(row) < len(self.columns):
                raise DataError(self.file, "the entry is missing", row=line, column=self.columns[len(row)])
            if len(row) > len(self.columns):
                raise DataError(self.file, f"has {len(row)} entries for {len(self.columns)} columns", row=line)

    def require(self, *columns: str) -> None:
        """Raise ``DataError`` unless the file has the columns, and at least one row."""
        if missing := sorted(set(columns) - set(self.columns)):
            problem = f"has no column {', '.join(missing)}; its columns are {', '.join(self.columns)}"
            raise DataError(self.file, problem, missing_columns_remedy(missing, self.columns), row=1, column=missing[0])
        if not len(self.table):
            raise DataError(self.file, "lists no video")

    def filter(self, mask: Column, description: str) -> "CsvTable":
        """Return the rows that ``mask`` selects; errors about them still contain lines of the file."""
        selected = copy(self)
        selected.table = self.table.filter(mask)
        selected._indices = self._indices.filter(mask)
        if not len(selected.table):
            raise DataError(self.file, f"has no row {description}")
        return selected

    def error(self, row: int, column: str, problem: str, remedy: str = "") -> DataError:
        """Return the error about one row; rows count from 0, without the header."""
        return DataError(self.file, problem, remedy, row=self.line(row), column=column)

    def line(self, row: int) -> int:
        """Return the line of a row, which counts from 0 without the header; of an entry with line breaks the last."""
        index = self._indices[row].as_py()
        return next(line for at, (line, _) in enumerate(self._records()) if at == index + self.has_header)

    def text(self, column: str) -> Column:
        """Return the entries of a column, none of which may be empty."""
        self._check(pc.not_equal(self.table[column], ""), column, "the entry is missing")
        return self.table[column]

    def numbers(self, column: str, kind: pa.DataType, *, needed: bool = False, any_sign: bool = False) -> Column:
        """Return finite numbers, 0 or more unless of ``any_sign``; empty ones are null, or an error if ``needed``."""
        texts = self.text(column) if needed else self.table[column]
        texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
        if pa.types.is_floating(kind):
            texts = clock_as_number(texts)
        try:
            numbers = texts.cast(kind)
        except pa.ArrowInvalid:
            for row, text in enumerate(texts.to_pylist()):
                if not _is_castable(text, kind):
                    expected = "a number" if pa.types.is_floating(kind) else "a whole number"
                    raise self.error(row, column, f"{text!r} is not {expected}") from None
            raise
        good = pc.is_finite(numbers)
        if not any_sign:
            good = pc.and_(good, pc.greater_equal(numbers, 0))
        problem = "{} is not a finite number" if any_sign else "{} is out of range; numbers start at 0"
        self._check(pc.fill_null(good, True), column, problem)
        return numbers

    def seconds(self, column: str) -> Column:
        """Return the seconds of a column of times ``HH:MM:SS.ff``."""
        seconds = clock_seconds(self.table[column])
        self._check(pc.is_valid(seconds), column, "{} is not a time as HH:MM:SS.ff")
        return seconds

    def class_ids(
        self, column: str, names: Sequence[str], texts: Column | None = None, row_of: np.ndarray | None = None
    ) -> Column:
        """Return the positions of a column's entries (or of ``texts``, made from the rows ``row_of``) in ``names``."""
        texts = self.text(column) if texts is None else texts
        numbers = pc.index_in(texts, pa.array(names, pa.string()))
        if (unknown := pc.index(pc.is_valid(numbers), False).as_py()) >= 0:
            name = texts[unknown].as_py()
            row = unknown if row_of is None else int(row_of[unknown])
            raise self.error(row, column, f"{name!r} is not a known class", describe_nearest(name, names))
        return numbers

    def replace_entries(self, column: str, replace: Callable[[str], str]) -> None:
        """Replace each entry of a column by what a function returns for it."""
        entries = pc.unique(self.table[column])
        replaced = pa.array(map(replace, entries.to_pylist()), pa.string())
        numbers = pc.index_in(self.table[column], entries)
        self.table = self.table.set_column(self.columns.index(column), column, replaced.take(numbers.combine_chunks()))

    def check_entries(self, column: str, allowed: Sequence[str]) -> None:
        """Raise ``DataError`` at the first entry of a column that is none of those allowed."""
        good = pc.is_in(self.table[column], pa.array(allowed, pa.string()))
        self._check(good, column, f"{{}} is none of {', '.join(allowed)}")

    def class_names(self, column: str, texts: Column | None = None, row_of: np.ndarray | None = None) -> set[str]:
        """Return the different entries of a column (or of ``texts``, made from the rows ``row_of``).

        Raises ``DataError`` where two differ by blanks or case only, at the first row with the rarer one.
        """
        texts = self.text(column) if texts is None else texts
        counts = {entry["values"]: entry["counts"] for entry in pc.value_counts(texts).to_pylist()}
        if rarer := rarer_spellings(counts):
            problem = describe_spellings(rarer, counts)
            common = " and ".join(map(repr, [*dict.fromkeys(rarer.values())][:5]))
            remedy = f"write {common}, or list both in data.dataset.classes where they are two classes"
            first = pc.index(texts, next(iter(rarer))).as_py()
            raise self.error(first if row_of is None else int(row_of[first]), column, problem, remedy)
        return set(counts)

    def class_numbers(self, column: str, count: int) -> Column:
        """Return the class numbers of a column, from 0 to ``count`` - 1."""
        numbers = self.numbers(column, pa.int32(), needed=True, any_sign=True)
        known = pc.and_(pc.greater_equal(numbers, 0), pc.less(numbers, count))
        self._check(known, column, f"{{}} is not a class number from 0 to {count - 1}")
        return numbers

    def check_interval(self, column: str, start: Column, end: Column, *, allow_equal: bool = False) -> None:
        """Raise ``DataError`` at ``column`` where a segment ends before its start, or with it; null is open."""
        good = pc.less_equal(start, end) if allow_equal else pc.less(start, end)
        problem = "lies before" if allow_equal else "is not after"
        self._check(pc.fill_null(good, True), column, f"{{}} {problem} the segment's start")

    def _check(self, good: Column, column: str, problem: str) -> None:
        bad = pc.index(good, False).as_py()
        if bad >= 0:
            raise self.error(bad, column, problem.format(repr(self.table[column][bad].as_py())))


def _is_castable(text: str | None, kind: pa.DataType) -> bool:
    try:
        pa.scalar(text, pa.string()).cast(kind)
    except pa.ArrowInvalid:
        return False
    return True
