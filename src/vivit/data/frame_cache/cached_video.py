"""A video in the cache: its frames are converted as decoded ones are, many at a time."""

from collections.abc import Sequence
from functools import lru_cache
from types import TracebackType

import av.filter
import numpy as np
from jaxtyping import UInt8

from vivit.data.frame_cache.pictures import PictureKind, StoredVideo
from vivit.data.frame_times import FrameTimes
from vivit.data.readers.frame_converter import conversion_graph, packed_pixels, stored_boxes
from vivit.data.readers.frame_folder import NO_TIMES
from vivit.data.views import CropBox, VideoShape
from vivit.errors import DataError

STACKED_PIXELS = 1 << 22
"""Pixels that are converted at a time, so that what lies between stays small."""
STACKED_FRAMES = 256
"""Frames that are converted at a time, at most."""


class CachedVideo:
    """An ``OpenVideo`` over stored pictures. What it reads equals, bit for bit, what the decoder's reader does."""

    def __init__(self, stored: StoredVideo, times: FrameTimes | None = None, *, square_pixels: bool = False) -> None:
        self._stored, self._kind, self._times = stored, stored.kind, times
        self._width = self._kind.wide if square_pixels else self._kind.width
        self._orientation = self._kind.orientation

    @property
    def shape(self) -> VideoShape:
        """Frames, height and width."""
        displayed = self._orientation.displayed_size((self._kind.height, self._width))
        return VideoShape(len(self._stored.planes[0]), *displayed)

    def times(self) -> FrameTimes:
        """Return when the frames begin. Raises ``DataError`` for those of a folder, which have no timestamps."""
        if self._times is None:
            raise DataError("a cached video", "is a folder of pictures, which has no timestamps", NO_TIMES)
        return self._times

    def read(
        self, numbers: Sequence[int], boxes: Sequence[CropBox], size: tuple[int, int]
    ) -> UInt8[np.ndarray, "boxes f h w 3"]:
        """Return the frames ``numbers``, in that order and with repeats, cropped to every box and resized to ``size``.

        As many as possible lie below one another in one frame, which FFmpeg takes apart, converts and puts together
        again: a call for each of them would cost more than the conversion.
        """
        views = np.empty((len(boxes), len(numbers), *size, 3), np.uint8)
        height, width = self._orientation.displayed_size(size)
        parts = stored_boxes(boxes, self._orientation, (self._kind.height, self._kind.width), self._width)
        at_once = max(1, min(STACKED_FRAMES, STACKED_PIXELS // (self._kind.height * self._kind.width)))
        at_once = at_once if self._kind.can_stack else 1
        for begin in range(0, len(numbers), at_once):
            part = list(numbers[begin : begin + at_once])
            stack = self._stored.stack(part)
            for box, view in zip(parts, views, strict=True):
                graph = stacked_graph(self._kind, box, (height, width), len(part))
                graph.push(stack)
                pixels = packed_pixels(graph.vpull()).reshape(len(part), height, width, 3)
                view[begin : begin + len(part)] = self._orientation.upright(pixels)
        return views

    def close(self) -> None:
        """Do nothing: the cache stays open."""

    def __enter__(self) -> "CachedVideo":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@lru_cache(maxsize=64)
def stacked_graph(kind: PictureKind, box: CropBox, size: tuple[int, int], pictures: int) -> av.filter.Graph:
    """Return the filters that convert ``pictures`` pictures of a kind that lie below one another.

    The last few are kept: building one costs as much as using it, and crops repeat where pictures are small.
    """
    return conversion_graph(kind.stack(pictures), box, size, stacked=pictures)
