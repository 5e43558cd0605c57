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
from vivit.data.views import CropBox, View
from vivit.errors import ConfigError
from vivit.evaluation import TopK
from vivit.evaluation.predicted_classes import answer_lines
from vivit.inference.attention_figures import add_captions, plot_temporal_attention, write_attention_sheet
from vivit.inference.attention_rollout import HEAD_FUSIONS, NoAttentionError, rollout
from vivit.inference.overlay import (
    MAX_SIDE,
    dim_outside,
    overlay_heatmap,
    place_heatmap,
    upsample_heatmap,
    upscale_frames,
    write_mp4,
)
from vivit.inference.predictor import Predictor
from vivit.models import ViViT
from vivit.structures import Video, normalize_frames

DEFAULT_FPS = 25
"""Frames a second of a folder of pictures, which has no timestamps."""


@dataclass(frozen=True)
class AttentionRollout:
    """The share of every token of a clip in its prediction, and when its temporal indices are."""

    frames: UInt8[np.ndarray, "f h w 3"]
    """The clip's frames in the pixels of the video, all of the picture; of large videos in fewer."""
    box: CropBox
    """The part of these frames that the network sees."""
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

    def pictures(self) -> UInt8[np.ndarray, "f _h _w 3"]:
        """Return the frames with the heat over what the network sees, and all else dimmed."""
        frames = upscale_frames(self.frames)
        times = frames.shape[1] // self.frames.shape[1]
        box = CropBox(*(times * side for side in self.box))
        heat = upsample_heatmap(self.heat, self.frames_per_token, len(frames), (box.height, box.width))
        return overlay_heatmap(dim_outside(frames, box), place_heatmap(heat, box, frames.shape[1:3]))

    def save(self, folder: Path, lines: Sequence[str] = ()) -> None:
        """Write ``attention.mp4``, ``attention.png`` and ``moments.png``; ``lines`` are what is predicted."""
        pictures = self.pictures()
        gap = float(np.median(np.diff(self.seconds))) if len(self.seconds) > 1 else 0.0
        fps = Fraction(1 / gap if gap > 0 else DEFAULT_FPS).limit_denominator(1000)
        write_mp4(add_captions(pictures, self.seconds, lines), fps, folder / "attention.mp4")
        dimmed = self.box != CropBox(0, 0, *self.frames.shape[1:3])
        write_attention_sheet(pictures, self.seconds, lines, folder / "attention.png", dimmed=dimmed)
        rows = self.moments()
        shares = torch.tensor([row["share"] for row in rows])
        plot_temporal_attention(shares, [row["second"] for row in rows], folder / "moments.png")


def rollout_video(predictor: Predictor, file: str | Video, head_fusion: str) -> AttentionRollout:
    """Return the attention rollout of the clip in the middle of a video. Raises ``VideoError``."""
    preprocessing = predictor.preprocessing
    middle = replace(preprocessing.views, temporal=1, spatial=1)
    with open_video(predictor.video(file), square_pixels=preprocessing.resampling.square_pixels) as video:
        (view,) = sample_views(middle, video)
        (frames,) = preprocessing.resampling(video, [view], middle.crop)
        seconds = frame_seconds(video, view.numbers)
        pictures, box = _own_pixels(video, view)
    network = _check_network(predictor.network)
    heat = rollout_clips(network, torch.from_numpy(frames)[None].to(predictor.device), head_fusion)[0].cpu()
    return AttentionRollout(pictures, box, heat, network.tokeniser.frames_per_token(middle.frames), seconds)


def _own_pixels(video: OpenVideo, view: View) -> tuple[UInt8[np.ndarray, "f h w 3"], CropBox]:
    """Return the frames of a view in the pixels of the video, and where in them the view is cut."""
    _, height, width = video.shape
    share = min(1.0, MAX_SIDE / max(height, width))
    size = max(2, 2 * round(share * height / 2)), max(2, 2 * round(share * width / 2))
    (pictures,) = video.read(view.numbers, [CropBox(0, 0, height, width)], size)
    crop, (down, along) = view.crop_box, (size[0] / height, size[1] / width)
    top, left = round(down * crop.top), round(along * crop.left)
    bottom, right = round(down * (crop.top + crop.height)), round(along * (crop.left + crop.width))
    return np.asarray(pictures), CropBox(top, left, max(1, bottom - top), max(1, right - left))


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


def save_attention(
    predictor: Predictor, file: str | Video, head_fusion: str, folder: Path, classes: TopK, name: str | None = None
) -> dict[str, Any]:
    """Write the pictures of a video's attention rollout into ``folder``; return its entry of a prediction.

    ``name`` and ``classes`` are those of the video, which the pictures are captioned with.
    """
    attention = rollout_video(predictor, file, head_fusion)
    attention.save(folder, [*([name] if name else []), *answer_lines(classes)])
    return {"moments": attention.moments()}


def _check_network(network: nn.Module) -> ViViT:
    if not isinstance(network, ViViT):
        raise ConfigError(
            "ckpt_path",
            problem=f"its network is a {type(network).__name__}, which returns no attention maps",
            remedy="set explain=false",
        )
    return network
