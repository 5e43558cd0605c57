"""View samplers: random views for training, uniform ones for evaluation, as the reference samples them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vivit.data.views import (
    ColorTransform,
    ResizePlan,
    VideoShape,
    View,
    check_crop,
    format_views,
    frame_indices,
    resized_to_short_side,
    source_crop_box,
    uniform_positions,
)
from vivit.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomViewSampler:
    """One view for training: a random offset, scale jitter, a random crop, a flip, a change of colours.

    The offset is uniform over all that leave room for the clip, and are multiples of ``offset_step``. Height and width
    are scaled by independent factors from ``scale_jitter``, after the short side was resized to ``resize``.
    ``color_transform`` is one policy: where the reference is configured with several, it runs RandAugment alone.
    """

    frames: int
    stride: int
    resize: int
    crop: tuple[int, int]
    scale_jitter: Sequence[float] = (1.0, 1.0)
    random_crop: bool = True
    hflip_prob: float = 0.0
    color_transform: ColorTransform | None = None
    offset_step: int = 1

    def __post_init__(self) -> None:
        if type(self.offset_step) is not int or self.offset_step < 1:
            raise ConfigError("augment.offset_step", self.offset_step, "is no number of frames", "set 1 or more")
        if len(self.scale_jitter) != 2:
            raise ConfigError("augment.scale_jitter", list(self.scale_jitter), "is not two factors", "set [0.9,1.33]")
        check_crop(self.resize, self.crop, self.scale_jitter[0])

    def __call__(self, video: VideoShape, rng: np.random.Generator) -> list[View]:
        """Return one view, drawn from ``rng``."""
        offsets = max(video.frames - (self.frames - 1) * self.stride, 1)
        offset = int(rng.integers(-(-offsets // self.offset_step))) * self.offset_step
        smallest, largest = self.scale_jitter
        factors = rng.uniform(smallest, largest, size=2)
        resized = resized_to_short_side(video, self.resize)
        jittered = int(resized[0] * factors[0]), int(resized[1] * factors[1])
        spare = jittered[0] - self.crop[0], jittered[1] - self.crop[1]
        position = rng.uniform(size=2)
        corner = spare[0] // 2, spare[1] // 2
        if self.random_crop:
            corner = int(position[0] * (spare[0] + 1)), int(position[1] * (spare[1] + 1))
        return [
            View(
                frame_indices(offset, self.frames, self.stride, video.frames),
                source_crop_box(video, jittered, self.crop, corner),
                ResizePlan(resized, jittered, corner),
                flipped=bool(rng.uniform() < self.hflip_prob),
                color_transform=self.color_transform,
            )
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class UniformViewSampler(ABC):
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

    def __call__(self, video: VideoShape, rng: np.random.Generator | None = None) -> list[View]:
        """Return the views, temporal position outermost; ``rng`` is not used."""
        resized = resized_to_short_side(video, self.resize)
        return [
            View(
                frame_indices(offset, self.frames, self.stride, video.frames),
                source_crop_box(video, resized, self.crop, corner),
                ResizePlan(resized, resized, corner),
            )
            for offset in self.offsets(video.frames)
            for corner in self.corners(resized)
        ]

    @abstractmethod
    def offsets(self, length: int) -> list[int]:
        """Return the first frame of each temporal view of a video of ``length`` frames."""

    def corners(self, resized: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the top left corner of each crop, in pixels of the resized picture."""
        spare = (resized[0] - self.crop[0], resized[1] - self.crop[1])
        middle = (-(-spare[0] // 2), -(-spare[1] // 2))
        if self.spatial == 1:
            return [middle]
        if resized[0] > resized[1]:
            return [(top, middle[1]) for top in (0, middle[0], spare[0])]
        return [(middle[0], left) for left in (0, middle[1], spare[1])]


@dataclass(frozen=True, kw_only=True, slots=True)
class MultiViewSampler(UniformViewSampler):
    """All views for testing: ``temporal`` offsets uniformly over the video; a single one lies in its middle.

    ``also_report`` are further numbers of temporal views whose offsets are evaluated too, so that accuracy against
    their number (ViViT, figure 9) comes out of one pass. ``average`` names the rule that averages a video's views.
    """

    temporal: int = 1
    also_report: Sequence[int] = ()
    average: str = "logits"

    def __post_init__(self) -> None:
        check_crop(self.resize, self.crop, 1.0)
        if self.temporal < 1:
            raise ConfigError("views.temporal", self.temporal, "is not a number of views", "set 1 or more")
        if self.spatial not in (1, 3):
            raise ConfigError(
                "views.spatial",
                self.spatial,
                "the crops lie at both ends and in the middle of the longer side",
                "set 1 (the middle) or 3",
            )
        if not all(count >= 1 for count in self.also_report):
            raise ConfigError(
                "views.also_report", list(self.also_report), "are not numbers of temporal views", "set 1 or more"
            )

    def __len__(self) -> int:
        return len(self.positions) * self.spatial

    def offsets(self, length: int) -> list[int]:
        """Return the first frame of each temporal view: the reference's truncated linspace, for all counts at once."""
        last = max(0, length - self.frames * self.stride)
        return [int(part * (last / parts)) for part, parts in self.positions]

    @property
    def positions(self) -> list[tuple[int, int]]:
        """Positions of the temporal views of all counts, in order of time."""
        positions = {position for count in (self.temporal, *self.also_report) for position in uniform_positions(count)}
        return sorted(positions, key=lambda position: (position[0] / position[1], position))

    def views_by_count(self) -> dict[str, list[int]]:
        """Return the numbers of the views that belong to each count of temporal views, by its name, such as 4x3."""
        first = {position: at * self.spatial for at, position in enumerate(self.positions)}
        return {
            format_views(count, self.spatial): [
                first[position] + crop for position in uniform_positions(count) for crop in range(self.spatial)
            ]
            for count in sorted({self.temporal, *self.also_report})
        }
