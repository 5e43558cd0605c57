"""Videos as columns of an Arrow file that is mapped into memory: every process that reads them shares one copy.

650,000 records of Python would cost each worker hundreds of megabytes, because counting references writes to them.
"""

import os
import tempfile
import weakref
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any, overload

import pyarrow as pa
import pyarrow.compute as pc

from vivit.data.catalogue.annotations import Annotations, Column
from vivit.structures import Video


def listing(*, path: Column, labels: Sequence[Column], **others: Column | None) -> pa.Table:
    """Make the table of a split: a row is a labelled video, and ``path`` is relative to the root of the data set.

    ``labels`` has one array of class numbers for each head. ``others`` are ``start`` and ``end`` (seconds), ``first``
    and ``last`` (numbers of pictures) and ``name``, all of which may be left out.
    """
    columns = {"path": path.cast(pa.string())}
    columns |= {f"label_{head}": numbers.cast(pa.int32()) for head, numbers in enumerate(labels)}
    return pa.table(columns | {name: column for name, column in others.items() if column is not None})


def unlabelled(rows: Annotations, *, allowed: bool) -> Column:
    """Give -1 for every row of a list that tells no labels; raise where that is not wanted."""
    if not allowed:
        raise ValueError(
            f"{rows.file} tells no labels, so nothing can be scored; set data.catalogue.lists to a list that does, "
            "or data.catalogue.unlabelled=true to predict without"
        )
    return pa.repeat(pa.scalar(-1, pa.int32()), len(rows.table))


class Videos(Sequence[Video]):
    """A view over columns; a ``Video`` is made when it is asked for.

    The table goes to a temporary file that lives as long as this object. A process that is sent this object is sent
    the file's name, not the rows.
    """

    def __init__(self, root: Path, table: pa.Table) -> None:
        handle, name = tempfile.mkstemp(prefix="videos-", suffix=".arrow")
        os.close(handle)
        weakref.finalize(self, Path(name).unlink, missing_ok=True)
        with pa.OSFile(name, "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
            file.write_table(table.combine_chunks())
        self._open(str(root), name)

    def _open(self, root: str, name: str) -> None:
        self._root, self._name = root, name
        table = pa.ipc.open_file(pa.memory_map(name)).read_all()
        self._length, columns = len(table), {c: table.column(c) for c in table.column_names}
        self._labels = [columns.pop(c) for c in table.column_names if c.startswith("label_")]
        self._stamps = columns.pop("stamps")
        self._columns = columns

    def __getstate__(self) -> dict[str, str]:
        return {"root": self._root, "name": self._name}

    def __setstate__(self, state: dict[str, str]) -> None:
        self._open(**state)

    def __len__(self) -> int:
        return self._length

    def column(self, name: str) -> Column | None:
        """Give a column as it was listed, such as ``path``, relative to the root; None where there is none."""
        return self._columns.get(name)

    def unlabelled(self) -> int:
        """Count the videos of which the data set does not tell a label."""
        unknown = [pc.less(labels, 0) for labels in self._labels]
        return pc.sum(reduce(pc.or_, unknown)).as_py() or 0

    @overload
    def __getitem__(self, index: int) -> Video: ...
    @overload
    def __getitem__(self, index: slice) -> list[Video]: ...
    def __getitem__(self, index: int | slice) -> Video | list[Video]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        row = {name: column[index].as_py() for name, column in self._columns.items()}
        path = os.path.join(self._root, row["path"])  # noqa: PTH118  # a Path costs more than all the rest
        return Video(
            path,
            tuple(column[index].as_py() for column in self._labels),
            row.get("start"),
            row.get("end"),
            None if row.get("first") is None else (row["first"], row["last"]),
            stamps_of(path, row, self._stamps[index].value),
            row.get("name"),
        )


def stamps_of(path: str, row: dict[str, Any], listed: pa.ListScalar) -> Sequence[int] | None:
    """Timestamps that the index holds of a file; None where it holds none, or where the file's size has changed.

    ``listed`` are those of a file whose frames do not follow one another evenly, else null.
    """
    if row.get("stamp") is None or not _same_size(path, row["bytes"]):
        return None
    if listed.is_valid:
        return tuple(listed.values.to_numpy().tolist())
    return range(row["stamp"], row["stamp"] + row["frames"] * row["step"], row["step"])


def _same_size(path: str, size: int) -> bool:
    try:
        return os.stat(path).st_size == size  # noqa: PTH116
    except OSError:
        return False
