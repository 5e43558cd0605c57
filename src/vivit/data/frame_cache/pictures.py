"""How the pictures of a video lie in memory: the decoder's own pixels, plane by plane."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import av
import numpy as np
from jaxtyping import UInt8

from vivit.data.readers.frame_converter import Orientation

STRANGE_FORMATS = ("pal8", "monow", "monob")
"""Pixel formats whose planes are no rows of pixels."""


class UncacheableError(ValueError):
    """The frames of a video cannot be kept as they are; it is decoded as without a cache."""


class PictureKind(NamedTuple):
    """What all pictures of a video have in common, as the conversion to RGB needs it."""

    pixel_format: str
    height: int
    width: int
    """Of the picture as it is stored."""
    wide: int
    """Width of the stored picture where its pixels are made square."""
    orientation: Orientation
    colors: tuple[int, int, int, int]
    """Range, matrix, primaries and transfer curve, by FFmpeg's numbers."""
    interlaced: bool

    @classmethod
    def of(cls, frame: av.VideoFrame, wide: int, orientation: Orientation) -> "PictureKind":
        """Return the kind of a decoded frame. Raises ``UncacheableError`` for a pixel format that is not rows."""
        name = frame.format.name
        if name in STRANGE_FORMATS or not frame.planes:
            raise UncacheableError(f"the pixel format {name}")
        colors = int(frame.color_range), int(frame.colorspace), int(frame.color_primaries), int(frame.color_trc)
        return cls(name, frame.height, frame.width, wide, orientation, colors, bool(frame.interlaced_frame))

    @classmethod
    def from_plain(cls, values: Sequence[Any]) -> "PictureKind":
        """Return the kind that JSON has written as a list."""
        name, height, width, wide, orientation, colors, interlaced = values
        return cls(name, height, width, wide, Orientation(*orientation), tuple(colors), interlaced)

    def same_picture(self, frame: av.VideoFrame) -> bool:
        """Return whether a frame of the same video is of this kind."""
        return PictureKind.of(frame, self.wide, self.orientation) == self

    @property
    def planes(self) -> Sequence[tuple[int, int]]:
        """Rows of each plane, and bytes of a row: those of a frame that FFmpeg allocates for us."""
        return plane_sizes(self.pixel_format, self.height, self.width)

    @property
    def frame_bytes(self) -> int:
        """Bytes of a picture."""
        return sum(rows * line for rows, line in self.planes)

    def stack(self, pictures: int) -> av.VideoFrame:
        """Return an empty frame in which so many pictures lie below one another."""
        frame = av.VideoFrame(self.width, self.height * pictures, self.pixel_format)
        frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc = self.colors
        return frame

    @property
    def can_stack(self) -> bool:
        """Whether FFmpeg takes pictures apart that lie below one another: where no plane halves an odd side."""
        return halves_no_odd_side(self.pixel_format, self.height, self.width)


@lru_cache(maxsize=256)
def plane_sizes(pixel_format: str, height: int, width: int) -> tuple[tuple[int, int], ...]:
    """Return rows, and bytes of a row, of each plane of a picture."""
    return tuple((plane.height, plane.line_size) for plane in av.VideoFrame(width, height, pixel_format).planes)


@lru_cache(maxsize=256)
def halves_no_odd_side(pixel_format: str, height: int, width: int) -> bool:
    """Return whether height and width of a picture are multiples of those of each plane."""
    planes = av.VideoFrame(width, height, pixel_format).planes
    return all(height % plane.height == 0 and width % plane.width == 0 for plane in planes)


def plane_rows(frame: av.VideoFrame) -> list[UInt8[np.ndarray, "_rows _bytes"]]:
    """Return the planes of a frame as rows of bytes, without copying; rows may be padded."""
    planes = []
    for plane in frame.planes:
        if plane.line_size <= 0:
            raise UncacheableError("its pictures are stored upside down")
        rows = np.frombuffer(memoryview(plane), np.uint8)[: plane.height * plane.line_size]
        planes.append(rows.reshape(plane.height, plane.line_size))
    return planes


class StoredVideo(NamedTuple):
    """The pictures of one video: all of the first plane behind one another, then all of the second."""

    kind: PictureKind
    planes: tuple[UInt8[np.ndarray, "_frames _bytes"], ...]

    @classmethod
    def at(cls, buffer: UInt8[np.ndarray, " _"], offset: int, frames: int, kind: PictureKind) -> "StoredVideo":
        """Return a view of a buffer in which the pictures lie from ``offset`` on."""
        planes = []
        for rows, line in kind.planes:
            size = rows * line
            planes.append(buffer[offset : offset + frames * size].reshape(frames, size))
            offset += frames * size
        return cls(kind, tuple(planes))

    def write(self, number: int, frame: av.VideoFrame) -> None:
        """Store a decoded frame. Raises ``UncacheableError`` for one that is of another kind."""
        if not self.kind.same_picture(frame):
            raise UncacheableError(f"its picture changes at frame {number}")
        for target, source, (rows, line) in zip(self.planes, plane_rows(frame), self.kind.planes, strict=True):
            used = min(line, source.shape[1])  # what lies behind the picture's width is never read
            target[number].reshape(rows, line)[:, :used] = source[:rows, :used]

    def stack(self, numbers: Sequence[int]) -> av.VideoFrame:
        """Return a frame in which the pictures ``numbers`` lie below one another."""
        frame = self.kind.stack(len(numbers))
        for plane, stored in zip(frame.planes, self.planes, strict=True):
            target = np.frombuffer(memoryview(plane), np.uint8)[: len(numbers) * stored.shape[1]]
            np.take(stored, numbers, axis=0, out=target.reshape(len(numbers), -1), mode="clip")  # "raise" would buffer
        return frame
