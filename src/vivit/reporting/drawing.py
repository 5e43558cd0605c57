"""A figure as PNG and SVG files, and in light and dark for the page."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

LIGHT, DARK = "#1c2126", "#d8dee6"
"""Ink on a light and on a dark page."""


def drawn(draw: Callable[[], Figure], ink: str, form: str) -> bytes:
    """Draw in an ink on nothing (SVG) or on white (PNG); the same numbers give the same bytes."""
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


def write_picture(draw: Callable[[], Figure], name: str, folder: Path) -> tuple[str, str]:
    """Write ``name.png`` and ``name.svg``; give the SVG in light and in dark as data that a page can hold."""
    folder.mkdir(parents=True, exist_ok=True)
    light = drawn(draw, LIGHT, "svg")
    (folder / f"{name}.svg").write_bytes(light)
    (folder / f"{name}.png").write_bytes(drawn(draw, LIGHT, "png"))
    return inlined(light), inlined(drawn(draw, DARK, "svg"))


def inlined(svg: bytes) -> str:
    """Write a picture as the address of itself."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
