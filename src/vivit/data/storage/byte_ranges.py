"""Where the bytes of a video lie that opening it takes, and those of a clip: what an index stores of that."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

EVERY = 8
"""Frames of which an index stores one end."""
BLOCK = 1 << 16
"""Bytes of which a range is a multiple."""
MOST_HEADER = 0.5
"""Share of a file from which on what opening it reads is no header, and the file is read at once."""
Range = tuple[int, int]


class ByteRanges(NamedTuple):
    """The byte ranges of a video, from its index; all are relative to where the video begins."""

    header: Sequence[int]
    """Begin, end, begin, end ... of what is read to open it and to look up a frame."""
    key_frames: Sequence[int]
    """Numbers of the key frames, ascending."""
    key_bytes: Sequence[int]
    """Where each of them begins."""
    ends: Sequence[int]
    """Where the last of the frames 0 to 7, 0 to 15 ... ends."""

    def opening(self) -> list[Range]:
        """Return the ranges that opening the file reads."""
        return list(zip(self.header[::2], self.header[1::2], strict=True))

    def of_frames(self, first: int, last: int) -> Range:
        """Return the range of two frames, all between them, and those from the key frame before."""
        key = max(0, bisect_right(self.key_frames, first) - 1)
        return self.key_bytes[key], self.ends[min(last // EVERY, len(self.ends) - 1)]


def frame_ranges(packets: Iterable[tuple[int | None, int | None, int, bool]], stamps: Sequence[int]) -> dict[str, Any]:
    """Return the columns ``key_frames``, ``key_bytes`` and ``ends`` of an index; none where a place is unknown.

    A packet is its timestamp, place, size and whether it is a key frame; ``stamps`` are those of the frames shown.
    """
    numbers = {stamp: number for number, stamp in enumerate(stamps)}
    ends, keys = [0] * len(stamps), {}
    for stamp, place, size, is_key in packets:
        if place is None or place < 0:
            return {}
        if stamp is not None and (number := numbers.get(stamp)) is not None:
            ends[number] = place + size
            if is_key:
                keys[number] = place
    ends = list(accumulate(ends, max))
    if 0 not in keys or not ends[0] or any(a > b for a, b in zip(sorted(keys.values()), keys.values(), strict=True)):
        return {}
    sampled = [*ends[EVERY - 1 :: EVERY], *([ends[-1]] if len(ends) % EVERY else [])]
    order = sorted(keys)
    return {"key_frames": order, "key_bytes": [keys[number] for number in order], "ends": sampled}


def header_of(reads: Iterable[Range], size: int) -> list[int]:
    """Return what was read to open a file, as ``ByteRanges.header``: all of it where that is most of the file."""
    merged = merge_ranges(reads, size)
    if sum(end - begin for begin, end in merged) > MOST_HEADER * size:
        return [0, size]
    return [edge for each in merged for edge in each]


def merge_ranges(ranges: Iterable[Range], size: int, gap: int = 0) -> list[Range]:
    """Return ranges in complete blocks within ``size``, in order, merged where ``gap`` bytes or less are between."""
    merged: list[Range] = []
    for begin, end in sorted(ranges):
        begin, end = begin // BLOCK * BLOCK, min(-(-end // BLOCK) * BLOCK, size)
        if merged and begin <= merged[-1][1] + gap:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        elif begin < end:
            merged.append((begin, end))
    return merged
