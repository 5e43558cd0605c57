"""Who is taken for whom: counts, tables of classes and of what was confused, and a picture of 8 classes or 8,000."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from vivit.lettering import shorten, text_width, use_fonts_for

FEW = 20
"""So many classes leave room for numbers in the cells."""
MANY = 700
"""So many classes leave room for their names; a picture of more has numbers, and a fixed size."""
FIXED = 24.0
"""Inches of its sides."""
CELLS = 1200
"""Rows of a picture; where there are more classes, a cell shows the largest share of some."""
SHORT = 28
"""Letters of a class name that are shown."""
LISTED = 1000
"""Pairs in the table of what was confused, at most."""


def confusion(labels: Int[np.ndarray, " n"], said: Int[np.ndarray, " n"], classes: int) -> Int[np.ndarray, "k k"]:
    """Count the videos of each class (a row) that are said to be of every class (a column)."""
    return np.bincount(labels.astype(np.int64) * classes + said, minlength=classes**2).reshape(classes, classes)


def write_classes(file: Path, counts: Int[np.ndarray, "k k"], names: Sequence[str]) -> None:
    """Write a row for every class: its videos, those that are right, and what it is most often mistaken for."""
    with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as text:
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["class", "videos", "right", "accuracy", "most_confused_with", "times"])
        for at, row in enumerate(counts):
            videos, right = int(row.sum()), int(row[at])
            wrong = np.delete(row, at)
            other = int(wrong.argmax()) if wrong.any() else None
            confused = ("", "") if other is None else (names[other + (other >= at)], int(wrong[other]))
            table.writerow([names[at], videos, right, f"{right / videos:.4f}" if videos else "", *confused])


def write_counts(file: Path, counts: Int[np.ndarray, "k k"], names: Sequence[str]) -> None:
    """Write the matrix: a row for what videos are, a column for what they are said to be."""
    with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as text:
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["is \\ said", *names])
        table.writerows([name, *row] for name, row in zip(names, counts.tolist(), strict=True))


def write_confused(file: Path, counts: Int[np.ndarray, "k k"], names: Sequence[str]) -> None:
    """Write the pairs of classes that were confused, the most frequent first: what is, what was said, how often."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    videos = counts.sum(1)
    rows, columns = np.nonzero(wrong)
    order = np.argsort(-wrong[rows, columns], kind="stable")[:LISTED]
    with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as text:
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["is", "said", "times", "share"])
        for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
            times = int(wrong[row, column])
            table.writerow([names[row], names[column], times, f"{times / int(videos[row]):.4f}"])


def draw(counts: Int[np.ndarray, "k k"], names: Sequence[str]) -> Figure:
    """Draw the share of each class's videos (a row) that is said to be every class. Small shares are brought out.

    Where there are too many classes to name, ticks are their numbers, in the order of the tables.
    """
    shares = counts / counts.sum(1, keepdims=True).clip(min=1)
    named = len(names) <= MANY
    short = [shorten(name, SHORT) for name in names] if named else []
    cell, size = (0.5, 9.0) if len(names) <= FEW else (0.11, 6.0)
    side, margin = cell * len(names) if named else FIXED, 0.6 + 0.011 * size * max(map(text_width, short), default=5)
    width, height = side + margin + 1, side + margin + 0.3
    with use_fonts_for(short):
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((margin / width, margin / height, side / width, side / height))
        image = axes.imshow(
            _coarse(shares), cmap="Blues", norm=PowerNorm(0.5, 0, 1), interpolation="nearest",
            extent=(-0.5, len(names) - 0.5, len(names) - 0.5, -0.5),
        )  # fmt: skip
        tall = min(side, 4)
        figure.colorbar(
            image, figure.add_axes(((margin + side + 0.2) / width, margin / height, 0.15 / width, tall / height))
        )
        if named:
            axes.set_xticks(range(len(names)), short, rotation=90, fontsize=size)
            axes.set_yticks(range(len(names)), short, fontsize=size)
        axes.set(xlabel="said" if named else "said, by number", ylabel="is" if named else "is, by number")
        if len(names) <= FEW:
            _write_shares(axes, shares)
    return figure


def _coarse(shares: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "n n"]:
    """Let a cell stand for some classes, with the largest of their shares, where there are more than can be drawn."""
    step = -(-len(shares) // CELLS)
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
