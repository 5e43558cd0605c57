"""Where the object is, and how much of a heat lies on it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vivit.benchmarks.attention import attention_row, covered
from vivit.data.datasets import motion
from vivit.data.datasets.motion import object_mask
from vivit.data.transforms.resize import FusedResize
from vivit.data.view_samplers import MultiViewSampler
from vivit.data.views import VideoShape

VIEWS = MultiViewSampler(frames=16, stride=2, resize=36, crop=(32, 32))
FRAMES_OF = [[2 * i, 2 * i + 1] for i in range(8)]


@pytest.mark.parametrize("index", range(0, 48, 5))
def test_the_square_holds_the_whole_object_and_little_else(index: int) -> None:
    """Objects are brighter than anything else in a drawing."""
    scene = replace(motion.scene(motion.SPLITS[-1], index), noise=0.0)
    bright = motion.render(scene).min(-1) > 172
    square = object_mask(scene)
    assert bright.any((1, 2)).all()
    assert not (bright & ~square).any()
    assert (bright & square).sum() > 0.15 * square.sum()


def test_a_square_that_leaves_at_one_edge_comes_in_at_the_other() -> None:
    scene = replace(motion.scene(motion.SPLITS[-1], 0), verb="left", phase=0.0, speed=0.0, size=0.0, shift=(0.0, 0.0))
    (square,) = {frame.tobytes() for frame in object_mask(scene)}
    marked = np.frombuffer(square, bool).reshape(64, 64)
    reach = int(7 * 1.15 + 0.5)
    assert np.flatnonzero(marked.any(0)).tolist() == [*range(reach + 1), *range(64 - reach, 64)]
    assert np.flatnonzero(marked.any(1)).tolist() == list(range(32 - reach, 32 + reach + 1))


def test_tokens_are_covered_by_what_they_see() -> None:
    marked = np.zeros((40, 64, 64), bool)
    (view,) = VIEWS(VideoShape(40, 64, 64))
    top, left, height, width = view.crop_box
    marked[:, top : top + height // 4, left : left + width // 4] = True
    marked[view.numbers[3]] = False  # half of the frames of temporal index 1
    cover = covered(marked, view, FRAMES_OF, (8, 4, 4))
    assert cover.shape == (8, 4, 4)
    assert cover[0, 0, 0] == pytest.approx(1, abs=0.15)
    assert cover[1, 0, 0] == pytest.approx(cover[0, 0, 0].item() / 2)
    assert cover[:, 2:, 2:].sum() == 0


def test_a_heat_on_the_object_stands_above_one_that_is_everywhere(small_motion: Path) -> None:
    def everywhere(frames: torch.Tensor) -> torch.Tensor:
        return torch.full((len(frames), 8, 4, 4), 1 / 128)

    def bright(frames: torch.Tensor) -> torch.Tensor:
        """Look where the picture is bright, as objects are."""
        seen = (frames.amin(-1) > 160).float().unflatten(1, (8, 2)).unflatten(3, (4, 8)).unflatten(5, (4, 8))
        tokens = seen.mean((2, 4, 6)) + 1e-9
        return tokens / tokens.sum((1, 2, 3), keepdim=True)

    row = attention_row(
        {"everywhere_": everywhere, "bright_": bright}, root=small_motion, clips=12, views=VIEWS,
        resampling=FusedResize(), frames_per_token=FRAMES_OF, grid=(8, 4, 4),
    )  # fmt: skip
    assert row["everywhere_ratio"] == pytest.approx(1, abs=1e-5)
    assert row["bright_ratio"] > 2
    assert row["bright_above"] > 0.9
    assert 0.05 < row["area"] < 0.5
    with pytest.raises(ValueError, match="clips=481 must be from 1 to the 480"):
        attention_row(
            {}, root=small_motion, clips=481, views=VIEWS, resampling=FusedResize(), frames_per_token=[], grid=(8, 4, 4)
        )
