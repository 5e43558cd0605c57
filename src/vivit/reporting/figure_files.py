"""Figures as PNG and SVG files, and as data for the page, in light and in dark."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.figure import Figure

LIGHT, DARK = "#1c2126", "#d8dee6"
"""Ink on a light and on a dark page."""


@dataclass(frozen=True, slots=True)
class FigureData:
    """A figure as addresses of itself, in light and in dark ink, and what it shows."""

    light: str
    dark: str
    caption: str


def render(draw: Callable[[], Figure], ink: str, form: Literal["svg", "png"]) -> bytes:
    """Return a figure in an ink, transparent as SVG and on white as PNG; the same numbers give the same bytes."""
    names = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "axes.titlecolor")
    style: dict[Any, Any] = dict.fromkeys(names, ink) | {
        "svg.hashsalt": "vivit",
        "font.size": 10,
        "legend.labelcolor": ink,
    }
    file = io.BytesIO()
    with mpl.rc_context(style):
        metadata = {"Date": None} if form == "svg" else None
        draw().savefig(file, format=form, dpi=150, transparent=form == "svg", metadata=metadata)
    return file.getvalue()


def write_figure(draw: Callable[[], Figure], name: str, caption: str, folder: Path) -> FigureData:
    """Write ``name.png`` and ``name.svg`` into a folder, and return the figure as data."""
    folder.mkdir(parents=True, exist_ok=True)
    light = render(draw, LIGHT, "svg")
    (folder / f"{name}.svg").write_bytes(light)
    (folder / f"{name}.png").write_bytes(render(draw, LIGHT, "png"))
    return FigureData(data_uri(light), data_uri(render(draw, DARK, "svg")), caption)


def data_uri(svg: bytes) -> str:
    """Return an SVG as an address that contains it."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
