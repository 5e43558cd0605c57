"""Confusion matrices: counts, tables of them and of confused pairs, and a picture: the matrix, or the worst pairs."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vivit.plotting import LETTERS, WIDTH, break_name, picture_style, shorten, text_width
from vivit.text import beside_numbers

MAX_CLASSES = 12
"""Classes up to which the picture is a matrix; of more it has the pairs that are confused most often."""
MAX_WITH_BOTH = 5
"""Classes up to which a cell has count and percent; of more it has counts, or percents where these are too long."""
MAX_LETTERS, MAX_MATRIX_LETTERS, MAX_PAIR_LETTERS = 18, 14, 26
"""Width of a line of a class name in Latin characters: beside a matrix of few classes or of more, and in a pair."""
PAIR_END = 6
"""Last characters of a name in a pair, which stay where it is shortened: long names often differ there."""
DIGIT = 0.66
"""Width of a digit in letter sizes."""
POINT = 1 / 72
"""Inches."""
ROW_OF_TWO_LINES = 0.38
"""Inches of a row of a matrix whose name has two lines."""
BARS = 20
"""Pairs, or predicted classes, in the picture of many classes."""
MAX_PAIRS = 1000
"""Rows of the table of confused pairs."""


def confusion_matrix(
    labels: Int[np.ndarray, " n"], predicted: Int[np.ndarray, " n"], num_classes: int
) -> Int[np.ndarray, "k k"]:
    """Return the number of videos of each class (a row) by predicted class (a column)."""
    pairs = labels.astype(np.int64) * num_classes + predicted
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def write_confusion_counts(file: Path, counts: Int[np.ndarray, "k k"], names: Sequence[str]) -> None:
    """Write the matrix: a row for each true class, a column for each predicted one."""
    rows = ([name, *row] for name, row in zip(names, counts.tolist(), strict=True))
    write_csv(file, [["true \\ predicted", *names], *rows])


def write_confused_pairs(file: Path, counts: Int[np.ndarray, "k k"], names: Sequence[str]) -> None:
    """Write the pairs of true and wrong predicted class, the most frequent first, with their number and share."""
    videos = counts.sum(1)
    rows = [
        [names[row], names[column], times, f"{times / int(videos[row]):.4f}"]
        for row, column, times in confused_pairs(counts)[:MAX_PAIRS]
    ]
    write_csv(file, [["true", "predicted", "times", "share"], *rows])


def confused_pairs(counts: Int[np.ndarray, "k k"]) -> list[tuple[int, int, int]]:
    """Return true class, wrong predicted class and how often, the most frequent first."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    rows, columns = np.nonzero(wrong)
    order = np.argsort(-wrong[rows, columns], kind="stable")
    return [(int(rows[i]), int(columns[i]), int(wrong[rows[i], columns[i]])) for i in order]


def write_csv(file: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows of a table; half a letter, as names of files may contain, stays what it is."""
    with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as text:
        csv.writer(text, lineterminator="\n").writerows(rows)


def plot_confusion_matrix(counts: Int[np.ndarray, "k k"], names: Sequence[str]) -> Figure:
    """Return the picture of a matrix, ``WIDTH`` inches wide: its rows are true classes, and colours shares of a row.

    Columns of more than ``MAX_WITH_BOTH`` classes have numbers, which stand behind the names of the rows. Of more than
    ``MAX_CLASSES`` classes it is a chart of the pairs that are confused most often.
    """
    return _plot_matrix(counts, names) if len(names) <= MAX_CLASSES else _plot_pairs(counts, names)


def _plot_matrix(counts: Int[np.ndarray, "k k"], names: Sequence[str]) -> Figure:
    videos, k = counts.sum(1), len(names)
    shares = counts / videos[:, None].clip(min=1)
    both = k <= MAX_WITH_BOTH
    short = [shorten(name, MAX_LETTERS) if both else break_name(name, MAX_MATRIX_LETTERS) for name in names]
    letters = LETTERS if both else LETTERS - 2
    numbers = 0 if both else 0.3
    left = (
        0.45
        + numbers
        + 0.6 * letters * POINT * max((text_width(line) for name in short for line in name.split("\n")), default=1)
    )
    right, bottom = (0.15 if both else 0.85), 0.7
    side = WIDTH - left - right
    tall = max(side, ROW_OF_TWO_LINES * k) if any("\n" in name for name in short) else side
    height = tall + bottom + 0.42
    with picture_style(short):
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.add_axes((left / WIDTH, bottom / height, side / WIDTH, tall / height))
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
        columns = (
            [shorten(name, max(4, MAX_LETTERS * 2 // k)) for name in names] if both else list(map(str, range(1, k + 1)))
        )
        axes.set_xticks(range(k), columns, fontsize=letters)
        axes.set_yticks(range(k), short, fontsize=letters, linespacing=1, ma="right")
        axes.tick_params(length=0)
        axes.tick_params("y", pad=4 + numbers / POINT)
        axes.set(xlabel="predicted")
        figure.text(0.08 / WIDTH, (bottom + tall / 2) / height, "true", rotation=90, va="center")
        fits = both or len(str(counts.max(initial=0))) * DIGIT * letters <= side / k / POINT
        title = "videos, percent of a row" if both else "videos; colour: share of a row" if fits else "percent of a row"
        axes.set_title(title, fontsize=letters, loc="left", x=-(left - 0.08) / side)
        axes.spines[:].set_visible(False)
        axes.set_xticks(np.arange(k - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(k - 1) + 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="minor", length=0)
        if both:
            _write_counts_and_percents(axes, counts, shares)
        else:
            _write_numbers(axes, counts if fits else (100 * shares).round().astype(int), shares, letters)
            _write_right_shares(axes, counts, letters)
    return figure


def _write_counts_and_percents(axes: Axes, counts: Int[np.ndarray, "k k"], shares: Float[np.ndarray, "k k"]) -> None:
    """Write the count of every cell, and below it its percent of the row."""
    for (row, column), share in np.ndenumerate(shares):
        color, number = ("white" if share > 0.5 else "black"), f"{counts[row, column]:,}"
        percent = f"{100 * share:.1f} %" if counts[row].any() else "no video"
        axes.text(column, row, number, ha="center", va="bottom", color=color, fontsize=1.5 * LETTERS)
        axes.text(column, row + 0.04, percent, ha="center", va="top", color=color)


def _write_numbers(axes: Axes, numbers: Int[np.ndarray, "k k"], shares: Float[np.ndarray, "k k"], letters: int) -> None:
    """Write the number of every cell that is not empty."""
    for (row, column), number in np.ndenumerate(numbers):
        if number:
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(number), ha="center", va="center_baseline", color=color, fontsize=letters)


def _write_right_shares(axes: Axes, counts: Int[np.ndarray, "k k"], letters: int) -> None:
    """Write before every row its number, and behind it the percent of its videos that is right."""
    k, videos = len(counts), counts.sum(1)
    axes.text(k - 0.35, -0.65, "right", fontsize=letters, va="bottom")
    for number in range(k):
        text = f"{100 * counts[number, number] / videos[number]:.0f} %" if videos[number] else "-"
        axes.text(k - 0.35, number, text, fontsize=letters, va="center")
        axes.text(-0.65, number, str(number + 1), fontsize=letters, va="center", ha="right")


def _plot_pairs(counts: Int[np.ndarray, "k k"], names: Sequence[str]) -> Figure:
    """Return bars of the pairs that are confused most often, each under its names.

    Where no pair is confused twice, they are of the classes that are predicted wrongly most often.
    """
    pairs, videos = confused_pairs(counts), counts.sum(1)
    wrong, total = sum(times for *_, times in pairs), int(counts.sum())
    of_pairs = not pairs or pairs[0][2] > 1
    if of_pairs:
        about = ("what is confused most often", "true → predicted, percent of the true class")
        rows = [([true, predicted], times, int(videos[true])) for true, predicted, times in pairs[:BARS]]
    else:
        about = ("what is predicted wrongly most often", "no pair twice; percent of all wrong answers")
        times_of = counts.sum(0) - counts.diagonal()
        order = np.argsort(-times_of, kind="stable")[:BARS].tolist()
        rows = [([number], int(times_of[number]), wrong) for number in order if times_of[number]]
    texts = [[shorten(names[number], MAX_PAIR_LETTERS, PAIR_END) for number in numbers] for numbers, *_ in rows]
    height = 1.3 + 0.56 * max(1, len(rows))
    with picture_style(*texts):
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.add_axes((0.15 / WIDTH, 0.1 / height, 1 - 0.3 / WIDTH, (height - 1.1) / height))
        lines = (f"{len(names):,} classes: {about[0]}", about[1])
        for line, text in enumerate((*lines, f"{wrong:,} of {total:,} videos are wrong")):
            weight = "bold" if line == 0 else "normal"
            figure.text(0.15 / WIDTH, (height - 0.12 - 0.28 * line) / height, text, va="top", fontweight=weight)
        longest = rows[0][1] if rows else 1
        for at, ((_, times, of), pair) in enumerate(zip(rows, texts, strict=True)):
            axes.text(0, at - 0.02, " → ".join(map(beside_numbers, pair)), va="bottom")
            axes.barh(at + 0.22, times / longest, height=0.3, color="tab:orange")
            number = f"{times:,} ({100 * times / of:.0f} %)"
            inside = times > 0.7 * longest
            axes.text(
                times / longest + (-0.01 if inside else 0.01), at + 0.22, number, fontsize=LETTERS - 2,
                va="center_baseline", ha="right" if inside else "left",
            )  # fmt: skip
        axes.set(xlim=(0, 1), ylim=(max(1, len(rows)) - 0.45, -0.55))
        axes.set_axis_off()
    return figure
