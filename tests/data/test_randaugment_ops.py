"""RandAugment's operations against their formulae, and Pillow and torchvision where these compute the same."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torchvision.transforms.v2 import functional as tv

from vivit.data.transforms import randaugment_ops as ops
from vivit.data.transforms.randaugment_ops import apply_lut

RNG = np.random.default_rng(0)
SHAPES = [(3, 20, 34, 3), (2, 7, 9, 3), (5, 11, 13, 3), (1, 1, 1, 3)]
"""The last three hold an odd number of pixels or bytes."""


def picture(shape, low=0, high=256):
    return np.random.default_rng(shape[1]).integers(low, high, shape).astype(np.uint8)


def done(operation, clip, magnitude=15.0, seed=0):
    before = clip.copy()
    result = operation(clip, float(magnitude), np.random.default_rng(seed))
    np.testing.assert_array_equal(clip, before)
    assert result.dtype == np.uint8
    assert result.shape == clip.shape
    return result


def tall(clip):
    return Image.fromarray(clip.reshape(-1, *clip.shape[2:]))


def cut(values):
    return np.trunc(np.clip(values, 0, 255)).astype(np.uint8)


def assert_cut(result, exact):
    """Cut to whole levels; float32 may take what is whole for a hair less."""
    exact = np.clip(exact, 0, 255)
    full = np.abs(exact - np.rint(exact)) < 1e-3
    np.testing.assert_array_equal(result[~full], np.floor(exact)[~full])
    assert np.isin(np.rint(exact)[full] - result[full], (0, 1)).all()


def factor(magnitude):
    return magnitude / 10 * 1.8 + 0.1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("channels", [1, 3])
def test_apply_lut_equals_indexing(shape, channels):
    tables = RNG.permuted(np.tile(np.arange(256, dtype=np.uint8), (channels, 1)), axis=1)
    clip = picture(shape)
    expected = np.stack([tables[c % channels][clip[..., c]] for c in range(3)], -1)
    np.testing.assert_array_equal(apply_lut(clip, *tables), expected)
    np.testing.assert_array_equal(apply_lut(clip[:, :, ::-1], *tables), expected[:, :, ::-1])


@pytest.mark.parametrize("shape", SHAPES)
def test_autocontrast_stretches_each_channel_over_the_whole_clip(shape):
    clip = picture(shape, 40, 160)
    clip[..., 1] //= 2
    low, high = (extreme(clip, axis=(0, 1, 2)).astype(float) for extreme in (np.min, np.max))
    expected = clip if shape[1] == 1 else (clip - low) * 255 / (high - low)
    result = done(ops.autocontrast, clip)
    assert_cut(result, expected)
    np.testing.assert_array_equal(result.min((0, 1, 2)), 0 if shape[1] > 1 else clip[0, 0, 0])
    reference = np.asarray(ImageOps.autocontrast(tall(clip))).reshape(shape)
    assert np.abs(result.astype(int) - reference).max() <= 1


def test_autocontrast_by_hand():
    clip = np.zeros((2, 1, 1, 3), np.uint8)
    clip[:, 0, 0] = [[10, 77, 0], [110, 77, 255]]
    np.testing.assert_array_equal(done(ops.autocontrast, clip)[:, 0, 0], [[0, 77, 0], [255, 77, 255]])
    np.testing.assert_array_equal(
        ops.contrast_lut(np.uint8(10), np.uint8(110))[[9, 10, 60, 61, 111]], [0, 0, 127, 130, 255]
    )


@pytest.mark.parametrize(("low", "high"), [(0, 256), (100, 130), (5, 6)])
def test_equalize_is_pillow_s_on_the_tall_picture(low, high):
    clip = picture((6, 20, 34, 3), low, high)
    clip[2] //= 3
    np.testing.assert_array_equal(
        done(ops.equalize, clip), np.asarray(ImageOps.equalize(tall(clip))).reshape(clip.shape)
    )


def test_equalize_by_hand():
    """600 values of 10, 600 of 20, 100 of 30: the step is 1200 // 255 = 4, half of it 2."""
    histogram = np.zeros(256, int)
    histogram[[10, 20, 30]] = 600, 600, 100
    table = ops.equalize_lut(histogram)
    assert table[[0, 10, 11, 20, 30]].tolist() == [0, 0, 150, 150, 255]
    histogram[[10, 20]] = 100, 100  # 200 // 255 is no step: nothing changes
    np.testing.assert_array_equal(ops.equalize_lut(histogram), np.arange(256))


@pytest.mark.parametrize("shape", SHAPES)
def test_invert_is_pillow_s(shape):
    clip = picture(shape)
    np.testing.assert_array_equal(done(ops.invert, clip), np.asarray(ImageOps.invert(tall(clip))).reshape(shape))


@pytest.mark.parametrize(("magnitude", "bits"), [(3, 1), (5, 2), (15, 6), (19, 7), (20, 8), (25, 8)])
def test_posterize_keeps_bits(magnitude, bits):
    clip = picture(SHAPES[0])
    result = done(ops.posterize, clip, magnitude)
    np.testing.assert_array_equal(result, clip // 2 ** (8 - bits) * 2 ** (8 - bits))
    np.testing.assert_array_equal(result, np.asarray(ImageOps.posterize(tall(clip), bits)).reshape(clip.shape))
    np.testing.assert_array_equal(result, tv.posterize(torch.from_numpy(clip).movedim(-1, 1), bits).movedim(1, -1))


@pytest.mark.parametrize(("magnitude", "threshold"), [(5, 128), (9, 230), (10, 0), (15, 128), (17, 179), (20, 0)])
def test_solarize_wraps_its_threshold_into_a_byte(magnitude, threshold):
    clip = picture(SHAPES[0])
    result = done(ops.solarize, clip, magnitude)
    np.testing.assert_array_equal(result, np.where(clip < threshold, clip, 255 - clip))
    np.testing.assert_array_equal(result, np.asarray(ImageOps.solarize(tall(clip), threshold)).reshape(clip.shape))
    np.testing.assert_array_equal(result, tv.solarize(torch.from_numpy(clip), threshold))


def test_solarize_add_by_hand():
    clip = np.uint8([[[[0, 50, 90], [91, 127, 128], [129, 200, 255]]]])
    assert done(ops.solarize_add, clip, 15).ravel().tolist() == [165, 215, 255, 255, 255, 128, 129, 200, 255]
    assert done(ops.solarize_add, clip, 20).ravel().tolist() == [220, 255, 255, 255, 255, 128, 129, 200, 255]
    assert done(ops.solarize_add, clip, 1).ravel().tolist() == [11, 61, 101, 102, 138, 128, 129, 200, 255]


@pytest.mark.parametrize("magnitude", [0, 4, 5, 15, 20])
def test_brightness_blends_with_black(magnitude):
    clip = picture(SHAPES[0])
    np.testing.assert_array_equal(done(ops.brightness, clip, magnitude), cut(np.float32(factor(magnitude)) * clip))


@pytest.mark.parametrize("magnitude", [2, 5, 15, 20])
def test_contrast_blends_with_white_but_for_clips_below_65280_pixels(magnitude):
    large, small = picture((3, 160, 160, 3)), picture((3, 20, 34, 3))
    f = np.float32(factor(magnitude))
    np.testing.assert_array_equal(done(ops.contrast, large, magnitude), cut(255 + f * (large - np.float32(255))))
    grey = np.float32(3 * 20 * 34 / 256 // 1)
    assert grey == 7
    np.testing.assert_array_equal(done(ops.contrast, small, magnitude), cut(grey + f * (small - grey)))


@pytest.mark.parametrize("magnitude", [2, 5, 15, 20])
def test_color_blends_with_grey(magnitude):
    clip = picture(SHAPES[0])
    grey = np.trunc(clip @ np.float64([0.2989, 0.587, 0.114]) / 255 * 255.5)[..., None]
    assert_cut(done(ops.color, clip, magnitude), grey + factor(magnitude) * (clip - grey))
    grey_clip = np.repeat(picture((2, 7, 9, 1)), 3, -1)
    assert np.abs(done(ops.color, grey_clip, magnitude).astype(int) - grey_clip).max() <= 1


def test_color_grey_levels_equal_tensorflow_s():
    """White stays white: 0.9999 * 255.5 is 255.47. Pure red is 0.2989 * 255.5 = 76.4, so at factor 0.1 red is 93."""
    clip = np.uint8([[[[255, 255, 255], [255, 0, 0]]]])
    assert done(ops.color, clip, 0)[0, 0].tolist() == [[255, 255, 255], [93, 68, 68]]


@pytest.mark.parametrize("magnitude", [5, 15, 20])
@pytest.mark.parametrize("shape", [*SHAPES, (40, 10, 12, 3), (2, 129, 5, 3)])
def test_sharpness_blends_with_the_smoothed_tall_picture(shape, magnitude):
    clip = picture(shape)
    rows = clip.reshape(-1, *shape[2:]).astype(int)
    expected = rows.astype(np.uint8)
    for y in range(1, len(rows) - 1):
        for x in range(1, shape[2] - 1):
            smooth = (rows[y - 1 : y + 2, x - 1 : x + 2].sum((0, 1)) + 4 * rows[y, x]) // 13
            mixed = np.float32(smooth) + np.float32(factor(magnitude)) * np.float32(rows[y, x] - smooth)
            expected[y, x] = cut(mixed)
    np.testing.assert_array_equal(done(ops.sharpness, clip, magnitude), expected.reshape(shape))


def test_sharpness_is_near_pillow_s_which_rounds():
    clip = picture((1, 30, 40, 3), 100, 150)
    reference = np.asarray(ImageEnhance.Sharpness(Image.fromarray(clip[0])).enhance(1.9))
    assert np.abs(done(ops.sharpness, clip, 10)[0].astype(int) - reference).max() <= 2


def test_cutout_is_one_box_in_one_place_for_all_frames():
    clip = picture((4, 30, 50, 3), 0, 100)
    sizes, corners = set(), set()
    for seed in range(300):
        changed = done(ops.cutout, clip, 2.5, seed) != clip
        assert (changed == changed[:1]).all() and (changed == changed[..., :1]).all()
        rows, columns = (np.flatnonzero(changed[0, ..., 0].any(axis)) for axis in (1, 0))
        assert len(np.unique(np.diff(rows))) <= 1
        assert (changed[0, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]).all()
        sizes.add((len(rows), len(columns)))
        corners |= {("row", rows[0], rows[-1]), ("column", columns[0], columns[-1])}
    assert max(sizes) == (20, 20)  # twice int(2.5 / 10 * 40)
    assert (done(ops.cutout, clip, 2.5, 1)[done(ops.cutout, clip, 2.5, 1) != clip] == 128).all()
    # the centre is any pixel, 0 to 29 and 0 to 49, and what would stick out is cut off
    assert {("row", 0, 9), ("row", 19, 29), ("column", 0, 9), ("column", 39, 49)} <= corners


def test_operations_are_the_paper_s_twelve():
    assert [operation.__name__ for operation in ops.OPERATIONS] == [
        *("autocontrast", "equalize", "invert", "posterize", "solarize", "color", "contrast", "brightness"),
        *("sharpness", "cutout", "solarize_add", "identity"),
    ]
    clip = picture(SHAPES[0])
    assert done(ops.identity, clip) is clip
