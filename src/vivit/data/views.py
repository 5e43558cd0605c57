"""What a view shows of a video: frames and a part of the picture, and the geometry that decides them.

All of this is pure: in frame numbers and pixels, without opening a file.
"""

from collections.abc import Callable
from math import ceil
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from vivit.data.frame_times import FrameTimes
from vivit.errors import ConfigError


class VideoShape(NamedTuple):
    """Length and size of a video: frames, and height and width in pixels."""

    frames: int
    height: int
    width: int


class CropBox(NamedTuple):
    """A rectangle of the source picture, in pixels, that becomes the picture of a view."""

    top: int
    left: int
    height: int
    width: int


class ResizePlan(NamedTuple):
    """The steps by which the reference makes the picture of a view: two resizes, then a crop at ``corner``."""

    resized: tuple[int, int]
    """Height and width after the shorter side was resized."""
    jittered: tuple[int, int]
    """Height and width after scale jitter; without jitter the same as ``resized``."""
    corner: tuple[int, int]
    """Top and left of the crop."""


ColorTransform = Callable[[UInt8[np.ndarray, "f h w 3"], np.random.Generator, float], UInt8[np.ndarray, "f h w 3"]]
"""Changes the colours of a clip: by draws from the generator, and by the progress of training in [0, 1]."""


class View(NamedTuple):
    """Everything that a view shows of a video."""

    numbers: tuple[int, ...]
    """Frame numbers, in order."""
    crop_box: CropBox
    """The part of the source picture, if it is cropped first and resized once."""
    resize_plan: ResizePlan
    """The same part, by the steps of the reference."""
    flipped: bool = False
    """Whether left and right are swapped."""
    color_transform: ColorTransform | None = None
    """Applied to the decoded clip; None: the colours stay."""


@runtime_checkable
class ViewSampler(Protocol):
    """Returns the views of a video, each of height and width ``crop``."""

    @property
    def crop(self) -> tuple[int, int]:
        """Height and width of every view, in pixels."""
        ...

    @property
    def fps(self) -> int | float | None:
        """Frames of a clip a second, by the timestamps of the video, which a call then needs; None: by its frames."""
        ...

    def __call__(
        self, video: VideoShape, rng: np.random.Generator | None, times: FrameTimes | None = None
    ) -> list[View]:
        """Return the views of one video."""
        ...


def frame_indices(offset: int, frames: int, stride: int, length: int) -> tuple[int, ...]:
    """Return ``frames`` numbers from ``offset`` on, ``stride`` apart; a video that is too short is looped."""
    return tuple(int(i) for i in (offset + stride * np.arange(frames)) % length)


def resized_to_short_side(video: VideoShape, length: int) -> tuple[int, int]:
    """Return height and width when the shorter side is resized to ``length``; the other is rounded down."""
    short = min(video.height, video.width)
    return video.height * length // short, video.width * length // short


def source_crop_box(
    video: VideoShape, resized: tuple[int, int], crop: tuple[int, int], corner: tuple[int, int]
) -> CropBox:
    """Return the source rectangle that a crop at ``corner`` of the picture resized to ``resized`` shows.

    Cropping first and resizing the rest costs one pass over fewer pixels. The edges are rounded to whole source
    pixels, so the picture moves by up to half of one compared with resizing first.
    """
    (top, left), (bottom, right) = (
        [round(at * source / target) for at, source, target in zip(edge, video[1:], resized, strict=True)]
        for edge in (corner, (corner[0] + crop[0], corner[1] + crop[1]))
    )
    return CropBox(top, left, max(bottom - top, 1), max(right - left, 1))


def check_crop(resize: int, crop: tuple[int, int], smallest: float) -> None:
    """Raise ``ConfigError`` for a crop larger than the resized picture at the ``smallest`` factor of scale jitter."""
    if int(resize * smallest) < max(crop):
        factor = f" times the smallest scale jitter {smallest}" if smallest != 1 else ""
        raise ConfigError(
            "data.crop",
            crop,
            f"does not fit a short side of data.resize={resize} pixels{factor}",
            f"set data.resize to at least {ceil(max(crop) / smallest)}, or a smaller crop",
        )


def uniform_positions(count: int) -> list[tuple[int, int]]:
    """Return ``count`` positions in a video as fractions (1, 3), from its beginning to its end; one lies in the middle.

    Two positions are equal only where they are the same frame of every video in spite of rounding: 2 of 4 parts are
    1 of 2, because halving is exact, but 3 of 9 need not be 1 of 3.
    """
    return [_halved(part, count - 1) for part in range(count)] if count > 1 else [(1, 2)]


def _halved(part: int, parts: int) -> tuple[int, int]:
    if part in (0, parts):
        return part // parts, 1
    while part % 2 == parts % 2 == 0:
        part, parts = part // 2, parts // 2
    return part, parts


def format_views(temporal: int, spatial: int) -> str:
    """Return the name of so many temporal views with so many crops each, as the paper writes it: 4x3."""
    return f"{temporal}x{spatial}"
