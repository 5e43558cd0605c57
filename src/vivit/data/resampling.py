"""From decoded frames to the pictures of views: in one pass of libswscale, or in the steps of the reference."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8
from torch.nn.functional import interpolate

from vivit.data.reading import Reader
from vivit.data.sampling import View, Window


@runtime_checkable
class Resampling(Protocol):
    """Reads the views of a video, each of height and width ``crop``."""

    @property
    def square_pixels(self) -> bool:
        """Whether a picture whose pixels are not square is made as wide as a player shows it."""
        ...

    def __call__(
        self, video: Reader, views: Sequence[View], crop: tuple[int, int]
    ) -> UInt8[np.ndarray, "v f {crop[0]} {crop[1]} 3"]:
        """Read them, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Fused:
    """Cuts, scales and converts in one pass of libswscale, over nothing but what a view shows. The default.

    The same as ``Reference`` where the video has the size that is asked for. Otherwise apart from it, because the
    window is rounded to whole source pixels, results are not cut to whole levels twice, and shrinking averages: on
    seven web videos by 0.5 to 2.0 grey levels on average without scale jitter and 1.2 to 3.8 with it, single values by
    up to 109.
    """

    square_pixels: bool = False

    def __call__(
        self, video: Reader, views: Sequence[View], crop: tuple[int, int]
    ) -> UInt8[np.ndarray, "v f {crop[0]} {crop[1]} 3"]:
        """Read the views, in order."""
        numbers, windows = every_number(views), list(dict.fromkeys(view.window for view in views))
        decoded = video.read(numbers, windows, crop)
        if len(views) == 1 and views[0].numbers == tuple(numbers):
            return decoded
        frames = np.empty((len(views), len(views[0].numbers), *crop, 3), np.uint8)
        for view, shown in zip(views, frames, strict=True):
            chosen = np.searchsorted(numbers, view.numbers)
            np.take(decoded[windows.index(view.window)], chosen, axis=0, out=shown, mode="clip")  # "raise" would buffer
        return frames


@dataclass(frozen=True, slots=True)
class Reference:
    """Scales whole pictures, twice under scale jitter, then crops: the very steps of the reference, but slower.

    Each scaling is bilinear with half-pixel centres, without antialiasing, cut to whole grey levels.
    """

    square_pixels: bool = False

    def __call__(
        self, video: Reader, views: Sequence[View], crop: tuple[int, int]
    ) -> UInt8[np.ndarray, "v f {crop[0]} {crop[1]} 3"]:
        """Read the views, in order."""
        numbers, (_, height, width) = every_number(views), video.extent
        (pictures,) = video.read(numbers, [Window(0, 0, height, width)], (height, width))
        shown = []
        for view in views:
            resized = scaled(pictures[np.searchsorted(numbers, view.numbers)], view.scaling.resized)
            top, left = view.scaling.corner
            shown.append(scaled(resized, view.scaling.jittered)[:, top : top + crop[0], left : left + crop[1]])
        return np.stack(shown)


def every_number(views: Sequence[View]) -> list[int]:
    """Frames that any of the views shows, each once, in order."""
    return sorted({number for view in views for number in view.numbers})


def scaled(clip: UInt8[np.ndarray, "f _h _w 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "f {size[0]} {size[1]} 3"]:
    """Scale bilinearly as TensorFlow does, with half-pixel centres and no antialiasing; cut to whole grey levels.

    torchvision's ``resize`` rounds instead of cutting, so that half of its values would be one higher.
    """
    if clip.shape[1:3] == size:
        return clip
    result = np.empty((len(clip), *size, 3), np.uint8)
    for frame, place in zip(clip, result, strict=True):
        planes = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float()
        place[:] = interpolate(planes, size, mode="bilinear", align_corners=False)[0].permute(1, 2, 0).numpy()
    return result
