"""The position of the object, and the share of attention on it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vivit.benchmarks.attention import attention_row, token_coverage
from vivit.data.datasets import motion
from vivit.data.datasets.motion import object_mask
from vivit.data.transforms.resize import FusedResize
from vivit.data.view_samplers import MultiViewSampler
from vivit.data.views import VideoShape
from vivit.errors import ConfigError

VIEWS = MultiViewSampler(frames=16, stride=2, resize=36, crop=(32, 32))
FRAMES_OF = [[2 * i, 2 * i + 1] for i in range(8)]


@pytest.mark.parametrize("index", range(0, 48, 5))
def test_object_mask_contains_the_object_and_little_else(index: int) -> None:
    """With full contrast objects are brighter than anything else in a drawing."""
    drawn = motion.scene(motion.SPLITS[-1], index)
    scene = replace(drawn, difficulty=replace(drawn.difficulty, noise=0.0, contrast=125.0))
    bright = motion.render(scene).min(-1) > 172
    square = object_mask(scene)
    assert bright.any((1, 2)).all()
    assert not (bright & ~square).any()
    assert (bright & square).sum() > 0.1 * square.sum()


def test_object_mask_wraps_around_the_edges() -> None:
    drawn = motion.scene(motion.SPLITS[-1], 0)
    still = replace(drawn.difficulty, speed=0.0, size=7.0)
    scene = replace(drawn, verb="left", difficulty=still, home=(32.0, 0.0))
    (square,) = {frame.tobytes() for frame in object_mask(scene)}
    mask = np.frombuffer(square, bool).reshape(64, 64)
    reach = int(7 * 1.15 + 0.5)
    assert np.flatnonzero(mask.any(0)).tolist() == [*range(reach + 1), *range(64 - reach, 64)]
    assert np.flatnonzero(mask.any(1)).tolist() == list(range(32 - reach, 32 + reach + 1))


def test_token_coverage_is_the_share_of_its_pixels() -> None:
    mask = np.zeros((40, 64, 64), bool)
    (view,) = VIEWS(VideoShape(40, 64, 64))
    top, left, height, width = view.crop_box
    mask[:, top : top + height // 4, left : left + width // 4] = True
    mask[view.numbers[3]] = False  # half of the frames of temporal index 1
    coverage = token_coverage(mask, view, FRAMES_OF, (8, 4, 4))
    assert coverage.shape == (8, 4, 4)
    assert coverage[0, 0, 0] == pytest.approx(1, abs=0.15)
    assert coverage[1, 0, 0] == pytest.approx(coverage[0, 0, 0].item() / 2)
    assert coverage[:, 2:, 2:].sum() == 0


def test_attention_on_the_object_has_a_higher_share_than_uniform_attention(small_motion: Path) -> None:
    def uniform(frames: torch.Tensor) -> torch.Tensor:
        return torch.full((len(frames), 8, 4, 4), 1 / 128)

    def bright(frames: torch.Tensor) -> torch.Tensor:
        """Return attention on bright pixels, as those of objects are."""
        seen = (frames.amin(-1) > 160).float().unflatten(1, (8, 2)).unflatten(3, (4, 8)).unflatten(5, (4, 8))
        tokens = seen.mean((2, 4, 6)) + 1e-9
        return tokens / tokens.sum((1, 2, 3), keepdim=True)

    row = attention_row(
        {"uniform_": uniform, "bright_": bright}, root=small_motion, clips=12, views=VIEWS, resampling=FusedResize(),
        frames_per_token=FRAMES_OF, grid=(8, 4, 4),
    )  # fmt: skip
    assert row["uniform_ratio"] == pytest.approx(1, abs=1e-5)
    assert row["bright_ratio"] > 2
    assert row["bright_above"] > 0.6, "not all are bright"
    assert 0.05 < row["area"] < 0.5
    with pytest.raises(ConfigError) as error:
        attention_row(
            {},
            root=small_motion,
            clips=1585,
            views=VIEWS,
            resampling=FusedResize(),
            frames_per_token=[],
            grid=(8, 4, 4),
        )
    assert (error.value.key, error.value.value) == ("bench.clips", 1585)
