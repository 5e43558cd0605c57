"""Whether a file is cut off: what its header announces, compared with what follows."""

from collections.abc import Iterable

import av
import av.container

from vivit.data.readers.streams import head_of
from vivit.data.storage.stored_file import OpenFile

CUT = 0.9, 1.0
"""A video is cut off if it ends before this share of what its header announces, and by more than so many seconds."""
UNKNOWN = 1 << 30
"""From this number of frames on the number in an AVI means "unknown", as writers into a pipe leave it."""
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
"""The object of a WMV or ASF file that contains its size."""


def missing_frames(container: av.container.InputContainer, stream: av.VideoStream) -> tuple[int, int]:
    """Return how many frames lie behind the end of an MP4 or MOV, and how many its sample table lists."""
    if "mp4" not in container.format.name.split(","):
        return 0, 0
    ends = [entry.pos + entry.size for entry in stream.index_entries]
    return sum(end > container.size for end in ends), len(ends)


def missing_bytes(container: av.container.InputContainer, path: str | OpenFile) -> tuple[int, int]:
    """Return how many bytes are missing of those that a file's header announces, and how many it announces.

    Known for Matroska, WebM, AVI and ASF, unless they were written without knowing their end.
    """
    name = container.format.name
    read = _matroska_end if "matroska" in name else {"avi": _riff_end, "asf": _asf_size}.get(name)
    if read is None:
        return 0, 0
    announced = read(head_of(path, 4096))
    return max(0, announced - container.size), announced


def header_duration(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """Return the duration of a video in seconds by its header; 0 where the header has none.

    Matroska has a length of the file, sound included, and perhaps a tag of the stream, which may be older than the
    file: the shorter one counts.
    """
    name = container.format.name
    if "matroska" in name:
        lengths = (_clock(stream.metadata.get("DURATION", "")), (container.duration or 0) / av.time_base)
        return min((length for length in lengths if length), default=0.0)
    if name == "avi":
        return float(stream.frames * stream.time_base) if stream.time_base and stream.frames < UNKNOWN else 0.0
    return (container.duration or 0) / av.time_base if name == "flv" else 0.0


def is_truncated(end: float, duration: float) -> bool:
    """Return whether a video that ends at ``end`` is shorter than its header's ``duration``, both in seconds."""
    share, slack = CUT
    return end < share * duration - slack


def last_end(packets: Iterable[av.Packet]) -> float:
    """Return the time in seconds at which the last packet ends, of any stream."""
    ends = ((packet.pts + (packet.duration or 0)) * packet.time_base for packet in packets if packet.pts is not None)
    return float(max(ends, default=0))


def _clock(text: str) -> float:
    """Return the seconds of a tag such as 00:00:04.004 or 4.0; 0 for anything else."""
    try:
        seconds = 0.0
        for part in text.split(":"):
            seconds = 60 * seconds + float(part)
    except ValueError:
        return 0.0
    return max(0.0, seconds)


def _matroska_end(head: bytes) -> int:
    """Return where the Segment of a Matroska file ends; 0 if unknown when it was written (RFC 8794)."""
    begin, length = _element(head, 0)
    begin, length = _element(head, begin + length)
    return begin + length if length else 0


def _element(head: bytes, at: int) -> tuple[int, int]:
    """Return where the content of an EBML element begins, and its length; 0 if unknown or unreadable."""
    lengths = []
    for keeps_marker in (True, False):
        width = 9 - head[at].bit_length() if at < len(head) and head[at] else 9
        if width > 8 or at + width > len(head):
            return at, 0
        value = int.from_bytes(head[at : at + width])
        lengths.append(value if keeps_marker else value - (1 << 7 * width))
        at += width
    return at, 0 if lengths[1] == (1 << 7 * width) - 1 else lengths[1]


def _riff_end(head: bytes) -> int:
    """Return where the first part of an AVI ends; 0 if unknown."""
    size = int.from_bytes(head[4:8], "little")
    return size + 8 if size < UNKNOWN else 0


def _asf_size(head: bytes) -> int:
    """Return the size of an ASF file by its header; 0 if absent, as in broadcasts."""
    at = head.find(ASF_PROPERTIES)
    if at < 0 or head[at + 88 : at + 89] != b"\x02":  # seekable, and no broadcast
        return 0
    return int.from_bytes(head[at + 40 : at + 48], "little")
