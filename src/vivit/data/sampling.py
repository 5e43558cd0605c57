"""Which frames and which part of the picture a view shows: pure, in frame numbers and pixels, as the reference does it.

Nothing here opens a file. A plan is made from a video's ``Extent`` and, in training, a random generator.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from vivit.data.places import spread, views_name


class Extent(NamedTuple):
    """What a plan needs to know of a video: frames, and height and width in pixels."""

    frames: int
    height: int
    width: int


class Window(NamedTuple):
    """A rectangle of the source picture, in whole pixels, that becomes the picture of a view."""

    top: int
    left: int
    height: int
    width: int


class Scaling(NamedTuple):
    """How the reference comes to the picture of a view: it scales twice, and then cuts at ``corner``."""

    resized: tuple[int, int]
    """Height and width when the shorter side has its length."""
    jittered: tuple[int, int]
    """Height and width after scale jitter; without it the same."""
    corner: tuple[int, int]
    """Top and left of the crop."""


Colours = Callable[[UInt8[np.ndarray, "f h w 3"], np.random.Generator, float], UInt8[np.ndarray, "f h w 3"]]
"""Changes the colours of a clip: by what it draws from the generator, and how far training is, in [0, 1]."""


class View(NamedTuple):
    """All that a view shows of a video."""

    numbers: tuple[int, ...]
    """Frames, in order."""
    window: Window
    """What of the source picture, if it is cut first and scaled once."""
    scaling: Scaling
    """The same as the reference gets there."""
    mirrored: bool = False
    """Whether left and right are swapped."""
    colours: Colours | None = None
    """What becomes of the colours; None: they stay."""


@runtime_checkable
class Plan(Protocol):
    """Decides the views of a video; ``crop`` is height and width of each."""

    @property
    def crop(self) -> tuple[int, int]:
        """Height and width of every view, in pixels."""
        ...

    def __call__(self, video: Extent, rng: np.random.Generator) -> list[View]:
        """Plan the views of one video."""
        ...


def looped(offset: int, frames: int, stride: int, length: int) -> tuple[int, ...]:
    """Give ``frames`` numbers from ``offset`` on, ``stride`` apart; a video that runs out starts again."""
    return tuple(int(i) for i in (offset + stride * np.arange(frames)) % length)


def short_side(video: Extent, length: int) -> tuple[int, int]:
    """Height and width when the shorter side is scaled to ``length``; the other is rounded down."""
    short = min(video.height, video.width)
    return video.height * length // short, video.width * length // short


def window(video: Extent, scaled: tuple[int, int], crop: tuple[int, int], corner: tuple[int, int]) -> Window:
    """Find in the source what a crop at ``corner`` of the picture scaled to ``scaled`` would show.

    Cutting first and scaling what is left costs one pass over fewer pixels. The edges are rounded to whole source
    pixels, so the picture moves by up to half of one against scaling first.
    """
    (top, left), (bottom, right) = (
        [round(at * side / whole) for at, side, whole in zip(edge, video[1:], scaled, strict=True)]
        for edge in (corner, (corner[0] + crop[0], corner[1] + crop[1]))
    )
    return Window(top, left, max(bottom - top, 1), max(right - left, 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomView:
    """One view for training: a random offset, scale jitter, a random crop, a flip, colours, as the reference.

    The offset is uniform over all that leave room for the clip. Height and width are scaled by independent factors
    from ``scale_jitter``, after the short side was scaled to ``resize``. ``colours`` is one policy: where the reference
    is given several, it runs RandAugment alone.
    """

    frames: int
    stride: int
    resize: int
    crop: tuple[int, int]
    scale_jitter: Sequence[float] = (1.0, 1.0)
    random_crop: bool = True
    flip: float = 0.0
    colours: Colours | None = None

    def __post_init__(self) -> None:
        if len(self.scale_jitter) != 2:
            raise ValueError(f"augment.scale_jitter={list(self.scale_jitter)} must be two factors, as in [0.9,1.33]")
        check_crop(self.resize, self.crop, self.scale_jitter[0])

    def __call__(self, video: Extent, rng: np.random.Generator) -> list[View]:
        """Plan one view."""
        room = max(video.frames - (self.frames - 1) * self.stride, 1)
        offset = int(rng.integers(room))
        smallest, largest = self.scale_jitter
        jitter = rng.uniform(smallest, largest, size=2)
        resized = short_side(video, self.resize)
        scaled = int(resized[0] * jitter[0]), int(resized[1] * jitter[1])
        spare = scaled[0] - self.crop[0], scaled[1] - self.crop[1]
        at = rng.uniform(size=2)
        corner = spare[0] // 2, spare[1] // 2
        if self.random_crop:
            corner = int(at[0] * (spare[0] + 1)), int(at[1] * (spare[1] + 1))
        return [
            View(
                looped(offset, self.frames, self.stride, video.frames),
                window(video, scaled, self.crop, corner),
                Scaling(resized, scaled, corner),
                mirrored=bool(rng.uniform() < self.flip),
                colours=self.colours,
            )
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class EvenViews(ABC):
    """Views for evaluation: some temporal ``offsets`` times ``spatial`` crops along the longer side of the picture.

    One spatial crop is the middle of the picture.
    """

    frames: int
    stride: int
    resize: int
    crop: tuple[int, int]
    spatial: int = 1

    def __post_init__(self) -> None:
        check_crop(self.resize, self.crop, 1.0)

    def __call__(self, video: Extent, rng: np.random.Generator | None = None) -> list[View]:
        """Plan the views, temporal position outermost; ``rng`` is not used."""
        scaled = short_side(video, self.resize)
        return [
            View(
                looped(offset, self.frames, self.stride, video.frames),
                window(video, scaled, self.crop, corner),
                Scaling(scaled, scaled, corner),
            )
            for offset in self.offsets(video.frames)
            for corner in self.corners(scaled)
        ]

    @abstractmethod
    def offsets(self, length: int) -> list[int]:
        """First frame of each temporal view."""

    def corners(self, scaled: tuple[int, int]) -> list[tuple[int, int]]:
        """Top left corner of each crop, in pixels of the scaled picture."""
        spare = (scaled[0] - self.crop[0], scaled[1] - self.crop[1])
        middle = (-(-spare[0] // 2), -(-spare[1] // 2))
        if self.spatial == 1:
            return [middle]
        if scaled[0] > scaled[1]:
            return [(top, middle[1]) for top in (0, middle[0], spare[0])]
        return [(middle[0], left) for left in (0, middle[1], spare[1])]


@dataclass(frozen=True, kw_only=True, slots=True)
class GridViews(EvenViews):
    """All views for testing: ``temporal`` offsets spread over the video; a single one lies in its middle.

    ``counts`` are further numbers of temporal views whose offsets are looked at too, so that accuracy against their
    number (ViViT, figure 9) comes out of one pass. ``average`` names the rule that makes one score of a video's views.
    """

    temporal: int = 1
    counts: Sequence[int] = ()
    average: str = "logits"

    def __post_init__(self) -> None:
        check_crop(self.resize, self.crop, 1.0)
        if self.temporal < 1 or self.spatial not in (1, 3):
            raise ValueError(
                f"views are temporal >= 1 times spatial 1 or 3, not {views_name(self.temporal, self.spatial)}: "
                "the crops lie at both ends and in the middle of the longer side"
            )
        if not all(count >= 1 for count in self.counts):
            raise ValueError(f"views.counts={list(self.counts)} are numbers of temporal views, each 1 or more")

    def __len__(self) -> int:
        return len(self.places) * self.spatial

    def offsets(self, length: int) -> list[int]:
        """First frame of each temporal view: the reference's truncated linspace, for all counts at once."""
        room = max(0, length - self.frames * self.stride)
        return [int(part * (room / whole)) for part, whole in self.places]

    @property
    def places(self) -> list[tuple[int, int]]:
        """Places of the temporal views of all counts, in order of time."""
        places = {place for count in (self.temporal, *self.counts) for place in spread(count)}
        return sorted(places, key=lambda place: (place[0] / place[1], place))

    def chosen(self) -> dict[str, list[int]]:
        """Numbers of the views that belong to each count of temporal views, under its name, such as 4x3."""
        number = {place: at * self.spatial for at, place in enumerate(self.places)}
        return {
            views_name(count, self.spatial): [
                number[place] + crop for place in spread(count) for crop in range(self.spatial)
            ]
            for count in sorted({self.temporal, *self.counts})
        }


def check_crop(resize: int, crop: tuple[int, int], smallest: float) -> None:
    """Refuse a crop that the scaled picture cannot hold."""
    if int(resize * smallest) < max(crop):
        raise ValueError(
            f"a crop of {crop[0]}x{crop[1]} does not fit a short side of resize={resize} pixels"
            + (f" times the smallest scale jitter {smallest}" if smallest != 1 else "")
            + f"; resize must be at least {int(np.ceil(max(crop) / smallest))}"
        )
