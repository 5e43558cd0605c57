"""Colour jitter against Python's own colorsys; how often, how much, and always the same for all frames."""

import colorsys

import numpy as np
import pytest

from vivit.data.transforms import ColorJitter, RandAugment
from vivit.data.transforms.color_jitter import adjust_contrast, adjust_hue, adjust_saturation
from vivit.data.transforms.randaugment_ops import OPERATIONS
from vivit.errors import ConfigError

CLIP = np.random.default_rng(1).integers(0, 256, (3, 10, 14, 3)).astype(np.uint8)
NONE = {"brightness": 0.0, "saturation": (1.0, 1.0), "contrast": (1.0, 1.0), "hue": 0.0}


def planes(values):
    return np.ascontiguousarray(np.float32(values).reshape(-1, 1, 3).transpose(2, 0, 1))


def pixels(values):
    return values.transpose(1, 2, 0).reshape(-1, 3)


def by_colorsys(values, change):
    return np.array([[255 * c for c in colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*(v / 255))))] for v in values])


@pytest.fixture(scope="module")
def colours():
    corners = [[r, g, b] for r in (0, 128, 255) for g in (0, 128, 255) for b in (0, 128, 255)]
    return np.float64(corners + np.random.default_rng(2).uniform(0, 255, (300, 3)).tolist())


@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 1.4, 5.0])
def test_saturation_is_that_of_hsv(colours, factor):
    actual = planes(colours)
    adjust_saturation(actual, factor)
    expected = by_colorsys(colours, lambda h, s, v: (h, min(s * factor, 1), v))
    np.testing.assert_allclose(pixels(actual), expected, atol=2e-3)


def test_saturation_of_values_outside_of_the_range():
    """Brightness may leave it. Saturation above 1 is brought down to 1, what is below black turns grey."""
    actual = planes([[100, 50, -20], [-5, -10, -30], [300, 200, 100]])
    adjust_saturation(actual, 1.2)
    # 100, 50, -20: saturation 1.2, times 1.2 cut to 1: the lowest becomes 0, the middle keeps its place, 70 of 120
    np.testing.assert_allclose(pixels(actual), [[100, 100 * 70 / 120, 0], [-5, -5, -5], [300, 180, 60]], rtol=1e-5)


@pytest.mark.parametrize("turn", [-0.5, -0.2, -0.01, 0.0, 0.1, 0.2, 1 / 3, 0.7])
def test_hue_is_that_of_hsv(colours, turn):
    actual = planes(colours)
    adjust_hue(actual, turn)
    expected = by_colorsys(colours, lambda h, s, v: ((h + turn) % 1, s, v))
    np.testing.assert_allclose(pixels(actual), expected, atol=2e-3)


def test_hue_keeps_the_highest_and_the_lowest_value_also_outside_of_the_range():
    actual = planes([[300, 20, -40]])
    adjust_hue(actual, 1 / 3)  # red to green
    np.testing.assert_allclose(pixels(actual), [[-40, 300, 20]], atol=2e-3)


def test_contrast_is_around_each_channel_s_own_mean():
    actual = planes([[10, 100, 50], [30, 200, 50]])
    adjust_contrast(actual, 1.4)
    np.testing.assert_allclose(pixels(actual), [[6, 80, 50], [34, 220, 50]], rtol=1e-6)


def augmented(clip=CLIP, seed=0, **changes):
    result = ColorJitter(**changes)(clip, np.random.default_rng(seed))
    assert result.dtype == np.uint8
    assert result.shape == clip.shape
    return result


def test_color_jitter_without_change_is_the_identity():
    np.testing.assert_array_equal(augmented(jitter=1.0, greyscale=0.0, **NONE), CLIP)
    np.testing.assert_array_equal(augmented(jitter=0.0, greyscale=0.0), CLIP)


def test_color_jitter_equals_its_steps_in_float64():
    """Brightness, saturation, contrast, hue, and only then clipped and rounded."""
    fixed = {"brightness": 32 / 255, "saturation": (1.4, 1.4), "contrast": (0.6, 0.6), "hue": 0.2}
    rng = np.random.default_rng(7)
    rng.uniform(size=2)
    added = rng.uniform(-32 / 255, 32 / 255)
    rng.uniform(size=2)
    turn = rng.uniform(-0.2, 0.2)
    for actual, frame in zip(augmented(seed=7, jitter=1.0, greyscale=0.0, **fixed), CLIP, strict=True):
        x = frame.reshape(-1, 3) / 255 + added
        high, low = x.max(1, keepdims=True), x.min(1, keepdims=True)
        saturation = np.clip((high - low) / high * 1.4, 0, 1)
        x = high - (high - x) / (high - low) * saturation * high
        x = (x - x.mean(0)) * 0.6 + x.mean(0)
        x = by_colorsys(255 * x, lambda h, s, v: ((h + turn) % 1, s, v)) / 255
        assert np.abs(actual.reshape(-1, 3) - np.clip(x, 0, 1) * 255).max() < 0.51


def test_brightness_reaches_both_ends_of_its_range_and_not_beyond():
    grey = np.full((1, 2, 2, 3), 100, np.uint8)
    changes = NONE | {"brightness": 32 / 255}
    levels = [int(augmented(grey, seed, jitter=1.0, greyscale=0.0, **changes)[0, 0, 0, 0]) for seed in range(400)]
    assert (min(levels), max(levels)) == (68, 132)
    assert abs(np.mean(levels) - 100) < 3


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.8, 1.0])
def test_color_jitter_and_greyscale_are_independent_with_their_probabilities(probability):
    small = CLIP[:1, :3, :4]
    seen = []
    for seed in range(400):
        result = augmented(small, seed, jitter=probability, greyscale=0.5)
        grey = (result == result[..., :1]).all()
        weighed = np.repeat((small @ np.array([0.2989, 0.587, 0.114]))[..., None], 3, -1)
        untouched = np.abs(result - (weighed if grey else small)).max() <= 0.51
        seen.append((not untouched, grey))
    jittered, dropped = np.mean(seen, axis=0)
    assert abs(jittered - probability) <= (0.07 if 0 < probability < 1 else 0)
    assert abs(dropped - 0.5) < 0.08
    if 0 < probability < 1:
        assert abs(np.corrcoef(np.transpose(seen))[0, 1]) < 0.15


def test_color_jitter_defaults_are_the_reference_s():
    actual = ColorJitter()
    assert (actual.jitter, actual.greyscale, actual.brightness, actual.hue) == (0.8, 0.1, 32 / 255, 0.2)
    assert actual.saturation == actual.contrast == (0.6, 1.4)


POLICIES = [ColorJitter(greyscale=0.5), RandAugment(num_ops=2, magnitude=15), RandAugment(num_ops=3, magnitude=4.5)]


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_color_transforms_draw_once_for_all_frames_from_the_generator(policy):
    still = np.repeat(CLIP[:1], 4, 0)
    results = [policy(still, np.random.default_rng(seed)) for seed in range(40)]
    if not isinstance(policy, RandAugment):  # whose Sharpness sees the frames above and below at the border
        assert all((result == result[:1]).all() for result in results)
    assert all((result[:, 3:-3] == result[:1, 3:-3]).all() for result in results)
    assert len({result.tobytes() for result in results}) > 8
    for seed, result in enumerate(results):
        np.testing.assert_array_equal(policy(still, np.random.default_rng(seed)), result)


def test_randaugment_draws_every_operation_equally_often(monkeypatch):
    drawn = np.zeros(12, int)

    def counting(number):
        def count(clip, magnitude, rng):
            drawn[number] += 1
            return clip

        return count

    monkeypatch.setattr("vivit.data.transforms.randaugment.OPERATIONS", [counting(n) for n in range(len(OPERATIONS))])
    for seed in range(1000):
        RandAugment(num_ops=3, magnitude=15)(CLIP, np.random.default_rng(seed))
    assert drawn.sum() == 3000
    assert abs(drawn - 250).max() < 75  # five deviations


def test_randaugment_applies_layers_in_sequence():
    rng = np.random.default_rng(3)
    expected = CLIP
    numbers = rng.integers(12, size=4)
    for number in numbers:
        expected = OPERATIONS[number](expected, 15.0, rng)
    np.testing.assert_array_equal(RandAugment(num_ops=4, magnitude=15)(CLIP, np.random.default_rng(3)), expected)
    np.testing.assert_array_equal(RandAugment(num_ops=0, magnitude=15)(CLIP, np.random.default_rng(3)), CLIP)


def test_randaugment_magnitude_may_follow_training():
    growing = RandAugment(num_ops=2, magnitude=lambda progress: 20 * progress)
    for progress in (0.25, 0.75):
        expected = RandAugment(num_ops=2, magnitude=20 * progress)(CLIP, np.random.default_rng(5))
        np.testing.assert_array_equal(growing(CLIP, np.random.default_rng(5), progress), expected)


@pytest.mark.parametrize(("num_ops", "magnitude", "key"), [(-1, 15, "num_ops=-1"), (2, -3, "magnitude=-3")])
def test_randaugment_negative_strengths_are_refused(num_ops, magnitude, key):
    with pytest.raises(ConfigError) as error:
        RandAugment(num_ops=num_ops, magnitude=magnitude)
    assert f"{error.value.key}={error.value.value}" == f"augment.color_transform.{key}"


def test_color_jitter_range_needs_two_factors():
    with pytest.raises(ConfigError) as error:
        ColorJitter(contrast=[0.6])
    assert (error.value.key, error.value.value) == ("augment.color_transform.contrast", [0.6])
