"""The index that ``prepare.py`` writes: the properties of each file, as columns of Arrow files.

An index is a folder of pieces. Each run, and each shard of a run, adds new pieces, each complete or absent; of a file
in several pieces the newest row counts. Nothing here opens a video.
"""

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from vivit.entry_points import typed
from vivit.errors import ConfigError, DataError
from vivit.io import atomic_write

Column: TypeAlias = pa.Array | pa.ChunkedArray

log = logging.getLogger(__name__)

SCHEMA = pa.schema(
    {
        "path": pa.string(),  # relative to the root of the data set
        "bytes": pa.int64(),
        "codec": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "rotation": pa.int32(),  # degrees, by the metadata
        "sound": pa.bool_(),
        "fps": pa.float64(),  # mean over the whole file
        "seconds": pa.float64(),  # from the first frame to the end of the last
        "frames": pa.int32(),
        "stamp": pa.int64(),  # timestamp of the first frame, in ticks of the stream
        "step": pa.int64(),  # ticks from one frame to the next; null where that varies
        "stamps": pa.list_(pa.int64()),  # all timestamps; null where step determines them
        "problem": pa.string(),  # why the file cannot be used; null: it can
        "decoded": pa.bool_(),  # whether every frame was decoded, or only timestamps were read
        "digest": pa.string(),  # of how the file begins and ends; null where that was not asked
        "hashes": pa.list_(pa.uint64()),  # what its pictures look like; null where that was not asked
    }
)
READER_COLUMNS = ("bytes", "frames", "stamp", "step", "stamps", "problem", "fps")
"""The columns that reading a video needs, and its rate."""
LATER_COLUMNS = ("sound", "digest", "hashes")
"""Columns that pieces of earlier versions do not have, and which are null there."""


def transcoded_dir(prepared: Path, side: int) -> Path:
    """Return the folder of transcoded copies of a short side."""
    return prepared / f"short{side}"


def is_prepared(folder: Path) -> bool:
    """Return whether a folder was filled by ``prepare.py``: it holds an index, or copies with one."""
    return next((folder / "index").glob("*.arrow"), None) is not None


def copy_names(paths: Column) -> Column:
    """Return the paths of copies of videos, below the folder of copies: the path of the source with ``.mp4`` appended.

    Paths that would lead out of that folder are percent-encoded: ``%2F`` for a slash in front, ``%2E%2E/`` for the
    folder above, and so that no two videos share a copy ``%25`` for a ``%``.
    """
    inside = pc.replace_substring(paths, "%", "%25")
    inside = pc.replace_substring(inside, "../", "%2E%2E/")
    inside = pc.replace_substring_regex(inside, "^/", "%2F")
    return pc.binary_join_element_wise(inside, ".mp4", "")


def transcoded_path(folder: Path, path: str) -> Path:
    """Return the path of the copy of one video in the folder of copies."""
    return folder / copy_names(pa.array([path]))[0].as_py()


def write_piece(folder: Path, rows: pa.Table) -> None:
    """Add rows to an index, as a piece that is complete or absent."""
    (folder / "index").mkdir(parents=True, exist_ok=True)
    piece = folder / "index" / f"{time.time_ns()}-{os.getpid()}.arrow"
    with atomic_write(piece) as partial, pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as file:
        file.write_table(rows)


def read_index(folder: Path) -> pa.Table:
    """Return the rows of an index, newest first; an empty table where there is none. Raises ``DataError``."""
    tables = [SCHEMA.empty_table()]
    for piece in sorted((folder / "index").glob("*.arrow"), reverse=True):
        try:
            table = pa.ipc.open_file(pa.memory_map(str(piece))).read_all()
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(piece, f"is not a piece of an index ({error})", "delete it and prepare again") from None
        for name in set(LATER_COLUMNS) - set(table.column_names):
            table = table.append_column(SCHEMA.field(name), pa.nulls(len(table), SCHEMA.field(name).type))
        if {*table.schema} != {*SCHEMA}:
            raise DataError(piece, "was written by another version", f"delete {piece.parent} and prepare again")
        tables.append(table.select(SCHEMA.names))
    return pa.concat_tables(tables)


def join_index(videos: pa.Table, root: Path, prepared: Path, copies: int | None, split: str) -> pa.Table:
    """Return the table of videos with the properties of their files, and in ``problem`` why one cannot be used.

    Files that are not in the index are looked up on disk. With ``copies`` a copy, where there is one, replaces its
    source. Many rows may be segments of one long file: the column ``stamps`` is a dictionary, which contains the
    timestamps of each file once.
    """
    files = pc.unique(videos["path"])
    number = pc.index_in(videos["path"], files).combine_chunks()
    facts = file_properties(files, prepared, READER_COLUMNS)
    unknown = pc.is_null(facts["bytes"])
    if pc.any(unknown).as_py():
        unindexed = files.filter(unknown)
        absent = pc.is_in(files, unindexed.filter(pc.invert(exists(root, unindexed))))
        position = READER_COLUMNS.index("problem")
        facts = facts.set_column(position, "problem", pc.if_else(absent, "missing", facts["problem"]))
    if copies is not None:
        files, facts = _replace_by_copies(files, facts, transcoded_dir(prepared.resolve(), copies), copies, split)
    stamps = pa.DictionaryArray.from_arrays(number, facts["stamps"].combine_chunks())
    facts = facts.drop_columns("stamps").take(number)
    for name in facts.column_names:
        videos = videos.append_column(name, facts[name])
    videos = videos.append_column("stamps", stamps)
    return videos.set_column(videos.column_names.index("path"), "path", files.take(number))


def file_properties(paths: Column, folder: Path, columns: Sequence[str]) -> pa.Table:
    """Return columns of an index, a row for each path; all are null where it is not indexed."""
    index = read_index(folder).select(["path", *columns]).combine_chunks()
    return index.select(columns).take(pc.index_in(paths, index["path"].combine_chunks()))


def _replace_by_copies(paths: Column, facts: pa.Table, folder: Path, side: int, split: str) -> tuple[Column, pa.Table]:
    """Return paths and properties of the usable copies, and of the sources where there is none."""
    copies = file_properties(paths, folder, READER_COLUMNS)
    has_copy = pc.and_(pc.is_valid(copies["bytes"]), pc.is_null(copies["problem"]))
    count = pc.sum(has_copy).as_py() or 0
    if not count:
        raise ConfigError(
            "data.dataset.copies",
            side,
            f"{folder} has no copies of split {split} ({len(paths)} videos)",
            f"make them with {typed('prepare')} copies={side} splits={split}, and its data= and data.root=",
        )
    if count < len(paths):
        log.warning(
            "%d of %d videos have no copy of short side %d; the videos are read", len(paths) - count, len(paths), side
        )
    paths = pc.if_else(has_copy, pc.binary_join_element_wise(f"{folder}/", copy_names(paths), ""), paths)
    return paths, pa.table({name: pc.if_else(has_copy, copies[name], facts[name]) for name in READER_COLUMNS})


def exists(root: Path, paths: Column) -> Column:
    """Return which paths below ``root`` exist. Lists each folder once: one look-up a file would take minutes."""
    split = pc.extract_regex(paths, r"(?s)^(?P<folder>(?:.*/)?)(?P<file>[^/]+)$")
    folders = pc.unique(pc.struct_field(split, [0])).to_pylist()
    present = [
        pa.array([folder + name for name in _file_names(root / folder)], pa.string())
        for folder in folders
        if folder is not None
    ]
    return pc.is_in(paths, pa.chunked_array(present, pa.string()).combine_chunks())


def _file_names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208
    except OSError:
        return []
