"""Heat maps of attention over frames, and films of them."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import matplotlib
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from vivit.data.views import CropBox

MIN_SIDE, MAX_SIDE = 224, 640
"""Pixels of the shorter side of a picture, at least, and of the longer one, at most."""
COLORMAP = "autumn_r"
"""From yellow to red, which neither black nor white hides."""
MAX_OPACITY = 0.65
"""Opacity of the strongest heat."""
OUTLINED = 0.5
"""Heat from which on an area is outlined."""
DIMMED = 0.45
"""Brightness of what the network does not see."""


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
    """Return frames under heat in [0, 1]: the more, the redder and the more opaque; 0 leaves a pixel as it is.

    The area of at least half of the heat has an outline in black and white, which is visible on any picture.
    """
    values = heat.numpy()
    colours = matplotlib.colormaps[COLORMAP](values)[..., :3] * 255
    opacity = MAX_OPACITY * values[..., None] ** 1.5
    pictures = (frames * (1 - opacity) + colours * opacity).round().astype(np.uint8)
    inside, width = values >= OUTLINED, max(1, round(min(values.shape[1:]) / 130))
    pictures[_grown(inside, width) & ~inside] = 0
    pictures[inside & ~_grown(inside, -width)] = 255
    return pictures


def _grown(area: Bool[np.ndarray, "f h w"], pixels: int) -> Bool[np.ndarray, "f h w"]:
    """Return an area with so many pixels more at its edge, or less; the edge of the picture is none."""
    from scipy.ndimage import binary_dilation, binary_erosion  # here, as its import takes half a second

    neighbours = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], bool)
    if pixels > 0:
        return np.asarray(binary_dilation(area, neighbours, pixels))
    return np.asarray(binary_erosion(area, neighbours, -pixels, border_value=1))


def place_heatmap(heat: Float[Tensor, "f _h _w"], box: CropBox, size: tuple[int, int]) -> Float[Tensor, "f h w"]:
    """Return the heat of a part of pictures of height and width ``size``, with none around it."""
    placed = heat.new_zeros((len(heat), *size))
    placed[:, box.top : box.top + box.height, box.left : box.left + box.width] = heat
    return placed


def dim_outside(frames: UInt8[np.ndarray, "f h w 3"], box: CropBox) -> UInt8[np.ndarray, "f h w 3"]:
    """Return frames that are darker outside of a part of them."""
    dimmed = (frames * DIMMED).astype(np.uint8)
    rows, columns = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
    dimmed[:, rows, columns] = frames[:, rows, columns]
    return dimmed


def upscale_frames(frames: UInt8[np.ndarray, "f h w 3"]) -> UInt8[np.ndarray, "f _h _w 3"]:
    """Return frames with the pixels of small pictures repeated; sides are even, as H.264 needs them."""
    times = -(-MIN_SIDE // min(frames.shape[1:3]))
    times += times % 2 if frames.shape[1] % 2 or frames.shape[2] % 2 else 0
    return frames.repeat(times, axis=1).repeat(times, axis=2)


def write_mp4(frames: Iterable[UInt8[np.ndarray, "h w 3"]], rate: Fraction, file: Path, *, crf: int = 18) -> None:
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
