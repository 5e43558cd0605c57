"""The plot of class probabilities along a video."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from vivit.evaluation.predicted_classes import head_probabilities
from vivit.plotting import add_legend, shorten, use_fonts_for

LINES = 6
"""Classes of a head that are drawn: those that are most probable at any time."""
LABEL_LENGTH = 40
"""Letters of a name in the legend, at most."""


def plot_sliding(
    logits: Float[Tensor, "clips k"],
    heads: Mapping[str, Sequence[str]],
    spans: Sequence[tuple[float, float]],
    file: Path,
) -> None:
    """Write a plot of class probabilities over time, a panel for each head.

    A clip is drawn at its middle; ``spans`` are in seconds.
    """
    middles = [(start + end) / 2 for start, end in spans]
    style = "o-" if len(middles) < 60 else "-"
    parts = logits.split([len(names) for names in heads.values()], 1)
    with use_fonts_for(heads):
        figure = Figure(figsize=(9, 3.2 * len(heads)), layout="constrained")
        panels = figure.subplots(len(heads), squeeze=False)[:, 0]
        for axes, (head, names), part in zip(panels, heads.items(), parts, strict=True):
            probabilities = head_probabilities(part, names)
            classes = probabilities.amax(0).topk(min(LINES, probabilities.shape[1])).indices.tolist()
            for number in classes:
                axes.plot(middles, probabilities[:, number].tolist(), style, label=".", markersize=3)
            axes.set(xlabel="seconds", ylabel=f"probability, {shorten(head, LABEL_LENGTH)}", ylim=(-0.02, 1.02))
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(alpha=0.3)
            labels = [shorten(names[number], LABEL_LENGTH) for number in classes]
            add_legend(axes, labels, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        figure.savefig(file, dpi=120)
