"""One pass over the files of a data set: index them, find unusable ones, and optionally make copies.

Every piece of work is complete or absent, and none is done twice: an interrupted run resumes where it stopped.
"""

import csv
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vivit.cores import allowed_cores
from vivit.data.datasets import Split, VideoDataset
from vivit.data.index.alike import write_alike
from vivit.data.index.index import SCHEMA, exists, read_index, transcoded_dir, transcoded_path, write_piece
from vivit.data.index.probe import probe
from vivit.data.index.transcode import is_copy, transcode
from vivit.data.worker_processes import worker_pool
from vivit.errors import ConfigError
from vivit.progress_bars import ProgressBar

PIECE, PERIOD = 1000, 60.0
"""Files, or seconds, after which results are written to the index."""
LEAST_SIDE = 16
"""Pixels that a copy's short side must have at least: the patch of the smallest network."""
SUMMARY = ("bytes", "decoded", "problem", "codec", "rotation", "seconds", "digest", "hashes", "irregular")
Row = dict[str, Any]
Work = Callable[[str], Row]


def prepare(
    dataset: VideoDataset,
    *,
    splits: Sequence[Split] | None = None,
    num_workers: int | None = None,
    full_decode: bool = False,
    look_alike: bool = True,
    copies: int | None = None,
    gop: int = 12,
    crf: int = 18,
    shard_index: int = 0,
    num_shards: int = 1,
) -> dict[str, int]:
    """Index the files of ``splits``, all by default, and return the number of files by their result.

    ``full_decode`` decodes every frame to find hidden damage. ``look_alike`` writes ``prepared/alike.csv``, the videos
    that look alike, of a run that is not shared out. ``copies`` is a short side: every usable video is copied
    at that size, with key frames ``gop`` frames apart and x264's rate factor ``crf``. ``num_shards`` runs, on as many
    machines, share the work. The sources are only read. ``prepared/report-*.csv`` lists every file that is missing or
    cannot be used, with the reason.
    """
    check_writable(dataset.prepared_folder)
    check(num_workers=num_workers, copies=copies, gop=gop, crf=crf, shard_index=shard_index, num_shards=num_shards)
    root, folder, workers = dataset.root, dataset.prepared_folder, num_workers or len(allowed_cores())
    listed = [dataset.arrow_table(split)["path"].to_pylist() for split in splits or dataset.splits]
    paths = sorted({path for of_split in listed for path in of_split})[shard_index::num_shards]
    on_disk = exists(root, pa.chunked_array([pa.array(paths, pa.string())])).to_pylist()
    present = [path for path, is_present in zip(paths, on_disk, strict=True) if is_present]
    rows = load_valid_rows(
        folder,
        lambda path, row: (
            row["decoded"] >= full_decode
            and (not look_alike or row["hashes"] is not None or row["problem"] is not None or row["codec"] == "jpeg")
            and is_current(root / path, row)
        ),
    )
    index(
        partial(probe, root, decode=full_decode, look=look_alike),
        present,
        rows,
        folder,
        workers,
        f"reading {shard_index + 1}/{num_shards}",
    )
    counts, problems = count_problems(paths, {path: rows[path] for path in present})
    if look_alike and num_shards == 1:
        write_alike(folder / "alike.csv", {path: row for path, row in rows.items() if row["problem"] is None})
    if copies is not None:
        usable = [path for path in present if rows[path]["problem"] is None and rows[path]["codec"] != "jpeg"]
        target = transcoded_dir(folder, copies)
        copy_rows = load_valid_rows(
            target, lambda path, row: is_current(transcoded_path(target, path), row, root / path)
        )
        work = partial(transcode_one, root, target, side=copies, gop=gop, crf=crf)
        index(work, usable, copy_rows, target, workers, f"copying {shard_index + 1}/{num_shards}")
        failed = {path: f"no copy: {copy_rows[path]['problem']}" for path in usable if copy_rows[path]["problem"]}
        counts |= {"copies": len(usable) - len(failed), "without_copy": len(failed)}
        problems |= failed
    write_report(folder / f"report-{shard_index + 1}of{num_shards}.csv", problems)
    return counts


def check_writable(folder: Path) -> None:
    """Raise ``ConfigError`` where the folder of the index cannot be made or written to, before anything is read."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        problem = f"{folder} cannot be written ({error.strerror})"
        raise ConfigError("data.dataset.index_dir", problem=problem, remedy="set a folder that can") from None


def check(
    *, num_workers: int | None, copies: int | None, gop: int, crf: int, shard_index: int, num_shards: int
) -> None:
    """Raise ``ConfigError`` for impossible values, before anything is read."""
    required = {"gop": gop, "shard_index": shard_index, "num_shards": num_shards}
    for key, value in {**required, "num_workers": num_workers or 1, "copies": copies or LEAST_SIDE}.items():
        if type(value) is not int:
            remedy = "set one" if key in required else "set one, or null"
            raise ConfigError(key, value, "is no whole number", remedy)
    if num_shards < 1:
        raise ConfigError("num_shards", num_shards, "must be positive", "set 1 or more")
    if not 0 <= shard_index < num_shards:
        raise ConfigError(
            "shard_index", shard_index, f"there are num_shards={num_shards}", f"set 0 to {num_shards - 1}"
        )
    if num_workers is not None and num_workers < 1:
        raise ConfigError("num_workers", num_workers, "must be positive", "set 1 or more, or null for one a core")
    if copies is not None and copies < LEAST_SIDE:
        problem = "is too small a short side in pixels"
        raise ConfigError("copies", copies, problem, f"set {LEAST_SIDE} or more, or null for no copies")
    if gop < 1:
        raise ConfigError("gop", gop, "is no distance in frames between key frames", "set 1 or more")
    if type(crf) not in (int, float) or not 0 <= crf <= 51:
        raise ConfigError("crf", crf, "is not a rate factor of x264", "set 0 to 51")


def count_problems(paths: Sequence[str], rows: Mapping[str, Row]) -> tuple[dict[str, int], dict[str, str]]:
    """Return the number of files by their result, and the problem of each file that cannot be used."""
    problems = {path: "missing" for path in paths if path not in rows}
    problems |= {path: row["problem"] for path, row in rows.items() if row["problem"]}
    return {
        "files": len(paths),
        "missing": len(paths) - len(rows),
        "unusable": len(problems) - (len(paths) - len(rows)),
        "irregular": sum(row["irregular"] for row in rows.values()),
        "rotated": sum(bool(row["rotation"]) for row in rows.values()),
    }, problems


def load_valid_rows(folder: Path, is_valid: Callable[[str, Row], bool]) -> dict[str, Row]:
    """Return the summaries of the rows of an index that are valid; of several rows of a file the newest counts."""
    table = read_index(folder)
    table = table.append_column("irregular", pc.is_valid(table["stamps"])).select(["path", *SUMMARY])
    newest = {row["path"]: row for row in reversed(table.to_pylist())}
    return {path: row for path, row in newest.items() if is_valid(path, row)}


def is_current(file: Path, row: Row, source: Path | None = None) -> bool:
    """Return whether a file is the one that a row describes, and no older than its source."""
    try:
        stat = file.stat()
        return stat.st_size == row["bytes"] and (source is None or stat.st_mtime >= source.stat().st_mtime)
    except OSError:
        return False


def index(work: Work, paths: Sequence[str], known: dict[str, Row], folder: Path, workers: int, title: str) -> None:
    """Do ``work`` for all paths that are not in ``known``, in parallel; add the rows to the index and to ``known``.

    They are written every ``PIECE`` files or ``PERIOD`` seconds, and when something ends this process in between.
    """
    todo = [path for path in paths if path not in known]
    rows: list[Row] = []
    written = time.monotonic()
    with ProgressBar(desc=title, total=len(todo), unit=" files", disable=not todo) as bar:
        try:
            for row in _rows(work, todo, workers):
                rows.append(row)
                bar.update()
                if len(rows) == PIECE or time.monotonic() > written + PERIOD:
                    flush(rows, known, folder)
                    written = time.monotonic()
        finally:
            flush(rows, known, folder)


def flush(rows: list[Row], known: dict[str, Row], folder: Path) -> None:
    """Write rows to the index, add their summaries to ``known``, and clear them."""
    if rows:
        write_piece(folder, pa.Table.from_pylist(rows, SCHEMA))
        known |= {row["path"]: summary(row) for row in rows}
        rows.clear()


def summary(row: Row) -> Row:
    """Return the columns that are counted; a million complete rows would fill the memory."""
    return {name: row.get(name) for name in SUMMARY} | {"irregular": row.get("stamps") is not None}


def _rows(work: Work, paths: Sequence[str], workers: int) -> Iterator[Row]:
    """Yield the row of each path, made in another process; a file that crashes the process gets a row with a problem.

    Whatever ends this process ends the others at once: each leaves a file complete or absent.
    """
    remaining = list(reversed(paths))
    try:
        with worker_pool(workers) as pool:
            for begin in range(0, len(paths), PIECE):  # a million waiting files would fill the memory
                for future in [pool.submit(work, path) for path in paths[begin : begin + PIECE]]:
                    row = future.result()
                    remaining.pop()
                    yield row
    except BrokenProcessPool:
        for path in reversed(remaining):
            yield _row_in_new_process(work, path)


def _row_in_new_process(work: Work, path: str) -> Row:
    try:
        with worker_pool(1) as pool:
            return pool.submit(work, path).result()
    except BrokenProcessPool:
        return {"path": path, "bytes": 0, "decoded": False, "problem": "crashes the decoder"}


def transcode_one(root: Path, folder: Path, path: str, *, side: int, gop: int, crf: int) -> Row:
    """Copy one video, and return the row of the copies' index, whose path is that of the source.

    A complete copy that a run left behind before it could write its row is used as it is.
    """
    copy, encode = transcoded_path(folder, path), partial(transcode, side=side, gop=gop, crf=crf)
    if not is_copy(copy, root / path, side) and (problem := encode(root / path, copy)):
        return {"path": path, "bytes": 0, "decoded": False, "problem": problem}
    return probe(copy.parent, copy.name) | {"path": path}


def write_report(file: Path, problems: dict[str, str]) -> None:
    """Write a CSV file of every file that cannot be used, and why."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as text:
        csv.writer(text).writerows([("path", "problem"), *sorted(problems.items())])
