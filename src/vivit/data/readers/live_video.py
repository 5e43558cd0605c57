"""Videos that come as they are made: standard input, which cannot seek, and cameras."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from types import TracebackType

import av
import numpy as np
from jaxtyping import UInt8

from vivit.data.frame_times import FrameTimes
from vivit.data.readers.frame_converter import Converter, Orientation
from vivit.data.readers.video_error import VideoError, as_video_error
from vivit.data.views import CropBox, VideoShape

PIPE = "-"
"""The name of standard input."""
CAMERA = re.compile(r"webcam:(\d+)")
"""The name of a camera, by its number."""
CAMERA_FORMATS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}")}
"""FFmpeg's input and the name of a camera there, by operating system."""
PIPE_FORMATS = "MPEG-TS, Matroska or FLV (ffmpeg -i ... -f mpegts -)"


def is_live(source: str) -> bool:
    """Return whether a source is standard input or a camera."""
    return source == PIPE or CAMERA.fullmatch(source) is not None


def _input_of(source: str) -> tuple[str, str | None]:
    """Return FFmpeg's name of a source, and its format where FFmpeg does not find it. Raises VideoError.

    Standard input must be a pipe or a file: nobody types a video.
    """
    if camera := CAMERA.fullmatch(source):
        format_, device = CAMERA_FORMATS.get(sys.platform, CAMERA_FORMATS["linux"])
        return device.format(camera[1]), format_
    try:
        number = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # it is closed, or replaced by something without a file
        raise VideoError(source, "is standard input, which is closed", f"send {PIPE_FORMATS}") from None
    if os.isatty(number):
        raise VideoError(source, "is standard input, and that is a terminal", f"send {PIPE_FORMATS}")
    return f"pipe:{number}", None


class LiveVideo:
    """Standard input (``-``) or a camera (``webcam:0``), read once from its beginning to its end.

    As an open video it has one frame, the present one of ``seconds``. Raises VideoError for what is no video, or none
    of a format that can be read without seeking.
    """

    def __init__(self, source: str, *, square_pixels: bool = False) -> None:
        self.source, self.square_pixels = source, square_pixels
        name, format_ = _input_of(source)
        try:
            self._container = av.open(name, format=format_, metadata_errors="ignore")
        except (av.FFmpegError, OSError, ValueError) as error:
            remedy = f"send {PIPE_FORMATS}" if source == PIPE else "name a camera that there is, webcam:0"
            problem = f"cannot be opened ({getattr(error, 'strerror', None) or error})"
            raise VideoError(source, problem, remedy) from None
        if not self._container.streams.video:
            self._container.close()
            raise VideoError(source, "has no moving picture", f"send {PIPE_FORMATS}")
        self._stream = self._container.streams.video[0]
        self._stream.codec_context.thread_count = 1
        self._frame: av.VideoFrame | None = None
        self._converters: dict[tuple[tuple[CropBox, ...], tuple[int, int]], Converter] = {}

    @property
    def rate(self) -> float | None:
        """Frames a second by the header; None: it does not contain them."""
        rate = self._stream.average_rate or self._stream.guessed_rate
        return float(rate) if rate else None

    def seconds(self) -> Iterator[float]:
        """Go from frame to frame; yield when each begins, in seconds from the first one.

        Frames that the decoder marks as corrupt are left out.
        """
        tick, first = self._stream.time_base or Fraction(1, 1000), None
        with as_video_error(self.source):
            for frame in self._container.decode(self._stream):
                if frame.pts is None or frame.is_corrupt:
                    continue
                first = frame.pts if first is None else first
                self._frame = frame
                yield float((frame.pts - first) * tick)

    @property
    def frame(self) -> av.VideoFrame:
        """The present frame, as it was decoded. Raises VideoError before the first one."""
        if self._frame is None:
            raise VideoError(self.source, "has no frame yet")
        return self._frame

    @property
    def shape(self) -> VideoShape:
        """One frame, height and width."""
        return VideoShape(1, *Orientation.of(self.frame).displayed_size((self.frame.height, self._width)))

    @property
    def _width(self) -> int:
        aspect = self._stream.sample_aspect_ratio if self.square_pixels else None
        return max(1, round(self.frame.width * aspect)) if aspect else self.frame.width

    def times(self) -> FrameTimes:
        """Raise VideoError: when the present frame ends is not known yet."""
        raise VideoError(self.source, "comes as it is made, and its end is not known")

    def read(
        self, numbers: Sequence[int], boxes: Sequence[CropBox], size: tuple[int, int]
    ) -> UInt8[np.ndarray, "boxes f h w 3"]:
        """Return the present frame for each of ``numbers``, cropped to every box and resized to ``size``."""
        key = (tuple(boxes), size)
        if key not in self._converters:
            stored, orientation = (self.frame.height, self.frame.width), Orientation.of(self.frame)
            self._converters = {key: Converter(stored, orientation, boxes, size, self._width)}
        views = np.empty((len(boxes), 1, *size, 3), np.uint8)
        with as_video_error(self.source):
            self._converters[key](self.frame, views[:, 0])
        return views.repeat(len(numbers), 1)

    def close(self) -> None:
        """Close the input."""
        self._container.close()

    def __enter__(self) -> "LiveVideo":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
