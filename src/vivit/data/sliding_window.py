"""A long video as segments that are decoded one after another, so that memory does not depend on its length."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from vivit.data.dataset import ClipDataset
from vivit.data.readers.open_video import open_video
from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.readers.video_error import VideoError
from vivit.data.samplers import SampleKey
from vivit.data.transforms.flip import FlipLabelMap
from vivit.data.transforms.resize import Resize
from vivit.data.view_samplers import MultiViewSampler, UniformViewSampler
from vivit.errors import ConfigError
from vivit.structures import Clip, Video


@dataclass(frozen=True, kw_only=True, slots=True)
class SlidingViewSampler(UniformViewSampler):
    """Views that begin with the frames ``first_frames`` of a segment of a video."""

    first_frames: tuple[int, ...]

    def offsets(self, length: int) -> list[int]:
        """Return the first frame of each temporal view; at most the last frame of a segment of ``length`` frames."""
        return [min(first, length - 1) for first in self.first_frames]


class VideoSegments(NamedTuple):
    """Segments of one video that overlap by less than a clip, each to be read in one go by its own view sampler."""

    videos: list[Video]
    view_samplers: list[SlidingViewSampler]
    spans: list[tuple[float, float]]
    """First and last moment of every clip, over all segments: seconds from the first frame."""
    weights: list[int]
    """Number of time steps that each clip represents, so that predictions of the video weigh time, not clips."""


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


def sliding_windows(path: str, views: MultiViewSampler, every: float, clips_at_once: int) -> VideoSegments:
    """Return a clip, sampled as by ``views``, every so many seconds of a video, and one at its end.

    Each begins with the frame nearest to its moment, by the file's timestamps: at variable rates, too, clips are as
    many seconds apart. A frame that is nearest to several moments has one clip, which represents them all. A segment
    has as many clips as are decoded at once. A video shorter than a clip has one clip, in which it is looped. Raises
    ``ConfigError`` about ``every``, and ``VideoError``.
    """
    if not 0 < every < float("inf"):
        raise ConfigError("every", f"{every:g}", "is not a time between clips", "set seconds, more than 0")
    with open_video(Video(path, ())) as file:
        if not isinstance(file, PyAVVideoReader):
            raise VideoError(path, "is a folder of pictures, which has no timestamps", "leave every= out")
        stamps, tick, untrusted = file.stamps, float(file.time_base), file.untrusted_reason
    times = (np.asarray(stamps) - stamps[0]) * tick
    length = views.frames * views.stride
    first_frames, weights = nearest_frames(times, every, max(0, len(times) - length))
    ends = [min(first + length, len(times)) for first in first_frames]
    frame_ends = [*times[1:].tolist(), last_frame_end(times, every)]
    spans = [(float(times[first]), frame_ends[end - 1]) for first, end in zip(first_frames, ends, strict=True)]
    weights[-1] += extra_steps(spans, every)
    at_once = max(1, clips_at_once // views.spatial)
    index = None if untrusted else _as_range(stamps)  # a file with untrusted packets is indexed anew by every segment
    sampler = SlidingViewSampler(
        frames=views.frames, stride=views.stride, resize=views.resize, crop=views.crop, spatial=views.spatial,
        first_frames=(),
    )  # fmt: skip
    videos, samplers = [], []
    for at in range(0, len(first_frames), at_once):
        segment, end = first_frames[at : at + at_once], ends[at : at + at_once][-1]
        videos.append(Video(path, (), start=float(times[segment[0]]), end=_time_of(times, end), stamps=index))
        samplers.append(replace(sampler, first_frames=tuple(first - segment[0] for first in segment)))
    return VideoSegments(videos, samplers, spans, weights)


def nearest_frames(times: Float[np.ndarray, " n"], every: float, last: int) -> tuple[list[int], list[int]]:
    """Return the frames nearest to 0, ``every``, 2 ``every`` ... seconds, up to and including frame ``last``.

    Also returns the number of moments that each is nearest to, for the last one at least 1. Of two equally near frames
    the earlier counts.
    """
    until = np.append((times[:last] + times[1 : last + 1]) / 2, times[last])  # end of the moments nearest to each
    counts = np.diff(np.floor(until / every + 1e-9).astype(np.int64), prepend=-1)
    counts[last] = max(1, counts[last])
    (first_frames,) = counts.nonzero()
    return first_frames.tolist(), counts[first_frames].tolist()


def last_frame_end(times: Float[np.ndarray, " n"], every: float) -> float:
    """Return when the last frame ends: it is assumed to last as long as the one before it."""
    return float(2 * times[-1] - times[-2]) if len(times) > 1 else float(times[-1]) + every


def extra_steps(spans: Sequence[tuple[float, float]], every: float) -> int:
    """Return the number of further time steps that the last clip represents, because its frames last longer.

    No clip begins after it, however long it lasts; at an even rate it is as long as the others, and represents one.
    """
    shortest = min(end - start for start, end in spans)
    return int(max(0.0, spans[-1][1] - spans[-1][0] - shortest) / every + 1e-6)


def _time_of(times: np.ndarray, frame: int) -> float | None:
    """Return when a frame begins; None for the end of the file."""
    return float(times[frame]) if frame < len(times) else None


def _as_range(stamps: Sequence[int]) -> Sequence[int]:
    """Return the same timestamps as a range, where they are regular."""
    steps = set(np.diff(stamps).tolist())
    return range(stamps[0], stamps[-1] + 1, steps.pop()) if len(steps) == 1 else tuple(stamps)
