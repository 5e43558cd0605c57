"""Go through the files of a data set once: index them, find what is unusable, and copy them if asked.

Every piece of work is whole or absent, and none is done twice: a run that was interrupted goes on where it stopped.
"""

import csv
import os
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
from vivit.data.transcode import transcode

PIECE = 1000
"""Files after which what is known is written down."""
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
    if not 0 <= shard < shards:
        raise ValueError(f"shard={shard} must be from 0 to {shards - 1}, because shards={shards}")
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
    """Do ``work`` for all paths that are not ``known`` yet, in parallel; write the rows down and add them."""
    todo = [path for path in paths if path not in known]
    with tqdm(desc=title, total=len(todo), unit=" files", disable=not todo) as bar:
        for begin in range(0, len(todo), PIECE):
            rows = list(_rows(work, todo[begin : begin + PIECE], workers, bar))
            write_piece(folder, pa.Table.from_pylist(rows, SCHEMA))
            known |= {row["path"]: brief(row) for row in rows}


def brief(row: Row) -> Row:
    """Keep what is counted; a million whole rows would fill the memory."""
    return {name: row.get(name) for name in BRIEF} | {"irregular": row.get("stamps") is not None}


def _rows(work: Work, paths: Sequence[str], workers: int, bar: "tqdm[Any]") -> Iterator[Row]:
    """Work on each path in another process; a file that takes its process down is named instead of ending the run."""
    left = list(paths)
    try:
        with ProcessPoolExecutor(workers) as pool:
            for row in pool.map(work, paths, chunksize=4):
                left.pop(0)
                bar.update()
                yield row
    except BrokenProcessPool:
        for path in left:
            bar.update()
            yield _alone(work, path)


def _alone(work: Work, path: str) -> Row:
    try:
        with ProcessPoolExecutor(1) as pool:
            return pool.submit(work, path).result()
    except BrokenProcessPool:
        return {"path": path, "bytes": 0, "decoded": False, "problem": "crashes the decoder"}


def copied(root: Path, folder: Path, path: str, *, side: int, gop: int, quality: int) -> Row:
    """Copy one video, and make the row of the copies' index, whose path is that of the source."""
    copy = copy_of(folder, path)
    if why := transcode(root / path, copy, side=side, gop=gop, quality=quality):
        return {"path": path, "bytes": 0, "decoded": False, "problem": why}
    return probe(copy.parent, copy.name) | {"path": path}


def write_report(file: Path, problems: dict[str, str]) -> None:
    """Name every file that cannot be used, and why."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as text:
        csv.writer(text).writerows([("path", "problem"), *sorted(problems.items())])
