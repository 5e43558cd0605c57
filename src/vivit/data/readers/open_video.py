"""The interface of every reader of a video, and which reader opens which video."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, runtime_checkable

import av
import numpy as np
from jaxtyping import UInt8

from vivit.data.frame_times import FrameTimes
from vivit.data.readers.frame_converter import Orientation
from vivit.data.readers.frame_folder import FrameFolderReader
from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.views import CropBox, VideoShape
from vivit.structures import Video


@runtime_checkable
class OpenVideo(Protocol):
    """An open video."""

    @property
    def shape(self) -> VideoShape:
        """Frames, height and width."""
        ...

    def times(self) -> FrameTimes:
        """Return when the frames begin. Raises ``DataError`` for pictures without timestamps."""
        ...

    def read(
        self, numbers: Sequence[int], boxes: Sequence[CropBox], size: tuple[int, int]
    ) -> UInt8[np.ndarray, "boxes f h w 3"]:
        """Return the frames ``numbers``, cropped to every box and resized to ``size``. Raises ``VideoError``."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...

    def __enter__(self) -> "OpenVideo": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class DecodedVideo(OpenVideo, Protocol):
    """An open video whose frames are decoded: it hands them out as they are, too."""

    @property
    def stored_size(self) -> tuple[int, int]:
        """Height and width of the pictures as they are stored."""
        ...

    @property
    def orientation(self) -> Orientation:
        """How the stored pictures are rotated for display."""
        ...

    def visit(self, numbers: Iterable[int], receive: Callable[[int, av.VideoFrame], None]) -> None:
        """Pass every frame of ``numbers`` to ``receive``, as it was decoded, with its number. Raises ``VideoError``."""
        ...

    def __enter__(self) -> "DecodedVideo": ...


def is_frame_folder(video: Video) -> bool:
    """Return whether a video is a folder of frames, which have no timestamps of their own."""
    return video.frame_range is not None or (video.stored is None and Path(video.path).is_dir())


def has_timestamps(video: Video) -> bool:
    """Return whether it is known when the frames of a video begin: it is a file, or a folder of a known rate."""
    return video.frames_fps is not None or not is_frame_folder(video)


def on_screen_from_start(video: Video) -> Video:
    """Return a video whose segment, if it is one, includes the frame that is on screen at its start."""
    return video if video.start is None else replace(video, include_previous=True)


def open_video(video: Video, *, square_pixels: bool = False) -> DecodedVideo:
    """Return a reader of a video file, of a segment of one, or of a folder of frames. Raises ``VideoError``.

    ``square_pixels`` widens pictures whose pixels are not square as a player does. Frames in a folder have square ones.
    """
    if is_frame_folder(video):
        return FrameFolderReader(
            video.path, *(video.frame_range or ()),
            fps=video.frames_fps, start=video.start, end=video.end, include_previous=video.include_previous,
        )  # fmt: skip
    return PyAVVideoReader(
        video.stored or video.path, video.start, video.end, video.stamps,
        square_pixels=square_pixels, include_previous=video.include_previous,
    )  # fmt: skip
