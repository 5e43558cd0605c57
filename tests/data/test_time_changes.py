"""Clips with their time changed: which frames they show."""

import numpy as np
import pytest

from vivit.data.frame_times import FrameTimes
from vivit.data.time_changes import CHANGES, change_views
from vivit.data.view_samplers import MultiViewSampler
from vivit.data.views import VideoShape

VIDEO = VideoShape(100, 40, 48)
CLIP = list(range(38, 62, 3))
"""The frames of a clip of eight, three apart, in the middle of the video."""


def views(**options: object) -> MultiViewSampler:
    return MultiViewSampler(**{"frames": 8, "stride": 3, "resize": 36, "crop": (32, 32)} | options)  # type: ignore[arg-type]


def numbers(change: str, seed: int = 0, **options: object) -> list[int]:
    (view,) = change_views(views(**options), change)(VIDEO, np.random.default_rng(seed))
    return list(view.numbers)


@pytest.mark.parametrize(
    ("change", "places"),
    [
        ("reversed", [7, 6, 5, 4, 3, 2, 1, 0]),
        ("one_frame", [4] * 8),
        ("first_half", [0, 1, 2, 3, 3, 3, 3, 3]),
        ("second_half", [4, 4, 4, 4, 4, 5, 6, 7]),
        ("half_speed", [2, 2, 3, 3, 4, 4, 5, 5]),
        ("mirrored", [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_a_change_shows_other_frames_of_the_clip(change: str, places: list[int]) -> None:
    assert numbers("mirrored") == CLIP
    assert numbers(change) == [CLIP[place] for place in places]


@pytest.mark.parametrize("frames", [1, 2, 3, 7])
@pytest.mark.parametrize("change", CHANGES)
def test_every_change_fits_clips_of_any_length(change: str, frames: int) -> None:
    shown = numbers(change, frames=frames, stride=1)
    assert len(shown) == frames
    assert all(0 <= number < 100 for number in shown)


def test_shuffled_frames_are_all_of_the_clip_in_the_order_of_the_video_alone() -> None:
    assert sorted(numbers("shuffled")) == CLIP
    assert numbers("shuffled") == numbers("shuffled") != CLIP
    assert len({tuple(numbers("shuffled", seed)) for seed in range(10)}) > 8


def test_speeds_are_of_the_film_where_it_has_the_frames() -> None:
    assert numbers("double_speed") == list(range(26, 74, 6))
    assert numbers("half_speed", stride=2) == list(range(46, 54))
    times = FrameTimes(np.arange(100) / 25, 4.0)
    for change, fps in (("double_speed", 5), ("half_speed", 20)):
        changed = change_views(views(stride=None, fps=10), change)
        assert changed.fps == fps
        expected = views(stride=None, fps=fps)(VIDEO, None, times)
        assert changed(VIDEO, np.random.default_rng(0), times) == expected


def test_mirrored_clips_are_flipped_and_others_are_not_and_all_views_are_changed() -> None:
    changed = change_views(views(temporal=3, spatial=3), "mirrored")(VIDEO)
    assert len(changed) == 9 and all(view.flipped for view in changed)
    usual = views(temporal=3, spatial=3)(VIDEO)
    turned = change_views(views(temporal=3, spatial=3), "reversed")(VIDEO, np.random.default_rng(0))
    assert [view.numbers for view in turned] == [view.numbers[::-1] for view in usual]
    assert not any(view.flipped for view in turned)
    assert [view.crop_box for view in turned] == [view.crop_box for view in usual]
