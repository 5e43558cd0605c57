"""Videos in storage: an address, or a part of a tar file, opened as a file that fetches the ranges planned for it."""

import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from vivit.addresses import is_address, without_secrets
from vivit.data.readers.video_error import StorageError, VideoError
from vivit.data.storage.byte_ranges import BLOCK, ByteRanges, Range, merge_ranges
from vivit.data.storage.range_cache import RangeCache
from vivit.data.storage.requests import UnreachableError, fetch, fetch_file, size_and_version
from vivit.errors import DataError

SMALL = 4 * BLOCK
"""Bytes up to which a file is fetched at once, and a gap between two ranges is fetched with them."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A video whose bytes are not those of a file of a local disk."""

    path: str
    """What it is called in messages and results, without secrets."""
    address: str
    """Address of the file, or of the tar file that contains it; or the path of a local tar file."""
    offset: int = 0
    """Where it begins in the tar file."""
    size: int | None = None
    """Its bytes; None: all of the file, as its storage says."""
    plan: ByteRanges | None = None
    """The ranges of its frames, from the index; None: it is fetched at once."""
    cache: RangeCache | None = None
    """Where fetched ranges are kept."""
    ahead: int = SMALL
    """Bytes that are fetched at once where no plan foresaw them."""
    version: str | None = None
    """What tells it from another of its size in the same place; None: it is taken as unchanged."""

    def __str__(self) -> str:
        return self.path

    @property
    def is_remote(self) -> bool:
        """Whether it is fetched, not read from a disk."""
        return is_address(self.address)

    def open(self) -> "OpenFile":
        """Return the open file. Raises ``VideoError``."""
        return OpenFile(self) if self.is_remote else LocalPart(self)


class OpenFile:
    """An open file at an address, of which fetched blocks stay in memory until it is closed.

    ``cursor`` opens it for FFmpeg, again where a decoder starts anew. Raises ``VideoError``, and ``StorageError`` where
    the storage does not answer.
    """

    def __init__(self, stored: StoredFile) -> None:
        self.stored, self._blocks = stored, dict[int, bytes]()
        self._identity = f"{without_secrets(stored.address)} {stored.offset}"
        self.version: str | None = None  # of the file at the address, where the storage was asked for its size
        self.size = self._find_size()
        self._cached: dict[int, int] | None = None
        at_once = stored.plan is None or self.size <= SMALL
        self.fetch([(0, self.size)] if at_once or stored.plan is None else stored.plan.opening())

    def __str__(self) -> str:
        return self.stored.path

    def _find_size(self) -> int:
        if self.stored.size is not None:
            return self.stored.size
        size, self.version = self._requested(lambda: size_and_version(self.stored.address))
        if size is None:  # a server that streams
            data = self._requested(lambda: fetch_file(self.stored.address))
            self._keep(0, data)
            size = len(data)
        return size - self.stored.offset

    def fetch_frames(self, first: int, last: int) -> None:
        """Fetch what decoding takes from frame ``first`` to ``last``, where the index says which bytes these are."""
        if self.stored.plan is not None:
            self.fetch([self.stored.plan.of_frames(first, last)])

    def fetch(self, ranges: Iterable[Range]) -> None:
        """Fetch ranges that neither memory nor the cache has, at once, in as few requests as pay."""
        ranges_left = merge_ranges(ranges, self.size)
        missing = [
            (at, min(at + BLOCK, self.size))
            for begin, end in ranges_left
            for at in range(begin, end, BLOCK)
            if not self._has_block(at)
        ]
        requests = merge_ranges(missing, self.size, SMALL)
        for (begin, _), data in zip(requests, self._fetched(requests), strict=True):
            self._keep(begin, data)
            if self.stored.cache is not None:
                self.stored.cache.write(self._cache_key, begin, data)

    @property
    def _cache_key(self) -> str:
        return f"{self._identity} {self.size}{f' {self.stored.version}' if self.stored.version else ''}"

    def _keep(self, begin: int, data: bytes) -> None:
        for at in range(0, len(data), BLOCK):
            self._blocks[begin + at] = data[at : at + BLOCK]

    def _has_block(self, at: int) -> bool:
        """Return whether a block is in memory, after it was looked for in the cache."""
        if at in self._blocks or self.stored.cache is None:
            return at in self._blocks
        if self._cached is None:
            self._cached = self.stored.cache.ranges(self._cache_key)
        end = min(at + BLOCK, self.size)
        for begin, until in list(self._cached.items()):
            if begin <= at and end <= until:
                data = self.stored.cache.read(self._cache_key, begin)
                self._cached.pop(begin)
                if data is not None and len(data) == until - begin:
                    self._keep(begin, data)
                    return True
        return False

    def _fetched(self, ranges: Sequence[Range]) -> list[bytes]:
        stored = self.stored
        total = self.size if not stored.offset else None
        of_address = [(stored.offset + begin, stored.offset + end) for begin, end in ranges]
        return self._requested(lambda: fetch(stored.address, of_address, total)) if ranges else []

    def _requested(self, request: Any) -> Any:
        try:
            return request()
        except FileNotFoundError:
            raise VideoError(self.stored.path, "there is no such file") from None
        except UnreachableError as error:
            raise StorageError(self.stored.path, error.problem) from None
        except DataError as error:
            raise VideoError(self.stored.path, error.problem) from None

    def read_at(self, at: int, count: int) -> bytes:
        """Return up to ``count`` bytes, at least one before the end; what no plan foresaw is fetched."""
        if at >= self.size or count <= 0:
            return b""
        block = at // BLOCK * BLOCK
        if not self._has_block(block):
            self.fetch([(at, min(at + max(count, self.stored.ahead), self.size))])
        return self._blocks[block][at - block : at - block + count]

    def read_all(self, at: int, count: int) -> bytes:
        """Return ``count`` bytes; fewer at the end alone."""
        parts: list[bytes] = []
        while count > 0 and (part := self.read_at(at, count)):
            parts.append(part)
            at, count = at + len(part), count - len(part)
        return b"".join(parts)

    def cursor(self) -> "Cursor":
        """Return the file at its beginning, as FFmpeg reads it."""
        return Cursor(self, self.stored.path)

    def close(self) -> None:
        """Forget what was fetched."""
        self._blocks.clear()


class LocalPart(OpenFile):
    """An open video in a tar file of a local disk, from which it is read as FFmpeg asks."""

    def __init__(self, stored: StoredFile) -> None:
        self.stored = stored
        try:
            self._descriptor = os.open(stored.address, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise VideoError(
                stored.path, f"its tar file {stored.address} cannot be opened ({error.strerror})"
            ) from None
        self._file = os.fdopen(self._descriptor, "rb", buffering=0)
        stat = os.fstat(self._descriptor)
        size, self.version = stat.st_size, str(stat.st_mtime_ns)
        self.size = min(stored.size if stored.size is not None else size, max(0, size - stored.offset))

    def fetch(self, ranges: Iterable[Range]) -> None:
        """Do nothing: a disk needs no plan."""

    def read_at(self, at: int, count: int) -> bytes:
        """Return up to ``count`` bytes."""
        return os.pread(self._descriptor, max(0, min(count, self.size - at)), self.stored.offset + at)

    def close(self) -> None:
        """Close the tar file."""
        self._file.close()


class RecordedFile(OpenFile):
    """An open file, or one of a local disk, of which every range is recorded that is read."""

    def __init__(self, file: str | OpenFile) -> None:
        self._file = LocalPart(StoredFile(file, file)) if isinstance(file, str) else file
        self._closes = isinstance(file, str)
        self.stored, self.size, self.version = self._file.stored, self._file.size, self._file.version
        self.ranges: list[Range] = []

    def read_at(self, at: int, count: int) -> bytes:
        """Return up to ``count`` bytes."""
        data = self._file.read_at(at, count)
        self.ranges.append((at, at + len(data)))
        return data

    def close(self) -> None:
        """Close a file of a local disk; others stay open."""
        if self._closes:
            self._file.close()


class Cursor(io.RawIOBase):
    """A position in an open file."""

    def __init__(self, file: OpenFile, name: str) -> None:
        super().__init__()
        self._file, self._at, self.name = file, 0, name

    def readable(self) -> bool:
        """Return true."""
        return True

    def seekable(self) -> bool:
        """Return true."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes; fewer only where a fetched block ends."""
        data = self._file.read_at(self._at, self._file.size - self._at if size < 0 else size)
        self._at += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        """Fill as much of a buffer as ``read`` returns bytes, and return their number."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset from the beginning, from here or from the end."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at
