"""Who is taken for whom: counts, a table of classes, and a picture that names every class, be they 8 or 400."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

FEW = 20
"""So many classes leave room for numbers in the cells."""
SHORT = 28
"""Letters of a class name that are shown."""


def confusion(labels: Int[np.ndarray, " n"], said: Int[np.ndarray, " n"], classes: int) -> Int[np.ndarray, "k k"]:
    """Count the videos of each class (a row) that are said to be of every class (a column)."""
    return np.bincount(labels.astype(np.int64) * classes + said, minlength=classes**2).reshape(classes, classes)


def write_classes(file: Path, counts: Int[np.ndarray, "k k"], names: Sequence[str]) -> None:
    """Write a row for every class: its videos, those that are right, and what it is most often mistaken for."""
    with file.open("w", newline="", encoding="utf-8") as text:
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
    with file.open("w", newline="", encoding="utf-8") as text:
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["is \\ said", *names])
        table.writerows([name, *row] for name, row in zip(names, counts.tolist(), strict=True))


def draw(counts: Int[np.ndarray, "k k"], names: Sequence[str]) -> Figure:
    """Draw the share of each class's videos (a row) that is said to be every class. Small shares are brought out."""
    shares = counts / counts.sum(1, keepdims=True).clip(min=1)
    short = [name if len(name) <= SHORT else f"{name[: SHORT - 1]}…" for name in names]
    cell, size = (0.5, 9.0) if len(names) <= FEW else (0.11, 6.0)
    side, margin = cell * len(names), 0.6 + 0.011 * size * max(map(len, short))
    width, height = side + margin + 1, side + margin + 0.3
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((margin / width, margin / height, side / width, side / height))
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1), interpolation="nearest")
    tall = min(side, 4)
    figure.colorbar(
        image, figure.add_axes(((margin + side + 0.2) / width, margin / height, 0.15 / width, tall / height))
    )
    axes.set_xticks(range(len(names)), short, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), short, fontsize=size)
    axes.set(xlabel="said", ylabel="is")
    if len(names) <= FEW:
        for row, column in np.argwhere(shares >= 0.005).tolist():
            share = shares[row, column]
            axes.text(
                column, row, f"{100 * share:.0f}", ha="center", va="center", color="white" if share > 0.4 else "black"
            )
    return figure
