"""pytorchvideo's interface over our data sets, view samplers and decoder, to compare with or to move from.

``LabeledVideoDataset`` asks a list for a path and its annotation, a path handler for the open video, a clip sampler for
a start and an end in seconds, and the video for the frames between. Its interface has no frame numbers, strides or crop
boxes; ours travel in objects that it passes on untouched. Only ``pytorchvideo.data`` is used: its ``transforms`` cannot
be imported with current torchvision.

Every clip equals, bit for bit, that of the native loader, and so does the order without workers. With workers the order
differs: pytorchvideo assigns each worker one part of the epoch.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import chain, islice
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from pytorchvideo.data import ClipSampler, LabeledVideoDataset
from pytorchvideo.data.clip_sampling import ClipInfo
from pytorchvideo.data.labeled_video_paths import LabeledVideoPaths
from pytorchvideo.data.video import Video as PytorchVideo
from pytorchvideo.data.video import VideoPathHandler
from torch.utils.data import DataLoader, Sampler

from vivit.data.dataset import ClipDataset, TrainClipDataset, collate
from vivit.data.loader import StatefulTrainLoader, WorkerConfig
from vivit.data.readers.video_error import VideoError
from vivit.data.samplers import DistributedBatchSampler, SampleKey
from vivit.data.view_samplers import sample_views
from vivit.data.views import CropBox
from vivit.data.worker_processes import init_worker
from vivit.structures import Batch, Clip, DecodeFailure, Video

log = logging.getLogger(__name__)

RATE = 30
"""Frames a second of the clock of both sides; ``VideoPathHandler`` assumes it for folders of frames."""


class VideoPath(str):
    """A path with the ``video``, a file or a segment of it, that it stands for, and its ``row`` in the data set."""

    video: Video
    row: int | None

    @classmethod
    def of(cls, video: Video, row: int | None = None) -> "VideoPath":
        """Return the path of a video."""
        path = cls(video.path)
        path.video, path.row = video, row
        return path


class TimeWithPayload(Fraction):
    """A time in seconds with a ``payload``: with a duration the open video, with a start the views that begin then."""

    payload: Any

    @classmethod
    def of(cls, frames: int, payload: object) -> "TimeWithPayload":
        """Return the time of a number of frames."""
        time = cls(frames, RATE)
        time.payload = payload
        return time


class LabeledPaths(LabeledVideoPaths):
    """Videos as pytorchvideo's list of paths and labels, by key or by row."""

    def __init__(self, videos: Sequence[Video]) -> None:
        self.videos = videos

    def __getitem__(self, index: SampleKey | int) -> tuple[VideoPath, dict[str, Any]]:
        key = index if isinstance(index, SampleKey) else SampleKey(0, 0, index)
        video = self.videos[key.row]
        return VideoPath.of(video, key.row), {"label": video.labels, "key": key}

    def __len__(self) -> int:
        return len(self.videos)


class PyAVVideo(PytorchVideo):
    """Our decoder as pytorchvideo's ``Video``; ``problem`` is why a video cannot be opened."""

    def __init__(self, path: VideoPath, clips: ClipDataset) -> None:
        self.name, self.clips = str(path), clips
        self.file, self.problem = None, None
        try:
            self.file = clips.open(path.video, path.row)
        except VideoError as error:
            self.problem = error

    @property
    def duration(self) -> TimeWithPayload:
        """Length of the video; 0 where it cannot be opened."""
        return TimeWithPayload.of(self.file.shape.frames if self.file else 0, self)

    def get_clip(self, start_sec: Fraction | float, end_sec: Fraction | float) -> dict[str, Any]:
        """Return the view in the payload of ``start_sec``; at a plain time, the full pictures until ``end_sec``.

        Frames are uint8 [3 f h w], or the ``VideoError`` for which there are none.
        """
        try:
            frames = torch.from_numpy(self._frames(start_sec, end_sec))
        except VideoError as error:
            return {"video": error, "audio": None}
        return {"video": frames.permute(3, 0, 1, 2), "audio": None}

    def _frames(self, start: Fraction | float, end: Fraction | float) -> UInt8[np.ndarray, "f h w 3"]:
        if self.file is None:
            raise self.problem or VideoError(self.name, "is closed")
        if isinstance(start, TimeWithPayload):
            return self.clips.read_views(self.file, start.payload)[0]
        length, height, width = self.file.shape
        numbers = range(math.ceil(start * RATE), min(math.ceil(end * RATE), length))
        return self.file.read(numbers, [CropBox(0, 0, height, width)], (height, width))[0]

    def close(self) -> None:
        """Close the file."""
        if self.file is not None:
            self.file.close()


@dataclass(frozen=True)
class PyAVPathHandler(VideoPathHandler):
    """Opens videos with our decoder, for ``LabeledVideoDataset.video_path_handler``."""

    clips: ClipDataset

    def video_from_path(
        self, filepath: VideoPath, decode_audio: bool = False, decoder: str = "", fps: int = RATE
    ) -> PyAVVideo:
        """Return the open video; the other arguments are not used."""
        return PyAVVideo(filepath, self.clips)


class ViewClipSampler(ClipSampler):
    """Our view sampler as pytorchvideo's ``ClipSampler``: one clip of each video, drawn by its key. Without state."""

    def __init__(self, clips: ClipDataset) -> None:
        super().__init__(0)  # the views determine how long a clip is
        self.clips = clips

    def __call__(
        self, last_clip_time: Fraction | float, video_duration: TimeWithPayload, annotation: dict[str, Any]
    ) -> ClipInfo:
        """Return the clip; its views and random generator are left in the annotation for ``FinishTransform``."""
        file = video_duration.payload.file
        if file is None:
            return ClipInfo(Fraction(0), Fraction(0), 0, 0, True)
        annotation["rng"] = self.clips.generator(annotation["key"])
        annotation["views"] = views = sample_views(self.clips.view_sampler, file, annotation["rng"])
        first, last = views[0].numbers[0], max(views[0].numbers)
        return ClipInfo(TimeWithPayload.of(first, views), Fraction(last + 1, RATE), 0, 0, True)


@dataclass(frozen=True)
class FinishTransform:
    """pytorchvideo's ``transform``: from its sample to a batch of one clip; a bad video is replaced by another."""

    clips: TrainClipDataset

    def __call__(self, sample: dict[str, Any]) -> Batch:
        """Return the batch of the flipped, transformed and labelled clip."""
        key, video = sample["key"], sample["video"]
        if isinstance(video, VideoError):
            result: Clip | DecodeFailure = DecodeFailure(key.row, str(video))
        else:
            frames = video.permute(1, 2, 3, 0).numpy()[None]
            result = self.clips.apply_transforms(key, sample["label"], sample["views"], frames, sample["rng"])
        return collate(self.clips.replace_unreadable(key, [result]))


class LabeledVideoLoader(StatefulTrainLoader):
    """Trains through ``LabeledVideoDataset``. With workers, a run that resumes in mid-epoch repeats some clips."""

    def __init__(
        self,
        dataset: TrainClipDataset,
        batches: DistributedBatchSampler,
        workers: WorkerConfig,
        max_bad_share: float = 0.0,
    ) -> None:
        super().__init__(dataset, batches, workers, max_bad_share)
        self.clips = dataset

    def batches(self) -> Iterator[Batch]:
        """Yield the batches of one epoch, from workers started for it, because they never hear of the next epoch."""
        samples = iter(
            DataLoader(
                self.labeled_dataset(list(chain.from_iterable(self.order))),
                batch_size=None,
                num_workers=self.workers.number,
                worker_init_fn=init_worker,
                prefetch_factor=self.workers.prefetch * self.order.batch_size if self.workers.number else None,
                timeout=self.workers.timeout if self.workers.number else 0,
            )
        )
        while clips := list(islice(samples, self.order.batch_size)):
            frames, labels, videos, bad, first_frames = zip(*clips, strict=True)
            all_bad = tuple(chain.from_iterable(bad))
            batch = torch.cat(frames)
            batch = batch.pin_memory() if self.workers.pin_memory and torch.cuda.is_available() else batch
            yield Batch(batch, torch.cat(labels), torch.cat(videos), all_bad, torch.cat(first_frames))

    def labeled_dataset(self, keys: list[SampleKey]) -> LabeledVideoDataset:
        """Return the data set of the clips of some keys."""
        dataset = LabeledVideoDataset(
            LabeledPaths(self.clips.videos),
            ViewClipSampler(self.clips),
            video_sampler=partial(FixedSampler, keys),
            transform=FinishTransform(self.clips),
            decode_audio=False,
        )
        dataset.video_path_handler = PyAVPathHandler(self.clips)
        return dataset

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume after the batches that were yielded, as far as possible."""
        super().load_state_dict(state)
        if state["delivered"] and self.workers.number:
            log.warning("loader=pytorchvideo repeats some clips of the epoch that it resumes")


class FixedSampler(Sampler[SampleKey]):
    """A fixed order, as pytorchvideo's ``video_sampler``."""

    def __init__(self, keys: list[SampleKey], videos: LabeledVideoPaths) -> None:
        self.keys = keys

    def __iter__(self) -> Iterator[SampleKey]:
        return iter(self.keys)

    def __len__(self) -> int:
        return len(self.keys)
