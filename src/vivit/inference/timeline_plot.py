"""The plot of class probabilities along a video."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from vivit.evaluation.predicted_classes import head_probabilities
from vivit.inference.moments import class_moments
from vivit.plotting import LETTERS, WIDTH, add_legend, picture_style, shorten

LINES = 6
"""Classes of a head that are drawn: those that are most probable at any time."""
LABEL_LENGTH = 44
"""Letters of a name in the legend, at most."""
LEAST_TOP, ROOM = 10, 1.25
"""Percent that the axis of probabilities has at least, and how much more than the highest of them."""
LINE_STYLES = ("-", "--", "-.", ":", "-", "--")
"""Of the lines, so that colours alone do not tell them."""


def plot_sliding(
    logits: Float[Tensor, "clips k"],
    heads: Mapping[str, Sequence[str]],
    spans: Sequence[tuple[float, float]],
    file: Path,
) -> None:
    """Write a plot of class probabilities over time, a panel for each head.

    A clip is drawn at its middle; ``spans`` are in seconds. Where a class stands out the panel has its colour.
    """
    moments = class_moments(logits, heads, spans)
    middles = [(start + end) / 2 for start, end in spans]
    marker = "o" if len(middles) < 60 else ""
    parts = logits.split([len(names) for names in heads.values()], 1)
    names_of = [[shorten(name, LABEL_LENGTH) for name in names] for names in heads.values()]
    with picture_style(heads, *names_of):
        figure = Figure(figsize=(WIDTH, (2.6 + 0.27 * LINES) * len(heads)), layout="constrained")
        panels = figure.subplots(len(heads), squeeze=False)[:, 0]
        for axes, (head, names), part, labels in zip(panels, heads.items(), parts, names_of, strict=True):
            probabilities = 100 * head_probabilities(part, names)
            classes = probabilities.amax(0).topk(min(LINES, probabilities.shape[1])).indices.tolist()
            for number, line in zip(classes, LINE_STYLES, strict=False):
                values = probabilities[:, number].tolist()
                (drawn,) = axes.plot(middles, values, line, marker=marker, label=".", markersize=3)
                for moment in moments[head]:
                    if moment["class"] == names[number]:
                        axes.axvspan(moment["start"], moment["end"], color=drawn.get_color(), alpha=0.12, linewidth=0)
            top = min(102.0, max(LEAST_TOP, ROOM * float(probabilities.max())))
            axes.set(xlabel="seconds", ylim=(-top / 50, top))
            several = f"{shorten(head, LABEL_LENGTH)}, " if len(heads) > 1 else ""
            axes.set_title(f"{several}probability, %", loc="left", fontsize=LETTERS)
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(alpha=0.3)
            options = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.25), "fontsize": LETTERS - 1}
            add_legend(axes, [labels[number] for number in classes], frameon=False, **options)
        figure.savefig(file)
