"""Annotation files as columns, checked at the speed of columns; what is wrong is named by file, line and column."""

import csv
import re
from collections.abc import Iterator, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

Column: TypeAlias = pa.Array | pa.ChunkedArray


class Annotations:
    """The rows of a CSV file as text.

    ``header`` names the columns of a file that has no header, or at least the first ones: the others are numbered.
    Blanks around names and entries are no part of them.
    """

    def __init__(self, file: Path, *, header: Sequence[str] | None = None, delimiter: str = ",") -> None:
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing; it is the list of the videos of a split")
        self.file, self.delimiter = file, delimiter
        self.has_header = header is None
        first = [name.strip() for name in self._first_row()]
        self.columns = first if header is None else [*header, *map(str, range(len(header), len(first)))]
        if twice := sorted({name for name in self.columns if self.columns.count(name) > 1}):
            where = "line 1" if header is None else f"data.catalogue.header={list(header)}"
            raise ValueError(f"{self.file}: {where} has the column {twice[0]!r} twice; each name must stand once")

    @cached_property
    def _places(self) -> Column:
        """Of each row, its place in the file."""
        return pa.array(range(len(self.table)))

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Rows with their line numbers, read slowly: where Arrow cannot, and to say where something is wrong."""
        with self.file.open(newline="", encoding="utf-8-sig") as text:
            reader = csv.reader(text, delimiter=self.delimiter, skipinitialspace=True)
            yield from ((reader.line_num, row) for row in reader if row)

    def _first_row(self) -> list[str]:
        try:
            return next((row for _, row in self._records()), [])
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{self.file}, line 1: {error}; a text file in UTF-8 is wanted") from None

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
            table = self._loosely() if self._has_loose_quotes() else pa.csv.read_csv(self.file, **options)
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{self.file}: {error}; a text file in UTF-8 is wanted") from None
        except pa.ArrowInvalid as error:
            if "Empty CSV" not in str(error):
                raise ValueError(f"{self.file}: {error}") from None
            table = pa.table({name: pa.array([], pa.string()) for name in self.columns})
        if ragged:
            self._complain_of_length()
        trimmed = [pc.utf8_trim_whitespace(column) for column in table.columns]
        return pa.table(trimmed, names=self.columns) if self.columns else table

    def _has_loose_quotes(self) -> bool:
        """Whether a blank stands before a quoted entry anywhere, which Arrow would take for a part of it."""
        return re.search(re.escape(self.delimiter.encode()) + rb'[ \t]+"', self.file.read_bytes()) is not None

    def _loosely(self) -> pa.Table:
        """Return all rows as Python reads them, which is slower."""
        rows = [row for _, row in self._records()][int(self.has_header) :]
        if any(len(row) != len(self.columns) for row in rows):
            self._complain_of_length()
        return pa.table(
            {name: pa.array([row[at] for row in rows], pa.string()) for at, name in enumerate(self.columns)}
        )

    def _complain_of_length(self) -> None:
        for line, row in self._records():
            if len(row) < len(self.columns):
                raise ValueError(f"{self.file}, line {line}, column {self.columns[len(row)]}: the entry is missing")
            if len(row) > len(self.columns):
                raise ValueError(f"{self.file}, line {line}: {len(row)} entries for {len(self.columns)} columns")

    def require(self, *columns: str) -> None:
        """Check that the columns are there."""
        if missing := sorted(set(columns) - set(self.columns)):
            raise ValueError(f"{self.file}: line 1 lacks the columns {missing}; it has {self.columns}")
        if not len(self.table):
            raise ValueError(f"{self.file} lists no video")

    def only(self, kept: Column, which: str) -> "Annotations":
        """Take the rows that are ``kept``; errors still tell the lines of the file."""
        some = copy(self)
        some.table = self.table.filter(kept)
        some._places = self._places.filter(kept)
        if not len(some.table):
            raise ValueError(f"{self.file} has no row {which}")
        return some

    def error(self, row: int, column: str, reason: str) -> ValueError:
        """Make the error of one row; rows count from 0, without the header."""
        row = self._places[row].as_py()
        line = next(line for at, (line, _) in enumerate(self._records()) if at == row + self.has_header)
        return ValueError(f"{self.file}, line {line}, column {column}: {reason}")

    def text(self, column: str) -> Column:
        """Entries of a column, none of which may be empty."""
        self._check(pc.not_equal(self.table[column], ""), column, "the entry is missing")
        return self.table[column]

    def numbers(self, column: str, kind: pa.DataType, *, needed: bool = False, any_sign: bool = False) -> Column:
        """Numbers of a column, 0 or more unless of ``any_sign``; empty ones are null, or refused where ``needed``."""
        texts = self.text(column) if needed else self.table[column]
        texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
        try:
            numbers = texts.cast(kind)
        except pa.ArrowInvalid:
            for row, text in enumerate(texts.to_pylist()):
                if not _castable(text, kind):
                    wanted = "a number" if pa.types.is_floating(kind) else "a whole number"
                    raise self.error(row, column, f"{text!r} is not {wanted}") from None
            raise
        if not any_sign:
            good = pc.and_(pc.is_finite(numbers), pc.greater_equal(numbers, 0))
            self._check(pc.fill_null(good, True), column, "{} is out of range; numbers from 0 on are wanted")
        return numbers

    def seconds(self, column: str) -> Column:
        """Seconds of a column of times ``HH:MM:SS.ff``."""
        parts = pc.extract_regex(self.table[column], r"^(?P<h>\d+):(?P<m>\d+):(?P<s>\d+(?:\.\d+)?)$")
        self._check(pc.is_valid(parts), column, "{} is not a time as HH:MM:SS.ff")
        hours, minutes, seconds = (pc.struct_field(parts, [i]).cast(pa.float64()) for i in range(3))
        return pc.add(pc.add(pc.multiply(hours, 3600.0), pc.multiply(minutes, 60.0)), seconds)

    def classes(self, column: str, names: Sequence[str], texts: Column | None = None) -> Column:
        """Places of a column's entries (or of ``texts``, made from them) in ``names``."""
        texts = self.text(column) if texts is None else texts
        numbers = pc.index_in(texts, pa.array(names, pa.string()))
        self._check(pc.is_valid(numbers), column, "{} is not a known class", texts)
        return numbers

    def below(self, column: str, count: int) -> Column:
        """Class numbers of a column, from 0 up to ``count`` - 1."""
        numbers = self.numbers(column, pa.int32(), needed=True, any_sign=True)
        known = pc.and_(pc.greater_equal(numbers, 0), pc.less(numbers, count))
        self._check(known, column, f"{{}} is not a class number from 0 to {count - 1}")
        return numbers

    def behind(self, column: str, start: Column, end: Column, *, equal: bool = False) -> None:
        """Check that segments end, by ``column``, behind their start, or with it where ``equal``; null is open."""
        good = pc.less_equal(start, end) if equal else pc.less(start, end)
        reason = "lies before" if equal else "is not behind"
        self._check(pc.fill_null(good, True), column, f"{{}} {reason} the segment's start")

    def _check(self, good: Column, column: str, reason: str, texts: Column | None = None) -> None:
        bad = pc.index(good, False).as_py()
        if bad >= 0:
            entry = (self.table[column] if texts is None else texts)[bad].as_py()
            raise self.error(bad, column, reason.format(repr(entry)))


def _castable(text: str | None, kind: pa.DataType) -> bool:
    try:
        pa.scalar(text, pa.string()).cast(kind)
    except pa.ArrowInvalid:
        return False
    return True
