"""The paper's figures from our runs, and accuracy against FLOPs with the paper's own numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from vivit.lettering import add_legend
from vivit.reporting.paper import LENGTH, MODELS
from vivit.reporting.sweeps import Answer, Cell
from vivit.reporting.tables import mean, spread

COLOURS = ("#3b7dd8", "#d9702b", "#2f9e6e", "#b657a8", "#8a8f98")
MARKERS = "osD^v"
SHORT = {model: label.partition(",")[0] for label, model in MODELS} | {"average_pool": "average pooling"}
LEAST = 10
"""Points of accuracy that an axis spans."""
Point = tuple[int | float, int | float, int | float]
"""x, y, and how far y spreads."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure that can be drawn, its name among the files, and what it shows."""

    name: str
    title: str
    caption: str
    draw: Callable[[], Figure]


def pictures(answers: Mapping[str, Answer]) -> list[Picture]:
    """Draw what there are numbers for; ``answers`` are those of the sweeps as they are, on a laptop, by name."""
    drawn = []
    for name, series in (("backbone", _sizes), ("tokens", _models)):
        if (answer := answers[name]).done:
            drawn.append(_picture(answer, partial(_over_lengths, series(answer.cells))))
    if (frames := answers["frames_views"]).done:
        drawn.append(_picture(frames, partial(_over_views, frames.cells)))
    if (models := answers["model_variants"]).done:
        caption = (
            "Accuracy against FLOPs of a clip, by the paper's count: ours on the embedded data, the paper's (Table 2)."
        )
        drawn.append(
            Picture("accuracy_flops", "Accuracy against FLOPs", caption, partial(_against_flops, models.cells))
        )
    precision = answers["precision"]
    if any(run.results.get("epochs") for run in precision.done):
        caption = "Loss of every epoch, in training and in validation, in both precisions; one line a seed."
        drawn.append(
            Picture("precision", "Loss in float32 and bfloat16", caption, partial(_over_epochs, precision.cells))
        )
    return drawn


def _picture(answer: Answer, draw: Callable[[], Figure]) -> Picture:
    return Picture(answer.sweep.name, answer.sweep.title, answer.sweep.caption, draw)


def _sizes(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    return _series(cells, lambda of: str(of["size"]))


def _models(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    return _series(cells, lambda of: SHORT.get(of["model"], of["model"]))


def _series(cells: Sequence[Cell], named: Callable[[Mapping[str, Any]], str]) -> dict[str, list[Cell]]:
    """Group rows that have runs by what their line is called."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.done and LENGTH in cell.row.choice:
            found.setdefault(named(_of(cell)), []).append(cell)
    return found


def _of(cell: Cell) -> dict[str, Any]:
    """Results of a row's last run."""
    return list(cell.done.values())[-1].results


def _length(cell: Cell) -> int:
    return int(list(cell.done.values())[-1].settings[LENGTH])


def _accuracies(cells: Sequence[Cell], x: Callable[[Cell], float]) -> list[Point]:
    """Give a point for every row of which an accuracy is known."""
    points: list[Point] = []
    for cell in cells:
        if (middle := mean(cell.accuracies)) is not None:
            points.append((x(cell), middle, spread(cell.accuracies) or 0.0))
    return points


def _over_lengths(series: Mapping[str, Sequence[Cell]]) -> Figure:
    """Accuracy, and FLOPs, over the frames of a tubelet, longest first as in the paper."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    lengths = sorted({_length(cell) for cells in series.values() for cell in cells}, reverse=True)
    for i, (name, cells) in enumerate(series.items()):
        _line(left, i, name, _accuracies(cells, lambda cell: lengths.index(_length(cell))))
        _line(right, i, name, [(lengths.index(_length(cell)), _of(cell)["paper_gflops"], 0) for cell in cells])
    for axes, label in ((left, "top-1, %"), (right, "GFLOPs a clip, as the paper counts")):
        axes.set(xlabel="frames of a tubelet", ylabel=label)
        axes.set_xticks(range(len(lengths)), [str(t) for t in lengths])
    right.set_yscale("log")
    right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    right.yaxis.set_major_formatter("{x:g}")
    right.yaxis.set_minor_formatter(NullFormatter())
    _widen(left)
    add_legend(right, frameon=False, loc="upper left")  # more tokens cost more: that corner is empty
    return figure


def _over_views(cells: Sequence[Cell]) -> Figure:
    """Accuracy over the number of clips of a video that are scored, one line a number of frames."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots()
    for i, cell in enumerate(cell for cell in cells if cell.done):
        frames = (_of(cell).get("recipe") or {}).get("frames") or cell.row.choice["data.frames"]
        points = [(n, mean(of) or 0.0, spread(of) or 0.0) for n, of in cell.by_views.items()]
        _line(axes, i, f"{frames} frames", points)
    axes.set(xlabel="views of a video", ylabel="top-1, %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _widen(axes)
    add_legend(axes, frameon=False)
    return figure


def _against_flops(cells: Sequence[Cell]) -> Figure:
    """One point a model: ours on the left, the paper's on the right."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    ours, theirs = figure.subplots(1, 2)
    for i, cell in enumerate(cell for cell in cells if cell.row.laptop):
        name = SHORT[(cell.row.laptop or {})["model"]]
        if cell.done:
            _line(ours, i, name, _accuracies([cell], lambda cell: _of(cell)["paper_gflops"]))
        _line(theirs, i, name, [(cell.row.paper["gflops"], cell.row.paper["k400"], 0)])
    _widen(ours)
    ours.set(title="ours", xlabel="GFLOPs a clip, as the paper counts", ylabel="top-1, %")
    theirs.set(title="the paper, Kinetics-400", xlabel="GFLOPs a clip", ylabel="top-1, %")
    add_legend(theirs, frameon=False)
    return figure


def _over_epochs(cells: Sequence[Cell]) -> Figure:
    """Loss of every run over its epochs: in training on the left, in validation on the right."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, name, title in zip(
        figure.subplots(1, 2, sharey=True), ("train/loss", "val/loss"), ("training", "validation"), strict=True
    ):
        for i, cell in enumerate(cells):
            for j, run in enumerate(cell.done.values()):
                points = [
                    (epoch["epoch"], epoch[name], 0)
                    for epoch in run.results.get("epochs") or ()
                    if epoch.get(name) is not None
                ]
                _line(axes, i, cell.label if j == 0 else "_", points)
        axes.set(title=title, xlabel="epoch", yscale="log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel("loss" if name == "train/loss" else "")
    add_legend(axes, frameon=False)
    return figure


def _widen(axes: Axes) -> None:
    """Show ten points at least, so that a video or two more do not look like a finding."""
    low, high = axes.get_ylim()
    if (more := LEAST - (high - low)) > 0:
        top = min(high + more / 2, max(high, 100.5))
        axes.set_ylim(top - LEAST, top)


def _line(axes: Axes, i: int, name: str, points: Sequence[Point]) -> None:
    """Draw what is known; a line without points has its place in the legend all the same."""
    x, y, spreads = zip(*sorted(points), strict=True) if points else ((), (), ())
    yerr, colour, marker = spreads if any(spreads) else None, COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
    axes.errorbar(x, y, yerr=yerr, capsize=3, color=colour, marker=marker, label=name)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
