"""A data set described by plain CSV files: ``train.csv``, ``val.csv`` and ``test.csv`` below its root.

Columns: ``path`` (relative to the root), one column of class names for each head, and optionally ``start`` and
``end`` in seconds. Other columns are ignored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from vivit.data.catalogue.annotations import Annotations
from vivit.data.catalogue.catalogue import Catalogue, Split
from vivit.data.catalogue.class_names import in_order
from vivit.data.catalogue.columns import listing


@dataclass(kw_only=True)
class CsvFiles(Catalogue):
    """Videos listed in CSV files. ``columns`` are the heads, for example ["label"] or ["noun", "verb"].

    Classes are those of ``train.csv`` in alphabetical order, or by size where all are numbers, unless ``classes``
    fixes names and order. Files without a header are read with ``header`` (["path", "label"]). ``delimiter`` is one
    character, or a backslash and t for a tab.
    """

    columns: Sequence[str] = ("label",)
    classes: Mapping[str, Sequence[str]] | None = None
    header: Sequence[str] | None = None
    delimiter: str = ","

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.columns)) < len(self.columns) or "path" in self.columns or not self.columns:
            raise ValueError(
                f"data.catalogue.columns={list(self.columns)} must name the columns of the heads, each once, not path"
            )
        self.delimiter = str(self.delimiter).replace("\\t", "\t")
        if len(self.delimiter) != 1 or not self.delimiter.isascii():
            raise ValueError(
                f"data.catalogue.delimiter={self.delimiter!r} must be one ASCII character; in a shell write, with both "
                "quotes, 'data.catalogue.delimiter=\" \"' for a blank or 'data.catalogue.delimiter=\"\\t\"' for a tab"
            )

    @cached_property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """Class names of each column."""
        if self.classes is not None:
            return {column: tuple(self.classes[column]) for column in self.columns}
        rows = self._rows("train")
        return {column: in_order(set(pc.unique(rows.text(column)).to_pylist())) for column in self.columns}

    def listed(self, split: Split) -> pa.Table:
        """Read the file of a split."""
        rows = self._rows(split)
        path = rows.text("path")
        labels = [rows.classes(column, self.heads[column]) for column in self.columns]
        times = {c: rows.numbers(c, pa.float64()) for c in ("start", "end") if c in rows.columns}
        if len(times) == 2:
            rows.behind("end", times["start"], times["end"])
        return listing(path=path, labels=labels, **times)

    def _rows(self, split: Split) -> Annotations:
        return self._read(f"{split}.csv", split)

    def _read(self, file: str, split: str) -> Annotations:
        if not (self.root / file).is_file():
            raise FileNotFoundError(
                f"{self.root / file} is missing; it lists the {split} videos with the columns path, "
                f"{', '.join(self.columns)}"
            )
        rows = Annotations(self.root / file, header=self.header, delimiter=self.delimiter)
        rows.require("path", *self.columns)
        return rows
