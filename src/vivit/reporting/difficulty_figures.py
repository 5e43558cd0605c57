"""Figures of accuracy over how difficult videos are: their speed, size, contrast, and how much of them moves."""

from collections.abc import Mapping, Sequence
from functools import partial
from math import sqrt
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from vivit.plotting import add_legend
from vivit.reporting.drawing import ReportFigure, draw_line, line_style, widen
from vivit.reporting.row_results import RowResult
from vivit.reporting.sweep_results import SweepResult
from vivit.reporting.tables import stdev
from vivit.wilson import wilson

ACTION = "action"
"""The name of all heads together in counts; what has one head has no such count."""
BAND = "Bands: the standard deviation over seeds or, of a single run, the 95 % interval (Wilson's)."
MODELS = ("spatiotemporal", "factorised_encoder", "factorised_self_attention", "factorised_dot_product")
LENGTHS = (8, 4, 2)
"""Frames of a tubelet in the sweep of Figure 8."""


class Number(NamedTuple):
    """A number of the videos: its column, its name with its unit on an axis, and whether that is logarithmic."""

    column: str
    label: str
    logarithmic: bool


class BandPoint(NamedTuple):
    """A point of a line, with the ends of its band."""

    x: float
    y: float
    low: float
    high: float


class Line(NamedTuple):
    """A line of a panel: its number among those of its colour, its label, its row, at some views or at its test's."""

    style: int
    label: str
    row: RowResult
    views: int | None = None


Panel = tuple[str, Sequence[Line]]
"""Title and lines of one axes of a figure."""
SPEED = Number("speed", "speed, pixels a frame", logarithmic=True)
SIZE = Number("size", "radius, pixels", logarithmic=True)
CONTRAST = Number("contrast", "contrast, grey levels", logarithmic=True)
MOVING = Number("moving", "share of the frames in which it moves", logarithmic=False)


def difficulty_figures(results: Mapping[str, SweepResult]) -> list[ReportFigure]:
    """Return the figures over difficulty that have numbers; ``results`` are the default ones of each sweep, by name."""
    tokens, resolution = results["tokens"], results["resolution"]
    encoding, frames = results["input_encoding"], results["frames_views"]
    figures = (
        ("speed", tokens, SPEED, _models(tokens), "Accuracy over speed, for each length of the tubelets."),
        ("size", resolution, SIZE, [("", _crops(resolution))], "Accuracy over size, for each resolution."),
        (
            "contrast",
            encoding,
            CONTRAST,
            [("", _starts(encoding))],
            "Accuracy over contrast, by where training starts.",
        ),
        (
            *("moving", frames, MOVING, _frames_and_views(frames)),
            "Accuracy over how much of a video shows the movement, for numbers of frames and of views.",
        ),
    )
    drawn = []
    for name, result, number, panels, caption in figures:
        panels = [(title, [line for line in lines if points(line, number)]) for title, lines in panels]
        if panels := [(title, lines) for title, lines in panels if lines]:
            draw = partial(_draw, number, panels)
            drawn.append(ReportFigure(name, result.sweep.name, caption.rstrip("."), f"{caption} {BAND}", draw))
    return drawn


def points(line: Line, number: Number) -> list[BandPoint]:
    """Return the points of a line, one for each part of a number's range, with a video at least.

    Runs whose parts differ from those of the newest are left out: they were tested on other videos.
    """
    runs = [parts for run in line.row.done.values() if (parts := (run.results.get("by") or {}).get(number.column))]
    if not runs:
        return []
    edges = [(part["low"], part["high"]) for part in runs[-1]]
    runs = [parts for parts in runs if [(part["low"], part["high"]) for part in parts] == edges]
    spatial = str(next(iter(line.row.done.values())).results.get("views")).partition("x")[2]
    views = None if line.views is None else f"{line.views}x{spatial}"
    drawn = []
    for (low, high), parts in zip(edges, zip(*runs, strict=True), strict=True):
        x = sqrt(low * high) if number.logarithmic and low > 0 else (low + high) / 2
        counts = [(count, part["videos"]) for part in parts if (count := _correct(part, views)) is not None]
        if counts := [(count, videos) for count, videos in counts if videos]:
            drawn.append(BandPoint(x, *_band(counts)))
    return drawn


def _correct(part: Mapping[str, Any], views: str | None) -> int | None:
    """Return how many videos are right, in all heads together; None where that is unknown."""
    counts = part["correct"] if views is None else (part.get("correct_by_views") or {}).get(views, {})
    return counts.get(ACTION, next(iter(counts.values()), None) if len(counts) == 1 else None)


def _band(counts: Sequence[tuple[int, int]]) -> tuple[float, float, float]:
    """Return the mean accuracy over seeds in percent, and the ends of its band."""
    shares = [100 * count / videos for count, videos in counts]
    middle = sum(shares) / len(shares)
    if (deviation := stdev(shares)) is None:
        low, high = wilson(*counts[0])
        return middle, 100 * low, 100 * high
    return middle, max(0.0, middle - deviation), min(100.0, middle + deviation)


def _draw(number: Number, panels: Sequence[Panel]) -> Figure:
    """Draw accuracy over a number of the videos: a panel beside the other, a line with its band for each setting."""
    figure = Figure(figsize=(max(5.4, min(3.6 * len(panels), 11)), 3.6), layout="constrained")
    all_axes = list(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0])
    for axes, (title, lines) in zip(all_axes, panels, strict=True):
        for line in lines:
            drawn = points(line, number)
            draw_line(axes, line.style, line.label, [(point.x, point.y, 0) for point in drawn])
            x, _, low, high = zip(*drawn, strict=True)
            axes.fill_between(x, low, high, color=line_style(line.style)[0], alpha=0.15, linewidth=0)
        axes.set(title=title, xlabel=number.label)
        if number.logarithmic:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter("{x:g}")
    all_axes[0].set_ylabel("top-1, %")
    widen(all_axes[0])
    labels = [[line.label for line in lines] for _, lines in panels]
    if len(panels) > 1 and labels == labels[:1] * len(labels):
        add_legend(all_axes[-1], frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    else:
        for axes in all_axes:
            add_legend(axes, frameon=False)
    return figure


def _models(result: SweepResult) -> list[Panel]:
    """Return a panel for each model, with a line for each length of its tubelets."""
    rows = {row.row.name: row for row in result.rows}
    return [
        (
            f"Model {number}",
            [
                Line(i, f"{t} frames a tubelet", rows[f"{model}_{t}"])
                for i, t in enumerate(LENGTHS)
                if f"{model}_{t}" in rows
            ],
        )
        for number, model in enumerate(MODELS, 1)
    ]


def _crops(result: SweepResult) -> list[Line]:
    return [Line(i, f"{row.row.stand_in or row.row.label} crops", row) for i, row in enumerate(result.rows)]


def _starts(result: SweepResult) -> list[Line]:
    names = {"central_frame": "from an image ViT", "from_scratch": "from random weights"}
    rows = [row for row in result.rows if row.row.name in names]
    return [Line(i, names[row.row.name], row) for i, row in enumerate(rows)]


def _frames_and_views(result: SweepResult) -> list[Panel]:
    """Return a panel over numbers of frames, at the views of the test, and one over views of the shortest clips."""
    rows = [row for row in result.rows if row.done]
    if not rows:
        return []
    shortest = min(rows, key=_frames)
    views = sorted(shortest.by_views)
    lines = [Line(i, f"{n} view{'' if n == 1 else 's'}", shortest, n) for i, n in enumerate(views)]
    tested = str(next(iter(shortest.done.values())).results.get("views")).partition("x")[0]
    return [
        (f"{tested} views", [Line(i, f"{_frames(row)} frames", row) for i, row in enumerate(rows)]),
        (f"clips of {_frames(shortest)} frames", lines if len(views) > 1 else []),
    ]


def _frames(row: RowResult) -> int:
    """Return the frames of a clip."""
    return int((next(iter(row.done.values())).results.get("recipe") or {}).get("frames") or 0)
