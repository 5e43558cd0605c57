"""A long video as stretches that are decoded one after another, so that its length costs no memory."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vivit.data.decode import VideoFile
from vivit.data.reading import open_video
from vivit.data.sampling import GridViews, SlidingViews
from vivit.data.video_error import VideoError
from vivit.shapes import Video


class Stretches(NamedTuple):
    """Parts of one video that overlap by less than a clip, each to be read in one go by ``plan``."""

    videos: list[Video]
    plan: SlidingViews
    spans: list[tuple[float, float]]
    """First and last moment of every clip, all stretches after one another: seconds from the first frame."""


def slide(path: str, views: GridViews, every: float, clips_at_once: int) -> Stretches:
    """Lay a clip, cut as ``views`` cut theirs, every so many seconds, and one at the end of the video.

    A stretch has as many of them as are decoded at once. Clips begin at whole frames: ``every`` is rounded to these. A
    video shorter than a clip has one, which starts again. Raises ``VideoError``.
    """
    if every <= 0:
        raise ValueError(f"every={every:g} must be seconds from one clip to the next, more than 0")
    with open_video(Video(path, ())) as file:
        if not isinstance(file, VideoFile):
            raise VideoError(path, "is a folder of pictures, which do not tell their time; leave every= out")
        stamps, unit, distrusted = file.stamps, float(file.time_base), file.distrusted
    times = (np.asarray(stamps) - stamps[0]) * unit
    frame = float(times[-1]) / (len(times) - 1) if len(times) > 1 else every
    plan = SlidingViews(
        frames=views.frames, stride=views.stride, resize=views.resize, crop=views.crop, spatial=views.spatial,
        step=max(1, round(every / frame)),
    )  # fmt: skip
    offsets, length = plan.offsets(len(times)), views.frames * views.stride
    ends = [min(offset + length, len(times)) for offset in offsets]
    at_once = max(1, clips_at_once // views.spatial)
    known = None if distrusted else _compact(stamps)  # to a file whose packets lie, every stretch listens anew
    videos = [
        Video(
            path, (), start=float(times[offsets[first]]), end=_before(times, ends[last]), stamps=known
        )
        for first in range(0, len(offsets), at_once)
        for last in [min(first + at_once, len(offsets)) - 1]
    ]  # fmt: skip
    return Stretches(
        videos, plan, [(float(times[a]), float(times[b - 1]) + frame) for a, b in zip(offsets, ends, strict=True)]
    )


def _before(times: np.ndarray, frame: int) -> float | None:
    """Moment at which a part ends that does not show this frame any more; None: with the file."""
    return float(times[frame]) if frame < len(times) else None


def _compact(stamps: Sequence[int]) -> Sequence[int]:
    """The same timestamps as a range, where they are regular."""
    steps = set(np.diff(stamps).tolist())
    return range(stamps[0], stamps[-1] + 1, steps.pop()) if len(steps) == 1 else tuple(stamps)
