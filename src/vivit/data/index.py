"""The index that ``prepare.py`` writes: what is known of each file, as columns of Arrow files.

An index is a folder of pieces. Each run, and each shard of a run, adds pieces of its own, each whole or absent; of a
file that stands in several pieces the newest row counts. Nothing here opens a video.
"""

import logging
import os
import time
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

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
        "rotation": pa.int32(),  # degrees that the metadata ask for
        "fps": pa.float64(),  # mean over the whole file
        "seconds": pa.float64(),  # from the first frame to the end of the last
        "frames": pa.int32(),
        "stamp": pa.int64(),  # timestamp of the first frame, in ticks of the stream
        "step": pa.int64(),  # ticks from one frame to the next; null where that varies
        "stamps": pa.list_(pa.int64()),  # all timestamps; null where step tells them
        "problem": pa.string(),  # why the file cannot be used; null: it can
        "decoded": pa.bool_(),  # whether every frame was decoded, or only the timestamps listed
    }
)
TAKEN = ("bytes", "frames", "stamp", "step", "stamps", "problem")
"""The columns that reading a video needs."""


def copies_folder(prepared: Path, side: int) -> Path:
    """Name the folder of transcoded copies."""
    return prepared / f"short{side}"


def copy_names(paths: Column) -> Column:
    """Name the copies of videos, below the folder of copies: a copy has the path of its source, ``.mp4`` behind it.

    Paths that would lead out of that folder are written as in addresses of the web: ``%2F`` for a slash in front,
    ``%2E%2E/`` for the folder above, and so that no two videos share a copy ``%25`` for a ``%``.
    """
    inside = pc.replace_substring(paths, "%", "%25")
    inside = pc.replace_substring(inside, "../", "%2E%2E/")
    inside = pc.replace_substring_regex(inside, "^/", "%2F")
    return pc.binary_join_element_wise(inside, ".mp4", "")


def copy_of(folder: Path, path: str) -> Path:
    """Name the copy of one video in the folder of copies."""
    return folder / copy_names(pa.array([path]))[0].as_py()


def write_piece(folder: Path, rows: pa.Table) -> None:
    """Add rows to an index: a piece of it is whole or absent."""
    (folder / "index").mkdir(parents=True, exist_ok=True)
    piece = folder / "index" / f"{time.time_ns()}-{os.getpid()}.arrow"
    with atomic_write(piece) as partial, pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as file:
        file.write_table(rows)


def read_index(folder: Path) -> pa.Table:
    """Read an index, newest rows first; an empty table where there is none."""
    tables = [SCHEMA.empty_table()]
    for piece in sorted((folder / "index").glob("*.arrow"), reverse=True):
        try:
            table = pa.ipc.open_file(pa.memory_map(str(piece))).read_all()
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"{piece} is not a piece of an index ({error}); delete it and prepare again") from None
        if table.schema != SCHEMA:
            raise ValueError(f"{piece} was written by another version; delete {piece.parent} and prepare again")
        tables.append(table)
    return pa.concat_tables(tables)


def with_facts(listed: pa.Table, root: Path, prepared: Path, copies: int | None) -> pa.Table:
    """Put beside each listed video what the index knows of its file, and in ``problem`` why it cannot be used.

    Files that the index does not know are looked for on disk. With ``copies`` the copy takes the place of its source
    where there is one. Many rows may be segments of one long file: the column ``stamps`` is a dictionary, which holds
    the timestamps of each file once.
    """
    files = pc.unique(listed["path"])
    number = pc.index_in(listed["path"], files).combine_chunks()
    facts = _facts(files, prepared)
    unknown = pc.is_null(facts["bytes"])
    if pc.any(unknown).as_py():
        asked = files.filter(unknown)
        absent = pc.is_in(files, asked.filter(pc.invert(there(root, asked))))
        facts = facts.set_column(TAKEN.index("problem"), "problem", pc.if_else(absent, "missing", facts["problem"]))
    if copies is not None:
        files, facts = _copied(files, facts, copies_folder(prepared.resolve(), copies), copies)
    stamps = pa.DictionaryArray.from_arrays(number, facts["stamps"].combine_chunks())
    facts = facts.drop_columns("stamps").take(number)
    for name in facts.column_names:
        listed = listed.append_column(name, facts[name])
    listed = listed.append_column("stamps", stamps)
    return listed.set_column(listed.column_names.index("path"), "path", files.take(number))


def _facts(paths: Column, folder: Path) -> pa.Table:
    index = read_index(folder).select(["path", *TAKEN]).combine_chunks()
    return index.select(TAKEN).take(pc.index_in(paths, index["path"].combine_chunks()))


def _copied(path: Column, facts: pa.Table, folder: Path, side: int) -> tuple[Column, pa.Table]:
    """Take the copy's path and facts where there is a copy that can be used."""
    theirs = _facts(path, folder)
    has = pc.and_(pc.is_valid(theirs["bytes"]), pc.is_null(theirs["problem"]))
    count = pc.sum(has).as_py() or 0
    if not count:
        raise FileNotFoundError(
            f"data.catalogue.copies={side}: {folder} holds no copies of these videos; "
            f"make them with python src/prepare.py copies={side}"
        )
    if count < len(path):
        log.warning(
            "%d of %d videos have no copy of short side %d; the videos are read", len(path) - count, len(path), side
        )
    path = pc.if_else(has, pc.binary_join_element_wise(f"{folder}/", copy_names(path), ""), path)
    return path, pa.table({name: pc.if_else(has, theirs[name], facts[name]) for name in TAKEN})


def there(root: Path, paths: Column) -> Column:
    """Which paths below ``root`` exist. Reads each folder once: asking for every file takes minutes over a network."""
    split = pc.extract_regex(paths, r"(?s)^(?P<folder>(?:.*/)?)(?P<file>[^/]+)$")
    folders = pc.unique(pc.struct_field(split, [0])).to_pylist()
    found = [
        pa.array([folder + name for name in _names(root / folder)], pa.string())
        for folder in folders
        if folder is not None
    ]
    return pc.is_in(paths, pa.chunked_array(found, pa.string()).combine_chunks())


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208
    except OSError:
        return []
