"""Where the files of a data set lie: on a local disk, at addresses, or in tar files that an index or a list names."""

from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from vivit.addresses import join_path
from vivit.data.storage.remote_path import Folder

Column: TypeAlias = pa.Array | pa.ChunkedArray

READER_COLUMNS = ("bytes", "frames", "stamp", "step", "stamps", "problem", "fps")
"""The columns of an index that reading a video needs, and its rate."""
PLACE_COLUMNS = ("shard", "offset", "version")
"""The columns of where a file in a tar file lies, and of what tells it from another there."""
TIME_COLUMNS = ("stamp", "step", "stamps")
"""The columns of when frames begin."""
RANGE_COLUMNS = ("header", "key_frames", "key_bytes", "ends")
"""The columns of which bytes a clip takes, for files that are fetched."""
TARS = "tars"
"""The folder, beside an index, of the tar files that ``prepare.py`` writes."""


def reader_columns(root: Folder, prepared: Folder, files: Column, videos: pa.Table) -> tuple[str, ...]:
    """Return the columns of an index that reading takes: those of bytes where some files are no local ones."""
    fetched = not (isinstance(root, Path) and isinstance(prepared, Path)) or "shard" in videos.column_names
    some = fetched or pc.any(pc.match_substring(files, "://")).as_py() or _has_shards(prepared)
    return (*READER_COLUMNS, *PLACE_COLUMNS, *RANGE_COLUMNS) if some else READER_COLUMNS


def _has_shards(prepared: Folder) -> bool:
    """Return whether ``prepare.py`` has written tar files."""
    folders = [prepared, *prepared.glob("short*")] if isinstance(prepared, Path) else []
    return any((folder / TARS).is_dir() for folder in folders)


def join_places(facts: pa.Table, files: Column, videos: pa.Table, root: Folder, prepared: Folder) -> pa.Table:
    """Return properties of files with the addresses of the tar files that they lie in: by the index, or by a list.

    Where a file has another size or version in the list, its tar file was written again: times and byte ranges of the
    index are not used.
    """
    if "shard" not in facts.column_names:
        return facts
    places = {"shard": paths_below(prepared, facts["shard"])}
    if "shard" in videos.column_names:
        rows = pc.index_in(files, videos["path"].combine_chunks())
        listed = videos.select([*PLACE_COLUMNS, "bytes"]).take(rows)
        in_index = pc.is_valid(places["shard"])
        places["shard"] = pc.if_else(in_index, places["shard"], paths_below(root, listed["shard"]))
        places["offset"] = pc.if_else(in_index, facts["offset"], listed["offset"])
        size = pc.coalesce(listed["bytes"], facts["bytes"])
        other_size = pc.fill_null(pc.not_equal(facts["bytes"], size), False)
        other = pc.or_(other_size, pc.fill_null(pc.not_equal(facts["version"], listed["version"]), False))
        changed = pc.and_(pc.invert(in_index), other)
        places["version"] = listed["version"]
        places["bytes"] = pc.if_else(in_index, facts["bytes"], size)
        if pc.any(changed).as_py():
            for name in (*TIME_COLUMNS, *RANGE_COLUMNS):
                places[name] = pc.if_else(changed, pa.scalar(None, facts[name].type), facts[name])
    for name, column in places.items():
        facts = facts.set_column(facts.column_names.index(name), name, column)
    return facts


def paths_below(folder: Folder, names: Column) -> Column:
    """Return paths or addresses below a folder; null stays null."""
    if isinstance(folder, Path):
        return pc.binary_join_element_wise(f"{folder.resolve()}/", names, "")
    prefix = folder.address
    different = pc.unique(names)
    paths = [None if name is None else join_path(prefix, name) for name in different.to_pylist()]
    return pc.take(pa.array(paths, pa.string()), pc.index_in(names, different))
