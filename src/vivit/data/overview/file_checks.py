"""Findings about files: what cannot be used, rates, lengths, sizes, and what looks alike."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from vivit.data.frame_rates import SAME, rates_below
from vivit.data.overview.findings import ClipPlan, Finding, count, name_some
from vivit.data.overview.videos import VideoFacts
from vivit.structures import label_columns, single_label_heads

MIXED = 1.1
"""How many times the lowest rate the highest one is, from where on a stride means two speeds."""
LARGE = 1.5
"""How many times the size that clips are resized to a picture is, from where on smaller copies are worth their disk."""


def check_files(facts: VideoFacts, plan: ClipPlan) -> Iterator[Finding]:
    """Yield the findings about files; of those that are not indexed only whether they are there."""
    yield from _unusable(facts)
    videos = facts.indexed
    if len(videos):
        yield from _rates(videos, plan)
        yield from _lengths(facts, plan)
        yield from _sizes(videos, plan)
    yield from _alike(facts)


def _unusable(facts: VideoFacts) -> Iterator[Finding]:
    bad = facts.videos[facts.videos["problem"].notna()].drop_duplicates("path")
    if len(bad):
        paths = tuple(bad["path"])
        names = name_some([f"{path} ({why})" for path, why in zip(paths, bad["problem"], strict=True)])
        text = f"{count(len(paths), 'video')} cannot be used: {names}"
        remedy = "mend or leave them out; data.dataset.max_missing says how many may be missing"
        yield Finding("unusable", text, remedy, paths)


def _rates(videos: pd.DataFrame, plan: ClipPlan) -> Iterator[Finding]:
    rates = videos["fps"][videos["fps"] > 0]
    if rates.empty:
        return
    low, high = float(rates.min()), float(rates.max())
    if plan.fps is None:
        remedy = "set data.fps=8 or alike, which cuts clips by timestamps"
        if high > MIXED * low:
            text = (
                f"videos have {low:.4g} to {high:.4g} frames a second, so that with data.stride={plan.stride} the same "
                f"movement is up to {high / low:.1f} times as fast"
            )
            yield Finding("mixed_rates", text, remedy)
        irregular = videos[videos["irregular"].astype(bool)]
        if len(irregular):
            paths = tuple(irregular["path"])
            text = f"{count(len(paths), 'video has', 'videos have')} a variable frame rate: {name_some(paths)}"
            yield Finding("variable_rate", text, remedy, paths)
    elif rates_below(plan.fps, rates.to_numpy()):
        slow = videos[videos["fps"] < SAME * plan.fps]
        paths = tuple(slow["path"])
        text = (
            f"{count(len(paths), 'video has', 'videos have')} fewer frames a second than data.fps={plan.fps:g} "
            f"(down to {low:.4g}), so that frames repeat: {name_some(paths)}"
        )
        yield Finding("rate_above_file", text, f"set data.fps={low:.3g} or less", paths)


def _lengths(facts: VideoFacts, plan: ClipPlan) -> Iterator[Finding]:
    videos = facts.videos[facts.videos["problem"].isna() & (facts.videos["fps"] > 0)]
    needed = plan.seconds(videos["fps"])
    short = videos[videos["length"] < needed]
    if len(short):
        paths = tuple(short["path"].unique())
        text = (
            f"{count(len(short), 'video is', 'videos are')} shorter than a clip of {plan.frames} frames "
            f"({np.median(needed):.3g} s), and {'starts' if len(short) == 1 else 'start'} again: {name_some(paths)}"
        )
        rate = "a smaller data.stride" if plan.fps is None else "a higher data.fps"
        yield Finding("shorter_than_clip", text, f"set fewer data.frames or {rate}", paths, is_warning=False)


def _sizes(videos: pd.DataFrame, plan: ClipPlan) -> Iterator[Finding]:
    side = videos[["width", "height"]].min(axis=1)
    small = videos[side < plan.resize]
    if len(small):
        paths = tuple(small["path"])
        text = f"{count(len(paths), 'video is', 'videos are')} smaller than data.resize={plan.resize}, and enlarged"
        yield Finding(
            "enlarged", text, "a smaller data.resize and data.crop would show as much, faster", paths, is_warning=False
        )
    if (side > LARGE * plan.resize).mean() > 0.5:
        text = (
            f"most videos are larger than data.resize={plan.resize} (half of them {side.median():.0f} pixels or more)"
        )
        remedy = (
            f"make copies that are decoded faster: prepare.py copies={plan.resize}, data.dataset.copies={plan.resize}"
        )
        yield Finding("large", text, remedy, is_warning=False)


def _alike(facts: VideoFacts) -> Iterator[Finding]:
    """Yield films that are there twice, across splits or with different labels, and cameras across splits."""
    films = facts.videos[facts.videos["film"] >= 0].drop_duplicates(["split", "path"])
    by_film = films.groupby("film")
    splits = by_film["split"].nunique()
    leaks = films[films["film"].isin(splits.index[splits > 1])]
    if len(leaks):
        text = f"{count(leaks['film'].nunique(), 'film')} in several splits, as they look: {_examples(leaks, 'film')}"
        remedy = "keep each in one split: such a test asks for what was trained on"
        yield Finding("film_in_several_splits", text, remedy, tuple(leaks["path"]))
    for head in single_label_heads(facts.heads):
        labels = pd.Series(facts.labels[films.index, label_columns(facts.heads)[head].start], films.index)
        different = films[labels.groupby(films["film"]).transform("nunique") > 1]
        if len(different):
            number = different["film"].nunique()
            text = f"{count(number, 'film')} with different labels, as they look: {_examples(different, 'film')}"
            yield Finding(
                "film_with_two_labels", text, "look at them: one label may be wrong", tuple(different["path"])
            )
    alike = facts.videos[facts.videos["alike"] >= 0].drop_duplicates(["split", "path"])
    several = alike.groupby("alike")["split"].nunique()
    across = alike[alike["alike"].isin(several.index[several > 1]) & ~alike["path"].isin(leaks["path"])]
    if across["alike"].nunique():
        number = across["alike"].nunique()
        text = f"{count(number, 'camera or film has', 'cameras or films have')} clips in several splits, as they look: "
        remedy = "give them one group (a column of the list, or data.dataset.group_before), which splits keep together"
        yield Finding("alike_in_several_splits", text + _examples(across, "alike"), remedy, tuple(across["path"]))
    rest = films[~films["path"].isin(leaks["path"])]
    if len(rest):
        text = f"{count(rest['film'].nunique(), 'film')} more than once in one split: {_examples(rest, 'film')}"
        yield Finding("film_twice", text, "leave the copies out", tuple(rest["path"]), is_warning=False)


def _examples(videos: pd.DataFrame, column: str) -> str:
    """Return the first two videos of the first groups by a column, as text."""
    groups = videos.groupby(column)["path"]
    return name_some([" = ".join(paths.iloc[:2]) for _, paths in groups])
