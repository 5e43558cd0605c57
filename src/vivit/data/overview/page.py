"""The page about a data set, which opens without a server; ``page.html.j2`` is its template."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vivit.data.overview.advice import Setting
from vivit.data.overview.findings import Finding
from vivit.data.overview.videos import VideoFacts
from vivit.text import count, one_line
from vivit.web_pages import page_environment

BINS = 24
MOST_CLASSES = 400
"""Rows of the table of classes; more of them make it unreadable."""
MOST_PATHS = 1000
"""Videos that are listed under a finding."""
FEW_VALUES = 12
"""Different values, up to which each has a bar of its own."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command to type, and what it is for."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Costs:
    """What a run takes on this machine: a sentence, and rows of name and value."""

    lead: str
    rows: Sequence[tuple[str, str]]


def render_overview(
    title: str,
    facts: VideoFacts,
    findings: Sequence[Finding],
    commands: Sequence[Command],
    settings: Sequence[Setting],
    sheets: Mapping[str, Mapping[str, str]],
    costs: Costs | None = None,
) -> str:
    """Return the page about a data set as HTML; nothing has to lie beside it."""
    template = page_environment("vivit.data.overview", count=count, one_line=one_line).get_template("page.html.j2")
    return template.render(
        title=title,
        lead=[describe(facts)],
        findings=findings,
        most_paths=MOST_PATHS,
        commands=commands,
        settings=settings,
        costs=costs,
        splits=facts.splits,
        heads=[_head(facts, head) for head in facts.heads],
        charts=list(_charts(facts)),
        file_rows=list(_file_rows(facts)),
        sheets=sheets if any(sheets.values()) else None,
    )


def describe(facts: VideoFacts) -> str:
    """Return a sentence about the size of a data set."""
    videos = facts.videos
    numbers = ", ".join(f"{(videos['split'] == split).sum():,} {split}" for split in facts.splits)
    classes = ", ".join(
        f"{count(len(names), 'class', 'classes')}{f' of {head}' if len(facts.heads) > 1 else ''}"
        for head, names in facts.heads.items()
    )
    seconds = videos["length"].clip(lower=0).sum()
    units = ((3600, "hours"), (60, "minutes"), (1, "seconds"))
    length = next((f", {seconds / unit:.1f} {name}" for unit, name in units if seconds >= unit), "")
    return f"{count(len(videos), 'video')} ({numbers}), {classes}{length}."


def _head(facts: VideoFacts, head: str) -> dict[str, Any]:
    """Return the rows of a head's table of classes, the commonest first."""
    counts = facts.class_counts(head)
    first = counts[facts.splits[0]]
    total = max(1, int((facts.videos["split"] == facts.splits[0]).sum()))
    order = first.sort_values(ascending=False, kind="stable").index[:MOST_CLASSES]
    rows = [
        {
            "name": name,
            "counts": [int(number) for number in counts.loc[name]],
            "bar": round(60 * first[name] / max(1, first.max()), 1),
            "percent": f"{100 * first[name] / total:.1f}",
        }
        for name in order
    ]
    return {"name": head, "rows": rows, "hidden": len(counts) - len(rows)}


def _charts(facts: VideoFacts) -> Any:
    """Yield how lengths, rates and picture sizes are distributed over the indexed videos."""
    videos = facts.examined
    usable = facts.videos[facts.videos["problem"].isna()]
    size, unit = _unit(float(videos["bytes"].median()) if len(videos) else 0.0)
    columns = {
        "Seconds": (usable["length"].clip(lower=0), "s"),
        "Frames a second": (videos["fps"], "fps"),
        "Short side": (videos[["width", "height"]].min(axis=1), "pixels"),
        "File size": (videos["bytes"] / size, unit),
    }
    for title, (values, unit) in columns.items():
        numbers = values.dropna()
        if len(numbers):
            limit, beyond = _limit(numbers), ""
            ends = {"low": numbers.min(), "median": numbers.median(), "high": numbers[numbers <= limit].max()}
            if far := int((numbers > limit).sum()):
                beyond = f"last bar: {far:,} above that, up to {_three_digits(float(numbers.max()))} {unit}"
            texts = {name: f"{_three_digits(float(number))} {unit}" for name, number in ends.items()}
            yield {"title": title, "bars": _bars(numbers, limit), "beyond": beyond} | texts


def _three_digits(number: float) -> str:
    """Return a number as text, rounded to three digits, a large one without powers of ten: 0.0421, 2.5, 18,000."""
    return f"{float(f'{number:.3g}'):,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def _unit(size: float) -> tuple[float, str]:
    """Return the bytes of the largest unit that a size is not below, and the unit's name."""
    units = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
    return next((unit for unit in units if size >= unit[0]), (1.0, "bytes"))


def _limit(numbers: "pd.Series[float]") -> float:
    """Return the value beyond which a histogram has one bar, for the few that are far from all others; or infinity."""
    lower, upper = float(numbers.quantile(0.25)), float(numbers.quantile(0.75))
    limit = max(2 * upper, upper + 3 * (upper - lower))  # "far out" as Tukey has it
    is_few = numbers.round(2).nunique() <= FEW_VALUES
    return limit if numbers.max() > 2 * limit and not is_few else math.inf


def _bars(numbers: "pd.Series[float]", limit: float) -> list[float]:
    """Return heights in percent: of each value where there are few, or of a histogram.

    What is beyond the limit is one bar, behind a gap.
    """
    rounded, within = numbers.round(2), numbers[numbers <= limit]
    if rounded.nunique() <= FEW_VALUES:
        heights = rounded.value_counts().sort_index().to_numpy()
    else:
        beyond = [0, len(numbers) - len(within)] if len(within) < len(numbers) else []
        heights = np.array([*np.histogram(within, BINS)[0], *beyond])
    return [round(100 * height / heights.max(), 1) for height in heights.tolist()]


def _file_rows(facts: VideoFacts) -> Any:
    """Yield rows about the files: names and texts."""
    videos, files = facts.examined.drop_duplicates("path"), facts.videos["path"].nunique()
    bad = facts.videos[facts.videos["problem"].notna()]["path"].nunique()
    yield "files", f"{files:,}, of which {len(videos):,} can be used and {bad:,} cannot"
    if unread := files - len(videos) - bad:
        yield "not indexed yet", f"{unread:,}"
    if videos.empty:
        return
    yield "codecs", _shares(videos["codec"])
    sized = videos[videos["width"].notna()]
    yield "picture sizes", _shares(sized["width"].map("{:.0f}x".format) + sized["height"].map("{:.0f}".format))
    yield "frame rates", _shares(videos["fps"].dropna().map("{:.4g}".format))
    yield "variable frame rate", f"{int(videos['irregular'].astype(bool).sum()):,}"
    yield "rotated by metadata", f"{int((videos['rotation'].fillna(0) != 0).sum()):,}"
    heard = int((videos["sound"] == True).sum())  # noqa: E712  # may be missing
    yield "with sound", f"{heard:,}{', which no model here hears' if heard else ''}"
    size, unit = _unit(float(videos["bytes"].sum()))
    yield "disk", f"{videos['bytes'].sum() / size:.3g} {unit}"


def _shares(values: "pd.Series[str]", most: int = 6) -> str:
    """Return the commonest values with the number of each, as text."""
    if values.empty:
        return "unknown"
    numbers = values.value_counts()
    first = ", ".join(f"{value} ({number:,})" for value, number in numbers.iloc[:most].items())
    return first + (f" and {count(len(numbers) - most, 'other')}" if len(numbers) > most else "")
