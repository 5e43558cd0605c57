"""A first look at files that no index has: what their headers announce, within seconds for thousands of files."""

import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from vivit.cores import allowed_cores
from vivit.data.index.probe import digest, probe
from vivit.data.readers.streams import open_video_stream
from vivit.data.readers.truncation import header_duration, missing_bytes, missing_frames
from vivit.data.readers.video_error import VideoError, as_video_error

COLUMNS = ("bytes", "codec", "width", "height", "rotation", "sound", "fps", "seconds", "irregular", "problem")
"""What a look returns of a file, as in the index; ``irregular`` is false where a header does not tell."""
THREADS_A_CORE = 2
"""Opening a file waits for the disk, and leaves Python to other threads meanwhile."""


def first_look(
    root: Path, paths: Sequence[str], *, seconds: float, opened: Collection[str] = ()
) -> dict[str, dict[str, Any]]:
    """Return what the headers of files say, by path; those that were not reached within some ``seconds`` are left out.

    ``opened`` are paths of which, in the time that is left, the frames are listed and the first is decoded, too.
    ``digest`` is one of the file where others have as many bytes, and else None.
    """
    end = time.monotonic() + seconds
    headers = dict(_each(lambda path: look_at_header(root, path), paths, end))
    sound = [path for path in opened if path in headers and headers[path]["problem"] is None]
    for path, exact in _each(lambda path: _probe(root, path), sound, end):
        headers[path] |= exact
    by_size: dict[int, list[str]] = {}
    for path, look in headers.items():
        by_size.setdefault(look["bytes"], []).append(path)
    alike = [path for size, of_size in by_size.items() if size and len(of_size) > 1 for path in of_size]
    digests = dict(_each(lambda path: _digest(root / path, headers[path]["bytes"]), alike, end))
    for path, look in headers.items():
        look["digest"] = digests.get(path)
    return headers


def _each(function: Callable[[str], Any], paths: Sequence[str], end: float) -> Iterator[tuple[str, Any]]:
    """Yield what a function returns for each path, from some threads, until the clock is at ``end``."""

    def unless_late(path: str) -> Any:
        return None if time.monotonic() > end else function(path)

    with ThreadPoolExecutor(THREADS_A_CORE * len(allowed_cores())) as pool:
        for path, result in zip(paths, pool.map(unless_late, paths), strict=True):
            if result is not None:
                yield path, result


def look_at_header(root: Path, path: str) -> dict[str, Any]:
    """Return what the header of one file says, or of a folder of frames how many pictures there are."""
    file, row = str(root / path), dict.fromkeys(COLUMNS) | {"bytes": 0, "irregular": False}
    try:
        row["bytes"] = os.stat(file).st_size  # noqa: PTH116
        if os.path.isdir(file):  # noqa: PTH112
            pictures = any(name.lower().endswith((".jpg", ".jpeg")) for name in os.listdir(file))  # noqa: PTH208
            return row | {"codec": "jpeg", "bytes": 0, "problem": None if pictures else "holds no JPEG pictures"}
        with as_video_error(file):
            container, stream = open_video_stream(file)
            with container:
                row |= _of_header(container, stream)
                cut_off = missing_frames(container, stream)[0] or missing_bytes(container, file)[0]
        return row | _probe(root, path) if cut_off else row  # for a header may err
    except VideoError as error:
        return row | {"problem": error.problem}
    except OSError as error:
        reason = "missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        return row | {"problem": reason}


def _probe(root: Path, path: str) -> dict[str, Any]:
    """Return what opening a file says of it, by its frames."""
    row = probe(root, path)
    return {name: row[name] for name in COLUMNS if row.get(name) is not None} | {"irregular": row["stamps"] is not None}


def _of_header(container: InputContainer, stream: av.VideoStream) -> dict[str, Any]:
    duration = float((stream.duration or 0) * (stream.time_base or 0)) or header_duration(container, stream)
    return {
        "codec": stream.codec_context.name,
        "width": stream.codec_context.width or None,
        "height": stream.codec_context.height or None,
        "sound": bool(container.streams.audio),
        "fps": float(stream.average_rate or 0) or None,
        "seconds": duration or (container.duration or 0) / av.time_base or None,
    }


def _digest(file: Path, size: int) -> str | None:
    try:
        return digest(file, size)
    except OSError:
        return None
