"""The file of a cache, mapped into memory: the pictures of every video, then a table of where they lie."""

import json
import mmap
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vivit.data.frame_cache.cached_video import CachedVideo
from vivit.data.frame_cache.pictures import PictureKind, StoredVideo
from vivit.data.frame_times import FrameTimes

FORMAT = 2
"""Version of the file; another one is another cache."""
MAGIC = b"vivitfrm"
ALIGNMENT = 64
"""Bytes to whose multiples the pictures of a video are aligned."""


class Survey(NamedTuple):
    """Number and kind of the pictures of a video, and when they are shown; None: they have no timestamps."""

    frames: int
    kind: PictureKind
    times: FrameTimes | None


class Entry(NamedTuple):
    """Where the pictures of one video lie."""

    offset: int
    frames: int
    kind: PictureKind
    times: FrameTimes | None

    @property
    def size(self) -> int:
        """Bytes of all pictures."""
        return self.frames * self.kind.frame_bytes


def lay_out(surveys: list[Survey | None]) -> tuple[list[Entry | None], int]:
    """Return the place of every video whose number and kind of pictures are known, and the bytes of all."""
    entries: list[Entry | None] = []
    end = 0
    for survey in surveys:
        entries.append(Entry(end, *survey) if survey else None)
        if entry := entries[-1]:
            end += -(-entry.size // ALIGNMENT) * ALIGNMENT
    return entries, end


def write_table(file: Path, end: int, entries: list[Entry | None], rows: np.ndarray) -> None:
    """Write the table behind the pictures, which end at ``end``: ``rows`` maps videos of a split to ``entries``."""
    kinds = list(dict.fromkeys(entry.kind for entry in entries if entry))
    number = {kind: at for at, kind in enumerate(kinds)}
    table = np.array([(e.offset, e.frames, number[e.kind]) if e else (-1, 0, 0) for e in entries], np.int64)
    timed = [entry.times if entry else None for entry in entries]
    counts = [len(times.begins) if times else 0 for times in timed]
    first = np.array([end - count if count else -1 for count, end in zip(counts, np.cumsum(counts), strict=True)])
    content = BytesIO()
    np.savez(
        content,
        table=table.reshape(-1, 3)[rows],
        kinds=np.frombuffer(json.dumps(kinds).encode(), np.uint8),
        begins=np.concatenate([np.empty(0), *(times.begins for times in timed if times)]),
        first=first.astype(np.int64)[rows],
        ends=np.array([times.end if times else 0.0 for times in timed])[rows],
    )
    with file.open("r+b") as target:
        target.seek(end)
        target.write(content.getvalue() + MAGIC + end.to_bytes(8, "little"))


class FrameCache:
    """The cached videos of a split, by row. Another process that this is sent to maps the same pages."""

    def __init__(self, path: str, owner: Any = None) -> None:
        """Open a file; ``owner`` lives as long as it is used. Raises ``OSError`` for an incomplete one."""
        self.path, self._owner = path, owner
        with Path(path).open("rb") as file:
            pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if pages[-16:-8] != MAGIC:
            raise OSError(f"{path} is no complete cache of frames")
        self._bytes = np.frombuffer(pages, np.uint8)
        end = int.from_bytes(pages[-8:], "little")
        with np.load(BytesIO(pages[end:-16]), allow_pickle=False) as content:
            self._table, self._begins = content["table"], content["begins"]
            self._first, self._ends = content["first"], content["ends"]
            kinds = json.loads(content["kinds"].tobytes())
        self._kinds = [PictureKind.from_plain(kind) for kind in kinds]

    def __getstate__(self) -> str:
        return self.path

    def __setstate__(self, path: str) -> None:
        FrameCache.__init__(self, path)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self._bytes)

    def video(self, row: int, *, square_pixels: bool) -> CachedVideo | None:
        """Return the video of a row; None where it is not cached, and has to be decoded."""
        offset, frames, kind = self._table[row].tolist()
        if offset < 0:
            return None
        first, times = int(self._first[row]), None
        if first >= 0:
            times = FrameTimes(self._begins[first : first + frames], float(self._ends[row]))
        stored = StoredVideo.at(self._bytes, offset, frames, self._kinds[kind])
        return CachedVideo(stored, times, square_pixels=square_pixels)
