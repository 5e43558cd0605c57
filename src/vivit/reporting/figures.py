"""The paper's figures from our runs, and accuracy against FLOPs with the paper's own numbers."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from vivit.plotting import add_legend
from vivit.reporting.difficulty_figures import difficulty_figures
from vivit.reporting.drawing import Point, ReportFigure, draw_line, line_style, widen
from vivit.reporting.row_results import RowResult
from vivit.reporting.sweep_results import SweepResult
from vivit.reporting.tables import mean, stdev
from vivit.sweeps import TOP1

SHORT = {
    "spatiotemporal": "Model 1",
    "factorised_encoder": "Model 2",
    "factorised_self_attention": "Model 3",
    "factorised_dot_product": "Model 4",
    "average_pool": "average pooling",
    "attentive_pool": "attentive pooling",
}
"""Names of the models in legends."""
LENGTH = "tokeniser.tubelet.0"
"""Key of the frames of a tubelet."""
TRAINING_TOP1 = "test_train/acc_top1"
"""Top-1 of the training videos, scored as those of the test: without augmentation."""


def make_figures(results: Mapping[str, SweepResult]) -> list[ReportFigure]:
    """Return the figures that have numbers; ``results`` are those of the default setting of each sweep, by name."""
    figures = []
    for name, series in (("backbone", _sizes), ("tokens", _models)):
        if (result := results[name]).done:
            figures.append(_figure(result, partial(_over_lengths, series(result.rows))))
    if (frames := results["frames_views"]).done:
        figures.append(_figure(frames, partial(_over_views, frames.rows)))
    if (models := results["model_variants"]).done:
        caption = (
            "Accuracy against FLOPs of a clip, by the paper's count: ours on the embedded data, the paper's (Table 2)."
        )
        figures.append(
            ReportFigure(
                *("accuracy_flops", models.sweep.name, "Accuracy against FLOPs", caption),
                partial(_against_flops, models.rows),
            )
        )
    precision = results["precision"]
    if any(run.results.get("epochs") for run in precision.done):
        caption = "Loss of every epoch, in training and in validation, in both precisions; one line a seed."
        figures.append(
            ReportFigure(
                *("precision", precision.sweep.name, "Loss in float32 and bfloat16", caption),
                partial(_over_epochs, precision.rows),
            )
        )
    return [*figures, *overfitting_figure(results["regularisation"]), *difficulty_figures(results)]


def _figure(result: SweepResult, draw: Callable[[], Figure]) -> ReportFigure:
    name = result.sweep.name
    return ReportFigure(name, name, result.sweep.title, result.sweep.caption, draw)


def _sizes(rows: Sequence[RowResult]) -> dict[str, list[RowResult]]:
    return _series(rows, lambda of: str(of["size"]))


def _models(rows: Sequence[RowResult]) -> dict[str, list[RowResult]]:
    return _series(rows, lambda of: SHORT.get(of["model"], of["model"]))


def _series(rows: Sequence[RowResult], label: Callable[[Mapping[str, Any]], str]) -> dict[str, list[RowResult]]:
    """Return the rows that have runs, by the names of their lines."""
    series: dict[str, list[RowResult]] = {}
    for row in rows:
        if row.done and LENGTH in list(row.done.values())[-1].settings:
            series.setdefault(label(_last_results(row)), []).append(row)
    return series


def _last_results(row: RowResult) -> dict[str, Any]:
    """Return the results of a row's last run."""
    return list(row.done.values())[-1].results


def _length(row: RowResult) -> int:
    return int(list(row.done.values())[-1].settings[LENGTH])


def _accuracies(rows: Sequence[RowResult], x: Callable[[RowResult], float]) -> list[Point]:
    """Return a point for every row that has an accuracy."""
    points: list[Point] = []
    for row in rows:
        if (middle := mean(row.accuracies)) is not None:
            points.append((x(row), middle, stdev(row.accuracies) or 0.0))
    return points


def _over_lengths(series: Mapping[str, Sequence[RowResult]]) -> Figure:
    """Accuracy, and FLOPs, over the frames of a tubelet, longest first as in the paper."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    lengths = sorted({_length(row) for rows in series.values() for row in rows}, reverse=True)
    for i, (name, rows) in enumerate(series.items()):
        draw_line(left, i, name, _accuracies(rows, lambda row: lengths.index(_length(row))))
        draw_line(
            right, i, name, [(lengths.index(_length(row)), _last_results(row)["paper_gflops"], 0) for row in rows]
        )
    for axes, label in ((left, "top-1, %"), (right, "GFLOPs a clip, as the paper counts")):
        axes.set(xlabel="frames of a tubelet", ylabel=label)
        axes.set_xticks(range(len(lengths)), [str(t) for t in lengths])
    right.set_yscale("log")
    right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    right.yaxis.set_major_formatter("{x:g}")
    right.yaxis.set_minor_formatter(NullFormatter())
    widen(left)
    add_legend(right, frameon=False, loc="upper left")  # more tokens cost more: that corner is empty
    return figure


def _over_views(rows: Sequence[RowResult]) -> Figure:
    """Accuracy over the number of clips of a video that are scored, one line a number of frames."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots()
    for i, row in enumerate(row for row in rows if row.done):
        frames = (_last_results(row).get("recipe") or {}).get("frames") or row.label
        points = [(n, mean(of) or 0.0, stdev(of) or 0.0) for n, of in row.by_views.items()]
        draw_line(axes, i, f"{frames} frames", points)
    axes.set(xlabel="views of a video", ylabel="top-1, %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    widen(axes)
    add_legend(axes, frameon=False)
    return figure


def _against_flops(rows: Sequence[RowResult]) -> Figure:
    """One point a model: ours on the left, the paper's on the right."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for i, row in enumerate(rows):
        name = SHORT.get(row.row.name, row.label)
        if row.done:
            draw_line(left, i, name, _accuracies([row], lambda row: _last_results(row)["paper_gflops"]))
        if {"gflops", "k400"} <= row.row.printed.keys():
            draw_line(right, i, name, [(row.row.printed["gflops"], row.row.printed["k400"], 0)])
    widen(left)
    left.set(title="ours", xlabel="GFLOPs a clip, as the paper counts", ylabel="top-1, %")
    right.set(title="the paper, Kinetics-400", xlabel="GFLOPs a clip", ylabel="top-1, %")
    add_legend(right, frameon=False)
    return figure


def _over_epochs(rows: Sequence[RowResult]) -> Figure:
    """Loss of every run over its epochs: in training on the left, in validation on the right."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, name, title in zip(
        figure.subplots(1, 2, sharey=True), ("train/loss", "val/loss"), ("training", "validation"), strict=True
    ):
        for i, row in enumerate(rows):
            for j, run in enumerate(row.done.values()):
                points = [
                    (epoch["epoch"], epoch[name], 0)
                    for epoch in run.results.get("epochs") or ()
                    if epoch.get(name) is not None
                ]
                draw_line(axes, i, row.label if j == 0 else "_", points)
        axes.set(title=title, xlabel="epoch", yscale="log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel("loss" if name == "train/loss" else "")
    add_legend(axes, frameon=False)
    return figure


def overfitting_figure(result: SweepResult) -> list[ReportFigure]:
    """Return the figure of training and test accuracy for each row, if any row has both."""
    rows = [row for row in result.rows if row.percent_by_seed(TRAINING_TOP1) and row.accuracies]
    if not rows:
        return []
    caption = (
        "Accuracy of the training videos beside that of the test, both without augmentation, for each row of Table 4: "
        "what lies between them is overfitting. Bars: the standard deviation over seeds."
    )
    name = "overfitting"
    return [ReportFigure(name, result.sweep.name, "Training and test accuracy", caption, partial(_overfitting, rows))]


def _overfitting(rows: Sequence[RowResult]) -> Figure:
    """Draw a line of the page for each row, with a point for the training videos and one for those of the test."""
    figure = Figure(figsize=(9, 1.4 + 0.4 * len(rows)), layout="constrained")
    axes = figure.subplots()
    values = [[list(row.percent_by_seed(metric).values()) for row in rows] for metric in (TRAINING_TOP1, TOP1)]
    train, test = ([mean(of) or 0.0 for of in side] for side in values)
    axes.hlines(range(len(rows)), test, train, color=line_style(4)[0], alpha=0.5, linewidth=1)
    for i, (name, middles, side) in enumerate(
        zip(("training videos", "test videos"), (train, test), values, strict=True)
    ):
        color, marker = line_style(i)
        xerr = [stdev(of) or 0.0 for of in side]
        axes.errorbar(middles, range(len(rows)), xerr=xerr, capsize=3, fmt=marker, color=color, label=name)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.invert_yaxis()
    axes.set(xlabel="top-1, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    add_legend(axes, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return figure
