"""Probabilities of classes over time, drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from vivit.lettering import add_legend, shorten, use_fonts_for

LINES = 6
"""Classes of a head that are drawn: those that are most probable at any time."""
SHORT = 40
"""Letters of a name that are shown."""


def draw_timeline(
    logits: Float[Tensor, "clips k"],
    heads: Mapping[str, Sequence[str]],
    spans: Sequence[tuple[float, float]],
    file: Path,
) -> None:
    """Draw a panel for each head. A clip's answer stands at its middle; ``spans`` are in seconds."""
    middles = [(start + end) / 2 for start, end in spans]
    parts = logits.split([len(names) for names in heads.values()], 1)
    shares = [part.softmax(1) for part in parts]
    chosen = [values.amax(0).topk(min(LINES, values.shape[1])).indices.tolist() for values in shares]
    drawn = [
        [(place, shorten(names[place], SHORT)) for place in places]
        for places, names in zip(chosen, heads.values(), strict=True)
    ]
    with use_fonts_for(heads):
        figure = Figure(figsize=(9, 3.2 * len(heads)), layout="constrained")
        panels = figure.subplots(len(heads), squeeze=False)[:, 0]
        for axes, head, values, lines in zip(panels, heads, shares, drawn, strict=True):
            for place, _ in lines:
                axes.plot(
                    middles, values[:, place].tolist(), "o-" if len(middles) < 60 else "-", label=".", markersize=3
                )
            axes.set(xlabel="seconds", ylabel=f"probability, {shorten(head, SHORT)}", ylim=(-0.02, 1.02))
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(alpha=0.3)
            words = [name for _, name in lines]
            add_legend(axes, words, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        figure.savefig(file, dpi=120)
