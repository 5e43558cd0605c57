"""Share of a network's attention on the moving object of the embedded data set, whose position is known.

The share of attention in the square around the object is compared with the square's share of the tokens, which is what
uniform attention would have there. Tokens that the square covers in part count in part.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from vivit.data.datasets import motion
from vivit.data.datasets.motion import object_mask
from vivit.data.readers.open_video import open_video
from vivit.data.transforms.resize import Resize
from vivit.data.view_samplers import MultiViewSampler, sample_views
from vivit.data.views import View
from vivit.errors import ConfigError
from vivit.structures import Video

Heatmap = Callable[[UInt8[Tensor, "b f h w 3"]], Float[Tensor, "b t rows columns"]]
"""A function from clips to a network's attention on every token; it sums to one over a clip."""


def attention_row(
    heatmaps: dict[str, Heatmap],
    *,
    root: Path,
    clips: int,
    views: MultiViewSampler,
    resampling: Resize,
    frames_per_token: list[list[int]],
    grid: tuple[int, int, int],
) -> dict[str, Any]:
    """Return the shares of attention on the object over the first ``clips`` test videos, as a table's row.

    ``area`` is the mean of the object's share of the tokens. Each heatmap has three columns, which begin with its name:
    ``share``, the mean of its share on the object; ``ratio``, that mean over the area; and ``above``, the share of
    clips in which it is larger than the area. Raises ConfigError for more clips than there are.
    """
    split = motion.SPLITS[-1]
    if not 1 <= clips <= split.videos:
        raise ConfigError("bench.clips", clips, f"motion has {split.videos} test videos", f"set 1 to {split.videos}")
    shares: dict[str, list[float]] = {name: [] for name in heatmaps}
    area = []
    for index in range(clips):
        with open_video(Video(str(root / split.name / f"{index:05d}.mp4"), ())) as file:
            (view,) = sample_views(views, file)
            frames = torch.from_numpy(resampling(file, [view], views.crop))
        coverage = token_coverage(object_mask(motion.scene(split, index)), view, frames_per_token, grid)
        area.append(coverage.mean().item())
        for name, heatmap in heatmaps.items():
            shares[name].append((heatmap(frames)[0].cpu() * coverage).sum().item())
    row: dict[str, Any] = {"clips": clips, "area": float(np.mean(area))}
    for name, values in shares.items():
        row |= {f"{name}share": float(np.mean(values)), f"{name}ratio": float(np.mean(values) / np.mean(area))}
        row |= {f"{name}above": float(np.mean(np.array(values) > np.array(area)))}
    return row


def token_coverage(
    mask: Bool[np.ndarray, "frames side side"],
    view: View,
    frames_per_token: list[list[int]],
    grid: tuple[int, int, int],
) -> Float[Tensor, "t rows columns"]:
    """Return, for every token of a view, the share of its pixels that are in a mask of the video."""
    top, left, height, width = view.crop_box
    pixels = torch.from_numpy(mask[list(view.numbers), top : top + height, left : left + width]).float()
    pooled = F.adaptive_avg_pool2d(pixels[:, None], grid[1:])[:, 0]
    return torch.stack([pooled[frames].mean(0) for frames in frames_per_token])
