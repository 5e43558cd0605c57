"""Go through the files of a data set once: index them, find what is unusable, and copy them if asked.

Every piece of work is whole or absent, and none is done twice: a run that was interrupted goes on where it stopped.
"""

import csv
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from vivit.data.catalogue import Catalogue, Split
from vivit.data.index import SCHEMA, copies_folder, copy_of, read_index, there, write_piece
from vivit.data.probe import probe
from vivit.data.transcode import is_copy, transcode
from vivit.data.workers import follow

PIECE, PERIOD = 1000, 60.0
"""Files, or seconds, after which what is known is written down."""
LEAST_SIDE = 16
"""Pixels that a copy's short side must have at least: the patch of the smallest network."""
BRIEF = ("bytes", "decoded", "problem", "codec", "rotation", "irregular")
Row = dict[str, Any]
Work = Callable[[str], Row]


def prepare(
    catalogue: Catalogue,
    *,
    splits: Sequence[Split] = ("train", "val", "test"),
    workers: int | None = None,
    decode: bool = False,
    copies: int | None = None,
    gop: int = 12,
    quality: int = 18,
    shard: int = 0,
    shards: int = 1,
) -> dict[str, int]:
    """Index the files of ``splits``, and give the number of files by what became of them.

    ``decode`` decodes every frame to find hidden damage. ``copies`` is a short side: every usable video is copied at
    that size, with key frames ``gop`` frames apart and x264's rate factor ``quality``. ``shards`` runs, on as many
    machines, share the work. The sources are only read. ``prepared/report-*.csv`` names every file that is missing or
    cannot be used, with the reason.
    """
    check(workers=workers, copies=copies, gop=gop, quality=quality, shard=shard, shards=shards)
    root, folder, workers = catalogue.root, catalogue.prepared_folder, workers or os.cpu_count() or 1
    paths = sorted({path for split in splits for path in catalogue.listed(split)["path"].to_pylist()})[shard::shards]
    here = there(root, pa.chunked_array([pa.array(paths, pa.string())])).to_pylist()
    present = [path for path, is_here in zip(paths, here, strict=True) if is_here]
    known = known_rows(folder, lambda path, row: row["decoded"] >= decode and same(root / path, row))
    index(partial(probe, root, decode=decode), present, known, folder, workers, f"reading {shard + 1}/{shards}")
    counts, problems = census(paths, {path: known[path] for path in present})
    if copies is not None:
        good = [path for path in present if known[path]["problem"] is None and known[path]["codec"] != "jpeg"]
        target = copies_folder(folder, copies)
        made = known_rows(target, lambda path, row: same(copy_of(target, path), row, root / path))
        work = partial(copied, root, target, side=copies, gop=gop, quality=quality)
        index(work, good, made, target, workers, f"copying {shard + 1}/{shards}")
        failed = {path: f"no copy: {made[path]['problem']}" for path in good if made[path]["problem"]}
        counts |= {"copies": len(good) - len(failed), "without_copy": len(failed)}
        problems |= failed
    write_report(folder / f"report-{shard + 1}of{shards}.csv", problems)
    return counts


def check(*, workers: int | None, copies: int | None, gop: int, quality: int, shard: int, shards: int) -> None:
    """Refuse what cannot be asked for, before anything is read. Raises ``ValueError``."""
    if shards < 1:
        raise ValueError(f"shards={shards} must be at least 1")
    if not 0 <= shard < shards:
        raise ValueError(f"shard={shard} must be from 0 to {shards - 1}, because shards={shards}")
    if workers is not None and workers < 1:
        raise ValueError(f"workers={workers} must be at least 1; null takes one for each core")
    if copies is not None and copies < LEAST_SIDE:
        raise ValueError(f"copies={copies} must be a short side in pixels, {LEAST_SIDE} or more; null makes no copies")
    if gop < 1:
        raise ValueError(f"gop={gop} must be at least 1 frame from one key frame to the next")
    if not 0 <= quality <= 51:
        raise ValueError(f"quality={quality} must be x264's rate factor, from 0 to 51")


def census(paths: Sequence[str], rows: Mapping[str, Row]) -> tuple[dict[str, int], dict[str, str]]:
    """Count files by what was found, and name those that cannot be used."""
    problems = {path: "missing" for path in paths if path not in rows}
    problems |= {path: row["problem"] for path, row in rows.items() if row["problem"]}
    return {
        "files": len(paths),
        "missing": len(paths) - len(rows),
        "unusable": len(problems) - (len(paths) - len(rows)),
        "irregular": sum(row["irregular"] for row in rows.values()),
        "rotated": sum(bool(row["rotation"]) for row in rows.values()),
    }, problems


def known_rows(folder: Path, holds: Callable[[str, Row], bool]) -> dict[str, Row]:
    """Rows of an index, in brief, that still hold; of several rows of a file the newest counts."""
    table = read_index(folder)
    table = table.append_column("irregular", pc.is_valid(table["stamps"])).select(["path", *BRIEF])
    newest = {row["path"]: row for row in reversed(table.to_pylist())}
    return {path: row for path, row in newest.items() if holds(path, row)}


def same(file: Path, row: Row, source: Path | None = None) -> bool:
    """Whether a file is the one that a row tells of, and no older than what it was made from."""
    try:
        found = file.stat()
        return found.st_size == row["bytes"] and (source is None or found.st_mtime >= source.stat().st_mtime)
    except OSError:
        return False


def index(work: Work, paths: Sequence[str], known: dict[str, Row], folder: Path, workers: int, title: str) -> None:
    """Do ``work`` for all paths that are not ``known`` yet, in parallel; write the rows down and add them.

    They are written every ``PIECE`` files or ``PERIOD`` seconds, and when something ends this process in between.
    """
    todo = [path for path in paths if path not in known]
    rows: list[Row] = []
    written = time.monotonic()
    with tqdm(desc=title, total=len(todo), unit=" files", disable=not todo) as bar:
        try:
            for row in _rows(work, todo, workers):
                rows.append(row)
                bar.update()
                if len(rows) == PIECE or time.monotonic() > written + PERIOD:
                    keep(rows, known, folder)
                    written = time.monotonic()
        finally:
            keep(rows, known, folder)


def keep(rows: list[Row], known: dict[str, Row], folder: Path) -> None:
    """Write rows down, add them to what is ``known``, and forget them."""
    if rows:
        write_piece(folder, pa.Table.from_pylist(rows, SCHEMA))
        known |= {row["path"]: brief(row) for row in rows}
        rows.clear()


def brief(row: Row) -> Row:
    """Keep what is counted; a million whole rows would fill the memory."""
    return {name: row.get(name) for name in BRIEF} | {"irregular": row.get("stamps") is not None}


def _rows(work: Work, paths: Sequence[str], workers: int) -> Iterator[Row]:
    """Work on each path in another process; a file that takes its process down is named instead of ending the run.

    Whatever ends this process ends the others at once: each leaves a file whole or absent.
    """
    left = list(reversed(paths))
    pool = _pool(workers)
    try:
        for begin in range(0, len(paths), PIECE):  # a million waiting files would fill the memory
            for asked in [pool.submit(work, path) for path in paths[begin : begin + PIECE]]:
                row = asked.result()
                left.pop()
                yield row
    except BrokenProcessPool:
        for path in reversed(left):
            yield _alone(work, path)
    finally:
        end(pool)


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, initializer=follow, initargs=(os.getpid(),))


def end(pool: ProcessPoolExecutor) -> None:
    """Stop a pool's processes without waiting for what they are at."""
    for process in list((pool._processes or {}).values()):
        process.kill()
    pool.shutdown()  # which cancels nothing: a pool that breaks stumbles over what was cancelled


def _alone(work: Work, path: str) -> Row:
    pool = _pool(1)
    try:
        return pool.submit(work, path).result()
    except BrokenProcessPool:
        return {"path": path, "bytes": 0, "decoded": False, "problem": "crashes the decoder"}
    finally:
        end(pool)


def copied(root: Path, folder: Path, path: str, *, side: int, gop: int, quality: int) -> Row:
    """Copy one video, and make the row of the copies' index, whose path is that of the source.

    A whole copy that a run left behind before it could write its row is taken as it is.
    """
    copy, whole = copy_of(folder, path), partial(transcode, side=side, gop=gop, quality=quality)
    if not is_copy(copy, root / path, side) and (why := whole(root / path, copy)):
        return {"path": path, "bytes": 0, "decoded": False, "problem": why}
    return probe(copy.parent, copy.name) | {"path": path}


def write_report(file: Path, problems: dict[str, str]) -> None:
    """Name every file that cannot be used, and why."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as text:
        csv.writer(text).writerows([("path", "problem"), *sorted(problems.items())])
