"""A long video as windows, and as segments that are decoded one after another: memory does not grow with its length."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from vivit.data.dataset import ClipDataset
from vivit.data.frame_times import FrameTimes
from vivit.data.readers.open_video import open_video
from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.readers.video_error import VideoError
from vivit.data.samplers import SampleKey
from vivit.data.transforms.flip import FlipLabelMap
from vivit.data.transforms.resize import Resize
from vivit.data.view_samplers import MultiViewSampler, UniformViewSampler
from vivit.data.views import VideoShape
from vivit.errors import ConfigError
from vivit.structures import Clip, Video


@dataclass(frozen=True, kw_only=True, slots=True)
class SlidingViewSampler(UniformViewSampler):
    """Views of the frames ``numbers`` of a segment of a video, a temporal view each."""

    numbers: Sequence[Sequence[int]]

    def clips(self, video: VideoShape, times: FrameTimes | None) -> list[tuple[int, ...]]:
        """Return the frame numbers of each temporal view; at most the last of the segment."""
        return [tuple(min(number, video.frames - 1) for number in clip) for clip in self.numbers]


class VideoSegments(NamedTuple):
    """Segments of one video that overlap by less than a clip, each to be read in one go by its own view sampler."""

    videos: list[Video]
    view_samplers: list[SlidingViewSampler]


class Windows(NamedTuple):
    """Clips along a video."""

    numbers: Int[np.ndarray, "clips f"]
    """The frame numbers of each."""
    spans: list[tuple[float, float]]
    """First and last moment of each: seconds from the first frame."""
    weights: list[int]
    """Number of time steps that each represents, so that predictions of the video weigh time, not clips."""


class SegmentDataset(ClipDataset):
    """Decodes every segment by its own view sampler."""

    def __init__(self, segments: VideoSegments, resampling: Resize) -> None:
        no_flip = FlipLabelMap(allowed=False)
        super().__init__(segments.videos, segments.view_samplers[0], no_flip, 0, resampling=resampling)
        self.view_samplers = segments.view_samplers

    def clip(self, key: SampleKey, rng: np.random.Generator) -> Clip:
        """Return the views of one segment."""
        with self.open(self.videos[key.row]) as file:
            views = self.view_samplers[key.row](file.shape)
            return self.apply_transforms(key, (), views, self.read_views(file, views), rng)


class SlidingVideo:
    """A video file, local or stored, along which clips slide, sampled as by ``views``. Raises ``VideoError``."""

    def __init__(self, source: str | Video, views: MultiViewSampler) -> None:
        video = Video(source, ()) if isinstance(source, str) else Video(source.path, (), stored=source.stored)
        self.path, self.stored = video.path, video.stored
        with open_video(video) as file:
            if not isinstance(file, PyAVVideoReader):
                raise VideoError(self.path, "is a folder of pictures, which has no timestamps", "leave every= out")
            self.shape, self.times = file.shape, file.times()
            self._index = None if file.untrusted_reason else _as_range(file.stamps)  # else each segment makes its own
        self.views = views

    def windows(self, every: float) -> Windows:
        """Return a clip every so many seconds of the video, and one at its end.

        Each begins with the frame nearest to its moment, by the file's timestamps: at variable rates, too, clips are as
        many seconds apart. A frame that is nearest to several moments has one clip, which represents them all. With
        ``views.fps`` every frame of a clip is that of its moment. A video shorter than a clip has one clip, in which it
        is looped. Raises ``ConfigError`` about ``every``.
        """
        if not 0 < every < float("inf"):
            raise ConfigError("every", f"{every:g}", "is not a time between clips", "set seconds, more than 0")
        slide = slide_by_frames if self.views.fps is None else slide_by_time
        windows = slide(self.views, self.shape, self.times, every)
        windows.weights[-1] += extra_steps(windows.spans, every)
        return windows

    def segments(self, numbers: Int[np.ndarray, "n f"], clips_at_once: int) -> VideoSegments:
        """Return the segments that contain clips of these frames, with so many clips and crops each."""
        at_once, views = max(1, clips_at_once // self.views.spatial), self.views
        sampler = partial(
            SlidingViewSampler, frames=numbers.shape[1], stride=1, resize=views.resize, crop=views.crop,
            spatial=views.spatial,
        )  # fmt: skip  # the numbers of frames are listed, whatever their distance
        videos, samplers, begins = [], [], self.times.begins
        for at in range(0, len(numbers), at_once):
            segment = numbers[at : at + at_once]
            first, end = int(segment.min()), int(segment.max()) + 1
            until = float(begins[end]) if end < len(begins) else None
            start = float(begins[first])
            videos.append(Video(self.path, (), start, until, stamps=self._index, stored=self.stored))
            samplers.append(sampler(numbers=tuple(map(tuple, (segment - first).tolist()))))
        return VideoSegments(videos, samplers)


def slide_by_frames(views: MultiViewSampler, video: VideoShape, times: FrameTimes, every: float) -> Windows:
    """Return clips whose frames are ``views.stride`` apart, from the frames nearest to every so many seconds."""
    begins, length = times.begins, int(views.frames * views.step)
    first_frames, weights = nearest_frames(begins, every, max(0, video.frames - length))
    clips = np.array([views.clip_at(first, video, None) for first in first_frames])
    frame_ends = [*begins[1:].tolist(), last_frame_end(begins, every)]
    ends = [frame_ends[min(first + length, video.frames) - 1] for first in first_frames]
    return Windows(clips, list(zip(begins[first_frames].tolist(), ends, strict=True)), weights)


def slide_by_time(views: MultiViewSampler, video: VideoShape, times: FrameTimes, every: float) -> Windows:
    """Return clips of ``views.fps`` frames a second, from every so many seconds on.

    Of clips that begin with the same frame there is the first alone, which represents them all.
    """
    length = views.frames * views.step
    last = max(0.0, times.end - length)
    last_frame = int(times.frames_at(np.array([last]))[0])
    counts = count_steps(np.append(times.switches[:last_frame], last), every)
    (first_frames,) = counts.nonzero()
    weights = counts[first_frames]
    starts = np.minimum((np.cumsum(weights) - weights) * every, last)
    clips = times.frames_at(starts[:, None] + views.step * np.arange(views.frames))
    return Windows(clips, [(start, min(start + length, times.end)) for start in starts.tolist()], weights.tolist())


def nearest_frames(times: Float[np.ndarray, " n"], every: float, last: int) -> tuple[list[int], list[int]]:
    """Return the frames nearest to 0, ``every``, 2 ``every`` ... seconds, up to and including frame ``last``.

    Also returns the number of moments that each is nearest to, for the last one at least 1. Of two equally near frames
    the earlier counts.
    """
    until = np.append((times[:last] + times[1 : last + 1]) / 2, times[last])  # end of the moments nearest to each
    counts = count_steps(until, every)
    (first_frames,) = counts.nonzero()
    return first_frames.tolist(), counts[first_frames].tolist()


def count_steps(until: Float[np.ndarray, " n"], every: float) -> Int[np.ndarray, " n"]:
    """Return the number of the moments 0, ``every``, 2 ``every`` ... seconds up to each end; at last 1 or more."""
    counts = np.diff(np.floor(until / every + 1e-9).astype(np.int64), prepend=-1)
    counts[-1] = max(1, counts[-1])
    return counts


def last_frame_end(times: Float[np.ndarray, " n"], every: float) -> float:
    """Return when the last frame ends: it is assumed to last as long as the one before it."""
    return float(2 * times[-1] - times[-2]) if len(times) > 1 else float(times[-1]) + every


def extra_steps(spans: Sequence[tuple[float, float]], every: float) -> int:
    """Return the number of further time steps that the last clip represents, because its frames last longer.

    No clip begins after it, however long it lasts; at an even rate it is as long as the others, and represents one.
    """
    shortest = min(end - start for start, end in spans)
    return int(max(0.0, spans[-1][1] - spans[-1][0] - shortest) / every + 1e-6)


def _as_range(stamps: Sequence[int]) -> Sequence[int]:
    """Return the same timestamps as a range, where they are regular."""
    steps = set(np.diff(stamps).tolist())
    return range(stamps[0], stamps[-1] + 1, steps.pop()) if len(steps) == 1 else tuple(stamps)
