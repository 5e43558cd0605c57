"""A long video as stretches that are decoded one after another, so that its length costs no memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from vivit.data.catalogue import Mirror
from vivit.data.dataset import ClipDataset
from vivit.data.decode import VideoFile
from vivit.data.order import Ticket
from vivit.data.reading import open_video
from vivit.data.resampling import Resampling
from vivit.data.sampling import EvenViews, GridViews
from vivit.data.video_error import VideoError
from vivit.structures import Clip, Video


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedViews(EvenViews):
    """Views that begin with certain frames of a part of a video."""

    first_frames: tuple[int, ...]

    def offsets(self, length: int) -> list[int]:
        """First frame of each temporal view; of a part that has fewer frames, those that it has."""
        return [min(first, length - 1) for first in self.first_frames]


class Stretches(NamedTuple):
    """Parts of one video that overlap by less than a clip, each to be read in one go by a plan of its own."""

    videos: list[Video]
    plans: list[PlacedViews]
    spans: list[tuple[float, float]]
    """First and last moment of every clip, all stretches after one another: seconds from the first frame."""
    weights: list[int]
    """For how many steps of time each clip stands, so that an answer about the whole video weighs time, not clips."""


class StretchClips(ClipDataset):
    """Decodes every stretch by its own plan."""

    def __init__(self, stretches: Stretches, resampling: Resampling) -> None:
        super().__init__(stretches.videos, stretches.plans[0], Mirror(allowed=False), 0, resampling=resampling)
        self.plans = stretches.plans

    def clip(self, ticket: Ticket, rng: np.random.Generator) -> Clip:
        """Decode the views of one stretch."""
        with self.open(self.videos[ticket.row]) as file:
            views = self.plans[ticket.row](file.extent)
            return self.finish(ticket, (), views, self.show(file, views), rng)


def slide(path: str, views: GridViews, every: float, clips_at_once: int) -> Stretches:
    """Lay a clip, cut as ``views`` cut theirs, every so many seconds, and one at the end of the video.

    Each begins with the frame nearest to its moment, by the file's own timestamps: at variable rates, too, clips are
    as many seconds apart. A frame that is nearest to several moments has one clip, which stands for all of them. A
    stretch has as many clips as are decoded at once. A video shorter than a clip has one, which starts again. Raises
    ``VideoError``.
    """
    if not 0 < every < float("inf"):
        raise ValueError(f"every={every:g} must be seconds from one clip to the next, more than 0")
    with open_video(Video(path, ())) as file:
        if not isinstance(file, VideoFile):
            raise VideoError(path, "is a folder of pictures, which do not tell their time; leave every= out")
        stamps, unit, distrusted = file.stamps, float(file.time_base), file.distrusted
    times = (np.asarray(stamps) - stamps[0]) * unit
    length = views.frames * views.stride
    first_frames, weights = placed(times, every, max(0, len(times) - length))
    ends = [min(first + length, len(times)) for first in first_frames]
    until = [*times[1:].tolist(), lasts(times, every)]
    spans = [(float(times[first]), until[end - 1]) for first, end in zip(first_frames, ends, strict=True)]
    weights[-1] += beyond(spans, every)
    at_once = max(1, clips_at_once // views.spatial)
    known = None if distrusted else _compact(stamps)  # to a file whose packets lie, every stretch listens anew
    cut = PlacedViews(
        frames=views.frames, stride=views.stride, resize=views.resize, crop=views.crop, spatial=views.spatial,
        first_frames=(),
    )  # fmt: skip
    videos, plans = [], []
    for at in range(0, len(first_frames), at_once):
        mine, end = first_frames[at : at + at_once], ends[at : at + at_once][-1]
        videos.append(Video(path, (), start=float(times[mine[0]]), end=_before(times, end), stamps=known))
        plans.append(replace(cut, first_frames=tuple(first - mine[0] for first in mine)))
    return Stretches(videos, plans, spans, weights)


def placed(times: Float[np.ndarray, " n"], every: float, last: int) -> tuple[list[int], list[int]]:
    """Return the frames nearest to 0, ``every``, 2 ``every`` ... seconds, up to frame ``last``, which is there too.

    With each comes the number of moments that it is nearest to, for the last one at least 1. Of two frames that are as
    near the earlier is taken.
    """
    until = np.append((times[:last] + times[1 : last + 1]) / 2, times[last])  # moments that each is nearest to end here
    counts = np.diff(np.floor(until / every + 1e-9).astype(np.int64), prepend=-1)
    counts[last] = max(1, counts[last])
    (first_frames,) = counts.nonzero()
    return first_frames.tolist(), counts[first_frames].tolist()


def lasts(times: Float[np.ndarray, " n"], every: float) -> float:
    """Return when the last frame ends: it is taken to last as long as the one before it."""
    return float(2 * times[-1] - times[-2]) if len(times) > 1 else float(times[-1]) + every


def beyond(spans: Sequence[tuple[float, float]], every: float) -> int:
    """Return for how many steps more the last clip stands, because its frames last longer than those of others.

    No clip begins behind it, however long it takes; at an even rate it is as long as the others, and stands for one.
    """
    shortest = min(end - start for start, end in spans)
    return int(max(0.0, spans[-1][1] - spans[-1][0] - shortest) / every + 1e-6)


def _before(times: np.ndarray, frame: int) -> float | None:
    """Moment at which a part ends that does not show this frame any more; None: with the file."""
    return float(times[frame]) if frame < len(times) else None


def _compact(stamps: Sequence[int]) -> Sequence[int]:
    """The same timestamps as a range, where they are regular."""
    steps = set(np.diff(stamps).tolist())
    return range(stamps[0], stamps[-1] + 1, steps.pop()) if len(steps) == 1 else tuple(stamps)
