"""Videos as columns of an Arrow file in memory: every process that reads them shares one copy.

650,000 Python objects would cost each worker hundreds of megabytes, because reference counting writes to them.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from string import Formatter
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from vivit.addresses import is_address, join_path, without_secrets
from vivit.data.datasets.csv_reader import Column, CsvTable
from vivit.data.storage.byte_ranges import ByteRanges
from vivit.data.storage.range_cache import RangeCache
from vivit.data.storage.remote_path import Folder
from vivit.data.storage.stored_file import StoredFile
from vivit.errors import ConfigError
from vivit.io import MemoryFile
from vivit.structures import Video


def make_table(*, path: Column, labels: Sequence[Column], **others: Column | None) -> pa.Table:
    """Return the table of a split: a row is a labelled video, and ``path`` is relative to the root of the data set.

    ``labels`` has one array of class numbers for each head; of a multi-label head, a list of 0 and 1 for every class
    in each row, as ``label_lists.multi_hot_column`` makes it. ``others`` are ``start`` and ``end`` (seconds), ``first``
    and ``last`` (frame numbers in a folder) and ``name``, all of which may be omitted. Of videos in tar files they are
    also ``shard`` (the tar file, relative to the root), ``offset`` in it, ``bytes``, and ``version``, a digest of how
    they begin, which may be omitted.
    """
    columns = {"path": path.cast(pa.string())}
    columns |= {
        f"label_{head}": numbers if pa.types.is_fixed_size_list(numbers.type) else numbers.cast(pa.int32())
        for head, numbers in enumerate(labels)
    }
    columns |= {name: column for name, column in others.items() if column is not None}
    if "shard" in columns and "version" not in columns:
        columns["version"] = pa.nulls(len(path), pa.string())
    return pa.table(columns)


def label_matrix(columns: Sequence[Column]) -> Int[np.ndarray, "n c"]:
    """Return the labels of all videos, as those of each ``Video``: one column a head, or a class if multi-label."""
    parts = [column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column for column in columns]
    numbers = [part.flatten() if pa.types.is_fixed_size_list(part.type) else part for part in parts]
    matrices = [np.asarray(each).reshape(len(part), -1) for part, each in zip(parts, numbers, strict=True)]
    return np.concatenate(matrices, 1) if len(matrices) > 1 else matrices[0]


def missing_labels(rows: CsvTable, *, allowed: bool) -> Column:
    """Return -1 for every row of a list without labels. Raises ``ConfigError`` unless ``allowed``."""
    if not allowed:
        raise ConfigError(
            "data.dataset.allow_unlabelled",
            False,
            f"{rows.file} has no labels, so nothing can be scored",
            "set data.dataset.annotation_files to a list with labels, or true to predict without",
        )
    return pa.repeat(pa.scalar(-1, pa.int32()), len(rows.table))


def format_paths(template: str, **columns: Column) -> Column:
    """Return a path for every row by a template such as ``{list}/{label}/{id}_{start:06}.mp4``; ``:06`` pads by zeros.

    Raises ``ConfigError`` where that is no template, or uses an unknown column.
    """
    parts: list[Column | str] = []
    try:
        fields = list(Formatter().parse(template))
    except ValueError as error:
        raise ConfigError("data.dataset.path_template", template, str(error), "write {name} or {name:06}") from None
    for literal, field, spec, _ in fields:
        parts.append(literal)
        if field is None:
            continue
        if field not in columns:
            raise ConfigError(
                "data.dataset.path_template", template, f"has the unknown field {field!r}", f"use {', '.join(columns)}"
            )
        if spec and not spec.isdecimal():
            problem = f"has the format {spec!r} of {field!r}, which is no number of digits"
            raise ConfigError("data.dataset.path_template", template, problem, f"write {{{field}:06}}")
        text = columns[field].cast(pa.string())
        parts.append(pc.utf8_lpad(text, int(spec), "0") if spec else text)
    return pc.binary_join_element_wise(*parts, "")


class VideoTable(Sequence[Video]):
    """A sequence of videos over columns; a ``Video`` is made when it is requested.

    The table is stored in a file in memory that lives as long as this object. A process that this object is sent to
    gets the file's name, not the rows.
    """

    def __init__(self, root: Folder, table: pa.Table, cache: RangeCache | None = None) -> None:
        self._file = MemoryFile()
        with pa.OSFile(self._file.path, "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
            file.write_table(table.combine_chunks())
        self._open(str(root) if isinstance(root, Path) else root.address, self._file.path, cache)

    def _open(self, root: str, name: str, cache: RangeCache | None) -> None:
        self._root, self._name, self._cache = root, name, cache
        table = pa.ipc.open_file(pa.memory_map(name)).read_all()
        self._length, columns = len(table), {c: table.column(c) for c in table.column_names}
        self._labels = [columns.pop(c) for c in table.column_names if c.startswith("label_")]
        self._stamps = columns.pop("stamps")
        self.listed = columns.pop("listed", None)
        """Row of each video in the list of its split, those that cannot be used included."""
        self._columns = columns
        self._some_stored = "shard" in columns

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self._root, "name": self._name, "cache": self._cache}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._open(**state)

    def __len__(self) -> int:
        return self._length

    def column(self, name: str) -> Column | None:
        """Return a column of the table, such as ``path``, relative to the root; None if it has no such column."""
        return self._columns.get(name)

    def labels(self) -> Int[np.ndarray, "n c"]:
        """Return the labels of all videos, as those of each ``Video``."""
        return label_matrix(self._labels)

    def unlabelled(self) -> int:
        """Return the number of videos without a label."""
        return int((self.labels() < 0).any(1).sum())

    @overload
    def __getitem__(self, index: int) -> Video: ...
    @overload
    def __getitem__(self, index: slice) -> list[Video]: ...
    def __getitem__(self, index: int | slice) -> Video | list[Video]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        row = {name: column[index].as_py() for name, column in self._columns.items()}
        irregular = self._stamps[index].value
        stored = stored_video(self._root, row, irregular, self._cache) if self._some_stored else None
        # a Path would cost more than all the rest
        path = os.path.join(self._root, row["path"]) if stored is None else stored.path  # noqa: PTH118
        stamps = indexed_stamps(path, row, irregular) if stored is None else stamps_of_row(row, irregular)
        return Video(
            path,
            tuple(label for column in self._labels for label in _labels_of(column[index].as_py())),
            row.get("start"),
            row.get("end"),
            None if row.get("first") is None else (row["first"], row["last"]),
            stamps,
            row.get("name"),
            frames_fps=row.get("frames_fps"),
            stored=stored,
        )


def _labels_of(entry: int | list[int]) -> list[int]:
    return entry if isinstance(entry, list) else [entry]


def indexed_stamps(path: str, row: dict[str, Any], irregular: pa.ListScalar) -> Sequence[int] | None:
    """Return the timestamps of a file by the index; None where it has none, or where the file's size has changed.

    ``irregular`` are those of a file whose frames are not evenly spaced, else null.
    """
    return stamps_of_row(row, irregular) if row.get("stamp") is not None and _has_size(path, row["bytes"]) else None


def stamps_of_row(row: dict[str, Any], irregular: pa.ListScalar) -> Sequence[int] | None:
    """Return the timestamps of a file by the index; None where it has none. A file in storage is taken as unchanged."""
    if row.get("stamp") is None:
        return None
    if irregular.is_valid:
        return tuple(irregular.values.to_numpy().tolist())
    return range(row["stamp"], row["stamp"] + row["frames"] * row["step"], row["step"])


def stored_video(
    root: str, row: dict[str, Any], irregular: pa.ListScalar, cache: RangeCache | None
) -> StoredFile | None:
    """Return where the bytes of a row's video lie; None where it is a file of a local disk."""
    path = join_path(root, row["path"])
    if row["shard"] is None and not is_address(path):
        return None
    known = row["header"] is not None and stamps_of_row(row, irregular) is not None and row["key_frames"]
    plan = ByteRanges(row["header"], row["key_frames"], row["key_bytes"], row["ends"]) if known else None
    return StoredFile(
        without_secrets(path),
        row["shard"] or path,
        row["offset"] or 0,
        row["bytes"] or None,
        plan,
        cache,
        version=row["version"],
    )


def _has_size(path: str, size: int) -> bool:
    try:
        return os.stat(path).st_size == size  # noqa: PTH116
    except OSError:
        return False
