"""How much of a network's attention lies on the object that moves, on the embedded data set, which knows where that is.

The share of attention in the square around the object is held against the square's share of the tokens, which is what
attention that looks everywhere alike would have there. Tokens that the square covers in part count in part.
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
from vivit.data.readers.video_reader import open_video
from vivit.data.transforms.resize import Resize
from vivit.data.view_samplers import MultiViewSampler
from vivit.data.views import View
from vivit.structures import Video

Heat = Callable[[UInt8[Tensor, "b f h w 3"]], Float[Tensor, "b t rows columns"]]
"""Where a network looks in clips."""


def attention_row(
    heats: dict[str, Heat],
    *,
    root: Path,
    clips: int,
    views: MultiViewSampler,
    resampling: Resize,
    frames_per_token: list[list[int]],
    grid: tuple[int, int, int],
) -> dict[str, Any]:
    """Measure the first ``clips`` test videos.

    ``area`` is the object's share of the tokens; of every heat, whose name stands before each: its ``share`` on the
    object and that over the area (``ratio``), all of them means, and the portion of clips with more of it than area.
    """
    split = motion.SPLITS[-1]
    if not 1 <= clips <= split.videos:
        raise ValueError(f"clips={clips} must be from 1 to the {split.videos} test videos of motion")
    inside: dict[str, list[float]] = {name: [] for name in heats}
    area = []
    for index in range(clips):
        with open_video(Video(str(root / split.name / f"{index:05d}.mp4"), ())) as file:
            (view,) = views(file.shape)
            frames = torch.from_numpy(resampling(file, [view], views.crop))
        cover = covered(object_mask(motion.scene(split, index)), view, frames_per_token, grid)
        area.append(cover.mean().item())
        for name, heat in heats.items():
            inside[name].append((heat(frames)[0].cpu() * cover).sum().item())
    row: dict[str, Any] = {"clips": clips, "area": float(np.mean(area))}
    for name, shares in inside.items():
        row |= {f"{name}share": float(np.mean(shares)), f"{name}ratio": float(np.mean(shares) / np.mean(area))}
        row |= {f"{name}above": float(np.mean(np.array(shares) > np.array(area)))}
    return row


def covered(
    marked: Bool[np.ndarray, "frames side side"],
    view: View,
    frames_per_token: list[list[int]],
    grid: tuple[int, int, int],
) -> Float[Tensor, "t rows columns"]:
    """Share of every token of a view that is marked in the video."""
    top, left, height, width = view.crop_box
    shown = torch.from_numpy(marked[list(view.numbers), top : top + height, left : left + width]).float()
    pooled = F.adaptive_avg_pool2d(shown[:, None], grid[1:])[:, 0]
    return torch.stack([pooled[own].mean(0) for own in frames_per_token])
