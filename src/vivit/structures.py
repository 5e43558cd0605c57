"""The records that pass from room to room, and the legend of dimensions.

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

``Video -> Clip -> Batch -> Predictions``: the annotation of a file, what was decoded of it, the input of a step, the
output of the network.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor


class MultiLabel(tuple[str, ...]):
    """Class names of a head of which a video may have several classes, one, or none.

    ``thresholds`` are the probabilities from which on each class counts as predicted; 0.5 by default.
    """

    thresholds: tuple[float, ...]

    def __new__(cls, names: Iterable[str], thresholds: Iterable[float] | None = None) -> "MultiLabel":
        """Return the names with their thresholds."""
        self = super().__new__(cls, names)
        self.thresholds = (0.5,) * len(self) if thresholds is None else tuple(map(float, thresholds))
        return self


Heads: TypeAlias = Mapping[str, Sequence[str]]
"""Class names by head, in the order of the outputs; those of a multi-label head are a ``MultiLabel``."""


def single_label_heads(heads: Heads) -> dict[str, Sequence[str]]:
    """Return the heads of which every video has one class."""
    return {head: names for head, names in heads.items() if not isinstance(names, MultiLabel)}


def multi_label_heads(heads: Heads) -> dict[str, MultiLabel]:
    """Return the heads of which a video may have several classes."""
    return {head: names for head, names in heads.items() if isinstance(names, MultiLabel)}


def multi_label_positions(heads: Heads) -> list[int]:
    """Return the positions of the multi-label heads."""
    return [position for position, names in enumerate(heads.values()) if isinstance(names, MultiLabel)]


def label_columns(heads: Heads) -> dict[str, slice]:
    """Return the columns of each head's labels: one with class numbers, or of a multi-label head 0 or 1 a class."""
    widths = [len(names) if isinstance(names, MultiLabel) else 1 for names in heads.values()]
    ends = list(accumulate(widths))
    return {head: slice(end - width, end) for head, width, end in zip(heads, widths, ends, strict=True)}


def thresholds_by_head(heads: Heads) -> dict[str, list[float]]:
    """Return the thresholds of the multi-label heads, in plain values."""
    return {head: list(names.thresholds) for head, names in multi_label_heads(heads).items()}


def with_thresholds(heads: Heads, thresholds: Mapping[str, Sequence[float]]) -> dict[str, Sequence[str]]:
    """Return the heads, multi-label where there are thresholds: the inverse of ``thresholds_by_head``."""
    return {head: MultiLabel(names, thresholds[head]) if head in thresholds else names for head, names in heads.items()}


@dataclass(frozen=True, slots=True)
class Video:
    """One labelled video, or a labelled segment of one, before anything is decoded."""

    path: str
    """A video file, or a folder of numbered JPEG frames."""
    labels: tuple[int, ...]
    """One class index for each head, -1 where the data set has no label; of a multi-label head 0 or 1 a class."""
    start: float | None = None
    """Start of the segment in seconds from the first frame of the file; None: the first frame."""
    end: float | None = None
    """End of the segment in seconds; None: the end of the file."""
    frame_range: tuple[int, int] | None = None
    """First and last frame number of a segment of a frame folder, both inclusive, as the file names have them."""
    stamps: Sequence[int] | None = None
    """Timestamps of all frames of the file in ticks of the stream, ascending, where an index stores them; a range if
    they are regular. They equal those that indexing the packets yields. None: not indexed yet."""
    name: str | None = None
    """Identifier of the data set, as submissions and predictions need it (EPIC-Kitchens: narration_id)."""
    include_previous: bool = False
    """Whether the frame before the first that begins in the segment belongs to it: the one on screen at its start."""
    frames_fps: int | float | None = None
    """Pictures a second of a folder of frames, which has no timestamps of its own; None: unknown."""
    stored: Any = None
    """Where its bytes lie, a ``vivit.data.storage.stored_file.StoredFile``, unless it is a file of a local disk."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Decoded views of one video, with their origin."""

    frames: UInt8[np.ndarray, "v f h w 3"]
    labels: tuple[int, ...]
    video: int
    """Row of the video in its data set."""
    first_frames: tuple[int, ...] = ()
    """Number of the first frame of each view."""


class DecodeFailure(NamedTuple):
    """A video that could not be read."""

    video: int
    """Row of the video in its data set."""
    why: str
    """The file and the reason."""
    unreachable: bool = False
    """Whether its storage did not answer, so that nothing is wrong with the video."""


def normalize_frames(frames: UInt8[Tensor, "*clips f h w 3"], dtype: torch.dtype) -> Float[Tensor, "*clips 3 f h w"]:
    """Return bytes in [0, 255] as values in [-1, 1], channels first.

    As in the reference: x * 2 / 255 - 1, without the mean and standard deviation of a data set.
    """
    return frames.movedim(-1, -4).to(dtype).mul_(2 / 255).sub_(1)


class Batch(NamedTuple):
    """The input of a step. Frames stay bytes until they are on the model's device."""

    frames: UInt8[Tensor, "b v f h w 3"]
    """In evaluation b may be 0."""
    labels: Int[Tensor, "b heads"]
    """The columns of ``label_columns``; the loss and metrics make targets [b, k] of them."""
    videos: Int[Tensor, " b"]
    """Row of each video in its data set."""
    bad: tuple[DecodeFailure, ...] = ()
    """Videos of this batch that could not be read."""
    first_frames: Int[Tensor, "b v"] | None = None
    """Number of the first frame of each view, where the view sampler is known."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how it is built again in another process, with the frames in shared memory and small tensors by value.

        Each tensor in shared memory costs the process that receives it a conversation with the one that sent it.
        """
        small = [None if tensor is None else tensor.numpy() for tensor in (self.labels, self.videos, self.first_frames)]
        return _unpack_batch, (self.frames, self.bad, *small)

    def normalized(self, dtype: torch.dtype) -> Float[Tensor, "b v 3 f h w"]:
        """Return the clips as the network takes them, in [-1, 1]."""
        return normalize_frames(self.frames, dtype)


def _unpack_batch(
    frames: Tensor, bad: Sequence[DecodeFailure], labels: np.ndarray, videos: np.ndarray, first: np.ndarray | None
) -> Batch:
    """Return the batch that another process has sent."""
    first_frames = None if first is None else torch.from_numpy(first)
    return Batch(frames, torch.from_numpy(labels), torch.from_numpy(videos), tuple(bad), first_frames)


class Features(NamedTuple):
    """What a network makes of clips, before its classifier."""

    frames: Float[Tensor, "b t d"]
    """A vector for each temporal index."""
    video: Float[Tensor, "b d"]
    """A vector for each clip."""


class AttentionMap(NamedTuple):
    """Attention weights of one residual branch of a network, for every head: rows attend to columns and sum to one.

    ``axis`` is what a sequence holds. "sequence": the input of the encoder, in Model 1 all tokens of a clip (q = 1),
    in Model 2 those of one temporal index (q = t). "space": the tokens of one temporal index (q = t). "time": those of
    one position (q = s). "frames": Model 2's summaries of all temporal indices (q = 1).
    """

    weights: Float[Tensor, "b q a n n"]
    axis: Literal["sequence", "space", "time", "frames"] = "sequence"
    cls: bool = False
    """Whether a class token stands first in every sequence."""


class Predictions(NamedTuple):
    """The output of a network for whole videos."""

    logits: Float[Tensor, "b k"]
    """Aggregated over the views of a video."""
    labels: Int[Tensor, "b heads"]
    videos: Int[Tensor, " b"]
    """Row of each video in its data set."""
    views: Float[Tensor, "b v k"] | None = None
    """Logits of every view."""
    first_frames: Int[Tensor, "b v"] | None = None
    """Number of the first frame of each view."""
