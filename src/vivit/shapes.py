"""The legend of dimensions and the four records that travel through the rooms.

=====  ==============================================================================
b      videos in a batch
v      views of one video: temporal positions times spatial crops
f h w  frames, height and width of a clip, in pixels
c      colour channels: 3, red, green, blue
t s    tokens over time and tokens of one temporal index (s = rows times columns)
n      tokens of a sequence, time outermost, then row, then column
d      hidden size
a      attention heads
k      classes, those of several heads behind one another (noun, then verb)
=====  ==============================================================================

``Video -> Clip -> Batch -> Scores``: what is known of a file, what was decoded of it, what a step is fed, what came
out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Video:
    """One labelled video, or a labelled segment of one, before anything is decoded."""

    path: str
    """A video file, or a folder of numbered JPEG pictures."""
    labels: tuple[int, ...]
    """One class number for each head; -1 where the data set does not tell it."""
    start: float | None = None
    """Where the segment begins, in seconds from the file's first frame; None: there."""
    end: float | None = None
    """Where it ends, in seconds; None: with the file."""
    pictures: tuple[int, int] | None = None
    """Of a folder: the numbers, as the file names have them, of the first and the last picture, both counted in."""
    stamps: Sequence[int] | None = None
    """Timestamps of all frames of the file in the stream's ticks, ascending, where an index knows them; a range where
    they are regular. They are what listing the file's packets would give; None: nobody has listed them yet."""
    name: str | None = None
    """What the data set calls it, as submissions and predictions want it (EPIC-Kitchens: narration_id)."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Decoded views of one video, which know where they come from."""

    frames: UInt8[np.ndarray, "v f h w 3"]
    labels: tuple[int, ...]
    video: int
    """Row of the video in its catalogue."""
    firsts: tuple[int, ...] = ()
    """Number of the first frame of each view."""


class BadVideo(NamedTuple):
    """A word about a video that could not be read."""

    video: int
    """Row of the video in its catalogue."""
    why: str
    """The file and the reason."""


def colours(frames: UInt8[Tensor, "*clips f h w 3"], dtype: torch.dtype) -> Float[Tensor, "*clips 3 f h w"]:
    """Turn bytes into [-1, 1] as the reference does: x * 2 / 255 - 1, no mean and deviation of a data set."""
    return frames.movedim(-1, -4).to(dtype).mul_(2 / 255).sub_(1)


class Batch(NamedTuple):
    """What a step is fed. Colours stay bytes until they are on the model's device."""

    frames: UInt8[Tensor, "b v f h w 3"]
    """In evaluation b may be 0."""
    labels: Int[Tensor, "b heads"]
    videos: Int[Tensor, " b"]
    bad: tuple[BadVideo, ...] = ()
    """Videos that should have been here and could not be read."""
    firsts: Int[Tensor, "b v"] | None = None
    """Number of the first frame of each view, where a plan has told it."""

    def clips(self, dtype: torch.dtype) -> Float[Tensor, "b v 3 f h w"]:
        """Give the clips as a network takes them."""
        return colours(self.frames, dtype)


class AttentionMap(NamedTuple):
    """Who looks at whom in one residual branch of a network, for every head: rows look at columns, and sum to one.

    ``axis`` says what a sequence holds. "sequence": what the encoder is given, in Model 1 all tokens of a clip (q = 1),
    in Model 2 those of one temporal index (q = t). "space": the tokens of one temporal index (q = t). "time": those of
    one place (q = s). "frames": Model 2's summaries of all temporal indices (q = 1).
    """

    weights: Float[Tensor, "b q a n n"]
    axis: Literal["sequence", "space", "time", "frames"] = "sequence"
    cls: bool = False
    """Whether a class token stands first in every sequence."""


class Scores(NamedTuple):
    """What a model says of whole videos."""

    logits: Float[Tensor, "b k"]
    """Of a video: those of its views, averaged."""
    labels: Int[Tensor, "b heads"]
    videos: Int[Tensor, " b"]
    views: Float[Tensor, "b v k"] | None = None
    """Logits of every view."""
    firsts: Int[Tensor, "b v"] | None = None
    """Number of the first frame of each view."""
