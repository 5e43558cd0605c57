"""Heat maps of attention over frames, as a video and as pictures."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import matplotlib
import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

MIN_SIDE = 224
"""Pixels of the shorter side of a picture, at least."""
MAX_OPACITY = 0.65
"""Opacity of the strongest heat."""
SHEET_FRAMES = 16
"""Frames on a contact sheet, at most."""
TICKS = 16
"""Temporal indices with their second below them, at most."""


def upsample_heatmap(
    heat: Float[Tensor, "t rows columns"], frames_per_token: Sequence[Sequence[int]], frames: int, size: tuple[int, int]
) -> Float[Tensor, "f h w"]:
    """Return the shares of tokens by pixel, the largest share scaled to 1.

    ``frames_per_token`` are the frames of a clip that each temporal index is made of; a frame that is in none takes the
    heat of the nearest.
    """
    index_of = [
        min(range(len(frames_per_token)), key=lambda t: min(abs(frame - number) for number in frames_per_token[t]))
        for frame in range(frames)
    ]
    large = torch.nn.functional.interpolate(heat[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    return (large / large.max().clamp_min(1e-12))[index_of]


def overlay_heatmap(frames: UInt8[np.ndarray, "f h w 3"], heat: Float[Tensor, "f h w"]) -> UInt8[np.ndarray, "f h w 3"]:
    """Return frames under heat in [0, 1]: the more, the brighter and the more opaque; 0 leaves a pixel as it is."""
    values = heat.numpy()
    colours = matplotlib.colormaps["inferno"](values)[..., :3] * 255
    opacity = MAX_OPACITY * values[..., None]
    return (frames * (1 - opacity) + colours * opacity).round().astype(np.uint8)


def upscale_frames(frames: UInt8[np.ndarray, "f h w 3"]) -> UInt8[np.ndarray, "f _h _w 3"]:
    """Return frames with the pixels of small pictures repeated; sides are even, as H.264 needs them."""
    times = -(-MIN_SIDE // min(frames.shape[1:3]))
    times += times % 2 if frames.shape[1] % 2 or frames.shape[2] % 2 else 0
    return frames.repeat(times, axis=1).repeat(times, axis=2)


def write_mp4(
    frames: Iterable[UInt8[np.ndarray, "h w 3"]], rate: Fraction, file: Path, *, crf: int = 18
) -> None:
    """Write frames of one size, of even height and width, as H.264 in MP4, which begins to play before it is loaded."""
    with av.open(str(file), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream: Any = None
        for frame in frames:
            if stream is None:
                stream = container.add_stream("h264", rate=rate)
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.codec_context.thread_count = 1
                stream.options = {"crf": str(crf)}
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_contact_sheet(frames: UInt8[np.ndarray, "f h w 3"], file: Path) -> None:
    """Write a picture of frames, four in a row, in order; of many, some that are evenly spread."""
    selected = frames[np.linspace(0, len(frames) - 1, min(len(frames), SHEET_FRAMES)).round().astype(int)]
    height, width = frames.shape[1:3]
    across = min(4, len(selected))
    sheet = Image.new("RGB", (across * (width + 4) - 4, -(-len(selected) // across) * (height + 4) - 4), "white")
    for i, frame in enumerate(selected):
        sheet.paste(Image.fromarray(frame), (i % across * (width + 4), i // across * (height + 4)))
    sheet.save(file)


def plot_temporal_attention(weights: Float[Tensor, " t"], seconds: Sequence[float], file: Path) -> None:
    """Write a plot of the share of each temporal index, beside the share that all have if they are equal.

    In the order of the clip: one that is longer than its video has the same seconds again.
    """
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.bar(range(len(weights)), weights.tolist(), color="tab:orange")
    ticks = range(0, len(weights), -(-len(weights) // TICKS))
    axes.set_xticks(ticks, [f"{seconds[tick]:.2f}" for tick in ticks])
    axes.axhline(1 / len(weights), color="tab:grey", linewidth=1, linestyle="--", label="all alike")
    axes.set(xlabel="seconds", ylabel="share of attention", ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(file, dpi=120)
