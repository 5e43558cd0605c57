"""Columns of CSV files by which a video may have several labels: lists with a separator, or 0 and 1 for each class."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vivit.data.datasets.csv_reader import CsvTable


def split_labels(rows: CsvTable, column: str, separator: str) -> list[list[str]]:
    """Return the labels of every row, in the entry's order; none of an empty entry.

    Raises ``DataError`` for an entry that has an empty label between two separators, or one label twice.
    """
    labels: list[list[str]] = []
    for row, entry in enumerate(rows.table[column].to_pylist()):
        names = [name.strip() for name in entry.split(separator)] if entry else []
        if "" in names:
            raise rows.error(
                row, column, f"{entry!r} has an empty label", f"remove the separator {separator!r} too many"
            )
        if len(set(names)) < len(names):
            raise rows.error(row, column, f"{entry!r} has the same label twice", "write it once")
        labels.append(names)
    return labels


def listed_classes(rows: CsvTable, column: str, separator: str) -> set[str]:
    """Return the different labels of a column. Raises ``DataError`` where two differ by blanks or case only."""
    labels, row_of = _flatten(split_labels(rows, column, separator))
    return rows.class_names(column, labels, row_of)


def listed_labels(rows: CsvTable, column: str, separator: str, names: Sequence[str]) -> pa.FixedSizeListArray:
    """Return 0 or 1 for every class of every row. Raises ``DataError`` for a label that is no class."""
    labels, row_of = _flatten(split_labels(rows, column, separator))
    hot = np.zeros((len(rows.table), len(names)), np.int8)
    hot[row_of, rows.class_ids(column, names, labels, row_of).to_numpy()] = 1
    return multi_hot_column(hot)


def labels_of_columns(rows: CsvTable, columns: Sequence[str]) -> pa.FixedSizeListArray:
    """Return 0 or 1 for every class of every row, from one column a class. Raises ``DataError`` for other entries."""
    hot = np.zeros((len(rows.table), len(columns)), np.int8)
    for number, column in enumerate(columns):
        entries = rows.table[column]
        if (bad := pc.index(pc.is_in(entries, pa.array(["0", "1"])), False).as_py()) >= 0:
            raise rows.error(bad, column, f"{entries[bad].as_py()!r} is neither 0 nor 1", "write 1 where it is seen")
        hot[:, number] = pc.equal(entries, "1").to_numpy()
    return multi_hot_column(hot)


def multi_hot_column(hot: np.ndarray) -> pa.FixedSizeListArray:
    """Return the column of a table with the 0 and 1 of each row, int8 [n, k]."""
    return pa.FixedSizeListArray.from_arrays(pa.array(hot.ravel(), pa.int8()), hot.shape[1])


def _flatten(labels: Sequence[Sequence[str]]) -> tuple[pa.Array, np.ndarray]:
    """Return all labels behind one another, and the row of each."""
    row_of = np.repeat(np.arange(len(labels)), [len(names) for names in labels])
    return pa.array([name for names in labels for name in names], pa.string()), row_of
