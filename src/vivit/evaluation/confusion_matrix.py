"""Confusion matrices: counts, tables of classes and of confused pairs, and a plot of 8 classes or 8,000."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from vivit.plotting import shorten, text_width, use_fonts_for

MAX_WITH_NUMBERS = 20
"""Classes up to which cells contain numbers."""
MAX_WITH_NAMES = 700
"""Classes up to which ticks are names; a plot of more has numbers, and a fixed size."""
FIXED_SIDE = 24.0
"""Inches of its sides."""
MAX_CELLS = 1200
"""Rows of a plot; where there are more classes, a cell is the largest share of several."""
MAX_LETTERS = 28
"""Letters of a class name in a plot."""
MAX_PAIRS = 1000
"""Rows of the table of confused pairs."""


def confusion_matrix(
    labels: Int[np.ndarray, " n"], predicted: Int[np.ndarray, " n"], num_classes: int
) -> Int[np.ndarray, "k k"]:
    """Return the number of videos of each class (a row) by predicted class (a column)."""
    pairs = labels.astype(np.int64) * num_classes + predicted
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def write_class_accuracies(file: Path, counts: Int[np.ndarray, "k k"], names: Sequence[str]) -> None:
    """Write a row for every class: its videos, those that are right, and the most frequent wrong prediction."""
    table: list[Sequence[Any]] = [["class", "videos", "right", "accuracy", "most_confused_with", "times"]]
    for number, row in enumerate(counts):
        videos, right = int(row.sum()), int(row[number])
        wrong = np.delete(row, number)
        other = int(wrong.argmax()) if wrong.any() else None
        confused = ("", "") if other is None else (names[other + (other >= number)], int(wrong[other]))
        table.append([names[number], videos, right, f"{right / videos:.4f}" if videos else "", *confused])
    _write_csv(file, table)


def write_confusion_counts(file: Path, counts: Int[np.ndarray, "k k"], names: Sequence[str]) -> None:
    """Write the matrix: a row for each true class, a column for each predicted one."""
    rows = ([name, *row] for name, row in zip(names, counts.tolist(), strict=True))
    _write_csv(file, [["true \\ predicted", *names], *rows])


def write_confused_pairs(file: Path, counts: Int[np.ndarray, "k k"], names: Sequence[str]) -> None:
    """Write the pairs of true and wrong predicted class, the most frequent first, with their number and share."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    videos = counts.sum(1)
    rows, columns = np.nonzero(wrong)
    order = np.argsort(-wrong[rows, columns], kind="stable")[:MAX_PAIRS]
    table: list[Sequence[Any]] = [["true", "predicted", "times", "share"]]
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        times = int(wrong[row, column])
        table.append([names[row], names[column], times, f"{times / int(videos[row]):.4f}"])
    _write_csv(file, table)


def _write_csv(file: Path, rows: Iterable[Sequence[Any]]) -> None:
    with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as text:
        csv.writer(text, lineterminator="\n").writerows(rows)


def plot_confusion_matrix(counts: Int[np.ndarray, "k k"], names: Sequence[str]) -> Figure:
    """Plot the share of each class's videos (a row) by predicted class, on a square-root scale.

    Where there are too many classes to name, ticks are their numbers, in the order of the tables.
    """
    shares = counts / counts.sum(1, keepdims=True).clip(min=1)
    named = len(names) <= MAX_WITH_NAMES
    short = [shorten(name, MAX_LETTERS) for name in names] if named else []
    cell, size = (0.5, 9.0) if len(names) <= MAX_WITH_NUMBERS else (0.11, 6.0)
    side, margin = (
        cell * len(names) if named else FIXED_SIDE,
        0.6 + 0.011 * size * max(map(text_width, short), default=5),
    )
    width, height = side + margin + 1, side + margin + 0.3
    with use_fonts_for(short):
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((margin / width, margin / height, side / width, side / height))
        image = axes.imshow(
            _pool(shares), cmap="Blues", norm=PowerNorm(0.5, 0, 1), interpolation="nearest",
            extent=(-0.5, len(names) - 0.5, len(names) - 0.5, -0.5),
        )  # fmt: skip
        tall = min(side, 4)
        figure.colorbar(
            image, figure.add_axes(((margin + side + 0.2) / width, margin / height, 0.15 / width, tall / height))
        )
        if named:
            axes.set_xticks(range(len(names)), short, rotation=90, fontsize=size)
            axes.set_yticks(range(len(names)), short, fontsize=size)
        axes.set(xlabel="predicted" if named else "predicted, by number", ylabel="true" if named else "true, by number")
        if len(names) <= MAX_WITH_NUMBERS:
            _write_shares(axes, shares)
    return figure


def _pool(shares: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "n n"]:
    """Return the shares, max-pooled where there are more classes than ``MAX_CELLS``."""
    step = -(-len(shares) // MAX_CELLS)
    if step == 1:
        return shares
    starts = np.arange(0, len(shares), step)
    return np.maximum.reduceat(np.maximum.reduceat(shares, starts, 0), starts, 1)


def _write_shares(axes: Axes, shares: Float[np.ndarray, "k k"]) -> None:
    for row, column in np.argwhere(shares >= 0.005).tolist():
        share = shares[row, column]
        axes.text(
            column, row, f"{100 * share:.0f}", ha="center", va="center", color="white" if share > 0.4 else "black"
        )
