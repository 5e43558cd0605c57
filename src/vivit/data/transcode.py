"""Copies of videos that are faster to read: a short side as training wants it, and key frames close to one another."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import PictureType

from vivit.data.conversion import display_matrix
from vivit.data.decode import VideoError, VideoFile
from vivit.io import atomic_write


def transcode(source: Path, target: Path, *, side: int, gop: int, quality: int) -> str | None:
    """Encode ``source`` as H.264 with a short side of at most ``side`` and a key frame every ``gop`` frames.

    ``quality`` is x264's rate factor; less is better, 18 is hard to tell from the source. The copy has the same frames
    at the same times, which is checked, and rotation and colour range as the source tells them; sound is left out.
    ``target`` is whole or absent. Gives None, or the reason why there is no copy.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_write(target) as partial:
            _encode(source, partial, side, {"g": str(gop), "crf": str(quality)})
            if why := _difference(source, partial):
                partial.unlink()
            return why
    except (av.FFmpegError, VideoError, ValueError) as error:
        return f"cannot be copied ({error})"


def is_copy(file: Path, source: Path, side: int) -> bool:
    """Whether a file is a whole copy of ``source``: no older, of its frames and times, and of a short side of ``side``.

    A copy appears under its name only when it is whole, but the source may have been replaced.
    """
    try:
        if file.stat().st_mtime < source.stat().st_mtime or _difference(source, file):
            return False
        with VideoFile(str(source)) as a, VideoFile(str(file)) as b:
            height, width = a.stored
            return scaled(width, height, side) == b.stored[::-1]
    except (OSError, VideoError):
        return False


def scaled(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height with a short side of at most ``side``; both even, as 4:2:0 wants them."""
    share = min(1.0, side / min(width, height))
    width, height = (max(2, 2 * round(length * share / 2)) for length in (width, height))
    return width, height


def _encode(source: Path, target: Path, side: int, options: dict[str, str]) -> None:
    """Encode every frame at its own time. Raises ``VideoError`` where one is damaged."""
    with VideoFile(str(source)) as video, av.open(str(target), "w", format="mp4") as writing:
        damage, moments = video.damage(), set(video.stamps)
        copy: Any = None
        keys = []
        for key, frame in video.frames(damage):
            if (moment := video.moment(key)) not in moments:
                continue
            if copy is None:
                size, stored = scaled(frame.width, frame.height, side), (frame.width, frame.height)
                copy = _stream(writing, video, frame, size, options)
            if (frame.width, frame.height) != stored:
                raise ValueError(f"it changes its picture from {stored} to {(frame.width, frame.height)}")
            picture = frame.reformat(*size, format="yuv420p", interpolation="BICUBIC", threads=1)
            picture.pts, picture.time_base = moment - video.stamps[0], video.time_base
            picture.pict_type = PictureType.NONE  # or x264 would put key frames where the source has them
            writing.mux(copy.encode(picture))
            keys.append(key)
        if damaged := sum(damage.spoils(key) for key in keys):
            raise VideoError(str(source), f"is damaged in {damaged} of {len(keys)} frames")
        writing.mux(copy.encode())


def _stream(writing: Any, video: VideoFile, frame: Any, size: tuple[int, int], options: dict[str, str]) -> Any:
    """Add the stream of the copy, with what the source says of its pictures."""
    copy = writing.add_stream("libx264", rate=Fraction(video.stream.average_rate or 25))
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


def _difference(source: Path, copy: Path) -> str | None:
    """Return how a copy differs from its source; None: in nothing but size and sharpness."""
    with VideoFile(str(source)) as a, VideoFile(str(copy)) as b:
        times = [(np.array(video.stamps) - video.stamps[0]) * float(video.time_base) for video in (a, b)]
        slack = max(float(a.time_base), float(b.time_base)) / 2
        turned = a.orientation != b.orientation
    if len(times[0]) != len(times[1]):
        return f"a copy would have {len(times[1])} frames instead of {len(times[0])}"
    if np.abs(times[0] - times[1]).max() > slack:
        return "a copy would show its frames at other times"
    if turned:
        return "a copy would be shown another way round"
    return None
