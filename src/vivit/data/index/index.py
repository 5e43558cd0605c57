"""The index that ``prepare.py`` writes: the properties of each file, as columns of Arrow files.

An index is a folder of pieces. Each run, and each shard of a run, adds new pieces, each complete or absent; of a file
in several pieces the newest row counts. Nothing here opens a video.
"""

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from vivit.addresses import is_address, without_secrets
from vivit.data.index.places import (
    PLACE_COLUMNS,
    RANGE_COLUMNS,
    join_places,
    paths_below,
    reader_columns,
)
from vivit.data.storage.remote_path import Folder, RemotePath
from vivit.entry_points import typed
from vivit.errors import ConfigError, DataError
from vivit.io import atomic_write

Column: TypeAlias = pa.Array | pa.ChunkedArray
PathOrAddress = TypeVar("PathOrAddress", Path, RemotePath)

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
        "shard": pa.string(),  # the tar file that it lies in, relative to the folder of the index; null: it is a file
        "offset": pa.int64(),  # where it begins in there
        "version": pa.string(),  # digest of how it begins, of a file in a tar file that the data set lists
        "header": pa.list_(pa.int64()),  # what is read to open it: begin, end, begin, end ...
        "key_frames": pa.list_(pa.int32()),  # numbers of the key frames
        "key_bytes": pa.list_(pa.int64()),  # where each of them begins
        "ends": pa.list_(pa.int64()),  # where the last of the frames 0 to 7, 0 to 15 ... ends
    }
)
LATER_COLUMNS = ("sound", "digest", "hashes", *PLACE_COLUMNS, *RANGE_COLUMNS)
"""Columns that pieces of earlier versions do not have, and which are null there."""


def transcoded_dir(prepared: PathOrAddress, side: int) -> PathOrAddress:
    """Return the folder of transcoded copies of a short side."""
    return prepared / f"short{side}"  # type: ignore[return-value]


def is_prepared(folder: Folder, prepared: Folder) -> bool:
    """Return whether a folder was filled by ``prepare.py``: ``prepared`` itself, or one with an index.

    In storage its name tells: to list every folder there would take long.
    """
    if folder.resolve() == prepared.resolve():
        return True
    if not isinstance(folder, Path):
        return folder.name == "prepared"
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


def write_piece(folder: Path, rows: pa.Table) -> Path:
    """Add rows to an index, as a piece that is complete or absent, and return its path."""
    (folder / "index").mkdir(parents=True, exist_ok=True)
    piece = folder / "index" / f"{time.time_ns()}-{os.getpid()}.arrow"
    with atomic_write(piece) as partial, pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as file:
        file.write_table(rows)
    return piece


def read_index(folder: Folder) -> pa.Table:
    """Return the rows of an index, newest first; an empty table where there is none. Raises ``DataError``."""
    return pa.concat_tables([SCHEMA.empty_table(), *map(read_piece, pieces(folder / "index"))])


def read_piece(piece: Folder) -> pa.Table:
    """Return the rows of one piece of an index. Raises ``DataError``."""
    try:
        source = pa.memory_map(str(piece)) if isinstance(piece, Path) else pa.BufferReader(piece.read_bytes())
        table = pa.ipc.open_file(source).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(piece, f"is not a piece of an index ({error})", "delete it and prepare again") from None
    for name in set(LATER_COLUMNS) - set(table.column_names):
        table = table.append_column(SCHEMA.field(name), pa.nulls(len(table), SCHEMA.field(name).type))
    if {*table.schema} != {*SCHEMA}:
        folder = str(piece).rpartition("/")[0]
        raise DataError(piece, "was written by another version", f"delete {folder} and prepare again")
    return table.select(SCHEMA.names)


def pieces(folder: Folder) -> Sequence[Folder]:
    """Return the pieces of an index, newest first."""
    if isinstance(folder, Path):
        return sorted(folder.glob("*.arrow"), reverse=True)
    return [folder / name for name, _, _ in reversed(folder.entries()) if name.endswith(".arrow")]


def join_index(videos: pa.Table, root: Folder, prepared: Folder, copies: int | None, split: str) -> pa.Table:
    """Return the table of videos with the properties of their files, and in ``problem`` why one cannot be used.

    Files that are not in the index are looked up on a local disk. With ``copies`` a copy, where there is one, replaces
    its source. Columns of places and byte ranges are there where some files have to be fetched, or lie in tar files;
    those of ``videos`` say where files lie whose tar files the data set lists itself. Many rows may be segments of one
    long file: the column ``stamps`` is a dictionary, which contains the timestamps of each file once.
    """
    files = pc.unique(videos["path"])
    number = pc.index_in(videos["path"], files).combine_chunks()
    columns = reader_columns(root, prepared, files, videos)
    facts = file_properties(files, prepared, columns)
    facts = join_places(facts, files, videos, root, prepared)
    unknown = pc.is_null(facts["bytes"])
    if pc.any(unknown).as_py() and isinstance(root, Path):
        unindexed = files.filter(unknown)
        absent = pc.is_in(files, unindexed.filter(pc.invert(exists(root, unindexed))))
        position = facts.column_names.index("problem")
        facts = facts.set_column(position, "problem", pc.if_else(absent, "missing", facts["problem"]))
    if copies is not None:
        files, facts = _replace_by_copies(files, facts, transcoded_dir(prepared.resolve(), copies), copies, split)  # type: ignore[type-var]
    stamps = pa.DictionaryArray.from_arrays(number, facts["stamps"].combine_chunks())
    facts = facts.drop_columns("stamps").take(number)
    videos = videos.drop_columns([name for name in (*PLACE_COLUMNS, "bytes") if name in videos.column_names])
    for name in facts.column_names:
        videos = videos.append_column(name, facts[name])
    videos = videos.append_column("stamps", stamps)
    return videos.set_column(videos.column_names.index("path"), "path", files.take(number))


def file_properties(paths: Column, folder: Folder, columns: Sequence[str]) -> pa.Table:
    """Return columns of an index, a row for each path; all are null where it is not indexed.

    An index has addresses without secrets.
    """
    index = read_index(folder).select(["path", *columns]).combine_chunks()
    return index.select(columns).take(pc.index_in(indexed_names(paths), index["path"].combine_chunks()))


def indexed_names(paths: Column) -> Column:
    """Return what an index calls the files of paths."""
    if not pc.any(pc.match_substring(paths, "://")).as_py():
        return paths
    return pa.array([path and without_secrets(path) for path in paths.to_pylist()], pa.string())


def _replace_by_copies(
    paths: Column, facts: pa.Table, folder: Folder, side: int, split: str
) -> tuple[Column, pa.Table]:
    """Return paths and properties of the usable copies, and of the sources where there is none."""
    copies = file_properties(paths, folder, facts.column_names)
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
    if "shard" in copies.column_names:
        position = copies.column_names.index("shard")
        copies = copies.set_column(position, "shard", paths_below(folder, copies["shard"]))
    paths = pc.if_else(has_copy, paths_below(folder, copy_names(indexed_names(paths))), paths)
    return paths, pa.table({name: pc.if_else(has_copy, copies[name], facts[name]) for name in facts.column_names})


def exists(root: Folder, paths: Column) -> Column:
    """Return which paths below ``root`` exist. Lists each folder once: one look-up a file would take minutes.

    Addresses count as existing until they are fetched.
    """
    if not isinstance(root, Path):
        return pa.array([True] * len(paths), pa.bool_())
    split = pc.extract_regex(paths, r"(?s)^(?P<folder>(?:.*/)?)(?P<file>[^/]+)$")
    folders = pc.unique(pc.struct_field(split, [0])).to_pylist()
    present = [
        pa.array([folder + name for name in _file_names(root / folder)], pa.string())
        for folder in folders
        if folder is not None and not is_address(folder)
    ]
    on_disk = pc.is_in(paths, pa.chunked_array(present, pa.string()).combine_chunks())
    return pc.or_(on_disk, pc.match_substring_regex(paths, r"^[a-zA-Z][a-zA-Z0-9+.-]*://"))


def _file_names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208
    except OSError:
        return []
