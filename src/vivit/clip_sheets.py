"""Pictures of clips: a few frames of each in a row, under lines of text about them; without torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure
from PIL import Image

from vivit.plotting import LETTERS, WIDTH, picture_style, shorten

LINE = 1.4 * LETTERS / 72
"""Inches from one line of text to the next."""
MARGIN, GAP = 0.15, 0.25
"""Inches around all, and between two clips."""
MAX_WIDTH = 58
"""Width of a line, in Latin characters."""
TALLEST = 1.5
"""Inches of the frames of a clip, at most."""
SEAM = 4
"""Pixels between two frames."""
FRAME_WIDTH = 256
"""Pixels of a frame that is drawn, at most."""


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A clip on a sheet: its frames, of one size, and lines of text, each with a colour."""

    frames: UInt8[np.ndarray, "f h w 3"]
    lines: Sequence[tuple[str, str]]


def spread(count: int, most: int) -> list[int]:
    """Return the numbers of at most ``most`` of ``count`` things, evenly spread, the first and the last among them."""
    return sorted(set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()))


def draw_clips(title: str, rows: Sequence[SheetRow]) -> Figure:
    """Return a figure of clips below one another. Text that is too wide ends in an ellipsis."""
    texts = [[(shorten(text, MAX_WIDTH), color) for text, color in row.lines] for row in rows]
    strips = [_strip(row.frames) for row in rows]
    sizes = [_strip_size(strip) for strip in strips]
    height = (
        2 * MARGIN + LINE + sum(GAP + LINE * len(lines) + tall for lines, (_, tall) in zip(texts, sizes, strict=True))
    )
    with picture_style([title], *([text for text, _ in lines] for lines in texts)):
        figure = Figure(figsize=(WIDTH, height))
        left, top = MARGIN / WIDTH, height - MARGIN
        figure.text(left, top / height, shorten(title, MAX_WIDTH), va="top", fontweight="bold")
        top -= LINE
        for lines, strip, (wide, tall) in zip(texts, strips, sizes, strict=True):
            top -= GAP
            for text, color in lines:
                figure.text(left, top / height, text, va="top", color=color)
                top -= LINE
            top -= tall
            axes = figure.add_axes((left, top / height, wide / WIDTH, tall / height))
            axes.imshow(strip, aspect="auto", interpolation="antialiased")
            axes.set_axis_off()
    return figure


def _strip(frames: UInt8[np.ndarray, "f h w 3"]) -> UInt8[np.ndarray, "_h _w 3"]:
    """Return frames side by side with white seams, those that are wider than ``FRAME_WIDTH`` made smaller."""
    height, width = frames.shape[1:3]
    if width > FRAME_WIDTH:
        size = FRAME_WIDTH, max(1, round(height * FRAME_WIDTH / width))
        frames = np.stack([np.asarray(Image.fromarray(frame).resize(size)) for frame in frames])
    seam = np.full((frames.shape[1], max(1, SEAM * frames.shape[2] // FRAME_WIDTH), 3), 255, np.uint8)
    return np.concatenate([part for frame in frames for part in (frame, seam)][:-1], 1)


def _strip_size(strip: UInt8[np.ndarray, "h w 3"]) -> tuple[float, float]:
    """Return width and height in inches that fill a sheet's width, or ``TALLEST``."""
    height, width = strip.shape[:2]
    wide = WIDTH - 2 * MARGIN
    tall = min(wide * height / width, TALLEST)
    return tall * width / height, tall
