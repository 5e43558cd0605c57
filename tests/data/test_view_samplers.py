"""Sampling is held to the reference's formulae: every number here is worked out by hand or printed in its tests."""

import numpy as np
import pytest

from vivit.data.view_samplers import MultiViewSampler, RandomViewSampler
from vivit.data.views import CropBox, VideoShape, check_crop, frame_indices, resized_to_short_side, source_crop_box
from vivit.errors import ConfigError

KINETICS = VideoShape(250, 256, 340)


def grid(temporal=1, spatial=1, **changes):
    settings = {"frames": 32, "stride": 2, "resize": 256, "crop": (224, 224)} | changes
    return MultiViewSampler(**settings, temporal=temporal, spatial=spatial)


def random_view(**changes):
    return RandomViewSampler(**({"frames": 4, "stride": 3, "resize": 40, "crop": (32, 32)} | changes))


def planned(plan, video, seeds=300):
    return [plan(video, np.random.default_rng([5, seed]))[0] for seed in range(seeds)]


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        ((0, 4, 2, 100), (0, 2, 4, 6)),
        ((7, 4, 2, 10), (7, 9, 1, 3)),
        ((0, 5, 1, 2), (0, 1, 0, 1, 0)),
        ((0, 3, 4, 1), (0, 0, 0)),
    ],
)
def test_frame_indices_loop_in_short_videos(arguments, numbers):
    assert frame_indices(*arguments) == numbers


@pytest.mark.parametrize(
    ("height", "width", "length", "scaled"),
    [(256, 340, 256, (256, 340)), (240, 320, 256, (256, 341)), (1080, 607, 256, (455, 256)), (90, 90, 32, (32, 32))],
)
def test_resized_long_side_is_rounded_down(height, width, length, scaled):
    assert resized_to_short_side(VideoShape(1, height, width), length) == scaled


def test_crop_box_is_the_crop_without_resize():
    assert source_crop_box(VideoShape(1, 256, 340), (256, 340), (224, 224), (16, 58)) == CropBox(16, 58, 224, 224)


def test_crop_box_of_a_resized_picture_covers_the_same_share():
    assert source_crop_box(VideoShape(1, 200, 400), (100, 200), (50, 80), (10, 30)) == CropBox(20, 60, 100, 160)
    assert source_crop_box(VideoShape(1, 50, 60), (100, 120), (100, 120), (0, 0)) == CropBox(0, 0, 50, 60)


@pytest.mark.parametrize("seed", range(20))
def test_crop_box_stays_inside_and_within_half_a_pixel(seed):
    rng = np.random.default_rng(seed)
    video = VideoShape(1, *(int(n) for n in rng.integers(40, 500, 2)))
    scaled = (int(rng.integers(32, 400)), int(rng.integers(32, 400)))
    corner = (int(rng.integers(scaled[0] - 31)), int(rng.integers(scaled[1] - 31)))
    top, left, height, width = source_crop_box(video, scaled, (32, 32), corner)
    assert 0 <= top <= top + height <= video.height
    assert 0 <= left <= left + width <= video.width
    assert abs(top - corner[0] * video.height / scaled[0]) <= 0.5
    assert abs(left + width - (corner[1] + 32) * video.width / scaled[1]) <= 0.5


@pytest.mark.parametrize(
    ("temporal", "length", "offsets"),
    [
        (4, 250, [0, 62, 124, 186]),
        (1, 250, [93]),
        (1, 249, [92]),
        (1, 64, [0]),
        (1, 10, [0]),
        (4, 64, [0, 0, 0, 0]),
        (4, 20, [0, 0, 0, 0]),
        (4, 74, [0, 3, 6, 10]),
        (2, 164, [0, 100]),
    ],
)
def test_temporal_offsets(temporal, length, offsets):
    assert grid(temporal).offsets(length) == offsets
    views = grid(temporal)(VideoShape(length, 256, 340))
    assert [view.numbers[0] for view in views] == offsets
    assert all(
        view.numbers == tuple((at + 2 * k) % length for k in range(32)) for at, view in zip(offsets, views, strict=True)
    )


@pytest.mark.parametrize(
    ("height", "width", "corners"),
    [
        (256, 340, [(16, 0), (16, 58), (16, 116)]),
        (340, 256, [(0, 16), (58, 16), (116, 16)]),
        (256, 256, [(16, 0), (16, 16), (16, 32)]),
        (256, 341, [(16, 0), (16, 59), (16, 117)]),
    ],
)
def test_three_crops_lie_along_the_longer_side(height, width, corners):
    assert [view.crop_box[:2] for view in grid(spatial=3)(VideoShape(250, height, width))] == corners
    assert [view.crop_box[:2] for view in grid()(VideoShape(250, height, width))] == [corners[1]]


def test_views_have_the_temporal_position_outermost_and_are_never_mirrored():
    views = grid(4, 3)(KINETICS)
    assert [(view.numbers[0], view.crop_box.left) for view in views] == [
        (at, x) for at in (0, 62, 124, 186) for x in (0, 58, 116)
    ]
    assert not any(view.flipped for view in views)


@pytest.mark.parametrize("length", [1, 9, 10, 11, 14])
def test_random_offsets_are_exactly_those_of_the_reference(length):
    offsets = [view.numbers[0] for view in planned(random_view(), VideoShape(length, 40, 60))]
    room = max(length - 3 * 3, 1)
    assert set(offsets) == set(range(room))
    assert np.bincount(offsets).min() > 300 / room / 2


def test_random_clips_loop():
    for view in planned(random_view(), VideoShape(5, 40, 60), 20):
        assert view.numbers == tuple((view.numbers[0] + 3 * k) % 5 for k in range(4))


def test_random_crops_reach_every_corner_evenly():
    windows = [view.crop_box for view in planned(random_view(resize=35), VideoShape(20, 35, 36))]
    assert {(w.height, w.width) for w in windows} == {(32, 32)}
    assert {w.top for w in windows} == set(range(4))
    assert {w.left for w in windows} == set(range(5))
    assert np.bincount([w.left for w in windows]).min() > 300 / 5 / 2


def test_random_view_without_random_crop_is_the_middle():
    assert {view.crop_box for view in planned(random_view(random_crop=False), VideoShape(20, 40, 60), 20)} == {
        CropBox(4, 14, 32, 32)
    }


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_flips_have_their_probability(probability):
    share = np.mean([view.flipped for view in planned(random_view(flip=probability), VideoShape(20, 40, 60), 1000)])
    assert abs(share - probability) < (0.06 if probability == 0.5 else 1e-9)


def test_scale_jitter_is_independent_and_within_its_bounds():
    plan = random_view(scale_jitter=(0.9, 1.33), resize=400, crop=(320, 320))
    windows = [view.crop_box for view in planned(plan, VideoShape(20, 4000, 6000))]
    height, width = (np.array([w[side] for w in windows]) for side in (2, 3))
    for factor in (3200 / height, 3200 / width):
        assert factor.min() == pytest.approx(0.9, abs=0.02)
        assert factor.max() == pytest.approx(1.33, abs=0.02)
        assert 0.899 < factor.min() < factor.max() < 1.331
        assert factor.mean() == pytest.approx(1.115, abs=0.03)
    assert abs(np.corrcoef(height, width)[0, 1]) < 0.2


def test_view_sampler_is_a_function_of_its_generator():
    first, again = (planned(random_view(scale_jitter=(0.9, 1.3), flip=0.5), KINETICS, 10) for _ in range(2))
    assert first == again
    assert len(set(first)) == 10


@pytest.mark.parametrize(
    ("resize", "crop", "smallest", "enough"),
    [(31, (32, 32), 1.0, 32), (35, (32, 32), 0.9, 36), (224, (200, 224), 0.9, 249)],
)
def test_crop_that_does_not_fit_is_refused_with_a_size_that_does(resize, crop, smallest, enough):
    with pytest.raises(ConfigError, match=rf"data\.resize={resize} .* data\.resize to at least {enough},") as error:
        check_crop(resize, crop, smallest)
    assert (error.value.key, error.value.value) == ("data.crop", crop)
    check_crop(enough, crop, smallest)


def test_view_samplers_check_their_crop():
    with pytest.raises(ConfigError, match="does not fit"):
        grid(resize=200)
    with pytest.raises(ConfigError, match=r"smallest scale jitter 0\.9"):
        random_view(resize=33, scale_jitter=(0.9, 1.0))


def test_scale_jitter_has_two_bounds():
    with pytest.raises(ConfigError) as error:
        random_view(scale_jitter=[1.0])
    assert (error.value.key, error.value.value) == ("augment.scale_jitter", [1.0])


@pytest.mark.parametrize(
    ("temporal", "spatial", "expected"),
    [(0, 1, ("views.temporal", 0)), (1, 2, ("views.spatial", 2)), (4, 4, ("views.spatial", 4))],
)
def test_multi_view_sampler_impossible_views_are_refused(temporal, spatial, expected):
    with pytest.raises(ConfigError) as error:
        grid(temporal, spatial)
    assert (error.value.key, error.value.value) == expected


@pytest.mark.parametrize("counts", [(1, 2, 4, 8), (3, 5, 9), (1, 3, 7, 10), (11, 3, 31), (4,)])
def test_multi_view_sampler_contains_the_offsets_of_every_count(counts):
    """Of every length, rounding included: 3 parts of 6 are not always the frame that 1 part of 2 is."""
    full = MultiViewSampler(frames=4, stride=2, resize=36, crop=(32, 32), temporal=counts[0], spatial=3, counts=counts)
    selected = full.views_by_count()
    assert list(selected) == [f"{count}x3" for count in sorted(counts)]
    assert len(full) == 3 * len(set(full.positions))
    for length in [*range(1, 400), *range(9_000, 9_100)]:
        offsets, room = full.offsets(length), max(0, length - 8)
        for count in counts:
            expected = [room // 2] if count == 1 else [int(at) for at in np.linspace(0, room, count)]
            views = selected[f"{count}x3"]
            assert [offsets[view // 3] for view in views[::3]] == expected
            assert [view % 3 for view in views] == [0, 1, 2] * count


def test_multi_view_sampler_counts_share_views():
    views = MultiViewSampler(frames=4, stride=2, resize=36, crop=(32, 32), temporal=5, counts=[1, 2, 3, 5, 9])
    assert len(views) == 9
    assert len(views(VideoShape(100, 40, 60))) == 9


def test_multi_view_sampler_counts_of_0_are_refused():
    with pytest.raises(ConfigError) as error:
        MultiViewSampler(frames=4, stride=2, resize=36, crop=(32, 32), counts=[1, 0])
    assert (error.value.key, error.value.value) == ("views.counts", [1, 0])
