"""Pictures about the attention of a clip: its frames with times and a scale, captions of a film, and its moments."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from torch import Tensor

from vivit.clip_sheets import spread
from vivit.inference.overlay import COLORMAP
from vivit.plotting import LETTERS, WIDTH, picture_style, shorten

SHEET_FRAMES, ACROSS = 12, 3
"""Frames on a sheet, at most, and in a row."""
TICKS = 6
"""Temporal indices with their second below them, at most."""
MAX_WIDTH = 52
"""Width of a line on a sheet, in Latin characters."""
MARGIN, ROW_GAP = 0.12, 0.15
"""Inches around pictures, and between rows of them."""
SCALE = "attention, in percent of the strongest; outlined: from half of it on"
UNSEEN = "dimmed: outside of what the network sees"


def write_attention_sheet(
    frames: UInt8[np.ndarray, "f h w 3"], seconds: Sequence[float], lines: Sequence[str], file: Path, *, dimmed: bool
) -> None:
    """Write frames of a clip in order, each with its second, under the ``lines`` about it and above a colour scale.

    Of many frames, some are drawn that are evenly spread. ``dimmed``: whether parts of them are.
    """
    numbers = spread(len(frames), SHEET_FRAMES)
    across = 2 if len(numbers) == 4 else min(ACROSS, len(numbers))  # four fill two rows of two
    rows = -(-len(numbers) // across)
    line, wide = 1.45 * LETTERS / 72, (WIDTH - MARGIN * (across + 1)) / across
    tall = wide * frames.shape[1] / frames.shape[2]
    texts = [shorten(text, MAX_WIDTH) for text in lines]
    below = 0.85 + line * (1 + dimmed)
    height = MARGIN + line * len(texts) + rows * (line + tall + ROW_GAP) + below
    with picture_style(texts):
        figure = Figure(figsize=(WIDTH, height))
        for at, text in enumerate(texts):
            figure.text(MARGIN / WIDTH, 1 - (MARGIN + at * line) / height, text, va="top", fontweight="bold")
        for place, number in enumerate(numbers):
            row, column = divmod(place, across)
            left = MARGIN + column * (wide + MARGIN)
            top = height - MARGIN - line * len(texts) - row * (line + tall + ROW_GAP) - line
            figure.text(left / WIDTH, (top + 0.05) / height, f"{seconds[number]:.2f} s", va="bottom")
            axes = figure.add_axes((left / WIDTH, (top - tall) / height, wide / WIDTH, tall / height))
            axes.imshow(frames[number], aspect="auto")
            axes.set_axis_off()
        scale = figure.add_axes((MARGIN / WIDTH, (below - 0.4) / height, 1 - 2 * MARGIN / WIDTH, 0.18 / height))
        bar = figure.colorbar(ScalarMappable(cmap=COLORMAP), scale, orientation="horizontal")
        bar.set_ticks([0, 0.5, 1], labels=["0 %", "50 %", "100 %"], fontsize=LETTERS - 2)
        first, _, last = scale.get_xticklabels()
        first.set_horizontalalignment("left")
        last.set_horizontalalignment("right")
        for at, text in enumerate([SCALE, *([UNSEEN] if dimmed else [])]):
            figure.text(MARGIN / WIDTH, (below - 0.75 - at * line) / height, text, va="top", fontsize=LETTERS - 2)
        figure.savefig(file)


def add_captions(
    frames: UInt8[np.ndarray, "f h w 3"], seconds: Sequence[float], lines: Sequence[str]
) -> Iterator[UInt8[np.ndarray, "_h w 3"]]:
    """Yield frames above a bar with the ``lines`` about the clip, the second of the frame, and the colour scale."""
    width = frames.shape[2]
    size = max(10.0, width / 26)
    room = int(width / (0.62 * size))
    texts = [shorten(text, room) for text in lines]
    tall = 2 * round((1.5 * size * (len(texts) + 1) + 4) / 2)
    with picture_style(texts):
        figure = Figure(figsize=(width / 72, tall / 72), dpi=72, facecolor="black")
        canvas = FigureCanvasAgg(figure)
        for at, text in enumerate(texts):
            figure.text(6 / width, 1 - (1.5 * size * at + 4) / tall, text, va="top", color="white", fontsize=size)
        time = figure.text(6 / width, 6 / tall, "", va="bottom", color="white", fontsize=size)
        scale = figure.add_axes((0.5, 8 / tall, 0.25, 0.9 * size / tall))
        scale.imshow(np.linspace(0, 1, 64)[None], cmap=matplotlib.colormaps[COLORMAP], aspect="auto")
        scale.set_axis_off()
        figure.text(0.48, 6 / tall, "0", va="bottom", ha="right", color="white", fontsize=size)
        figure.text(0.77, 6 / tall, "100 %", va="bottom", color="white", fontsize=size)
        for frame, second in zip(frames, seconds, strict=True):
            time.set_text(f"{second:.2f} s")
            canvas.draw()
            bar = np.asarray(canvas.buffer_rgba())[:tall, :width, :3]
            yield np.concatenate([frame, bar])


def plot_temporal_attention(weights: Float[Tensor, " t"], seconds: Sequence[float], file: Path) -> None:
    """Write a plot of the share of each temporal index, beside the share that all have if they are equal.

    In the order of the clip: one that is longer than its video has the same seconds again.
    """
    with picture_style():
        figure = Figure(figsize=(WIDTH, 3), layout="constrained")
        axes = figure.subplots()
        axes.bar(range(len(weights)), (100 * weights).tolist(), color="tab:orange")
        ticks = range(0, len(weights), -(-len(weights) // TICKS))
        axes.set_xticks(ticks, [f"{seconds[tick]:.2f}" for tick in ticks])
        axes.axhline(100 / len(weights), color="tab:grey", linewidth=1.5, linestyle="--", label="if all were alike")
        axes.set(xlabel="seconds", ylim=(0, None))
        axes.set_title("share of the attention, %", loc="left", fontsize=LETTERS)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0, fontsize=LETTERS - 2)
        figure.savefig(file)
