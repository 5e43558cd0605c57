"""When the frames of a video begin, and which of them is on screen at a moment."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

TOLERANCE = 1e-6
"""Seconds that rounding may add to a moment, or take from it."""


class FrameTimes(NamedTuple):
    """When the frames of a video, or of a segment of one, begin: seconds from its beginning."""

    begins: Float[np.ndarray, " n"]
    """Ascending. The first frame of a segment may begin later than the segment."""
    end: float
    """When the last frame ends, which lasts as long as the one before it; at most the end of the segment."""

    @classmethod
    def of_part(
        cls, stamps: Sequence[int], part: range, tick: float, start: float | None, end: float | None
    ) -> "FrameTimes":
        """Return the times of the frames ``part`` of a file, which lie between ``start`` and ``end`` seconds.

        ``stamps`` are those of all frames, in ticks of ``tick`` seconds.
        """
        selected = stamps[part.start : part.stop]
        ticks = np.arange(*_limits(selected)) if isinstance(selected, range) else np.asarray(selected, np.int64)
        last = 2 * stamps[-1] - stamps[-2] if len(stamps) > 1 else stamps[0] + 1 / tick
        file_end, start = (last - stamps[0]) * tick, start or 0.0
        return cls((ticks - stamps[0]) * tick - start, min(file_end, np.inf if end is None else end) - start)

    @property
    def switches(self) -> Float[np.ndarray, " _"]:
        """Moments after which each frame but the first counts as on screen: half a step before it begins.

        Of unequal steps, half of the usual one at most: where a picture stands still, the next counts when it comes.
        """
        steps = np.diff(self.begins)
        return self.begins[1:] - (np.minimum(steps, np.median(steps)) / 2 if len(steps) else steps)

    def frames_at(self, moments: Float[np.ndarray, "*m"]) -> Int[np.ndarray, "*m"]:
        """Return the number of the frame on screen at each moment, of two equally near ones the earlier.

        Moments are seconds, 0 or more; after its end the video starts again.
        """
        return np.searchsorted(self.switches, (moments + TOLERANCE) % self.end - 2 * TOLERANCE, side="left")


def _limits(stamps: range) -> tuple[int, int, int]:
    return stamps.start, stamps.stop, stamps.step
