"""Attention rollout of one clip of a video, and its pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from vivit.data.readers.open_video import OpenVideo, open_video
from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.view_samplers import sample_views
from vivit.errors import ConfigError
from vivit.inference.attention_rollout import HEAD_FUSIONS, NoAttentionError, rollout
from vivit.inference.overlay import (
    overlay_heatmap,
    plot_temporal_attention,
    upsample_heatmap,
    upscale_frames,
    write_contact_sheet,
    write_mp4,
)
from vivit.inference.predictor import Predictor
from vivit.models import ViViT
from vivit.structures import normalize_frames

DEFAULT_FPS = 25
"""Frames a second of a folder of pictures, which has no timestamps."""


@dataclass(frozen=True)
class AttentionRollout:
    """The share of every token of a clip in its prediction, and when its temporal indices are."""

    frames: UInt8[np.ndarray, "f h w 3"]
    heat: Float[Tensor, "t rows columns"]
    frames_per_token: list[list[int]]
    """Frames of the clip that each temporal index is made of."""
    seconds: list[float]
    """Time of each frame of the clip, from the first frame of the video."""

    def moments(self) -> list[dict[str, float]]:
        """Return the share of each temporal index, with the second at which it begins."""
        shares = self.heat.sum((1, 2)).tolist()
        return [
            {"second": round(self.seconds[numbers[0]], 3), "share": share}
            for numbers, share in zip(self.frames_per_token, shares, strict=True)
        ]

    def save(self, folder: Path) -> None:
        """Write ``attention.mp4``, ``attention.png`` and ``moments.png``."""
        frames = upscale_frames(self.frames)
        heat = upsample_heatmap(self.heat, self.frames_per_token, len(frames), (frames.shape[1], frames.shape[2]))
        pictures = overlay_heatmap(frames, heat)
        gap = float(np.median(np.diff(self.seconds))) if len(self.seconds) > 1 else 0.0
        fps = Fraction(1 / gap if gap > 0 else DEFAULT_FPS).limit_denominator(1000)
        write_mp4(pictures, fps, folder / "attention.mp4")
        write_contact_sheet(pictures, folder / "attention.png")
        rows = self.moments()
        shares = torch.tensor([row["share"] for row in rows])
        plot_temporal_attention(shares, [row["second"] for row in rows], folder / "moments.png")


def rollout_video(predictor: Predictor, file: str, head_fusion: str) -> AttentionRollout:
    """Return the attention rollout of the clip in the middle of a video. Raises ``VideoError``."""
    preprocessing = predictor.preprocessing
    middle = replace(preprocessing.views, temporal=1, spatial=1)
    with open_video(predictor.video(file), square_pixels=preprocessing.resampling.square_pixels) as video:
        (view,) = sample_views(middle, video)
        (frames,) = preprocessing.resampling(video, [view], middle.crop)
        seconds = frame_seconds(video, view.numbers)
    network = _check_network(predictor.network)
    heat = rollout_clips(network, torch.from_numpy(frames)[None].to(predictor.device), head_fusion)[0].cpu()
    return AttentionRollout(frames, heat, network.tokeniser.frames_per_token(middle.frames), seconds)


def rollout_clips(
    network: nn.Module, frames: UInt8[Tensor, "b f h w 3"], head_fusion: str
) -> Float[Tensor, "b t rows columns"]:
    """Return the attention rollout of clips as a loader yields them; ``head_fusion`` is a key of ``HEAD_FUSIONS``."""
    checked = _check_network(network)
    with torch.inference_mode():
        clips = normalize_frames(frames, next(network.parameters()).dtype)
        grid = checked.tokeniser.grid(*checked.clip_size)
        try:
            return rollout(checked.attention_maps(clips), grid, HEAD_FUSIONS[head_fusion])
        except NoAttentionError:
            raise ConfigError("ckpt_path", problem="its network has no attention", remedy="set explain=false") from None


def frame_seconds(video: OpenVideo, numbers: Sequence[int]) -> list[float]:
    """Return the times of frames in seconds, from the first frame of the video."""
    if not isinstance(video, PyAVVideoReader):
        return [number / DEFAULT_FPS for number in numbers]
    return [float((video.stamps[number] - video.stamps[0]) * video.time_base) for number in numbers]


def save_attention(predictor: Predictor, file: str, head_fusion: str, folder: Path) -> dict[str, Any]:
    """Write the pictures of a video's attention rollout into ``folder``; return its entry of a prediction."""
    attention = rollout_video(predictor, file, head_fusion)
    attention.save(folder)
    return {"moments": attention.moments()}


def _check_network(network: nn.Module) -> ViViT:
    if not isinstance(network, ViViT):
        raise ConfigError(
            "ckpt_path",
            problem=f"its network is a {type(network).__name__}, which returns no attention maps",
            remedy="set explain=false",
        )
    return network
