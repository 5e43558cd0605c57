"""Heat over frames: where, and in which moments, a network looked."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import matplotlib
import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

SMALLEST = 224
"""Pixels that the shorter side of a picture has at least, so that there is something to see."""
STRENGTH = 0.65
"""How much of a pixel the strongest heat covers."""
SHEET = 16
"""Frames on a sheet, at most."""
TICKS = 16
"""Moments with their second below them, at most."""


def spread(
    heat: Float[Tensor, "t rows columns"], frames_of: Sequence[Sequence[int]], frames: int, size: tuple[int, int]
) -> Float[Tensor, "f h w"]:
    """Bring shares of tokens to pixels, the largest share to 1.

    ``frames_of`` says which frames of a clip each temporal index is made of; a frame that none is made of takes the
    heat of the nearest.
    """
    index_of = [
        min(range(len(frames_of)), key=lambda at: min(abs(frame - own) for own in frames_of[at]))
        for frame in range(frames)
    ]
    large = torch.nn.functional.interpolate(heat[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    return (large / large.max().clamp_min(1e-12))[index_of]


def heated(frames: UInt8[np.ndarray, "f h w 3"], heat: Float[Tensor, "f h w"]) -> UInt8[np.ndarray, "f h w 3"]:
    """Lay heat in [0, 1] over frames: the more, the brighter and the less transparent; 0 leaves a pixel as it is."""
    values = heat.numpy()
    colours = matplotlib.colormaps["inferno"](values)[..., :3] * 255
    cover = STRENGTH * values[..., None]
    return (frames * (1 - cover) + colours * cover).round().astype(np.uint8)


def enlarged(frames: UInt8[np.ndarray, "f h w 3"]) -> UInt8[np.ndarray, "f _h _w 3"]:
    """Repeat the pixels of small pictures; sides become even, as films want them."""
    times = -(-SMALLEST // min(frames.shape[1:3]))
    times += times % 2 if frames.shape[1] % 2 or frames.shape[2] % 2 else 0
    return frames.repeat(times, axis=1).repeat(times, axis=2)


def write_film(frames: UInt8[np.ndarray, "f h w 3"], rate: Fraction, file: Path) -> None:
    """Write H.264 in MP4; height and width must be even."""
    with av.open(str(file), "w", format="mp4") as container:
        stream = container.add_stream("h264", rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"crf": "18"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_sheet(frames: UInt8[np.ndarray, "f h w 3"], file: Path) -> None:
    """Put frames side by side, four in a row, in order; of many, some that are evenly spread."""
    chosen = frames[np.linspace(0, len(frames) - 1, min(len(frames), SHEET)).round().astype(int)]
    height, width = frames.shape[1:3]
    across = min(4, len(chosen))
    sheet = Image.new("RGB", (across * (width + 4) - 4, -(-len(chosen) // across) * (height + 4) - 4), "white")
    for at, frame in enumerate(chosen):
        sheet.paste(Image.fromarray(frame), (at % across * (width + 4), at // across * (height + 4)))
    sheet.save(file)


def draw_moments(weights: Float[Tensor, " t"], seconds: Sequence[float], file: Path) -> None:
    """Draw how much each temporal index counted, beside what it would be if all counted alike.

    In the order of the clip: one that is longer than its video shows the same seconds again.
    """
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.bar(range(len(weights)), weights.tolist(), color="tab:orange")
    places = range(0, len(weights), -(-len(weights) // TICKS))
    axes.set_xticks(places, [f"{seconds[place]:.2f}" for place in places])
    axes.axhline(1 / len(weights), color="tab:grey", linewidth=1, linestyle="--", label="all alike")
    axes.set(xlabel="seconds", ylabel="share of attention", ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(file, dpi=120)
