"""The picture of what an accuracy loses where the time of the videos is changed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from vivit.plotting import LETTERS, WIDTH, picture_style, shorten

LABEL_LENGTH = 24
"""Width of a head's name, in Latin characters, at most."""
FORWARD_COLOR, COLOR = "#4c72b0", "#9db4d6"


def plot_changes(head: str, rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Write a bar for each change with its 95 % interval, and a line at the accuracy of the videos as they are."""
    name = shorten(head, LABEL_LENGTH)
    percents = [[100 * row[key] for row in rows] for key in ("accuracy", "low", "high")]
    values, lows, highs = percents
    places = range(len(rows))
    with picture_style([name]):
        figure = Figure(figsize=(WIDTH, 0.42 * len(rows) + 1.2), layout="constrained")
        axes = figure.subplots()
        ends = [[value - low for value, low in zip(values, lows, strict=True)]]
        ends += [[high - value for value, high in zip(values, highs, strict=True)]]
        axes.barh(places, values, xerr=ends, color=[FORWARD_COLOR, *[COLOR] * (len(rows) - 1)], capsize=3)
        axes.axvline(values[0], color=FORWARD_COLOR, linewidth=1, linestyle="--")
        for place, (value, _, high) in enumerate(zip(*percents, strict=True)):
            axes.text(high + 1.5, place, f"{value:.1f}", va="center_baseline", fontsize=LETTERS - 1)
        axes.set_yticks(places, [row["change"].replace("_", " ") for row in rows])
        axes.invert_yaxis()
        axes.set(xlim=(0, 116), xticks=range(0, 101, 20))
        axes.set_title(f"top-1 of {name}, %, and 95 % intervals", loc="left", fontsize=LETTERS, x=-0.25)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(file)
