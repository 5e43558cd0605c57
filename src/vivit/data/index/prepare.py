"""One pass over the files of a data set: index them, find unusable ones, and optionally make copies and tar files.

Every piece of work is complete or absent, none is done twice, and runs on several machines share it by claims: an
interrupted run resumes where it stopped.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa

from vivit.cores import allowed_cores
from vivit.data.datasets import Split, VideoDataset
from vivit.data.index.alike import write_alike
from vivit.data.index.claims import Claims, buckets_of
from vivit.data.index.index import exists, transcoded_dir, transcoded_path
from vivit.data.index.prepare_checks import check, check_writable
from vivit.data.index.probe import probe
from vivit.data.index.shared_work import Row, ValidRows, Work, index
from vivit.data.index.sources import Sources, opened
from vivit.data.index.tars import pack
from vivit.data.index.transcode import is_copy, transcode
from vivit.data.readers.video_error import VideoError
from vivit.data.storage.stored_file import StoredFile
from vivit.io import atomic_write

REPORT = "report.csv"
"""The list of files that are missing or cannot be used."""


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
    tar_size: int | None = None,
    shard_index: int = 0,
    num_shards: int = 1,
) -> dict[str, int]:
    """Index the files of ``splits``, all by default, and return the number of files by their result.

    ``full_decode`` decodes every frame to find hidden damage. ``look_alike`` writes ``prepared/alike.csv``, the videos
    that look alike, of a run that is not shared out. ``copies`` is a short side: every usable video is copied
    at that size, with key frames ``gop`` frames apart and x264's rate factor ``crf``. ``tar_size`` writes the copies,
    or without any the videos, into tar files of about so many. ``num_shards`` runs, on as many machines, share the
    work: each begins at another place and takes what no other has taken. The sources are only read.
    ``prepared/report.csv`` lists every file that is missing, cannot be used, or is not done yet, with the reason.
    """
    folder, workers = dataset.prepared_folder, num_workers or len(allowed_cores())
    local = check_writable(folder)
    check(
        num_workers=num_workers, copies=copies, gop=gop, crf=crf, tar_size=tar_size,
        shard_index=shard_index, num_shards=num_shards,
    )  # fmt: skip
    sources = Sources(dataset, splits or dataset.splits)
    paths = sources.names
    on_disk = exists(dataset.root, pa.chunked_array([pa.array(paths, pa.string())])).to_pylist()
    present = [path for path, is_there in zip(paths, on_disk, strict=True) if is_there or sources.is_stored(path)]
    rows = ValidRows(local, partial(_is_indexed, local, sources, full_decode, look_alike))
    share, wait = shard_index / num_shards, num_shards == 1
    claims = Claims(local / "claims")

    def examination(path: str) -> Work:
        stored = sources.stored(path)
        root = Path() if stored else Path(str(dataset.root))
        return partial(probe, root, decode=full_decode, look=look_alike, stored=stored)

    index(
        examination, present, rows, claims, workers, f"reading {shard_index + 1}/{num_shards}", share=share, wait=wait
    )
    counts, problems = count_problems(paths, present, rows)
    pending = {path: claims for path in present if path not in rows}
    if look_alike and num_shards == 1:
        write_alike(local / "alike.csv", {path: row for path, row in rows.items() if row["problem"] is None})
    usable = [p for p in present if p in rows and rows[p]["problem"] is None and rows[p]["codec"] != "jpeg"]
    if copies is not None:
        target = transcoded_dir(local, copies)
        copy_rows = ValidRows(target, partial(_is_copied, target, sources))
        copy_claims = Claims(target / "claims")

        def copying(path: str) -> Work:
            return partial(transcode_one, sources.source(path), target, side=copies, gop=gop, crf=crf)

        index(
            copying,
            usable,
            copy_rows,
            copy_claims,
            workers,
            f"copying {shard_index + 1}/{num_shards}",
            share=share,
            wait=wait,
        )
        made = [path for path in usable if path in copy_rows]
        failed = {path: f"no copy: {copy_rows[path]['problem']}" for path in made if copy_rows[path]["problem"]}
        counts |= {"copies": len(made) - len(failed), "without_copy": len(failed)}
        problems |= failed
        pending |= {path: copy_claims for path in usable if path not in copy_rows}
    if tar_size is not None:
        of, ready = (local, rows) if copies is None else (target, copy_rows)
        place = sources.source if copies is None else partial(transcoded_path, of)
        unpacked = pack(of, usable, ready, place, tar_size, Claims(of / "tar_claims"), remove=copies is not None)
        counts |= {"in_tar_files": len([path for path in usable if path in ready]) - unpacked}
    counts |= {"pending": len(pending)} if pending else {}
    write_report(local, problems | dict(_why_pending(pending)))
    return counts


def _is_indexed(folder: Path, sources: Sources, full_decode: bool, look_alike: bool, path: str, row: Row) -> bool:
    """Return whether the row of a file is as it would be made now."""
    looked = row["hashes"] is not None or row["problem"] is not None or row["codec"] == "jpeg"
    if row["decoded"] < full_decode or (look_alike and not looked):
        return False
    row["shard"] = row["shard"] if row["shard"] and (folder / row["shard"]).is_file() else None
    if sources.is_stored(path):
        return row["bytes"] > 0 and sources.is_as_listed(path, row["bytes"], row["version"])
    return is_current(Path(str(sources.source(path))), row)


def _is_copied(folder: Path, sources: Sources, path: str, row: Row) -> bool:
    """Return whether the row of a copy is as it would be made now: it, or the tar file with it, is no older."""
    source = sources.source(path)
    original = None if isinstance(source, StoredFile) else source
    if not row["shard"]:
        return is_current(transcoded_path(folder, path), row, original)
    try:
        age = (folder / row["shard"]).stat().st_mtime
        return original is None or age >= original.stat().st_mtime
    except OSError:
        return False


def count_problems(
    paths: Sequence[str], present: Sequence[str], rows: Mapping[str, Row]
) -> tuple[dict[str, int], dict[str, str]]:
    """Return the number of files by their result, and the problem of each file that cannot be used."""
    examined = {path: rows[path] for path in present if path in rows}
    problems = dict.fromkeys(sorted({*paths} - {*present}), "missing")
    problems |= {path: row["problem"] for path, row in examined.items() if row["problem"]}
    missing = sum(problem == "missing" for problem in problems.values())
    return {
        "files": len(paths),
        "missing": missing,
        "unusable": len(problems) - missing,
        "irregular": sum(row["irregular"] for row in examined.values()),
        "rotated": sum(bool(row["rotation"]) for row in examined.values()),
    }, problems


def is_current(file: Path, row: Row, source: Path | None = None) -> bool:
    """Return whether a file is the one that a row describes, and no older than its source."""
    try:
        stat = file.stat()
        return stat.st_size == row["bytes"] and (source is None or stat.st_mtime >= source.stat().st_mtime)
    except OSError:
        return False


def transcode_one(source: Path | StoredFile, folder: Path, path: str, *, side: int, gop: int, crf: int) -> Row:
    """Copy one video, and return the row of the copies' index, whose path is that of the source.

    A complete copy that a run left behind before it could write its row is used as it is.
    """
    copy = transcoded_path(folder, path)
    try:
        with opened(source) as video:
            if not is_copy(copy, video, side) and (problem := transcode(video, copy, side=side, gop=gop, crf=crf)):
                return {"path": path, "bytes": 0, "decoded": False, "problem": problem}
    except VideoError as error:
        return {"path": path, "bytes": 0, "decoded": False, "problem": error.problem}
    return probe(copy.parent, copy.name) | {"path": path}


def _why_pending(pending: Mapping[str, Claims]) -> Iterator[tuple[str, str]]:
    """Yield the files that are not done yet, each with who works at it."""
    holders: dict[tuple[int, Claims], str | None] = {}
    for claims in {*pending.values()}:
        for bucket, paths in buckets_of([path for path, of in pending.items() if of is claims]).items():
            holder = holders.setdefault((bucket, claims), claims.holder(bucket))
            for path in paths:
                yield path, "not done yet: " + (f"{holder} works at it" if holder else "no run works at it")


def write_report(folder: Path, problems: Mapping[str, str]) -> None:
    """Write a CSV file of every file that cannot be used, and why; it replaces those of earlier versions, one a run."""
    with atomic_write(folder / REPORT) as partial, partial.open("w", newline="", encoding="utf-8") as text:
        csv.writer(text).writerows([("path", "problem"), *sorted(problems.items())])
    for old in folder.glob("report-*of*.csv"):
        old.unlink(missing_ok=True)
