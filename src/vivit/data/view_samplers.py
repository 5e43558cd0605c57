"""View samplers: random views for training, uniform ones for evaluation, as the reference samples them, or by time."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf
from typing import TypeAlias

import numpy as np

from vivit.data.frame_times import TOLERANCE, FrameTimes
from vivit.data.readers.open_video import OpenVideo
from vivit.data.views import (
    ColorTransform,
    ResizePlan,
    VideoShape,
    View,
    ViewSampler,
    check_crop,
    format_views,
    frame_indices,
    resized_to_short_side,
    source_crop_box,
    uniform_positions,
)
from vivit.errors import ConfigError

Position: TypeAlias = int | float
"""Where a clip begins in a video, or how long that is: frames of the file, or with ``fps`` seconds."""


def check_rate(stride: int | None, fps: int | float | None) -> None:
    """Raise ``ConfigError`` unless exactly one of ``data.stride`` and ``data.fps`` is set, the latter above 0."""
    if fps is None:
        if stride is None:
            raise ConfigError("data.stride", None, "is not set, and data.fps is not either", "set one of them")
    elif type(fps) not in (int, float) or not 0 < fps < inf:
        raise ConfigError("data.fps", fps, "is no number of frames a second", "set one above 0, as data.fps=8")
    elif stride is not None:
        raise ConfigError(
            "data.fps", fps, f"data.stride={stride} is set too, and either decides which frames a clip has",
            "leave one of them out; where a file sets it, set it to null",
        )  # fmt: skip


def sample_views(sampler: ViewSampler, video: OpenVideo, rng: np.random.Generator | None = None) -> list[View]:
    """Return the views of an open video. Raises ``DataError`` for one without the timestamps that a sampler needs."""
    return sampler(video.shape, rng, None if sampler.fps is None else video.times())


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipSampler:
    """Clips of ``frames`` frames of pictures with a short side of ``resize``, cut to ``crop``.

    Frames are ``stride`` frames of the file apart; or ``fps`` a second, whatever the rate of the file is, each the one
    on screen at its moment by the file's timestamps.
    """

    frames: int
    stride: int | None = None
    fps: int | float | None = None
    resize: int
    crop: tuple[int, int]

    def __post_init__(self) -> None:
        check_rate(self.stride, self.fps)

    @property
    def step(self) -> Position:
        """From one frame of a clip to the next: frames of the file, with ``fps`` seconds."""
        return self.stride or 1 if self.fps is None else 1 / self.fps

    def clip_at(self, offset: Position, video: VideoShape, times: FrameTimes | None) -> tuple[int, ...]:
        """Return the frame numbers of the clip that begins with a frame, or with ``times`` at a second.

        Where the video ends before the clip does, it starts again.
        """
        if times is None:
            return frame_indices(int(offset), self.frames, int(self.step), video.frames)
        return tuple(times.frames_at(offset + self.step * np.arange(self.frames)).tolist())


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomViewSampler(ClipSampler):
    """One view for training: a random offset, scale jitter, a random crop, a flip, a change of colours.

    The offset is uniform over all that leave room for the clip: frames that are multiples of ``offset_step``; with
    ``fps`` any moment, or with an ``offset_step`` above 1 the multiples of so many frames of the clip. Height and width
    are scaled by independent factors from ``scale_jitter``, after the short side was resized to ``resize``.
    ``color_transform`` is one policy: where the reference is configured with several, it runs RandAugment alone.
    """

    scale_jitter: Sequence[float] = (1.0, 1.0)
    random_crop: bool = True
    hflip_prob: float = 0.0
    color_transform: ColorTransform | None = None
    offset_step: int = 1

    def __post_init__(self) -> None:
        ClipSampler.__post_init__(self)
        if type(self.offset_step) is not int or self.offset_step < 1:
            raise ConfigError("augment.offset_step", self.offset_step, "is no number of frames", "set 1 or more")
        if len(self.scale_jitter) != 2:
            raise ConfigError("augment.scale_jitter", list(self.scale_jitter), "is not two factors", "set [0.9,1.33]")
        check_crop(self.resize, self.crop, self.scale_jitter[0])

    def __call__(
        self, video: VideoShape, rng: np.random.Generator | None, times: FrameTimes | None = None
    ) -> list[View]:
        """Return one view, drawn from ``rng``."""
        assert rng is not None
        clip = self.clip_at(self.draw_offset(video.frames if times is None else times.end, rng), video, times)
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
                clip,
                source_crop_box(video, jittered, self.crop, corner),
                ResizePlan(resized, jittered, corner),
                flipped=bool(rng.uniform() < self.hflip_prob),
                color_transform=self.color_transform,
            )
        ]

    def draw_offset(self, length: Position, rng: np.random.Generator) -> Position:
        """Return where a clip begins in a video of so many frames, or seconds: early enough for its last frame."""
        room = length - (self.frames - 1) * self.step
        if self.fps is not None and self.offset_step == 1:
            return float(rng.uniform(0, max(room, 0)))
        unit = self.offset_step * (1 if self.fps is None else self.step)
        return int(rng.integers(max(ceil(room / unit - TOLERANCE), 1))) * unit


@dataclass(frozen=True, kw_only=True, slots=True)
class UniformViewSampler(ClipSampler, ABC):
    """Views for evaluation: some ``clips`` times ``spatial`` crops along the longer side of the picture.

    One spatial crop is the middle of the picture.
    """

    spatial: int = 1

    def __post_init__(self) -> None:
        ClipSampler.__post_init__(self)
        check_crop(self.resize, self.crop, 1.0)

    def __call__(
        self, video: VideoShape, rng: np.random.Generator | None = None, times: FrameTimes | None = None
    ) -> list[View]:
        """Return the views, temporal position outermost; ``rng`` is not used."""
        resized = resized_to_short_side(video, self.resize)
        return [
            View(clip, source_crop_box(video, resized, self.crop, corner), ResizePlan(resized, resized, corner))
            for clip in self.clips(video, times)
            for corner in self.corners(resized)
        ]

    @abstractmethod
    def clips(self, video: VideoShape, times: FrameTimes | None) -> list[tuple[int, ...]]:
        """Return the frame numbers of each temporal view."""

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
        UniformViewSampler.__post_init__(self)
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

    def clips(self, video: VideoShape, times: FrameTimes | None) -> list[tuple[int, ...]]:
        """Return the frame numbers of each temporal view."""
        offsets = self.offsets(video.frames if times is None else times.end)
        return [self.clip_at(offset, video, times) for offset in offsets]

    def offsets(self, length: Position) -> Sequence[Position]:
        """Return where each temporal view begins in a video of so many frames, or with ``fps`` seconds.

        It is the reference's linspace, for all counts at once, in frames truncated.
        """
        last = max(0, length - self.frames * self.step)
        offsets = [part * (last / parts) for part, parts in self.positions]
        return offsets if self.fps is not None else [int(offset) for offset in offsets]

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
