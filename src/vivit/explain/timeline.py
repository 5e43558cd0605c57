"""Probabilities of classes over time, drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

LINES = 6
"""Classes of a head that are drawn: those that are most probable at any time."""


def draw_timeline(
    logits: Float[Tensor, "clips k"],
    heads: Mapping[str, Sequence[str]],
    spans: Sequence[tuple[float, float]],
    file: Path,
) -> None:
    """Draw a panel for each head. A clip's answer stands at its middle; ``spans`` are in seconds."""
    middles = [(start + end) / 2 for start, end in spans]
    parts = logits.split([len(names) for names in heads.values()], 1)
    figure = Figure(figsize=(9, 3.2 * len(heads)), layout="constrained")
    panels = figure.subplots(len(heads), squeeze=False)[:, 0]
    for axes, (head, names), part in zip(panels, heads.items(), parts, strict=True):
        values = part.softmax(1)
        for place in values.amax(0).topk(min(LINES, len(names))).indices.tolist():
            marker = "o-" if len(middles) < 60 else "-"
            axes.plot(middles, values[:, place].tolist(), marker, label=names[place], markersize=3)
        axes.set(xlabel="seconds", ylabel=f"probability, {head}", ylim=(-0.02, 1.02))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(file, dpi=120)
