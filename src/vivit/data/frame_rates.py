"""Rates of videos: which have fewer frames a second than clips, and which have no timestamps to cut clips by."""

import math
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import av
import numpy as np

from vivit.data.readers.open_video import has_timestamps, is_frame_folder
from vivit.data.readers.stream_decoder import StreamDecoder
from vivit.data.warn_once import warn_once
from vivit.errors import ConfigError
from vivit.structures import Video

SAME = 0.99
"""Share of a clip's rate from which on a file's counts as the same: one of 29.97 is no slower than 30."""
MOST_OPENED = 5
"""Files of which the rate is read where no index has it."""


def check_frames_fps(fps: Any, key: str) -> None:
    """Raise ``ConfigError`` about a key that is no number of pictures a second, above 0; None is none."""
    if fps is not None and (type(fps) not in (int, float) or not 0 < fps < math.inf):
        raise ConfigError(key, fps, "is no number of pictures a second", f"set one above 0, as {key}=25")


def check_timestamps(videos: Sequence[Video], fps: int | float | None) -> None:
    """Raise ``ConfigError`` where clips are cut by ``fps``, and the first of the videos has no timestamps."""
    if fps is not None and len(videos) and not has_timestamps(videos[0]):
        problem = f"{videos[0].path} is a folder of pictures, which has no timestamps"
        remedy = "set data.dataset.frames_fps to the rate at which they were written, or data.stride in its place"
        raise ConfigError("data.fps", fps, problem, remedy)


def rates_below(fps: int | float, rates: Sequence[int | float] | np.ndarray) -> int:
    """Return how many of the rates of files, in frames a second, are below that of clips; unknown ones are NaN."""
    return int((np.asarray(rates, np.float64) < SAME * fps).sum())


def format_repeats(fps: int | float, rates: Sequence[int | float] | np.ndarray, videos: str) -> str | None:
    """Return the sentence about files that have fewer frames a second than clips; None where there are none.

    ``videos`` is what the rates are of, as in "train videos".
    """
    if not (count := rates_below(fps, rates)):
        return None
    lowest = float(np.nanmin(np.asarray(rates, np.float64)))
    return (
        f"data.fps={fps:g}: {count} of {len(rates)} {videos} have fewer frames a second, the lowest {lowest:g}, so "
        "that clips show frames more than once"
    )


class RepeatWarning:
    """Logs one warning, of the first videos that it is called with, where clips have more frames a second than those.

    ``fps`` is the rate of clips; None: they are cut by frames.
    """

    def __init__(self, fps: int | float | None) -> None:
        self._fps, self._called = fps, False

    def __call__(self, videos: Sequence[Video], name: str) -> None:
        """Look at the rates of videos, ``name`` in the warning, unless others were looked at before."""
        if self._fps is not None and len(videos) and not self._called:
            warn_of_repeats(self._fps, videos, name)
            self._called = True


def warn_of_repeats(fps: int | float, videos: Sequence[Video], name: str) -> None:
    """Log a warning, once for each process, where clips have ``fps`` frames a second, and videos have fewer.

    Rates are those of an index, where ``videos`` is a table that has some, else those of a few files.
    """
    column = getattr(videos, "column", lambda _: None)("fps")
    rates = np.full(0, np.nan) if column is None else column.to_numpy().astype(np.float64)
    if np.isnan(rates).all():
        rows = [at * len(videos) // MOST_OPENED for at in range(MOST_OPENED)] if len(videos) > MOST_OPENED else None
        rates = np.array([rate_of(videos[row]) for row in rows or range(len(videos))])
        name += " that were looked at" if rows else ""
    if (message := format_repeats(fps, rates, name)) is not None:
        warn_once(__name__, message)


def rate_of(video: Video) -> float:
    """Return the mean rate of a video by its header, or of a folder of frames as it is known; NaN where it is not."""
    if is_frame_folder(video):
        return float("nan") if video.frames_fps is None else float(video.frames_fps)
    try:
        if video.stored is not None:
            with closing(StreamDecoder(video.stored)) as decoder:
                return float(decoder.stream.average_rate or "nan")
        with av.open(video.path) as container:
            return float(container.streams.video[0].average_rate or "nan")
    except (av.FFmpegError, OSError, IndexError, ValueError):
        return float("nan")
