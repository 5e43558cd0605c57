"""Whether all of a file is there: what its container promises in front, held against what follows."""

from collections.abc import Iterable
from pathlib import Path

import av
import av.container

CUT = 0.9, 1.0
"""A film is cut off if it ends before this share of what its header promises, and by more than so many seconds."""
UNKNOWN = 1 << 30
"""Frames from which on the number in an AVI stands for an unknown one, as writers into a pipe leave it."""
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
"""The object of a WMV or ASF file that has its size."""


def missing_frames(container: av.container.InputContainer, stream: av.VideoStream) -> tuple[int, int]:
    """Return how many frames lie behind the end of an MP4 or MOV, and how many its sample table names."""
    if "mp4" not in container.format.name.split(","):
        return 0, 0
    ends = [entry.pos + entry.size for entry in stream.index_entries]
    return sum(end > container.size for end in ends), len(ends)


def missing_bytes(container: av.container.InputContainer, path: str) -> tuple[int, int]:
    """Return how many bytes a file lacks of those that its header promises, and these.

    Known of Matroska, WebM, AVI and ASF, unless they were written without knowing their end.
    """
    name = container.format.name
    read = _matroska_end if "matroska" in name else {"avi": _riff_end, "asf": _asf_size}.get(name)
    if read is None:
        return 0, 0
    with Path(path).open("rb") as file:
        promise = read(file.read(4096))
    return max(0, promise - container.size), promise


def promised(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """Return the seconds at which the header says that a film ends; 0 where it does not say.

    Matroska has a length of the file, which counts its sound too, and perhaps a tag for the stream, which may be older
    than the file: the shorter one counts.
    """
    name = container.format.name
    if "matroska" in name:
        lengths = (_clock(stream.metadata.get("DURATION", "")), (container.duration or 0) / av.time_base)
        return min((length for length in lengths if length), default=0.0)
    if name == "avi":
        return float(stream.frames * stream.time_base) if stream.time_base and stream.frames < UNKNOWN else 0.0
    return (container.duration or 0) / av.time_base if name == "flv" else 0.0


def is_cut(end: float, promise: float) -> bool:
    """Whether a film that ends at ``end`` is shorter than its header's ``promise``, both in seconds."""
    share, slack = CUT
    return end < share * promise - slack


def last_end(packets: Iterable[av.Packet]) -> float:
    """Return the second at which the last of some packets ends, of whatever stream."""
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
    """Return where the Segment of a Matroska file ends; 0 where that was not known when it was written (RFC 8794)."""
    begin, length = _element(head, 0)
    begin, length = _element(head, begin + length)
    return begin + length if length else 0


def _element(head: bytes, at: int) -> tuple[int, int]:
    """Return where the content of an EBML element begins, and its length; 0 where that is unknown or not to be read."""
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
    """Return where the first part of an AVI ends; 0 where its size stands for an unknown one."""
    size = int.from_bytes(head[4:8], "little")
    return size + 8 if size < UNKNOWN else 0


def _asf_size(head: bytes) -> int:
    """Return the size of an ASF file; 0 where it does not say, as broadcasts do not."""
    at = head.find(ASF_PROPERTIES)
    if at < 0 or head[at + 88 : at + 89] != b"\x02":  # seekable, and no broadcast
        return 0
    return int.from_bytes(head[at + 40 : at + 48], "little")
