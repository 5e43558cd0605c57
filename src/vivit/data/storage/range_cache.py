"""A cache of fetched ranges in a folder: shared by processes, complete whatever is killed, within a budget of bytes."""

import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NamedTuple

from vivit.data.warn_once import warn_once

log = logging.getLogger(__name__)

AFTER_EVICTION = 0.8
"""Share of the budget that stays when older ranges are deleted."""
USED = "used"
"""The file with the number of bytes that ranges take, and the lock on it."""


class RangeCache(NamedTuple):
    """Where fetched ranges lie, and how many bytes they may take, of all data sets together.

    A range is one file, ``<folder>/<file's digest>/<first byte>``, written under another name and renamed: it is
    complete or absent. Those that were read longest ago are deleted first. A reader finds out that one is gone when it
    opens it, and fetches again.
    """

    folder: str
    budget: int

    def file_folder(self, identity: str) -> Path:
        """Return the folder of the ranges of one file, by what identifies it."""
        digest = hashlib.blake2b(identity.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
        return Path(self.folder, digest[:2], digest[2:])

    def ranges(self, identity: str) -> dict[int, int]:
        """Return begin and end of every range of a file."""
        try:
            with os.scandir(self.file_folder(identity)) as entries:
                return {int(e.name): int(e.name) + e.stat().st_size for e in entries if e.name.isdecimal()}
        except OSError:
            return {}

    def read(self, identity: str, begin: int) -> bytes | None:
        """Return a range; None where it was deleted since."""
        file = self.file_folder(identity) / str(begin)
        try:
            data = file.read_bytes()
            os.utime(file)
        except OSError:
            return None
        return data

    def write(self, identity: str, begin: int, data: bytes) -> None:
        """Add a range, and delete the oldest where they take too much. A full disk is warned of, once."""
        if len(data) > self.budget:
            return
        folder = self.file_folder(identity)
        try:
            with self._used() as used:
                if used[0] + len(data) > self.budget:
                    used[0] = self._evict(len(data))
                folder.mkdir(parents=True, exist_ok=True)
                before = _size(folder / str(begin))
                with NamedTemporaryFile(dir=folder, prefix=".", delete=False) as partial:
                    try:
                        partial.write(data)
                        partial.close()
                        os.replace(partial.name, folder / str(begin))  # noqa: PTH105
                    except BaseException:
                        Path(partial.name).unlink(missing_ok=True)
                        raise
                used[0] += len(data) - before
        except OSError as error:
            warn_once(__name__, f"{self.folder}: fetched ranges cannot be stored there ({error.strerror})")

    @contextmanager
    def _used(self) -> Iterator[list[int]]:
        """Yield the number of bytes in the cache, alone among processes, and store what it was changed to.

        Where a process was killed in between, the number is too small by one range at most, until the next eviction.
        """
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        descriptor = os.open(Path(self.folder, USED), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            text = os.pread(descriptor, 32, 0)
            used = [int(text) if text.strip().isdigit() else sum(size for _, size, _ in self._files())]
            yield used
            os.pwrite(descriptor, f"{used[0]:<20}".encode(), 0)
        finally:
            os.close(descriptor)

    def _files(self) -> Iterator[tuple[float, int, str]]:
        """Yield time of use, size and path of every file, those that a killed process left unfinished included."""
        for place, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(place, name)  # noqa: PTH118
                if place != self.folder:
                    with suppress(OSError):
                        stat = os.stat(path)  # noqa: PTH116
                        yield stat.st_mtime, stat.st_size, path

    def _evict(self, room: int) -> int:
        """Delete the ranges that were read longest ago until there is ``room``; return the bytes of the others."""
        files = sorted(self._files())
        total, most = sum(size for _, size, _ in files), min(AFTER_EVICTION * self.budget, self.budget - room)
        for _, size, path in files:
            if total <= most:
                break
            with suppress(OSError):
                Path(path).unlink()
                total -= size
        return total


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
