"""What a finding is: a sentence about a data set that its user should know, and what to do about it."""

from dataclasses import dataclass
from math import nan

import pandas as pd


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with a data set, or that will surprise."""

    kind: str
    """What it is called in ``findings.json``: ``mixed_rates`` and others."""
    text: str
    """A sentence, with counts and the first few names."""
    remedy: str = ""
    """What to do about it, or to set."""
    paths: tuple[str, ...] = ()
    """All videos that it is about, where those are some of many."""
    is_warning: bool = True
    """Whether results suffer from it; else it is only good to know."""

    def __str__(self) -> str:
        return f"{self.text}. {self.remedy[:1].upper()}{self.remedy[1:]}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipPlan:
    """How clips are cut from the videos, and how classes are drawn: what some findings depend on."""

    frames: int
    stride: int | None = None
    fps: int | float | None = None
    resize: int
    crop: tuple[int, int] | None = None
    """Height and width of what a view sees of a resized picture; None: all of it."""
    spatial_views: int = 1
    """Crops along the longer side that a test sees."""
    reads_copies: bool = False
    """Whether smaller copies are read in place of the videos."""
    balance: int | float = 0.0
    weighted: bool = False
    """Whether the loss weighs the classes, or adjusts the logits by their shares."""

    whole_network: bool = True
    """Whether weights are fine-tuned, all of them."""

    def seconds(self, rate: "pd.Series[float] | float") -> "pd.Series[float] | float":
        """Return how long a clip of files of these rates is, from its first frame to its last."""
        step = (self.stride or nan) / rate if self.fps is None else 1 / self.fps
        return (self.frames - 1) * step
