"""Findings about files: what cannot be used, rates, lengths and sizes."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from vivit.data.frame_rates import SAME, rates_below
from vivit.data.overview.findings import ClipPlan, Finding
from vivit.data.overview.videos import VideoFacts
from vivit.structures import label_columns, single_label_heads
from vivit.text import count, format_duration, name_some

MIXED = 1.1
"""How many times the lowest rate the highest one is, from where on a stride means two speeds."""
FAR = 100
"""How many times the median length a whole file is, from where on it is hardly one of the clips."""
FAR_RATE = 3
"""How many times the median rate that of a file is, from where on its timestamps are rather wrong."""
FEW = 0.2
"""Share of the videos up to which they are rather left out than clips cut otherwise."""
LARGE = 1.5
"""How many times the size that clips are resized to a picture is, from where on smaller copies are worth their disk."""
NARROW = 2 / 3
"""Share of the longer side, below which a middle crop is little of a picture."""


def check_files(facts: VideoFacts, plan: ClipPlan) -> Iterator[Finding]:
    """Yield the findings about files; of those that are not indexed only whether they are there."""
    yield from _unusable(facts)
    videos = facts.examined.drop_duplicates("path")
    if len(videos):
        yield from _rates(videos, plan)
        yield from _far_rates(facts, videos)
        yield from _upright(facts, videos)
        yield from _blank(videos)
        yield from _lengths(facts, plan)
        yield from _far_longer(facts)
        yield from _sizes(videos, plan)
        yield from _edges(videos, plan)


def _unusable(facts: VideoFacts) -> Iterator[Finding]:
    bad = facts.videos[facts.videos["problem"].notna()].drop_duplicates("path")
    if len(bad):
        paths = tuple(bad["path"])
        names = name_some([f"{path} ({why})" for path, why in zip(paths, bad["problem"], strict=True)])
        text = f"{count(len(paths), 'video')} cannot be used: {names}"
        remedy = "mend them or take them out; data.dataset.max_missing says how many may be missing"
        yield Finding("unusable", text, remedy, paths)


def _rates(videos: pd.DataFrame, plan: ClipPlan) -> Iterator[Finding]:
    """Yield rates that differ or vary, which matters to clips cut by a stride, and rates below that of clips."""
    rates = videos["fps"][videos["fps"] > 0]
    if rates.empty:
        return
    low, high = float(rates.min()), float(rates.max())
    by_stride = plan.fps is None
    remedy = "set data.fps=8 or alike" if by_stride else f"stay with data.fps={plan.fps:g}, or another"
    remedy += ", which cuts clips by timestamps; with data.stride "
    if high > MIXED * low:
        text = f"videos have {low:.4g} to {high:.4g} frames a second"
        faster = f"the same movement is up to {high / low:.1f} times as fast"
        yield Finding("mixed_rates", text, remedy + faster, is_warning=by_stride)
    irregular = videos[videos["irregular"].astype(bool)]
    if len(irregular):
        paths = tuple(irregular["path"])
        text = f"{count(len(paths), 'video has', 'videos have')} a variable frame rate: {name_some(paths)}"
        yield Finding("variable_rate", text, f"{remedy}their speed changes", paths, is_warning=by_stride)
    if plan.fps is not None and rates_below(plan.fps, rates.to_numpy()):
        slow = videos[videos["fps"] < SAME * plan.fps]
        paths = tuple(slow["path"])
        text = (
            f"{count(len(paths), 'video has', 'videos have')} fewer frames a second than data.fps={plan.fps:g} "
            f"(down to {low:.4g}), so that frames repeat: {name_some(paths)}"
        )
        remedy = "leave them out" if len(slow) <= FEW * len(videos) else f"set data.fps={low:.3g} or less"
        yield Finding("rate_above_file", text, remedy, paths)


def _far_rates(facts: VideoFacts, videos: pd.DataFrame) -> Iterator[Finding]:
    """Yield the few files whose rate is so far above that of most that it is hardly theirs."""
    usual = float(videos["fps"].median())
    fast = videos[videos["fps"] > FAR_RATE * usual]
    if len(fast) and len(fast) <= FEW * len(videos):
        paths = tuple(fast["path"])
        text = (
            f"{count(len(paths), 'video has', 'videos have')} up to {fast['fps'].max():.4g} frames a second, "
            f"where most have {usual:.4g}{_only_class(facts, fast)}: {name_some(paths)}"
        )
        faster = f"{fast['fps'].max() / usual:.3g} times as fast"
        remedy = f"look at them: where the timestamps are wrong, they move {faster}, also in clips cut by data.fps"
        yield Finding("far_faster", text, remedy, paths)


def _upright(facts: VideoFacts, videos: pd.DataFrame) -> Iterator[Finding]:
    """Yield the few upright pictures among wide ones, or the reverse; a warning where one class has them all."""
    upright = videos["height"] > videos["width"]
    for few, name, most in ((upright, "upright", "wide"), (videos["height"] < videos["width"], "wide", "upright")):
        turned = videos[few]
        if len(turned) and len(turned) <= FEW * len(videos):
            paths, of_class = tuple(turned["path"]), _only_class(facts, turned)
            text = f"{count(len(paths), 'video is', 'videos are')} {name}, where most are {most}{of_class}"
            remedy = "look at them: pictures may lie on their side; a network may know the class by that"
            yield Finding("turned", f"{text}: {name_some(paths)}", remedy, paths, is_warning=bool(of_class))


def _only_class(facts: VideoFacts, videos: pd.DataFrame) -> str:
    """Return that some videos, more than two, are all of one class; nothing where they are not."""
    for head in single_label_heads(facts.heads):
        labels = facts.labels[videos.index, label_columns(facts.heads)[head].start]
        if len(labels) > 2 and len(set(labels.tolist())) == 1 and labels[0] >= 0 and len(facts.heads[head]) > 1:
            return f", all of class {facts.heads[head][labels[0]]}"
    return ""


def _lengths(facts: VideoFacts, plan: ClipPlan) -> Iterator[Finding]:
    videos = facts.videos[facts.videos["problem"].isna() & (facts.videos["fps"] > 0)]
    behind = videos[videos["length"] <= 0]
    if len(behind):
        paths = tuple(behind["path"].unique())
        text = (
            f"{count(len(behind), 'segment begins', 'segments begin')} behind the end of the file: {name_some(paths)}"
        )
        yield Finding("segment_behind_end", text, "correct start, in seconds, or leave them out", paths)
    needed = plan.seconds(videos["fps"])
    short = videos[(videos["length"] < needed) & (videos["length"] > 0)]
    if len(short):
        paths = tuple(short["path"].unique())
        text = (
            f"{count(len(short), 'video is', 'videos are')} shorter than a clip of {plan.frames} frames "
            f"({np.median(needed):.3g} s), and {'starts' if len(short) == 1 else 'start'} again: {name_some(paths)}"
        )
        rate = "a smaller data.stride" if plan.fps is None else "a higher data.fps"
        yield Finding("shorter_than_clip", text, f"set fewer data.frames or {rate}", paths, is_warning=False)


def _far_longer(facts: VideoFacts) -> Iterator[Finding]:
    videos = facts.examined
    files = videos[~facts.is_segment[videos.index]]
    long = files[files["length"] > FAR * files["length"].median()].drop_duplicates("path")
    if len(long):
        paths, longest = tuple(long["path"]), format_duration(float(long["length"].max()))
        text = (
            f"{count(len(paths), 'video is', 'videos are')} over {FAR} times as long as half of all (up to "
            f"{longest}; half have {files['length'].median():.3g} s or less): {name_some(paths)}"
        )
        yield Finding("far_longer", text, "look at them: uncut films, or wrong timestamps", paths)


def _blank(videos: pd.DataFrame) -> Iterator[Finding]:
    blank = videos[videos["blank"].astype(bool)]
    if len(blank):
        paths = tuple(blank["path"])
        text = f"{count(len(paths), 'video shows', 'videos show')} one plain colour in all pictures looked at: "
        yield Finding("blank", text + name_some(paths), "look at them, and leave them out", paths)


def _sizes(videos: pd.DataFrame, plan: ClipPlan) -> Iterator[Finding]:
    side = videos[["width", "height"]].min(axis=1)
    small = videos[side < plan.resize]
    if len(small):
        paths = tuple(small["path"])
        text = f"{count(len(paths), 'video is', 'videos are')} smaller than data.resize={plan.resize}, and enlarged"
        remedy = "a smaller data.resize and data.crop would show as much, faster"
        yield Finding("enlarged", text, remedy, paths, is_warning=False)
    if not plan.reads_copies and (side > LARGE * plan.resize).mean() > 0.5:
        middle = f"half of them have {side.median():.0f} pixels or more"
        text = f"most videos are larger than data.resize={plan.resize}: the short side of {middle}"
        remedy = f"make copies, which are decoded faster: prepare.py copies={plan.resize}"
        yield Finding("large", text, remedy, is_warning=False)


def _edges(videos: pd.DataFrame, plan: ClipPlan) -> Iterator[Finding]:
    """Yield how little of wide or tall pictures a test sees that has their middle crop alone."""
    if plan.crop is None or plan.spatial_views > 1:
        return
    short, long = videos[["width", "height"]].min(axis=1), videos[["width", "height"]].max(axis=1)
    along = np.where(videos["width"] >= videos["height"], plan.crop[1], plan.crop[0])
    seen = along * short / (plan.resize * long)
    if (seen < NARROW).mean() > 0.5:
        text = f"the middle crop shows {100 * seen.median():.0f} % of the longer side of most pictures"
        remedy = "set views.spatial=3 where something happens beside it: three crops show more"
        yield Finding("edges_cut", text, remedy, is_warning=False)
