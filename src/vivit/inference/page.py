"""Predictions of a video as HTML, with its pictures inside: no file has to be served beside it.

Gradio's own players and galleries copy what they show into a folder that is served, where it outlives the answer; this
page keeps nothing of what it was given.
"""

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from vivit.text import one_line

PREVIEW = "preview.mp4"
STYLE = """<style>
.vivit h3, .vivit p { overflow-wrap: anywhere; }
.vivit table { width: 100%; border-collapse: collapse; margin: .5rem 0 1rem; }
.vivit table, .vivit tr, .vivit th, .vivit td { border: 0 !important; }
.vivit th { text-align: left; padding: .3rem .4rem !important; font-weight: 600; text-transform: capitalize; }
.vivit td { padding: .25rem .4rem !important; }
.vivit tr + tr td { border-top: 1px solid var(--border-color-primary, #ccc) !important; }
.vivit td:nth-child(2) { width: 45%; }
.vivit td:last-child { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; width: 4.5rem; }
.vivit .bar { height: .7rem; border-radius: .2rem; background: var(--color-accent, #d9730d); min-width: 1px; }
.vivit figure { margin: 0 0 1rem; }
.vivit .films { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr)); gap: 1rem; }
.vivit video { width: 100%; max-height: 60vh; border-radius: .4rem; background: #000; }
.vivit img { width: 100%; max-width: 48rem; border-radius: .4rem; background: #fff; }
.vivit figcaption { opacity: .75; font-size: .85rem; margin-top: .2rem; }
</style>"""
PREDICTION = Template("""$style<div class="vivit"><h3>$name</h3>
$tables
<div class="films"><figure><video class="original" src="$video" controls autoplay muted loop playsinline></video>
<figcaption>The video.</figcaption></figure>
<figure><video class="attention" src="$film" controls autoplay muted loop playsinline></video>
<figcaption>Attention rollout of the clip in its middle: the redder, the more it counted.</figcaption></figure></div>
<figure><img src="$sheet" alt="The frames of the clip with the attention drawn over them">
<figcaption>The same, frame by frame.</figcaption></figure>
<figure><img src="$moments" alt="Share of the attention at each moment">
<figcaption>Which moments counted.</figcaption></figure></div>""")


def prediction_html(name: str, classes: Mapping[str, Sequence[Mapping[str, Any]]], folder: Path) -> str:
    """Return the classes of every head (``evaluation.top_k``) with the films and pictures in ``folder``.

    These are those of ``save_attention``, and a copy of the video that any browser plays (``PREVIEW``).
    """
    return PREDICTION.substitute(
        style=STYLE,
        name=_escape(name),
        tables="\n".join(_table(head, rows) for head, rows in classes.items()),
        video=_data_uri(folder / PREVIEW, "video/mp4"),
        film=_data_uri(folder / "attention.mp4", "video/mp4"),
        sheet=_data_uri(folder / "attention.png", "image/png"),
        moments=_data_uri(folder / "moments.png", "image/png"),
    )


def error_html(reason: str) -> str:
    """Return the reason why there is no prediction."""
    return f'{STYLE}<div class="vivit" role="alert"><h3>No prediction</h3><p>{_escape(reason)}</p></div>'


def _table(head: str, rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for row in rows:
        names = ", ".join(str(part) for key, part in row.items() if key not in ("probability", "threshold"))
        percent = f"{100 * row['probability']:.1f}"
        bar = f'<div class="bar" style="width: {percent}%"></div>'
        lines.append(f"<tr><td>{_escape(names)}</td><td>{bar}</td><td>{percent} %</td></tr>")
    if not rows:
        lines.append('<tr><td colspan="3">none</td></tr>')
    return f'<table><tr><th colspan="3">{_escape(head)}</th></tr>{"".join(lines)}</table>'


def _escape(text: str) -> str:
    return html.escape(one_line(text))


def _data_uri(file: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"
