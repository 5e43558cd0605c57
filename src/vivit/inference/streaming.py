"""Windows along a video of which every temporal index is encoded once.

Model 2's spatial encoder reads each temporal index alone, with positions of space only (ViViT, section 3.3), and so
does average pooling's. What it made of a tubelet is therefore the same in every window that contains this tubelet, and
the temporal encoder alone has to run again: the logits are those of each window on its own, up to rounding.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from vivit.errors import ConfigError
from vivit.models import FactorisedEncoder, ViViT
from vivit.models.tokenisers import Tokeniser
from vivit.structures import normalize_frames

Streaming = bool | Literal["auto"]
"""Whether windows share what the spatial encoder made of their frames; auto: where they can."""


class SharedIndices(NamedTuple):
    """Windows as numbers of temporal indices, which several of them may share."""

    frames: Int[np.ndarray, "n f"]
    """The frame numbers of each temporal index, in the order in which windows need them first."""
    windows: Int[np.ndarray, "w t"]
    """Of each window, rows of ``frames``."""

    @property
    def share(self) -> float:
        """The part of all temporal indices of all windows that has to be encoded, above 0, at most 1."""
        return len(self.frames) / self.windows.size


def share_indices(windows: Int[np.ndarray, "w f"], frames_per_token: Sequence[Sequence[int]]) -> SharedIndices:
    """Return windows, of these frame numbers, by their temporal indices: the same where all their frames are."""
    each = windows[:, np.array(frames_per_token)]
    frames, first, inverse = np.unique(each.reshape(-1, each.shape[-1]), axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return SharedIndices(frames[order], np.argsort(order)[inverse.reshape(each.shape[:2])])


def streaming_problem(network: ViViT) -> str | None:
    """Return why a network cannot share temporal indices between windows; None: it can."""
    if not isinstance(network, FactorisedEncoder):
        return f"{network.name} reads all temporal indices of a clip together, so that nothing can be kept for the next"
    if type(network.tokeniser).embed_index is Tokeniser.embed_index:
        return f"its tokeniser, {network.tokeniser.name}, defines no embed_index"
    return None


class StreamingClassifier:
    """Classifies windows from what the spatial encoder made of their temporal indices, a memory of the latest ones.

    Indices are numbered from 0 in the order in which they are encoded. ``indices_at_once`` go through the spatial
    encoder together. Raises ConfigError about ``streaming`` for a network that reads all of a clip together.
    """

    def __init__(self, network: ViViT, indices_at_once: int) -> None:
        if problem := streaming_problem(network):
            raise ConfigError("streaming", True, problem, "set streaming=false")
        assert isinstance(network, FactorisedEncoder)
        self.network, self.indices_at_once = network, indices_at_once
        self._first = 0
        self._encoded: list[Float[Tensor, "crops d"]] = []

    @property
    def count(self) -> int:
        """Number of temporal indices that were encoded so far."""
        return self._first + len(self._encoded)

    @torch.inference_mode()
    def encode(self, frames: UInt8[Tensor, "n crops f h w 3"]) -> Float[Tensor, "n crops d"]:
        """Encode the next temporal indices, each of so many frames; return what they are kept as."""
        parts = frames.flatten(0, 1).split(self.indices_at_once)
        encoded = torch.cat([self.network.encode_index(normalize_frames(part, torch.float32)) for part in parts])
        by_crop = encoded.unflatten(0, frames.shape[:2])
        self._encoded += by_crop
        return by_crop

    @torch.inference_mode()
    def classify(self, windows: Sequence[Sequence[int]]) -> Float[Tensor, "w crops k"]:
        """Return the logits of windows of these temporal indices. Raises IndexError for those not in memory."""
        if any(not self._first <= number < self.count for window in windows for number in window):
            raise IndexError(f"the indices in memory are {self._first} to {self.count - 1}, of {windows}")
        clips = torch.stack([torch.stack([self._encoded[n - self._first] for n in window], 1) for window in windows])
        return self.network.classify_frames(clips.flatten(0, 1)).float().unflatten(0, clips.shape[:2])

    def forget(self, before: int) -> None:
        """Drop all temporal indices before a number."""
        del self._encoded[: max(0, before - self._first)]
        self._first = max(self._first, before)


def classify_shared(
    classifier: StreamingClassifier, shared: SharedIndices, batches: Iterable[UInt8[Tensor, "_n _crops _f _h _w 3"]]
) -> Iterator[Float[Tensor, "_w _crops _k"]]:
    """Yield the logits of all windows in order, some at a time, from the frames of ``shared`` in batches.

    No more than the temporal indices of a batch, and of a window, are in memory at once.
    """
    ready = np.maximum.accumulate(shared.windows.max(1))  # a window can be classified once this index is encoded
    needed = np.minimum.accumulate(shared.windows.min(1)[::-1])[::-1]  # and no later one needs any before this
    done = 0
    for frames in batches:
        classifier.encode(frames)
        end = int(np.searchsorted(ready, classifier.count, side="left"))
        if end > done:
            yield classifier.classify(shared.windows[done:end].tolist())
        done = end
        classifier.forget(classifier.count if done == len(needed) else int(needed[done]))
