"""Copies of videos that are faster to read: of the short side that training needs, with frequent key frames."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import PictureType

from vivit.data.readers.frame_converter import display_matrix
from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.readers.video_error import VideoError
from vivit.data.storage.stored_file import OpenFile
from vivit.io import atomic_write

HEADER_FIRST = {"movflags": "faststart"}
"""So that one request fetches what opening a copy takes."""


def transcode(source: Path | OpenFile, target: Path, *, side: int, gop: int, crf: int) -> str | None:
    """Encode ``source`` as H.264 with a short side of at most ``side`` and a key frame every ``gop`` frames.

    ``crf`` is x264's rate factor; less is better, 18 is hard to distinguish from the source. The copy has the same
    frames at the same times, which is checked, and the rotation and colour range of the source; sound is dropped.
    ``target`` is complete or absent. Returns None, or the reason why there is no copy.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_write(target) as partial:
            _encode(source, partial, side, {"g": str(gop), "crf": str(crf)})
            if reason := _difference(source, partial):
                partial.unlink()
            return reason
    except (av.FFmpegError, ValueError) as error:
        return f"cannot be copied ({error})"


def is_copy(file: Path, source: Path | OpenFile, side: int) -> bool:
    """Return whether a file is a complete copy of ``source``: no older, with its frames and times, of that short side.

    A copy appears under its name only when it is complete, but the source may have been replaced.
    """
    try:
        age = file.stat().st_mtime
        if (isinstance(source, Path) and age < source.stat().st_mtime) or _difference(source, file):
            return False
        with _open(source) as a, PyAVVideoReader(str(file)) as b:
            height, width = a.stored_size
            return even_size(width, height, side) == b.stored_size[::-1]
    except (OSError, VideoError):
        return False


def _open(source: Path | OpenFile) -> PyAVVideoReader:
    return PyAVVideoReader(str(source) if isinstance(source, Path) else source)


def even_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Return width and height with a short side of at most ``side``; both even, as 4:2:0 requires."""
    share = min(1.0, side / min(width, height))
    width, height = (max(2, 2 * round(length * share / 2)) for length in (width, height))
    return width, height


def _encode(source: Path | OpenFile, target: Path, side: int, options: dict[str, str]) -> None:
    """Encode every frame at its own time. Raises ``VideoError`` where one is damaged."""
    with _open(source) as video, av.open(str(target), "w", format="mp4", options=HEADER_FIRST) as container:
        damage, stamps = video.new_damage_tracker(), set(video.stamps)
        copy: Any = None
        keys = []
        for key, frame in video.decode_all(damage):
            if (stamp := video.timestamp_of(key)) not in stamps:
                continue
            if copy is None:
                size, stored = even_size(frame.width, frame.height, side), (frame.width, frame.height)
                copy = _add_stream(container, video, frame, size, options)
            if (frame.width, frame.height) != stored:
                raise ValueError(f"it changes its picture from {stored} to {(frame.width, frame.height)}")
            picture = frame.reformat(*size, format="yuv420p", interpolation="BICUBIC", threads=1)
            picture.pts, picture.time_base = stamp - video.stamps[0], video.time_base
            picture.pict_type = PictureType.NONE  # or x264 would put key frames where the source has them
            container.mux(copy.encode(picture))
            keys.append(key)
        if damaged := sum(damage.is_damaged(key) for key in keys):
            raise VideoError(str(source), f"is damaged in {damaged} of {len(keys)} frames")
        container.mux(copy.encode())


def _add_stream(
    container: Any, video: PyAVVideoReader, frame: Any, size: tuple[int, int], options: dict[str, str]
) -> Any:
    """Return the stream of the copy, with the colour properties, aspect and rotation of the source."""
    copy = container.add_stream("libx264", rate=Fraction(video.stream.average_rate or 25))
    copy.width, copy.height = size
    copy.pix_fmt = "yuv420p"
    copy.options = {"preset": "veryfast", "tune": "fastdecode", "bf": "2", "sc_threshold": "0", **options}
    context = copy.codec_context
    context.thread_count = 1
    context.time_base = video.time_base
    for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
        setattr(context, name, getattr(frame, name))
    if video.stream.sample_aspect_ratio:
        context.sample_aspect_ratio = video.stream.sample_aspect_ratio
    copy.set_display_matrix(display_matrix(frame))
    return copy


def _difference(source: Path | OpenFile, copy: Path) -> str | None:
    """Return how a copy differs from its source; None: only in size and sharpness."""
    with _open(source) as a, PyAVVideoReader(str(copy)) as b:
        times = [(np.array(video.stamps) - video.stamps[0]) * float(video.time_base) for video in (a, b)]
        tolerance = max(float(a.time_base), float(b.time_base)) / 2
        rotated = a.orientation != b.orientation
    if len(times[0]) != len(times[1]):
        return f"a copy would have {len(times[1])} frames instead of {len(times[0])}"
    if np.abs(times[0] - times[1]).max() > tolerance:
        return "a copy would show its frames at other times"
    if rotated:
        return "a copy would be shown another way round"
    return None
