"""Attention of one clip of a video, as pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from vivit.checkpoints import Network
from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.readers.video_reader import VideoReader, open_video
from vivit.inference import (
    HEAD_FUSIONS,
    overlay_heatmap,
    plot_temporal_attention,
    rollout,
    upsample_heatmap,
    upscale_frames,
    write_contact_sheet,
    write_mp4,
)
from vivit.structures import Video, normalize_frames
from vivit.tasks.classifier import Classifier

RATE = 25
"""Pictures a second of what does not tell it."""


@dataclass(frozen=True)
class Attention:
    """Where a network looked in a clip: the share of every token, and when its temporal indices are."""

    frames: UInt8[np.ndarray, "f h w 3"]
    heat: Float[Tensor, "t rows columns"]
    frames_per_token: list[list[int]]
    """Frames of the clip that each temporal index is made of."""
    seconds: list[float]
    """When each frame of the clip is shown, from the first frame of the video."""

    def moments(self) -> list[dict[str, float]]:
        """Share of each temporal index, with its first moment."""
        shares = self.heat.sum((1, 2)).tolist()
        return [
            {"second": round(self.seconds[own[0]], 3), "share": share}
            for own, share in zip(self.frames_per_token, shares, strict=True)
        ]

    def draw(self, folder: Path) -> None:
        """Write ``attention.mp4``, ``attention.png`` and ``moments.png``."""
        frames = upscale_frames(self.frames)
        over = upsample_heatmap(self.heat, self.frames_per_token, len(frames), (frames.shape[1], frames.shape[2]))
        pictures = overlay_heatmap(frames, over)
        gap = float(np.median(np.diff(self.seconds))) if len(self.seconds) > 1 else 0.0
        write_mp4(pictures, Fraction(1 / gap if gap > 0 else RATE).limit_denominator(1000), folder / "attention.mp4")
        write_contact_sheet(pictures, folder / "attention.png")
        rows = self.moments()
        shares = torch.tensor([row["share"] for row in rows])
        plot_temporal_attention(shares, [row["second"] for row in rows], folder / "moments.png")


def attention_of(classifier: Classifier, file: str, fuse: str) -> Attention:
    """Roll out the attention of the clip in the middle of a video. Raises ``VideoError``."""
    cutting = classifier.cutting
    middle = replace(cutting.views, temporal=1, spatial=1)
    with open_video(Video(file, ()), square_pixels=cutting.resampling.square_pixels) as video:
        (view,) = middle(video.shape)
        (frames,) = cutting.resampling(video, [view], middle.crop)
        seconds = seconds_of(video, view.numbers)
    network = _known(classifier.network)
    heat = heat_of(network, torch.from_numpy(frames)[None].to(classifier.device), fuse)[0].cpu()
    return Attention(frames, heat, network.tokeniser.frames_per_token(middle.frames), seconds)


def heat_of(network: nn.Module, frames: UInt8[Tensor, "b f h w 3"], fuse: str) -> Float[Tensor, "b t rows columns"]:
    """Roll out the attention of clips as they come from a loader."""
    known = _known(network)
    with torch.inference_mode():
        clips = normalize_frames(frames, next(network.parameters()).dtype)
        return rollout(known.attention_maps(clips), known.tokeniser.grid(*known.clip_size), HEAD_FUSIONS[fuse])


def _known(network: nn.Module) -> Network:
    if not isinstance(network, Network):
        raise ValueError(f"a network of type {type(network).__name__} does not hand out attention maps")
    return network


def seconds_of(video: VideoReader, numbers: Sequence[int]) -> list[float]:
    """Say when frames are shown, from the first frame of the video."""
    if not isinstance(video, PyAVVideoReader):
        return [number / RATE for number in numbers]
    return [float((video.stamps[number] - video.stamps[0]) * video.time_base) for number in numbers]


def explained(classifier: Classifier, file: str, fuse: str, folder: Path) -> dict[str, Any]:
    """Draw into ``folder`` what a network looked at; give what a prediction says of it."""
    found = attention_of(classifier, file, fuse)
    found.draw(folder)
    return {"moments": found.moments()}
