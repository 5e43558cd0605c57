"""A video that is an array of frames in memory."""

from collections.abc import Sequence
from types import TracebackType

import av
import numpy as np
from jaxtyping import UInt8

from vivit.data.frame_times import FrameTimes
from vivit.data.readers.frame_converter import Converter, Orientation
from vivit.data.views import CropBox, VideoShape
from vivit.errors import DataError


class FrameArrayReader:
    """Frames [f, h, w, 3], uint8 in RGB, ``fps`` a second if that is known. Raises DataError for another array."""

    square_pixels = False

    def __init__(self, frames: np.ndarray, fps: int | float | None = None) -> None:
        if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
            raise DataError(
                "an array", f"has the shape {frames.shape} of {frames.dtype}", "pass frames [f, h, w, 3] of uint8, RGB"
            )
        self._frames, self._fps = frames, fps

    @property
    def shape(self) -> VideoShape:
        """Frames, height and width."""
        return VideoShape(*self._frames.shape[:3])

    def times(self) -> FrameTimes:
        """Return when the frames begin, evenly spaced. Raises DataError where their rate is unknown."""
        if self._fps is None:
            raise DataError("an array", "has no timestamps, and clips are cut by data.fps", "pass frames_fps or a file")
        return FrameTimes(np.arange(len(self._frames)) / self._fps, len(self._frames) / self._fps)

    def read(
        self, numbers: Sequence[int], boxes: Sequence[CropBox], size: tuple[int, int]
    ) -> UInt8[np.ndarray, "boxes f h w 3"]:
        """Return the frames ``numbers``, cropped to every box and resized to ``size``."""
        views = np.empty((len(boxes), len(numbers), *size, 3), np.uint8)
        convert = Converter(self._frames.shape[1:3], Orientation(), boxes, size)
        for at, number in enumerate(numbers):
            picture = np.ascontiguousarray(self._frames[number])
            convert(av.VideoFrame.from_ndarray(picture, format="rgb24"), views[:, at])
        return views

    def close(self) -> None:
        """Do nothing: no file is open."""

    def __enter__(self) -> "FrameArrayReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
