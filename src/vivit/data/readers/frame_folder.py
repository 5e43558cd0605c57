"""Videos that are folders of numbered JPEG frames, as EPIC-Kitchens releases them."""

from collections.abc import Callable, Iterable, Sequence
from math import ceil, inf
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from jaxtyping import UInt8

from vivit.data.frame_times import TOLERANCE, FrameTimes
from vivit.data.readers.frame_converter import Converter, Orientation
from vivit.data.readers.video_error import VideoError, as_video_error
from vivit.data.views import CropBox, VideoShape

NO_TIMES = (
    "set data.dataset.frames_fps, of predict.py frames_fps, to the rate at which they were written, or cut clips by "
    "data.stride"
)
"""What to do where clips are cut by timestamps, and there are none."""


class FrameFolderReader:
    """The frames ``frame_0000000001.jpg`` and so on of a folder, or those from ``first`` to ``last`` inclusive.

    Frame numbers count from 0, whatever the file names begin with. Frames are converted as those of a video file.
    With ``fps`` they have evenly spaced timestamps, by which ``start`` and ``end``, in seconds, select some of them;
    with ``include_previous`` also the one before those.
    """

    def __init__(
        self,
        path: str,
        first: int | None = None,
        last: int | None = None,
        *,
        fps: int | float | None = None,
        start: float | None = None,
        end: float | None = None,
        include_previous: bool = False,
    ) -> None:
        self.path = path
        if first is None or last is None:
            names = sorted(file.stem for file in Path(path).glob("frame_*.jpg"))
            if not names:
                raise VideoError(path, "holds no picture called frame_0000000001.jpg and so on")
            first, last = int(names[0].removeprefix("frame_")), int(names[-1].removeprefix("frame_"))
        if first > last:
            raise VideoError(path, f"has no frame from {first} to {last}: the last comes before the first")
        numbers = range(first, last + 1)
        self._fps, self._start, self._end = fps, start or 0.0, inf if end is None else end
        self._seconds, self._skipped = len(numbers) / fps if fps else 0.0, 0
        if start is not None or end is not None:
            if fps is None:
                raise VideoError(
                    path, "is a folder of pictures without timestamps, and has a start or an end", NO_TIMES
                )
            low, high = (ceil((min(at, self._seconds) - TOLERANCE) * fps) for at in (self._start, self._end))
            self._skipped = max(low - include_previous, 0)
            numbers = numbers[self._skipped : high]
            if not numbers:
                raise VideoError(path, f"has no frame from {self._start:g} s to {self._end:g} s")
        self._numbers = numbers
        self._decoder = av.CodecContext.create("mjpeg", "r")
        self._decoder.thread_count = 1
        frame = self._decode(self._numbers[0])
        with as_video_error(path):
            self.stored_size, self.orientation = (frame.height, frame.width), Orientation.of(frame)

    @property
    def shape(self) -> VideoShape:
        """Frames, height and width."""
        return VideoShape(len(self._numbers), *self.orientation.displayed_size(self.stored_size))

    def times(self) -> FrameTimes:
        """Return when the frames begin, evenly spaced. Raises ``VideoError`` where their rate is unknown."""
        if self._fps is None:
            raise VideoError(self.path, "is a folder of pictures, which has no timestamps", NO_TIMES)
        begins = (self._skipped + np.arange(len(self._numbers))) / self._fps - self._start
        return FrameTimes(begins, min(self._seconds, self._end) - self._start)

    def read(
        self, numbers: Sequence[int], boxes: Sequence[CropBox], size: tuple[int, int]
    ) -> UInt8[np.ndarray, "boxes f h w 3"]:
        """Return the frames ``numbers``, in that order and with repeats, cropped to every box and resized to ``size``.

        Raises ``VideoError`` where a frame is damaged or missing.
        """
        unique, positions = np.unique(np.asarray(numbers), return_inverse=True)
        views = np.empty((len(boxes), len(unique), *size, 3), np.uint8)
        convert = Converter(self.stored_size, self.orientation, boxes, size)
        targets = {int(number): at for at, number in enumerate(unique)}
        self.visit(targets, lambda number, frame: convert(frame, views[:, targets[number]]))
        return views[:, positions]

    def visit(self, numbers: Iterable[int], receive: Callable[[int, av.VideoFrame], None]) -> None:
        """Pass every frame of ``numbers`` to ``receive``, as it was decoded, with its number. Raises ``VideoError``."""
        for number in numbers:
            frame = self._decode(self._numbers[number])
            try:
                receive(number, frame)
            except ValueError as error:
                raise VideoError(self.path, f"{_file_name(self._numbers[number])} {error}") from None

    def _decode(self, number: int) -> av.VideoFrame:
        name = _file_name(number)
        try:
            data = (Path(self.path) / name).read_bytes()
        except OSError as error:
            raise VideoError(self.path, f"{name} cannot be read ({error.strerror})") from None
        if b"\xff\xd9" not in data[-64:]:
            raise VideoError(self.path, f"{name} is cut off or no JPEG picture")
        try:
            (frame,) = self._decoder.decode(av.Packet(data))
        except (av.FFmpegError, ValueError):
            raise VideoError(self.path, f"{name} is damaged") from None
        if frame.is_corrupt:
            raise VideoError(self.path, f"{name} is damaged")
        return frame

    def close(self) -> None:
        """Do nothing: no file stays open between frames."""

    def __enter__(self) -> "FrameFolderReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _file_name(number: int) -> str:
    return f"frame_{number:010d}.jpg"
