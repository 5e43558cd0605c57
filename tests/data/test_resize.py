"""The reference's resize against its formula, its order of steps, and how far the fused pass is from it."""

import os
from pathlib import Path

import numpy as np
import pytest

from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.transforms.resize import FusedResize, ReferenceResize, resize_as_tensorflow
from vivit.data.view_samplers import MultiViewSampler, RandomViewSampler
from vivit.data.views import CropBox, VideoShape

REAL = Path(os.environ.get("VIVIT_SHARED") or Path(__file__).parents[3] / "shared") / "videos" / "kinetics_like"
REAL_FILES = sorted(REAL.glob("*.mp4"))


def bilinear(clip, size):
    """Half-pixel centres, no antialiasing; in float64."""
    values = clip.astype(float)
    for axis, length in zip((1, 2), size, strict=True):
        place = np.clip((np.arange(length) + 0.5) * values.shape[axis] / length - 0.5, 0, values.shape[axis] - 1)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, values.shape[axis] - 1)
        share = (place - low).reshape([-1 if a == axis else 1 for a in range(4)])
        values = values.take(low, axis) * (1 - share) + values.take(high, axis) * share
    return values


def cut(values):
    return np.floor(values).astype(np.uint8)


def row(levels):
    return np.repeat(np.uint8(levels)[None, None, :, None], 3, -1)


@pytest.mark.parametrize(
    ("levels", "becomes"),
    [
        ((0, 100), (0, 25, 75, 100)),
        ((0, 3), (0, 0, 2, 3)),  # 0.75 and 2.25, cut and not rounded
        ((0, 10, 20, 90), (5, 55)),  # no antialiasing: only two neighbours count
        ((0, 255, 0, 255, 0, 255), (255, 0)),  # as far as that goes
    ],
)
def test_resize_by_hand(levels, becomes):
    assert resize_as_tensorflow(row(levels), (1, len(becomes)))[0, 0, :, 0].tolist() == list(becomes)


@pytest.mark.parametrize("size", [(31, 45), (12, 17), (20, 33), (7, 60)])
def test_resize_equals_the_formula(size):
    clip = np.random.default_rng(0).integers(0, 256, (3, 20, 33, 3)).astype(np.uint8)
    actual, exact = resize_as_tensorflow(clip, size), bilinear(clip, size)
    full = np.abs(exact - np.rint(exact)) < 1e-3  # which float32 may take for a hair less
    np.testing.assert_array_equal(actual[~full], cut(exact)[~full])
    assert np.isin(np.rint(exact)[full] - actual[full], (0, 1)).all()


class Pictures:
    """A video that lies in memory and can only be read whole."""

    def __init__(self, pictures) -> None:
        self.pictures = pictures
        self.shape = VideoShape(*pictures.shape[:3])

    def times(self):
        raise AssertionError("a resize asks for no moment")

    def read(self, numbers, boxes, size):
        assert boxes == [CropBox(0, 0, *size)]
        assert size == self.shape[1:]
        assert list(numbers) == sorted(set(numbers))
        return self.pictures[list(numbers)][None]

    def close(self):
        """Nothing to close."""

    def __enter__(self) -> "Pictures":
        return self

    def __exit__(self, kind, error, trace) -> None:
        """Nothing to close."""


@pytest.mark.parametrize("seed", range(4))
def test_reference_resize_scales_jitters_and_crops_in_this_order(seed):
    pictures = np.random.default_rng(9).integers(0, 256, (9, 50, 70, 3)).astype(np.uint8)
    plan = RandomViewSampler(frames=4, stride=3, resize=36, crop=(24, 32), scale_jitter=(0.9, 1.33))
    (view,) = plan(VideoShape(9, 50, 70), np.random.default_rng(seed))
    assert view.resize_plan.resized == (36, 50)
    (actual,) = ReferenceResize()(Pictures(pictures), [view], (24, 32))
    top, left = view.resize_plan.corner
    expected = cut(bilinear(cut(bilinear(pictures[list(view.numbers)], (36, 50))), view.resize_plan.jittered))
    expected = expected[:, top : top + 24, left : left + 32]
    difference = np.abs(actual.astype(int) - expected)
    assert (difference.max(), difference.mean() < 2e-3) <= (1, True)
    at_once = cut(bilinear(pictures[list(view.numbers)], view.resize_plan.jittered))[
        :, top : top + 24, left : left + 32
    ]
    assert np.abs(actual.astype(int) - at_once).mean() > 3  # the order can be told from the result


def test_resize_of_a_picture_of_the_right_size_only_crops():
    pictures = np.random.default_rng(9).integers(0, 256, (5, 36, 40, 3)).astype(np.uint8)
    views = MultiViewSampler(frames=2, stride=1, resize=36, crop=(32, 32), temporal=2, spatial=3)(VideoShape(5, 36, 40))
    actual = ReferenceResize()(Pictures(pictures), views, (32, 32))
    assert actual.shape == (6, 2, 32, 32, 3)
    for shown, view in zip(actual, views, strict=True):
        top, left = view.resize_plan.corner
        np.testing.assert_array_equal(shown, pictures[list(view.numbers), top : top + 32, left : left + 32])


def differences(path, plan, seeds):
    for seed in range(seeds):
        with PyAVVideoReader(str(path)) as video:
            views = plan(video.shape, np.random.default_rng(seed))
            fused, reference = (way(video, views, plan.crop) for way in (FusedResize(), ReferenceResize()))
        assert fused.shape == reference.shape
        yield np.abs(fused.astype(int) - reference)


@pytest.mark.parametrize("jitter", [(1.0, 1.0), (0.9, 1.33)])
def test_fused_resize_is_near_the_reference_on_drawn_videos(small_motion, jitter):
    plan = RandomViewSampler(frames=4, stride=2, resize=36, crop=(32, 32), scale_jitter=jitter)
    results = [d for path in sorted(small_motion.rglob("*.mp4"))[:6] for d in differences(path, plan, 2)]
    assert max(d.mean() for d in results) < 6
    assert max(d.max() for d in results) < 140


@pytest.mark.skipif(not REAL_FILES, reason=f"no real videos at {REAL}: set VIVIT_SHARED to the folder above videos/")
@pytest.mark.parametrize("path", REAL_FILES, ids=lambda path: path.stem)
def test_fused_resize_is_near_the_reference_on_real_videos(path):
    shared = {"frames": 4, "stride": 2, "resize": 256, "crop": (224, 224)}
    middle = list(differences(path, MultiViewSampler(**shared), 1))
    assert max(d.mean() for d in middle) < 2.5
    results = list(differences(path, RandomViewSampler(**shared, scale_jitter=(0.9, 1.33)), 3))
    assert max(d.mean() for d in results) < 5
    assert max(d.max() for d in results) < 160
    with PyAVVideoReader(str(path)) as video:
        unscaled = min(video.shape[1:]) == 256
    if unscaled and path.stem != "YABnJL_bDzw":
        assert middle[0].max() == 0
