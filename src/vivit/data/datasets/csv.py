"""Data sets described by CSV files: one file for each split, or one file for all of them.

Columns: ``path`` (relative to the root), one column of class names for each head, or one of 0 and 1 for each class of
a multi-label head, and optionally ``start`` and ``end`` in seconds. Other columns are ignored, but for those of numbers
that ``score_by`` names.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vivit.data.datasets.base import SPLITS, Split, VideoDataset
from vivit.data.datasets.class_names import UNLABELLED, sorted_classes
from vivit.data.datasets.csv_reader import Column, CsvTable
from vivit.data.datasets.label_lists import labels_of_columns, listed_classes, listed_labels, multi_hot_column
from vivit.data.datasets.registry import register_dataset
from vivit.data.datasets.split_names import split_of
from vivit.data.datasets.video_table import make_table
from vivit.data.transforms.flip import Flip
from vivit.data.warn_once import warn_once
from vivit.errors import ConfigError, DataError
from vivit.structures import MultiLabel

HOLD_OUT = ", or set data.val_share=0.2 to hold out training videos"
SPLIT = "split"
"""Column that names the split of a video, where one file lists all of them."""


@register_dataset("csv")
@dataclass(kw_only=True)
class CsvDataset(VideoDataset):
    """Videos listed in ``train.csv``, ``val.csv`` and ``test.csv`` below the root, or all of them in ``file``.

    In ``file`` a column ``split`` has train, val or test; without it all videos are for training. Videos with the same
    entry in the column ``group``, if there is one, are on one side of ``val_share``.

    ``label_columns`` are the heads, for example ["label"] or ["noun", "verb"]. Classes are those of ``train.csv`` in
    alphabetical order, or by size where all are numbers, unless ``classes`` lists them in order. Files without a header
    are read with ``header`` (["path", "label"]). ``delimiter`` is one character, or a backslash and t for a tab; None:
    the comma, semicolon, tab or bar of the first line. ``encoding`` None is UTF-8, or that of a byte-order mark.
    Columns may be written in other letters, as ``Path``, and splits too: ``Train``, ``validation``.

    With ``separator`` an entry may have several labels, as "walk;wave" with ";", or none: the head is multi-label.
    A text is that of all ``label_columns``, a map that of some: {"tags": ";"}. ``class_columns`` are further
    multi-label heads that have one column of 0 and 1 for each class: {"tags": ["walk", "wave"]}.
    """

    file: str = "videos.csv"
    group: str = "group"
    label_columns: Sequence[str] = ("label",)
    separator: str | Mapping[str, str] | None = None
    class_columns: Mapping[str, Sequence[str]] | None = None
    classes: Mapping[str, Sequence[str]] | None = None
    header: Sequence[str] | None = None
    delimiter: str | None = None
    encoding: str | None = None
    flip: Flip = "harmless"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._labelled = True
        names = self.label_columns
        none = not names and not self.class_columns
        if isinstance(names, str) or none or len(set(names)) < len(names) or "path" in names:
            raise ConfigError(
                "data.dataset.label_columns",
                names if isinstance(names, str) else list(names),
                "is no list of label columns",
                "set one such as [label] or [noun,verb], each once, and not path",
            )
        self._check_multi_label()
        if self.delimiter is not None:
            self.delimiter = str(self.delimiter).replace("\\t", "\t")
        if self.delimiter is not None and (len(self.delimiter) != 1 or not self.delimiter.isascii()):
            raise ConfigError(
                "data.dataset.delimiter",
                repr(self.delimiter),
                "must be one ASCII character",
                "in a shell write, with both quotes, 'data.dataset.delimiter=\" \"' for a blank or "
                "'data.dataset.delimiter=\"\\t\"' for a tab",
            )

    def take_classes(self, heads: Mapping[str, Sequence[str]], *, labelled: bool) -> None:
        """Use a checkpoint's classes, if it has a head for each column of labels; an unknown label is an error."""
        columns = {**dict.fromkeys(self.label_columns), **(self.class_columns or {})}
        kinds = [head in self.separators or head not in self.label_columns for head in columns]
        listed = all(list(heads.get(head, ())) == list(names) for head, names in (self.class_columns or {}).items())
        if list(heads) == list(columns) and kinds == [isinstance(n, MultiLabel) for n in heads.values()] and listed:
            self.__dict__["heads"] = dict(heads)
            self._labelled = labelled

    @cached_property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """Class names of each column."""
        classes: dict[str, tuple[str, ...]] = {}
        if self.classes is not None:
            if missing := [column for column in self.label_columns if column not in self.classes]:
                raise ConfigError(
                    "data.dataset.classes", self.classes, f"has no {missing[0]!r}", "list the classes of every head"
                )
            classes = {column: tuple(self.classes[column]) for column in self.label_columns}
        elif self.label_columns:
            rows = self.csv_rows("train")
            classes = {column: sorted_classes(self._class_names(rows, column)) for column in self.label_columns}
        heads = {column: MultiLabel(names) if column in self.separators else names for column, names in classes.items()}
        return heads | {head: MultiLabel(columns) for head, columns in (self.class_columns or {}).items()}

    def _class_names(self, rows: CsvTable, column: str) -> set[str]:
        separator = self.separators.get(column)
        return rows.class_names(column) if separator is None else listed_classes(rows, column, separator)

    def table(self, split: Split) -> pa.Table:
        """Return the videos of a split's file."""
        rows = self.csv_rows(split)
        path = rows.text("path")
        labels = [self._labels(rows, head) for head in self.heads]
        times = {c: rows.numbers(c, pa.float64()) for c in ("start", "end") if c in rows.columns}
        if len(times) == 2:
            rows.check_interval("end", times["start"], times["end"])
        return make_table(path=path, labels=labels, **times)

    def _labels(self, rows: CsvTable, head: str) -> Column:
        """Return the labels of a head: class numbers, or of a multi-label head 0 and 1 for each class.

        Where labels may be missing, all of a head that has no column are -1, and of its entries those of no class.
        """
        multi = isinstance(self.heads[head], MultiLabel)
        columns = [head] if head in self.label_columns else list(self.heads[head])
        if not self._labelled and (multi or head not in rows.columns) and set(columns) - set(rows.columns):
            missing = np.full((len(rows.table), len(self.heads[head]) if multi else 1), -1, np.int8)
            return multi_hot_column(missing) if multi else pa.array(missing.ravel(), pa.int32())
        if not self._labelled and not multi:
            return pc.fill_null(pc.index_in(rows.table[head], pa.array(self.heads[head], pa.string())), -1)
        if head not in self.label_columns:
            return labels_of_columns(rows, self.heads[head])
        if (separator := self.separators.get(head)) is not None:
            return listed_labels(rows, head, separator, self.heads[head])
        return rows.class_ids(head, self.heads[head])

    @property
    def separators(self) -> dict[str, str]:
        """The separator of each column that lists several labels."""
        if self.separator is None or isinstance(self.separator, Mapping):
            return dict(self.separator or {})
        return dict.fromkeys(self.label_columns, self.separator)

    @property
    def _all_label_columns(self) -> list[str]:
        return [*self.label_columns, *(column for columns in (self.class_columns or {}).values() for column in columns)]

    def _check_multi_label(self) -> None:
        """Raise ``ConfigError`` for separators and columns of classes that cannot be."""
        separators, columns = self.separators, self.class_columns or {}
        if set(separators) - set(self.label_columns) or not all(isinstance(s, str) and s for s in separators.values()):
            remedy = "set a text such as ';', or one for some of data.dataset.label_columns: {tags:';'}"
            raise ConfigError("data.dataset.separator", self.separator, "is no separator of labels", remedy)
        lists = isinstance(columns, Mapping) and all(names and not isinstance(names, str) for names in columns.values())
        listed = self._all_label_columns if lists else []
        if not lists or set(columns) & set(self.label_columns) or len({*listed, "path"}) <= len(listed):
            remedy = (
                "set columns by head, each once: {tags:[walk,wave]}, where no column of label_columns is called tags"
            )
            raise ConfigError("data.dataset.class_columns", self.class_columns, "are no columns of classes", remedy)

    def csv_rows(self, split: Split) -> CsvTable:
        """Return the rows of a split: of its file, or of the one that lists all videos."""
        if not self._is_one_file:
            return self._read(f"{split}.csv", split)
        rows = self._all_videos
        if SPLIT not in rows.columns:
            if split != "train":
                raise DataError(rows.file, f"has no column {SPLIT}", f"add it{HOLD_OUT if split == 'val' else ''}")
            return rows
        return rows.filter(pc.equal(rows.table[SPLIT], split), f"with {SPLIT}={split}")

    @property
    def listed_splits(self) -> tuple[Split, ...]:
        """The training videos, and those of the other splits that files list."""
        if not self._is_one_file:
            return ("train", *(split for split in SPLITS[1:] if (self.root / f"{split}.csv").is_file()))
        columns = self._all_videos.columns
        listed = set(self._all_videos.table[SPLIT].to_pylist()) if SPLIT in columns else set()
        return ("train", *(split for split in SPLITS[1:] if split in listed))

    def groups(self, split: Split) -> Sequence[str]:
        """Return the entries of the column ``group``; without it the base's groups."""
        rows = self.csv_rows(split)
        return rows.text(self.group).to_pylist() if self.group in rows.columns else super().groups(split)

    @cached_property
    def _is_one_file(self) -> bool:
        """Whether ``file`` lists all videos: it is there, and no file lists training videos.

        Raises ``ConfigError`` where a ``file`` is set and there is a ``train.csv`` too.
        """
        listed, one = self.root / "train.csv", self.root / self.file
        if not listed.is_file() or one == listed:
            return one.is_file() and one != listed
        if self.file != type(self).file:
            remedy = "rename train.csv, or leave data.dataset.file out"
            raise ConfigError("data.dataset.file", self.file, f"{listed} lists the training videos too", remedy)
        if one.is_file():
            warn_once(__name__, f"{listed} lists the training videos, so {self.file} beside it is not read; rename one")
        return False

    @cached_property
    def _all_videos(self) -> CsvTable:
        rows = self._read(self.file, "labelled")
        if SPLIT in rows.columns:
            rows.replace_entries(SPLIT, split_of)
            rows.check_entries(SPLIT, SPLITS)
        return rows

    def _read(self, name: str, videos: str) -> CsvTable:
        file = self.root / name
        if not file.is_file():
            remedy = f"list the {videos} videos in it, with columns path, {', '.join(self._all_label_columns)}"
            remedy += {"train": f", or all videos in {self.file}", "val": HOLD_OUT}.get(videos, "")
            beside = sorted(self.root.glob("*.csv")) if videos == "train" and isinstance(self.root, Path) else []
            if len(beside) == 1:
                remedy = f"set {shlex.quote(f'data.dataset.file={beside[0].name}')}, the list beside it; or {remedy}"
            raise DataError(file, "there is no such file", remedy)
        expected = ["path", SPLIT, "start", "end", self.group, *self._all_label_columns, *self.score_by]
        rows = CsvTable(file, header=self.header, delimiter=self.delimiter, encoding=self.encoding, expected=expected)
        columns = self._all_label_columns if self._labelled else ()
        if "heads" in self.__dict__ and (missing := [name for name in columns if name not in rows.columns]):
            remedy = f"add it; {UNLABELLED}"
            raise DataError(file, "has no such column, and metrics need labels", remedy, column=missing[0])
        rows.require("path", *columns)
        return rows
