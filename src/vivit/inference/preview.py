"""Films that any browser plays: whether a video is one, and small copies of those that are not."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8

from vivit.data.index.transcode import even_size
from vivit.data.readers.open_video import OpenVideo, is_frame_folder, open_video
from vivit.data.views import CropBox
from vivit.inference.clip_attention import frame_seconds
from vivit.inference.overlay import write_mp4
from vivit.structures import Video

PLAYABLE = {".mp4": ("h264", "av1", "vp9"), ".m4v": ("h264",), ".webm": ("vp8", "vp9", "av1")}
"""Codecs that browsers play, by suffix of the file."""
SIDE, MAX_FPS, MAX_SECONDS = 240, 15, 20
"""Short side in pixels, frames a second, and seconds of a copy, at most."""
AT_ONCE = 64
"""Frames in memory."""


def is_playable(video: Video) -> bool:
    """Return whether browsers play a file as it is."""
    codecs = PLAYABLE.get(Path(video.path).suffix.lower(), ())
    if not codecs or is_frame_folder(video):
        return False
    with suppress(av.FFmpegError, IndexError), av.open(video.path) as container:
        codec = container.streams.video[0].codec_context
        return codec.name.removeprefix("lib") in codecs and codec.pix_fmt in ("yuv420p", "yuvj420p")
    return False


def write_preview(video: Video, file: Path, *, max_seconds: float = MAX_SECONDS, side: int = SIDE) -> None:
    """Write a small H.264 copy of the first seconds of a video, or of its segment. Raises ``VideoError``."""
    with open_video(replace(video, labels=()), square_pixels=True) as opened:
        frames, height, width = opened.shape
        seconds = frame_seconds(opened, (0, frames - 1))[-1]
        rate = (frames - 1) / seconds if seconds > 0 else float(MAX_FPS)
        step = max(1, round(rate / MAX_FPS))
        numbers = range(0, min(frames, max(1, round(rate * max_seconds))), step)
        size = even_size(width, height, side)[::-1]
        write_mp4(_pictures(opened, numbers, size), Fraction(rate / step).limit_denominator(1000), file, crf=26)


def _pictures(video: OpenVideo, numbers: range, size: tuple[int, int]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Yield frames of a video, a few of them in memory at a time."""
    _, height, width = video.shape
    for begin in range(0, len(numbers), AT_ONCE):
        (frames,) = video.read(numbers[begin : begin + AT_ONCE], [CropBox(0, 0, height, width)], size)
        yield from frames
