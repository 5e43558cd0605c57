"""Copies of videos that are faster to read: a short side as training wants it, and key frames close to one another."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import PictureType

from vivit.data.decode import VideoError, VideoFile


def transcode(source: Path, target: Path, *, side: int, gop: int, quality: int) -> str | None:
    """Encode ``source`` as H.264 with a short side of at most ``side`` and a key frame every ``gop`` frames.

    ``quality`` is x264's rate factor; less is better, 18 is hard to tell from the source. The copy has the same frames
    at the same times, which is checked, and rotation and colour range as the source tells them; sound is left out.
    ``target`` is whole or absent. Gives None, or the reason why there is no copy.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    try:
        with VideoFile(str(source)) as video:
            times = iter(video.stamps) if video.distrusted else None
        _encode(source, partial, side, times, {"g": str(gop), "crf": str(quality)})
        if why := _difference(source, partial):
            return why
        partial.replace(target)
    except (av.FFmpegError, VideoError, ValueError) as error:
        return f"cannot be copied ({error})"
    finally:
        partial.unlink(missing_ok=True)
    return None


def scaled(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height with a short side of at most ``side``; both even, as 4:2:0 wants them."""
    share = min(1.0, side / min(width, height))
    width, height = (max(2, 2 * round(length * share / 2)) for length in (width, height))
    return width, height


def _encode(source: Path, target: Path, side: int, times: Iterator[int] | None, options: dict[str, str]) -> None:
    """Encode every frame at its own time, or at ``times`` where the source's are not to be trusted."""
    with av.open(str(source), metadata_errors="ignore") as reading, av.open(str(target), "w", format="mp4") as writing:
        stream = reading.streams.video[0]
        stream.codec_context.thread_count = 1
        copy: Any = None
        for frame in reading.decode(stream):
            if times:
                frame.pts = next(times)
            if frame.pts is None:
                continue
            if copy is None:
                begin, size = frame.pts, scaled(frame.width, frame.height, side)
                copy = _stream(writing, stream, frame, size, options)
            picture = frame.reformat(*size, format="yuv420p", interpolation="BICUBIC", threads=1)
            picture.pts, picture.time_base = frame.pts - begin, stream.time_base
            picture.pict_type = PictureType.NONE  # or x264 would put key frames where the source has them
            writing.mux(copy.encode(picture))
        if copy is None:
            raise ValueError("no frame can be decoded")
        writing.mux(copy.encode())


def _stream(writing: Any, stream: Any, frame: Any, size: tuple[int, int], options: dict[str, str]) -> Any:
    """Add the stream of the copy, told what the source tells."""
    copy = writing.add_stream("libx264", rate=Fraction(stream.average_rate or 25))
    copy.width, copy.height = size
    copy.pix_fmt = "yuv420p"
    copy.options = {"preset": "veryfast", "tune": "fastdecode", "bf": "2", "sc_threshold": "0", **options}
    context = copy.codec_context
    context.thread_count = 1
    context.time_base = stream.time_base
    for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
        setattr(context, name, getattr(frame, name))
    if frame.rotation:
        copy.set_display_rotation(frame.rotation)
    return copy


def _difference(source: Path, copy: Path) -> str | None:
    """Say how the frames of a copy differ from those of its source."""
    with VideoFile(str(source)) as a, VideoFile(str(copy)) as b:
        times = [(np.array(video.stamps) - video.stamps[0]) * float(video.time_base) for video in (a, b)]
        slack = max(float(a.time_base), float(b.time_base)) / 2
    if len(times[0]) != len(times[1]):
        return f"a copy would have {len(times[1])} frames instead of {len(times[0])}"
    if np.abs(times[0] - times[1]).max() > slack:
        return "a copy would show its frames at other times"
    return None
