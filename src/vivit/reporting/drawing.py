"""What figures of the report have in common: colours, lines, axes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLORS = ("#3b7dd8", "#d9702b", "#2f9e6e", "#b657a8", "#8a8f98")
MARKERS = "osD^v"
MIN_AXIS_RANGE = 10
"""Points of accuracy that an axis spans."""
Point = tuple[int | float, int | float, int | float]
"""x, y, and how far y spreads."""


@dataclass(frozen=True, slots=True)
class ReportFigure:
    """A figure of the report: its file name, its sweep, title, caption, and the function that draws it."""

    name: str
    sweep: str
    title: str
    caption: str
    draw: Callable[[], Figure]


def line_style(i: int) -> tuple[str, str]:
    """Return colour and marker of a line of a figure, by its number."""
    return COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)]


def widen(axes: Axes) -> None:
    """Make an axis span ten points at least, so that a video or two more do not look like a difference."""
    low, high = axes.get_ylim()
    if (more := MIN_AXIS_RANGE - (high - low)) > 0:
        top = min(high + more / 2, max(high, 100.5))
        axes.set_ylim(top - MIN_AXIS_RANGE, top)


def draw_line(axes: Axes, i: int, name: str, points: Sequence[Point]) -> None:
    """Draw a line of points; one without points has its entry in the legend all the same."""
    x, y, spreads = zip(*sorted(points), strict=True) if points else ((), (), ())
    yerr, (color, marker) = spreads if any(spreads) else None, line_style(i)
    axes.errorbar(x, y, yerr=yerr, capsize=3, color=color, marker=marker, label=name)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
