"""Tar files of the files of an index, as WebDataset reads them, in which each can be read by itself."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from vivit.data.index.claims import BUCKETS, Claims, buckets_of
from vivit.data.index.index import SCHEMA, read_index, write_piece
from vivit.data.index.places import TARS
from vivit.data.index.shared_work import ValidRows
from vivit.data.storage.stored_file import StoredFile
from vivit.errors import DataError
from vivit.io import atomic_write
from vivit.progress_bars import ProgressBar

CHUNK = 1 << 20
"""Bytes that are copied at a time."""


def pack(
    folder: Path,
    names: Sequence[str],
    ready: ValidRows,
    open_source: Callable[[str], Path | StoredFile],
    videos_a_tar: int,
    claims: Claims,
    *,
    remove: bool = False,
) -> int:
    """Write the usable files of an index to ``folder/tars``, about ``videos_a_tar`` each; return how many are not yet.

    Which tar file one is in depends on its name and the number of ``names`` alone, so that runs share the work by
    claim. A tar file is complete or absent; its rows in the index say where each file lies. It is written once all of
    its files are ``ready``. ``remove`` deletes files that are in one, which are copies.
    """
    count = max(1, -(-len(names) // videos_a_tar))
    groups: dict[int, list[str]] = {}
    for bucket, of_bucket in buckets_of(names).items():
        groups.setdefault(bucket * count // BUCKETS, []).extend(of_bucket)
    left = 0
    with ProgressBar(desc="tar files", total=count, unit=" files") as bar, claims.alive():
        for number, group in groups.items():
            todo = _not_packed(group, ready)
            if todo and (any(name not in ready for name in todo) or not claims.take(number)):
                left += len(todo)
            else:
                try:
                    if todo:
                        ready.refresh()  # another run may have packed them before this one had the claim
                    if todo := _not_packed(group, ready):
                        _write_tar(folder, number, todo, open_source)
                    if remove:
                        _remove_packed(group, ready, open_source)
                finally:
                    claims.release([number])
            bar.update()
    return left


def _not_packed(names: Sequence[str], ready: ValidRows) -> list[str]:
    """Return the usable files that are in no tar file."""
    return [name for name in names if name not in ready or not (ready[name]["problem"] or ready[name]["shard"])]


def _remove_packed(names: Sequence[str], ready: ValidRows, open_source: Callable[[str], Path | StoredFile]) -> None:
    """Delete files that are in a tar file, also those of a run that was ended before it could."""
    for name in names:
        if ready[name]["problem"] is None:
            Path(str(open_source(name))).unlink(missing_ok=True)


def _write_tar(
    folder: Path, number: int, names: Sequence[str], open_source: Callable[[str], Path | StoredFile]
) -> None:
    """Write one tar file, with a member and its JSON for each file, and their rows of the index."""
    index = read_index(folder)
    rows = index.take(pc.index_in(pa.array(names, pa.string()), index["path"].combine_chunks())).to_pylist()
    (folder / TARS).mkdir(parents=True, exist_ok=True)
    target = next(file for file in _tar_names(folder / TARS, number) if not file.exists())
    with atomic_write(target, sync=True) as partial, tarfile.open(partial, "w") as tar:
        for position, row in enumerate(rows):
            source = open_source(row["path"])
            suffix = Path(str(source)).suffix.lower() or ".mp4"
            key = f"{number:05d}{position:06d}"
            with _opened(source) as (file, size):
                if size != row["bytes"]:
                    raise DataError(source, "was changed since it was indexed", "prepare again")
                info = tarfile.TarInfo(f"{key}{suffix}")
                info.size = size
                tar.addfile(info, file)
            row["shard"], row["offset"] = f"{TARS}/{target.name}", tar.offset - -(-size // 512) * 512
            text = json.dumps({"path": row["path"], "seconds": row["seconds"], "frames": row["frames"]}).encode()
            info = tarfile.TarInfo(f"{key}.json")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    write_piece(folder, pa.Table.from_pylist(rows, SCHEMA))


def _tar_names(folder: Path, number: int) -> Iterator[Path]:
    yield folder / f"{number:05d}.tar"
    for again in range(2, 1000):
        yield folder / f"{number:05d}-{again}.tar"


@contextmanager
def _opened(source: Path | StoredFile) -> Iterator[tuple[BinaryIO, int]]:
    if isinstance(source, StoredFile):
        with closing(source.open()) as stored:
            yield io.BufferedReader(stored.cursor(), CHUNK), stored.size  # type: ignore[misc]
        return
    with source.open("rb") as file:
        yield file, source.stat().st_size
