"""Which reader opens a video."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from vivit.data.decode import VideoFile
from vivit.data.pictures import PictureFolder
from vivit.data.sampling import Extent, Window
from vivit.structures import Video


@runtime_checkable
class Reader(Protocol):
    """An open video."""

    @property
    def extent(self) -> Extent:
        """Frames, height and width."""
        ...

    def read(
        self, numbers: Sequence[int], windows: Sequence[Window], size: tuple[int, int]
    ) -> UInt8[np.ndarray, "windows f h w 3"]:
        """Decode the frames ``numbers`` through every window, scaled to ``size``. Raises ``VideoError``."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...

    def __enter__(self) -> "Reader": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_video(video: Video, *, square_pixels: bool = False) -> Reader:
    """Open a video, or the segment of one, or a folder of pictures, whose pixels are square. Raises ``VideoError``."""
    if video.pictures is not None or Path(video.path).is_dir():
        return PictureFolder(video.path, *(video.pictures or ()))
    return VideoFile(video.path, video.start, video.end, video.stamps, square_pixels=square_pixels)
