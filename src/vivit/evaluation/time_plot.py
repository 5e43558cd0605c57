"""The picture of what an accuracy loses where the time of the videos is changed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from vivit.plotting import shorten, use_fonts_for

LABEL_LENGTH = 40
"""Letters of a head's name, at most."""


def plot_changes(head: str, rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Write a bar for each change with its 95 % interval, and a line at the accuracy of the videos as they are."""
    with use_fonts_for([head]):
        _draw(head, rows).savefig(file, dpi=120)


def _draw(head: str, rows: Sequence[Mapping[str, Any]]) -> Figure:
    figure = Figure(figsize=(7, 0.5 * len(rows) + 1.2), layout="constrained")
    axes = figure.subplots()
    places = range(len(rows))
    values = [100 * row["accuracy"] for row in rows]
    errors = [
        [100 * (row["accuracy"] - row["low"]) for row in rows],
        [100 * (row["high"] - row["accuracy"]) for row in rows],
    ]
    colors = ["#4c72b0", *["#9db4d6"] * (len(rows) - 1)]
    axes.barh(places, values, xerr=errors, color=colors, ecolor="#333333", capsize=2)
    axes.axvline(values[0], color="#4c72b0", linewidth=1, linestyle="--")
    for place, row in zip(places, rows, strict=True):
        axes.text(100 * row["high"] + 1.5, place, f"{100 * row['accuracy']:.1f}", va="center", fontsize=9)
    axes.set_yticks(places, [row["change"].replace("_", " ") for row in rows])
    axes.invert_yaxis()
    axes.set(xlabel=f"top-1 accuracy of {shorten(head, LABEL_LENGTH)}, %", xlim=(0, 108), xticks=range(0, 101, 20))
    axes.spines[["top", "right"]].set_visible(False)
    return figure
