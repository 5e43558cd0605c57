"""Map-style data sets of clips.

A sample is a function of (seed, epoch, index) alone: workers, ranks and restarts change nothing. No file stays open
between two samples, so a data set can be sent to workers however they are started.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import UInt8
from torch.utils.data import Dataset, default_collate

from vivit.data.frame_cache.cache_file import FrameCache
from vivit.data.frame_times import FrameTimes
from vivit.data.readers.open_video import OpenVideo, on_screen_from_start, open_video
from vivit.data.readers.video_error import StorageError, VideoError
from vivit.data.samplers import SampleKey
from vivit.data.transforms.flip import FlipLabelMap, flip_frames
from vivit.data.transforms.resize import FusedResize, Resize
from vivit.data.view_samplers import sample_views
from vivit.data.views import VideoShape, View, ViewSampler
from vivit.structures import Batch, Clip, DecodeFailure, Video

TOGETHER = 4
"""Videos of a batch that are read side by side where they lie in storage, so that one is decoded as others arrive."""
TRIES = 16
"""Videos in a row that may be unreadable in training; when half of all are bad, that happens once in 65,536 clips."""
Result = TypeVar("Result")


class ClipDataset(Dataset[Clip]):
    """Decodes the views that ``view_sampler`` returns. A single sample raises about its video; a batch reports it.

    ``resampling`` resizes the pictures. Videos that ``cache`` has are not decoded. Training takes ``steps`` steps, by
    which the strength of a transform may grow or shrink; infinitely many by default.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        view_sampler: ViewSampler,
        flip_labels: FlipLabelMap,
        seed: int,
        *,
        resampling: Resize | None = None,
        cache: FrameCache | None = None,
        steps: float = math.inf,
    ) -> None:
        self.videos = videos
        self.view_sampler = view_sampler
        self.flip_labels = flip_labels
        self.seed = seed
        self.resampling = resampling or FusedResize()
        self.cache = cache
        self.steps = steps

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, key: SampleKey | int) -> Clip:
        """Return the clip of a key; a plain number is a row of epoch 0. Raises ``VideoError``."""
        key = key if isinstance(key, SampleKey) else SampleKey(0, 0, key)
        return self.clip(key, self.generator(key))

    def __getitems__(self, keys: Sequence[SampleKey]) -> list[Clip | DecodeFailure]:
        """Return the clips of a batch; in place of an unreadable video a report about it."""
        return self._each(keys, lambda key: self._read(key, self.generator(key)))

    def _each(self, keys: Sequence[SampleKey], read: Callable[[SampleKey], Result]) -> list[Result]:
        """Return what ``read`` returns for every key, in their order; keys of remote videos are read side by side."""
        stored = [self.videos[key.row].stored for key in keys] if len(keys) > 1 else []
        if not any(file is not None and file.is_remote for file in stored):
            return [read(key) for key in keys]
        with ThreadPoolExecutor(TOGETHER) as threads:
            return list(threads.map(read, keys))

    def generator(self, key: SampleKey, attempt: int = 0) -> np.random.Generator:
        """Return the random generator of one sample; a later attempt draws another video in its place."""
        again = [key.repeat] if key.repeat else []
        return np.random.default_rng([self.seed, key.epoch, key.row, attempt, *again])

    def empty_frames(self) -> UInt8[torch.Tensor, "0 v f h w 3"]:
        """Return the frames of a batch without videos, in the shape of the views."""
        times = None if self.view_sampler.fps is None else FrameTimes(np.zeros(1), 1.0)
        views = self.view_sampler(VideoShape(1, *self.view_sampler.crop), np.random.default_rng(0), times)
        return torch.empty((0, len(views), len(views[0].numbers), *self.view_sampler.crop, 3), dtype=torch.uint8)

    def clip(self, key: SampleKey, rng: np.random.Generator) -> Clip:
        """Return the views that the view sampler draws from ``rng``."""
        video = self.videos[key.row]
        with self.open(video, key.row) as file:
            views = sample_views(self.view_sampler, file, rng)
            frames = self.read_views(file, views)
        return self.apply_transforms(key, video.labels, views, frames, rng)

    def open(self, video: Video, row: int | None = None) -> OpenVideo:
        """Return a reader of a video, with square pixels if ``resampling`` asks for them. Raises ``VideoError``.

        With its ``row``, the frames are those of the cache where that has them.
        """
        square_pixels = self.resampling.square_pixels
        video = video if self.view_sampler.fps is None else on_screen_from_start(video)
        if self.cache is not None and row is not None:
            cached = self.cache.video(row, square_pixels=square_pixels)
            if cached is not None:
                return cached
        return open_video(video, square_pixels=square_pixels)

    def read_views(self, file: OpenVideo, views: Sequence[View]) -> UInt8[np.ndarray, "v f h w 3"]:
        """Return the decoded views."""
        return self.resampling(file, views, self.view_sampler.crop)

    def apply_transforms(
        self,
        key: SampleKey,
        labels: tuple[int, ...],
        views: Sequence[View],
        frames: UInt8[np.ndarray, "v f h w 3"],
        rng: np.random.Generator,
    ) -> Clip:
        """Return the clip of decoded views, flipped with its labels and with other colours, drawn next from ``rng``."""
        if views[0].flipped and self.flip_labels.allowed:
            labels = self.flip_labels(labels)
            frames = flip_frames(frames)
        if color_transform := views[0].color_transform:
            progress = min(key.step / self.steps, 1.0)
            frames = np.stack([color_transform(clip, rng, progress) for clip in frames])
        return Clip(frames, labels, key.row, tuple(view.numbers[0] for view in views))

    def _read(self, key: SampleKey, rng: np.random.Generator) -> Clip | DecodeFailure:
        try:
            return self.clip(key, rng)
        except VideoError as error:
            return DecodeFailure(key.row, str(error), isinstance(error, StorageError))


class TrainClipDataset(ClipDataset):
    """Replaces an unreadable video by another one, with its own label, so that batches stay full.

    Which one is a function of (seed, epoch, index) too.
    """

    def __getitems__(self, keys: Sequence[SampleKey]) -> list[Clip | DecodeFailure]:
        """Return the clips of a batch; for each unreadable video a report about it, and another clip."""
        samples = self._each(keys, lambda key: self.replace_unreadable(key, [self._read(key, self.generator(key))]))
        return [sample for of_key in samples for sample in of_key]

    def replace_unreadable(self, key: SampleKey, samples: list[Clip | DecodeFailure]) -> list[Clip | DecodeFailure]:
        """Return the ``samples`` of a key, followed by further ones until one is a clip or ``TRIES`` are used up."""
        while isinstance(failure := samples[-1], DecodeFailure) and len(samples) < TRIES and not failure.unreachable:
            rng = self.generator(key, len(samples))
            other = key._replace(row=int(rng.integers(len(self))))
            samples = [*samples, self._read(other, rng)]
        return samples


def collate(samples: Sequence[Clip | DecodeFailure]) -> Batch:
    """Return the batch of clips of one shape, in a worker in shared memory, with the reports about bad videos."""
    clips = [sample for sample in samples if isinstance(sample, Clip)]
    bad = tuple(sample for sample in samples if isinstance(sample, DecodeFailure))
    return Batch(
        default_collate([torch.from_numpy(clip.frames) for clip in clips])
        if clips
        else torch.empty(0, dtype=torch.uint8),
        torch.tensor([clip.labels for clip in clips], dtype=torch.long),
        torch.tensor([clip.video for clip in clips], dtype=torch.long),
        bad,
        torch.tensor([clip.first_frames for clip in clips], dtype=torch.long),
    )
