"""Claims on files of a data set: runs on as many machines as there are share its work, and a slow one blocks none."""

import hashlib
import json
import os
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from vivit.io import time_of_disk
from vivit.run_folder import is_alive, this_process

BUCKETS = 1024
"""Parts into which files are divided by their names: the same for every run, whatever list it has."""
STALE = 300.0
"""Seconds without a sign of life after which a claim is taken over."""
HEARTBEAT = 20.0
"""Seconds from one sign of life to the next."""
Sign: TypeAlias = tuple[str, int]
"""Content of a claim, and when it last changed."""


def buckets_of(names: Sequence[str]) -> dict[int, list[str]]:
    """Return the names in each bucket, in the order of buckets."""
    buckets = defaultdict(list)
    for name in names:
        digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=4).digest()
        buckets[int.from_bytes(digest) % BUCKETS].append(name)
    return dict(sorted(buckets.items()))


class Claims:
    """Claims of this run: files of a folder, each with machine and process, whose time of change is a sign of life.

    A claim is a file that must not be there before, which one process alone can make. One without a sign of life for
    ``STALE`` seconds, or whose process on this machine has ended, is taken over: it is renamed away, which again one
    alone can.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held: set[int] = set()
        self._lock = threading.Lock()
        self._content = json.dumps(this_process())

    def _file(self, bucket: int) -> Path:
        return self.folder / f"{bucket:04d}.claim"

    def take(self, bucket: int) -> bool:
        """Return whether a bucket is claimed by this run now; not where another run has it."""
        file = self._file(bucket)
        if not self._write(file):
            stale = self._stale(file)
            if stale is None or not self._remove(file, stale) or not self._write(file):
                return False
        with self._lock:
            self._held.add(bucket)
        return True

    def release(self, buckets: Sequence[int]) -> None:
        """Remove claims, once all that was done is written; not one that another run has taken over."""
        for bucket in buckets:
            with self._lock:
                self._held.discard(bucket)
            file = self._file(bucket)
            with suppress(OSError):
                if file.read_text() == self._content:
                    file.unlink()

    def holder(self, bucket: int) -> str | None:
        """Return machine and process of the run that works at a bucket; None: none does."""
        try:
            content = json.loads(self._file(bucket).read_text())
            return f"process {content['pid']} on {content['host']}"
        except (OSError, ValueError, KeyError):
            return None

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Send signs of life meanwhile, and give all claims back at the end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ended = threading.Event()
        thread = threading.Thread(target=self._beat, args=[ended], daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.release(sorted(self._held))
            with suppress(OSError):
                self.folder.rmdir()

    def _beat(self, ended: threading.Event) -> None:
        while not ended.wait(HEARTBEAT):
            with self._lock:
                for bucket in self._held:
                    with suppress(OSError):
                        os.utime(self._file(bucket))

    def _write(self, file: Path) -> bool:
        """Return whether this process, and no other, made a claim; not where there is one."""
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with file.open("x") as claim:
                    claim.write(self._content)
            except FileExistsError:
                return False
            except FileNotFoundError:  # another run has ended, and taken the empty folder with it
                continue
            return True

    def _stale(self, file: Path) -> Sign | None:
        """Return the last sign of life of a claim that is to be taken over; None where it is not."""
        try:
            sign = _sign(file)
            age = time_of_disk(self.folder) - sign[1] / 1e9
            content = json.loads(sign[0]) if sign[0] else None  # its process is about to write it
        except (OSError, ValueError):
            return None
        ended = content is not None and not is_alive(content)
        return sign if ended or age > STALE else None

    def _remove(self, file: Path, stale: Sign) -> bool:
        """Return whether this process, and no other, took a stale claim away; one made since is put back."""
        away = file.with_name(f".{socket.gethostname()}-{os.getpid()}-{time.monotonic_ns()}")
        try:
            file.rename(away)
            removed = _sign(away) == stale
            if not removed:
                os.link(away, file)
        except OSError:
            removed = False
        away.unlink(missing_ok=True)
        return removed


def _sign(file: Path) -> Sign:
    """Return the content of a claim, and when it last changed in nanoseconds."""
    return file.read_text(), file.stat().st_mtime_ns
