"""Frozen features of every temporal index along complete videos, as temporal action detection reads them."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from vivit.data.sliding_window import SlidingVideo
from vivit.errors import ConfigError
from vivit.inference.preprocessing import Preprocessing
from vivit.inference.streaming import StreamingClassifier, streaming_problem
from vivit.models import ViViT


class IndexGrid(NamedTuple):
    """Temporal indices along a video, one after another from its first frame to its last."""

    frames: Int[np.ndarray, "n f"]
    """The frame numbers of each; behind the last frame of the video the last one is repeated."""
    begins: Float[np.ndarray, " n"]
    """When each begins, in seconds from the first frame."""


def index_pattern(network: ViViT) -> tuple[Int[np.ndarray, " f"], int]:
    """Return the frames of a clip that a temporal index has, from its first, and from which on the next one has its."""
    first, *others = network.tokeniser.frames_per_token(network.clip_size[0])
    return np.array(first) - first[0], others[0][0] - first[0] if others else len(first)


def index_grid(video: SlidingVideo, network: ViViT) -> IndexGrid:
    """Return the temporal indices along a video, at the rate of its clips: ``stride`` frames, or ``fps`` a second."""
    pattern, step = index_pattern(network)
    views, times = video.views, video.times
    if views.fps is None:
        firsts = np.arange(0, video.shape.frames, step * int(views.step))
        return IndexGrid(
            np.minimum(firsts[:, None] + pattern * int(views.step), video.shape.frames - 1), times.begins[firsts]
        )
    begins = np.arange(0, times.end - 1e-6, step * views.step)
    moments = np.minimum(begins[:, None] + pattern * views.step, times.end - 1e-6)
    return IndexGrid(times.frames_at(moments), begins)


class DenseEncoder:
    """Encodes the temporal indices of videos, each on its own; of several crops their mean counts.

    ``indices_at_once`` go through the network together. Raises ConfigError about ``dense`` for a network that reads all
    of a clip together.
    """

    def __init__(
        self, network: ViViT, preprocessing: Preprocessing, indices_at_once: int, device: torch.device
    ) -> None:
        if problem := streaming_problem(network):
            raise ConfigError("dense", True, problem, "set dense=false, which encodes clips")
        self.network, self.preprocessing, self.device = network.to(device).eval(), preprocessing, device
        self.indices_at_once = indices_at_once

    def __call__(self, video: SlidingVideo, grid: IndexGrid) -> Float[np.ndarray, "n d"]:
        """Return the features of a video's temporal indices."""
        return np.concatenate([*self._encode(video, grid)])

    def _encode(self, video: SlidingVideo, grid: IndexGrid) -> Iterator[Float[np.ndarray, "m d"]]:
        encoder = StreamingClassifier(self.network, self.indices_at_once)
        segments = self.preprocessing.load_segments(video.segments(grid.frames, self.indices_at_once))
        for batch in segments:
            frames = batch.frames[0].to(self.device).unflatten(0, (-1, video.views.spatial))
            yield encoder.encode(frames).mean(1).cpu().numpy()
            encoder.forget(encoder.count)
