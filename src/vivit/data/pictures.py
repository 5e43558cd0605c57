"""Videos that are folders of numbered JPEG pictures, as EPIC-Kitchens releases them."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from jaxtyping import UInt8

from vivit.data.conversion import Converter, Orientation
from vivit.data.sampling import Extent, Window
from vivit.data.video_error import VideoError, file_errors_named


class PictureFolder:
    """Pictures ``frame_0000000001.jpg`` and on of a folder, or those from ``first`` to ``last``, both counted in.

    Frame numbers count from 0, whatever the names begin with. Read as a video file is, with the same conversion.
    """

    def __init__(self, path: str, first: int | None = None, last: int | None = None) -> None:
        self.path = path
        if first is None or last is None:
            names = sorted(file.stem for file in Path(path).glob("frame_*.jpg"))
            if not names:
                raise VideoError(path, "holds no picture called frame_0000000001.jpg and so on")
            first, last = int(names[0].removeprefix("frame_")), int(names[-1].removeprefix("frame_"))
        if first > last:
            raise VideoError(path, f"has no frame from {first} to {last}: the last comes before the first")
        self._numbers = range(first, last + 1)
        self._decoder = av.CodecContext.create("mjpeg", "r")
        self._decoder.thread_count = 1
        picture = self._picture(first)
        with file_errors_named(path):
            self._stored, self._orientation = (picture.height, picture.width), Orientation.of(picture)

    @property
    def extent(self) -> Extent:
        """Frames, height and width."""
        return Extent(len(self._numbers), *self._orientation.shown(self._stored))

    def read(
        self, numbers: Sequence[int], windows: Sequence[Window], size: tuple[int, int]
    ) -> UInt8[np.ndarray, "windows f h w 3"]:
        """Decode the frames ``numbers``, in that order and with repeats, through every window, scaled to ``size``.

        Raises ``VideoError`` where a picture is damaged or missing.
        """
        wanted, places = np.unique(np.asarray(numbers), return_inverse=True)
        views = np.empty((len(windows), len(wanted), *size, 3), np.uint8)
        convert = Converter(self._stored, self._orientation, windows, size)
        for at, number in enumerate(wanted):
            picture = self._picture(self._numbers[number])
            try:
                convert(picture, views[:, at])
            except ValueError as error:
                raise VideoError(self.path, f"{_name(self._numbers[number])} {error}") from None
        return views[:, places]

    def _picture(self, number: int) -> av.VideoFrame:
        try:
            data = (Path(self.path) / _name(number)).read_bytes()
        except OSError as error:
            raise VideoError(self.path, f"{_name(number)} cannot be read ({error.strerror})") from None
        if b"\xff\xd9" not in data[-64:]:
            raise VideoError(self.path, f"{_name(number)} is cut off or no JPEG picture")
        try:
            (picture,) = self._decoder.decode(av.Packet(data))
        except (av.FFmpegError, ValueError):
            raise VideoError(self.path, f"{_name(number)} is damaged") from None
        if picture.is_corrupt:
            raise VideoError(self.path, f"{_name(number)} is damaged")
        return picture

    def close(self) -> None:
        """Nothing stays open between pictures."""

    def __enter__(self) -> "PictureFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _name(number: int) -> str:
    return f"frame_{number:010d}.jpg"
