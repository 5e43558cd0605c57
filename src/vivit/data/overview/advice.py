"""What to type to train on a data set: the command, and why each of its settings is there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from vivit.data.overview.findings import ClipPlan, Finding
from vivit.data.overview.videos import VideoFacts

FRAMES, FPS = 8, 4
"""What ``experiment=finetune`` takes of a video: two seconds."""
VIEWS = 4
"""Clips of a video that its test sees."""
SHORT = 0.1
"""Share of the videos that may be shorter than a clip before frames are taken closer together."""


@dataclass(frozen=True, slots=True)
class Setting:
    """An override of a command, and the reason for it."""

    override: str
    reason: str


def settings_for(facts: VideoFacts, findings: Sequence[Finding], side: int) -> list[Setting]:
    """Return what to set beside ``experiment=finetune``, by what the videos and the findings are.

    ``side`` is the short side of copies, where large videos want them.
    """
    kinds = {finding.kind for finding in findings}
    settings = list(_clips(facts, crops_for(findings)))
    if "unbalanced" in kinds:
        settings.append(Setting("data.balance=0.5", "draws rare classes more often than they are"))
    if "large" in kinds:
        settings.append(Setting(f"data.dataset.copies={side}", f"reads the copies of {side} pixels"))
    return settings


def _clips(facts: VideoFacts, crops: int) -> Iterator[Setting]:
    """Yield the rate of clips, where that of ``experiment=finetune`` makes them too long, and the views of a test."""
    lengths = facts.videos.loc[facts.videos["problem"].isna(), "length"].dropna()
    rates = facts.examined["fps"].dropna()
    lengths = lengths[lengths > 0]
    if lengths.empty or rates.empty:
        return
    shortest, usual, slowest = (
        float(each) for each in (lengths.quantile(SHORT), lengths.median(), rates.quantile(SHORT))
    )
    fps = float(FPS)
    if shortest < (FRAMES - 1) / FPS:
        fits = ceil(10 * (FRAMES - 1) / shortest) / 10
        fps = min(fits, round(slowest, 2))
        reason = (
            f"{FRAMES} frames fit into the {100 * (1 - SHORT):.0f} % of the videos that have {shortest:.2g} s or more"
        )
        if fps < fits:
            reason = f"most files have no more frames a second; short ones ({shortest:.2g} s) start again"
        yield Setting(f"data.fps={fps:g}", reason)
    views, reason = views_for(usual, FRAMES / fps, crops)
    if reason:
        yield Setting(f"views={views}", reason)


def advised_views(facts: VideoFacts, findings: Sequence[Finding], plan: ClipPlan) -> str | None:
    """Return the views that a test of these videos should see, as ``4x1``; None where no length is known.

    ``plan`` is how clips are cut. Clips of long videos are many, those of videos hardly longer than one are one.
    """
    videos = facts.videos[facts.videos["problem"].isna() & (facts.videos["length"] > 0) & (facts.videos["fps"] > 0)]
    if videos.empty:
        return None
    clip = float(np.median(plan.seconds(videos["fps"]))) * plan.frames / max(1, plan.frames - 1)
    return views_for(float(videos["length"].median()), clip, crops_for(findings, plan.spatial_views))[0]


def crops_for(findings: Sequence[Finding], spatial_views: int = 1) -> int:
    """Return how many crops a test should see: three of wide pictures, others as they are."""
    return 3 if any(finding.kind == "edges_cut" for finding in findings) else spatial_views


def views_for(length: float, clip: float, crops: int) -> tuple[str, str]:
    """Return views, as ``4x1``, of videos of a usual ``length`` by a ``clip``, both in seconds; and the reason.

    The reason is empty where nothing about the videos asks for other views than usual.
    """
    clips, reason = VIEWS, ""
    if length < 1.5 * clip:
        clips, reason = 1, f"most videos ({length:.2g} s) are hardly longer than one clip"
    elif length > 8 * clip:
        clips, reason = 10, f"most videos ({length:.2g} s) are many clips long"
    if crops > 1:
        reason += ("; " if reason else "") + "three crops see more of wide pictures than their middle"
    return f"{clips}x{crops}", reason
