"""The same clips in another order of time: what a network answers then says whether it sees order or motion."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from vivit.data.frame_times import FrameTimes
from vivit.data.view_samplers import MultiViewSampler
from vivit.data.views import VideoShape, View

UNCHANGED, MIRRORED, HALF_SPEED, DOUBLE_SPEED = "unchanged", "mirrored", "half_speed", "double_speed"
Order = Callable[[int, np.random.Generator], np.ndarray]
"""Of a clip of so many frames, the places of those that are shown instead."""
ORDERS: Mapping[str, Order] = {
    "reversed": lambda frames, _: np.arange(frames)[::-1],
    "shuffled": lambda frames, rng: rng.permutation(frames),
    "one_frame": lambda frames, _: np.full(frames, frames // 2),
    "first_half": lambda frames, _: np.minimum(np.arange(frames), (frames + 1) // 2 - 1),
    "second_half": lambda frames, _: np.maximum(np.arange(frames), frames // 2),
    HALF_SPEED: lambda frames, _: (frames // 4) + np.arange(frames) // 2,
}
"""One frame is that in the middle; halves stand still where they are cut; half speed shows the half in the middle."""
CHANGES = (*ORDERS, DOUBLE_SPEED, MIRRORED)
"""Names of all changes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangedViewSampler(MultiViewSampler):
    """The views of a ``MultiViewSampler``, changed; ``shuffled`` draws from the generator of the video.

    A mirrored clip has the labels that the data set's mirror gives it.
    """

    change: str = UNCHANGED

    def __call__(
        self, video: VideoShape, rng: np.random.Generator | None = None, times: FrameTimes | None = None
    ) -> list[View]:
        """Return the views."""
        views = MultiViewSampler.__call__(self, video, rng, times)
        if self.change == MIRRORED:
            return [view._replace(flipped=True) for view in views]
        if self.change not in ORDERS:
            return views
        assert rng is not None
        places = ORDERS[self.change](self.frames, rng)
        return [view._replace(numbers=tuple(view.numbers[place] for place in places)) for view in views]


def change_views(views: MultiViewSampler, change: str) -> ChangedViewSampler:
    """Return the sampler of the same views, changed.

    At double speed clips are of a film twice as long, at half speed of one half as long, around the same moments. Where
    ``stride`` is odd, half speed shows each frame of a clip's middle twice: the film has none between them.
    """
    if change in (DOUBLE_SPEED, HALF_SPEED):
        factor = 2 if change == DOUBLE_SPEED else 0.5
        if views.fps is not None:
            views, change = replace(views, fps=views.fps / factor), UNCHANGED
        elif (stride := (views.stride or 1) * factor) == int(stride):
            views, change = replace(views, stride=int(stride)), UNCHANGED
    options = {field.name: getattr(views, field.name) for field in fields(MultiViewSampler)}
    return ChangedViewSampler(**options, change=change)
