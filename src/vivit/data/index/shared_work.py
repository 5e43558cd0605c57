"""Work on the files of a data set, in parallel and shared with other runs; its rows are added to an index."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vivit.data.index.claims import Claims, buckets_of
from vivit.data.index.index import SCHEMA, pieces, read_piece, write_piece
from vivit.data.worker_processes import worker_pool
from vivit.progress_bars import ProgressBar

PIECE, PERIOD = 1000, 60.0
"""Files, or seconds, after which results are written to the index."""
AHEAD = 2
"""Files a worker has waiting."""
WAIT = 0.5
"""Seconds between two looks at what another run works at."""
SUMMARY = (
    *("bytes", "decoded", "problem", "codec", "rotation", "seconds", "frames", "digest", "hashes", "irregular"),
    *("shard", "ranged", "version"),
)
Row = dict[str, Any]
Work = Callable[[str], Row]


class ValidRows(dict[str, Row]):
    """The summaries of the rows of an index that are valid, by path; of several rows of a file the newest counts."""

    def __init__(self, folder: Path, is_valid: Callable[[str, Row], bool]) -> None:
        super().__init__()
        self._folder, self._is_valid, self._seen, self._started = folder, is_valid, set[Path](), False
        self.refresh()
        self._started = True

    def refresh(self) -> None:
        """Add what other runs have written since; of these, files with a problem are done, too."""
        new = [piece for piece in reversed(pieces(self._folder / "index")) if piece not in self._seen]
        newest: dict[str, Row] = {}
        for piece in new:
            table = read_piece(piece)
            table = table.append_column("irregular", pc.is_valid(table["stamps"]))
            table = table.append_column("ranged", pc.is_valid(table["header"])).select(["path", *SUMMARY])
            newest |= {row["path"]: row for row in reversed(table.to_pylist())}
            self._seen.add(piece)  # type: ignore[arg-type]
        self |= {
            path: row for path, row in newest.items() if self._is_valid(path, row) or (self._started and row["problem"])
        }

    def flush(self, rows: list[Row]) -> None:
        """Write rows to the index, add their summaries, and clear them."""
        if rows:
            self._seen.add(write_piece(self._folder, pa.Table.from_pylist(rows, SCHEMA)))
            self.update({row["path"]: summary(row) for row in rows})
            rows.clear()


def summary(row: Row) -> Row:
    """Return the columns that are counted; a million complete rows would fill the memory."""
    flags = {"irregular": row.get("stamps") is not None, "ranged": row.get("header") is not None}
    return {name: row.get(name) for name in SUMMARY} | flags


def index(
    work_on: Callable[[str], Work],
    paths: Sequence[str],
    known: ValidRows,
    claims: Claims,
    workers: int,
    title: str,
    *,
    share: float = 0.0,
    wait: bool = True,
) -> None:
    """Do ``work_on(path)(path)`` for all paths that are not ``known``, in parallel; add the rows to the index.

    Files are taken bucket by bucket, by claim, from the ``share`` of the buckets on. ``wait`` has a run that is alone
    wait for files that another one works at. Rows are written every ``PIECE`` files or ``PERIOD`` seconds, and when
    something ends this process in between.
    """
    buckets = buckets_of([path for path in paths if path not in known])
    todo = sum(map(len, buckets.values()))
    numbers = [*buckets]
    begin = int(share * len(numbers))
    rows: list[Row] = []
    held: list[int] = []
    written = time.monotonic()
    with ProgressBar(desc=title, total=todo, unit=" files", disable=not todo) as bar, claims.alive():
        try:
            claimed = _claimed(
                {n: buckets[n] for n in numbers[begin:] + numbers[:begin]}, known, claims, held, wait, bar
            )
            for row in _rows(work_on, claimed, workers):
                if row is not None:
                    rows.append(row)
                    bar.update()
                if len(rows) == PIECE or time.monotonic() > written + PERIOD or row is None:
                    known.flush(rows)
                    if row is None:  # all that is claimed is done
                        claims.release(held)
                        held.clear()
                    written = time.monotonic()
        finally:
            known.flush(rows)
    known.refresh()


def _claimed(
    buckets: dict[int, list[str]], known: ValidRows, claims: Claims, held: list[int], wait: bool, bar: ProgressBar
) -> Iterator[str | None]:
    """Yield the paths of buckets as they are claimed; None where all before has to be finished and given back."""
    since, count = time.monotonic(), 0
    while buckets:
        others = {}
        for number, paths in buckets.items():
            if not claims.take(number):
                others[number] = paths
                continue
            held.append(number)
            known.refresh()
            todo = [path for path in paths if path not in known]
            if len(todo) < len(paths):
                bar.update(len(paths) - len(todo))
            yield from todo
            count += len(todo)
            if count >= PIECE or time.monotonic() > since + PERIOD:
                yield None
                since, count = time.monotonic(), 0
        yield None
        if not wait:
            return
        if len(others) == len(buckets):
            time.sleep(WAIT)
        buckets = others


def _rows(work_on: Callable[[str], Work], paths: Iterator[str | None], workers: int) -> Iterator[Row | None]:
    """Yield the row of each path, made in another process; a file that crashes the process gets a row with a problem.

    Whatever ends this process ends the others at once: each leaves a file complete or absent. None is passed on.
    """
    waiting: deque[tuple[str, Future[Row]]] = deque()
    try:
        with worker_pool(workers) as pool:
            for path in paths:
                if path is not None:
                    waiting.append((path, pool.submit(work_on(path), path)))
                while waiting and (path is None or len(waiting) > AHEAD * workers):
                    row = waiting[0][1].result()
                    waiting.popleft()
                    yield row
                if path is None:
                    yield None
    except BrokenProcessPool:
        rest: list[str | None] = [waiting_path for waiting_path, _ in waiting]
        if path is not None and path not in rest:
            rest.append(path)
        for left in (*rest, *([None] if path is None else [])):
            yield None if left is None else _row_in_new_process(work_on(left), left)
        for later in paths:
            yield None if later is None else _row_in_new_process(work_on(later), later)


def _row_in_new_process(work: Work, path: str) -> Row:
    try:
        with worker_pool(1) as pool:
            return pool.submit(work, path).result()
    except BrokenProcessPool:
        return {"path": path, "bytes": 0, "decoded": False, "problem": "crashes the decoder"}
