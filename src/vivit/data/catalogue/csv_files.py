"""A data set described by plain CSV files: ``train.csv``, ``val.csv`` and ``test.csv`` below its root.

Columns: ``path`` (relative to the root), one column of class names for each head, and optionally ``start`` and
``end`` in seconds. Other columns are ignored.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vivit.data.catalogue.catalogue import Catalogue, Split
from vivit.shapes import Video


@dataclass(kw_only=True)
class CsvFiles(Catalogue):
    """Videos listed in CSV files. ``columns`` are the heads, for example ["label"] or ["noun", "verb"].

    Classes are those of ``train.csv`` in alphabetical order, unless ``classes`` fixes names and order.
    """

    columns: Sequence[str] = ("label",)
    classes: Mapping[str, Sequence[str]] | None = None

    @cached_property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """Class names of each column."""
        if self.classes is not None:
            return {column: tuple(self.classes[column]) for column in self.columns}
        rows = self._rows("train")
        return {column: tuple(sorted({row[column] for _, row in rows})) for column in self.columns}

    def videos(self, split: Split) -> Sequence[Video]:
        """Read the file of a split."""
        return [self._video(line, row, split) for line, row in self._rows(split)]

    def _file(self, split: Split) -> Path:
        return self.root / f"{split}.csv"

    def _rows(self, split: Split) -> list[tuple[int, dict[str, str]]]:
        """Rows with their line numbers, after checking that the columns are there and filled."""
        file = self._file(split)
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing; it lists the {split} videos with columns path, {self.columns}")
        with file.open(newline="", encoding="utf-8") as text:
            reader = csv.DictReader(text)
            if missing := {"path", *self.columns} - set(reader.fieldnames or ()):
                raise ValueError(f"{file}: line 1 lacks the columns {sorted(missing)}; it has {reader.fieldnames}")
            rows = [(reader.line_num, row) for row in reader]
        for line, row in rows:
            if empty := [column for column in ("path", *self.columns) if not row[column]]:
                raise ValueError(f"{file}, line {line}, column {empty[0]}: the entry is missing")
        if not rows:
            raise ValueError(f"{file} lists no video")
        return rows

    def _video(self, line: int, row: dict[str, str], split: Split) -> Video:
        where = f"{self._file(split)}, line {line}"
        labels = []
        for column in self.columns:
            if row[column] not in self._numbers[column]:
                raise ValueError(f"{where}, column {column}: {row[column]!r} is not a known class")
            labels.append(self._numbers[column][row[column]])
        try:
            start, end = (float(row[key]) if row.get(key) else None for key in ("start", "end"))
        except ValueError as error:
            raise ValueError(f"{where}, columns start and end: {error}; seconds are wanted") from None
        return Video(str(self.root / row["path"]), tuple(labels), start, end)

    @cached_property
    def _numbers(self) -> dict[str, dict[str, int]]:
        return {head: {name: number for number, name in enumerate(names)} for head, names in self.heads.items()}
