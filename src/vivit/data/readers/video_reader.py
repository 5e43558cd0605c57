"""The exact frames of a video by number: a tool of its own, for notebooks and other programs."""

import operator
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import SupportsIndex

import numpy as np
from jaxtyping import Float, Int, UInt8

from vivit.data.readers.open_video import open_video
from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.views import CropBox
from vivit.structures import Video

FRAME_FOLDER_FPS = 25.0
"""Frames a second of a folder of pictures, which has no timestamps."""


class VideoReader:
    """The frames of a video file, of a part of one, or of a folder of numbered JPEG pictures.

    ``len(reader)`` is the number of frames that a player shows. ``reader[number]`` is one of them, uint8 [h, w, 3],
    RGB, upright; ``reader[numbers]`` are several, [n, h, w, 3], in that order and with repeats. Numbers count from 0,
    or from the end where they are negative; slices work too. A frame is the same, bit for bit, whichever others are
    read with it. ``start`` and ``end``, in seconds from the first frame, select a part. ``square_pixels`` widens
    pictures whose pixels are not square as a player does.

    Close it, or use it in a ``with`` statement. Raises VideoError for files that cannot be read, IndexError for
    numbers that do not exist.

        with vivit.VideoReader("clip.mp4") as reader:
            frames = reader[::10]
    """

    def __init__(
        self, path: str | Path, start: float | None = None, end: float | None = None, *, square_pixels: bool = False
    ) -> None:
        self._video = open_video(Video(str(path), (), start, end), square_pixels=square_pixels)

    def __len__(self) -> int:
        return self._video.shape.frames

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a frame."""
        return self._video.shape.height, self._video.shape.width

    @property
    def timestamps(self) -> Float[np.ndarray, " n"]:
        """Time of every frame, in seconds from the first."""
        if not isinstance(self._video, PyAVVideoReader):
            return np.arange(len(self)) / FRAME_FOLDER_FPS
        stamps = np.asarray(self._video.stamps, np.int64)
        return (stamps - stamps[0]) * float(self._video.time_base)

    @property
    def fps(self) -> float:
        """Mean number of frames a second; 25 for a folder of pictures, and for a single frame."""
        seconds = float(self.timestamps[-1])
        return (len(self) - 1) / seconds if seconds > 0 else FRAME_FOLDER_FPS

    def __getitem__(self, key: int | slice | Sequence[int] | Int[np.ndarray, " n"]) -> UInt8[np.ndarray, "*n h w 3"]:
        if isinstance(key, slice):
            numbers = list(range(*key.indices(len(self))))
        elif isinstance(key, Sequence | np.ndarray):
            numbers = [self._number(number) for number in key]
        else:
            return self[[key]][0]
        if not numbers:
            return np.empty((0, *self.size, 3), np.uint8)
        return self._video.read(numbers, [CropBox(0, 0, *self.size)], self.size)[0]

    def _number(self, number: SupportsIndex) -> int:
        index = operator.index(number)
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no frame {index}; the video has {len(self)}")
        return index % len(self)

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        for first in range(0, len(self), 64):
            yield from self[first : first + 64]

    def close(self) -> None:
        """Close the file."""
        self._video.close()

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
