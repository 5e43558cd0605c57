"""The row of an index of one file: found by opening it, and optionally by decoding all of it."""

import os
from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Any

from vivit.data.index.appearance import PICTURES, appearance
from vivit.data.index.index import SCHEMA
from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.readers.streams import can_seek, open_video_stream, packets_of
from vivit.data.readers.video_error import StorageError, VideoError, as_video_error
from vivit.data.storage.byte_ranges import frame_ranges, header_of
from vivit.data.storage.stored_file import OpenFile, RecordedFile, StoredFile
from vivit.data.views import CropBox

DIGESTED = 65_536
"""Bytes at either end of a file that its digest is of."""
HASHED = 64
"""Side of the pictures that are hashed."""
MOST_FRAMES = 20
"""Frames from one of them to the next, at most: more would cost more than all else in an index."""
MOST_LOST = 0.1
"""Share of the listed frames that need not be decodable. Files with packed B-frames list a few that are never shown; a
full decode finds these, and the index does not contain them."""


def probe(
    root: Path, path: str, *, decode: bool = False, look: bool = False, stored: StoredFile | None = None
) -> dict[str, Any]:
    """Return the row of the index of one file, or of one folder of frames, below ``root``.

    The first frame is always decoded, all frames only with ``decode``, and some two seconds with ``look``, for the
    hashes of what they look like. ``problem`` is why the file cannot be used. ``stored`` is the file where it is none
    of a local disk; of one that is not there, or cannot be fetched now, ``bytes`` are 0, and another run tries again.
    """
    row = dict.fromkeys(SCHEMA.names) | {"path": path, "bytes": 0, "decoded": decode}
    if stored is not None:
        return _probe_stored(stored, row, decode, look)
    file = root / path
    try:
        size = os.stat(file).st_size  # noqa: PTH116
        row["bytes"] = size
        if look and file.is_file():
            row["digest"] = digest(file, size)
        return row | (_probe_frame_folder(file) if file.is_dir() else _probe_video(str(file), decode, look))
    except VideoError as error:
        return row | {"problem": error.problem}
    except OSError as error:
        return row | {"problem": f"cannot be read ({error.strerror})"}


def _probe_stored(stored: StoredFile, row: dict[str, Any], decode: bool, look: bool) -> dict[str, Any]:
    """Return the row of a file in storage, which is fetched completely, and once."""
    try:
        file = stored.open()
    except VideoError as error:
        return row | {"problem": "missing" if "no such file" in error.problem else error.problem}
    try:
        row["bytes"], row["version"] = file.size, stored.version
        if look:
            ends = (file.read_all(0, DIGESTED), file.read_all(max(0, file.size - DIGESTED), DIGESTED))
            row["digest"] = _digest_of(ends, file.size)
        return row | _probe_video(file, decode, look)
    except StorageError as error:
        return row | {"problem": error.problem, "bytes": 0}
    except VideoError as error:
        return row | {"problem": error.problem}
    finally:
        file.close()


def _probe_frame_folder(folder: Path) -> dict[str, Any]:
    count = sum(1 for name in os.listdir(folder) if name.lower().endswith((".jpg", ".jpeg")))  # noqa: PTH208
    return {"codec": "jpeg", "frames": count, "problem": None if count else "holds no JPEG pictures"}


def digest(file: Path, size: int) -> str:
    """Return a digest of a file's size, its beginning and its end, by which copies are recognised."""
    with file.open("rb") as content:
        parts = [content.read(DIGESTED)]
        content.seek(max(0, size - DIGESTED))
        parts.append(content.read(DIGESTED))
    return _digest_of(parts, size)


def _digest_of(parts: Sequence[bytes], size: int) -> str:
    return blake2b(b"".join(parts) + str(size).encode(), digest_size=12).hexdigest()


def _hashes(video: PyAVVideoReader) -> list[int | None]:
    """Return the hashes of a video's first picture and two more, and of changes; none where they cannot be decoded."""
    count, height, width = video.shape
    stride = min(MOST_FRAMES, count // PICTURES)
    numbers = [part * stride for part in range(PICTURES)]
    try:
        (pictures,) = video.read(numbers, [CropBox(0, 0, height, width)], (HASHED, HASHED))
    except VideoError:
        return []
    return appearance(pictures)


def _probe_video(file: str | OpenFile, decode: bool, look: bool) -> dict[str, Any]:
    with PyAVVideoReader(file) as video:
        stamps, tick, rate = video.stamps, float(video.time_base), float(video.stream.average_rate or 0)
        facts: dict[str, Any] = {
            "codec": video.stream.codec_context.name,
            "width": video.stored_size[1],
            "height": video.stored_size[0],
            "rotation": video.orientation.degrees,
            "sound": bool(video.stream.container.streams.audio),
        }
        if next(video.decode_all(video.new_damage_tracker()), None) is None:
            facts["problem"] = "none of its frames can be decoded"
        elif decode:
            damage, listed = video.new_damage_tracker(), len(stamps)
            decoded = {video.timestamp_of(key): key for key, _ in video.decode_all(damage)}
            stamps = [stamp for stamp in stamps if stamp in decoded]
            damaged = sum(damage.is_damaged(decoded[stamp]) for stamp in stamps)
            if len(stamps) < (1 - MOST_LOST) * listed:
                facts["problem"] = f"{listed - len(stamps)} of {listed} frames cannot be decoded"
            elif damaged:
                facts["problem"] = f"{damaged} of {listed} frames are damaged"
        if look and facts.get("problem") is None:
            facts["hashes"] = _hashes(video)
    times = timing(stamps, tick, rate)
    if video.untrusted_reason:  # readers must not look for frames by these
        return facts | times | dict.fromkeys(("stamp", "step", "stamps"))
    return facts | times | (byte_columns(file, stamps) if facts.get("problem") is None else {})


def byte_columns(file: str | OpenFile, stamps: Sequence[int]) -> dict[str, Any]:
    """Return the columns of which bytes a clip takes, by the places of the packets; none where these are unknown."""
    recorded = RecordedFile(file)
    try:
        with as_video_error(file):
            container, stream = open_video_stream(recorded)
            with container:
                packets = packets_of(container, stream)
                first = next(packets, None)
                if first is None or not can_seek(container):
                    return {}
                seen = [(first.pts, first.pos, first.size, first.is_keyframe)]
                opened = len(recorded.ranges)
                seen += [(packet.pts, packet.pos, packet.size, packet.is_keyframe) for packet in packets]
                del recorded.ranges[opened:]
                container.seek(stamps[len(stamps) // 2], stream=stream, backward=True)
        columns = frame_ranges(seen, stamps)
        return columns and columns | {"header": header_of(recorded.ranges, recorded.size)}
    finally:
        recorded.close()


def timing(stamps: Sequence[int], tick: float, rate: float) -> dict[str, Any]:
    """Return the columns of when frames are shown: first timestamp and step where that is exact, else all timestamps.

    ``tick`` is the length of a tick in seconds, ``rate`` the frames a second of a file with one frame.
    """
    if not stamps:
        return {"frames": 0}
    steps = {b - a for a, b in pairwise(stamps)}
    step = (steps or {1}).pop() if len(steps) < 2 else None
    if step == 0:
        step = None
    span = (stamps[-1] - stamps[0]) * tick
    fps = (len(stamps) - 1) / span if span > 0 else rate
    return {
        "fps": fps,
        "seconds": span + (1 / fps if fps else 0),
        "frames": len(stamps),
        "stamp": stamps[0],
        "step": step,
        "stamps": None if step else list(stamps),
    }
