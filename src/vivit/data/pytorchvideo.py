"""pytorchvideo's interface, spoken by our label lists, samplers and decoder.

``LabeledVideoDataset`` asks a list for a path and its annotation, a handler for the open video, a sampler for a start
and an end in seconds, and the video for what lies between. Its interface knows neither frame numbers nor strides nor
windows; ours travel along in objects that it hands on untouched. Only ``pytorchvideo.data`` is used: its ``transforms``
cannot be imported with current torchvision.

Every clip is, bit for bit, that of the native loader, and so is the order without workers. With workers the order is
its own: it gives each worker one stretch of the epoch.
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
from pytorchvideo.data.video import Video as TheirVideo
from pytorchvideo.data.video import VideoPathHandler
from torch.utils.data import DataLoader, Sampler

from vivit.data.dataset import ClipDataset, TrainingClips, collate
from vivit.data.decode import VideoError
from vivit.data.loader import TrainingLoader, Workers
from vivit.data.order import ShuffledBatches, Ticket
from vivit.data.sampling import Window
from vivit.data.workers import shield
from vivit.structures import Batch, Clip, DecodeFailure, Video

log = logging.getLogger(__name__)

RATE = 30
"""Frames a second of the clock that both sides agree on; ``VideoPathHandler`` takes pictures in a folder to have it."""


class VideoPath(str):
    """A path that remembers which segment of the file is meant."""

    video: Video

    @classmethod
    def of(cls, video: Video) -> "VideoPath":
        """Give the path of a video."""
        path = cls(video.path)
        path.video = video
        return path


class Seconds(Fraction):
    """A time that remembers what it stands for: a duration the open video, a start the views that begin there."""

    meant: Any

    @classmethod
    def of(cls, frames: int, meant: object) -> "Seconds":
        """Count frames in seconds."""
        time = cls(frames, RATE)
        time.meant = meant
        return time


class LabeledClips(LabeledVideoPaths):
    """Videos of ours as its list of paths and labels, by ticket or by number."""

    def __init__(self, videos: Sequence[Video]) -> None:
        self.videos = videos

    def __getitem__(self, index: Ticket | int) -> tuple[VideoPath, dict[str, Any]]:
        ticket = index if isinstance(index, Ticket) else Ticket(0, 0, index)
        video = self.videos[ticket.row]
        return VideoPath.of(video), {"label": video.labels, "ticket": ticket}

    def __len__(self) -> int:
        return len(self.videos)


class OpenVideo(TheirVideo):
    """Our decoder as its ``Video``; ``problem`` says what is wrong with one that cannot be opened."""

    def __init__(self, path: VideoPath, clips: ClipDataset) -> None:
        self.name, self.clips = str(path), clips
        self.file, self.problem = None, None
        try:
            self.file = clips.open(path.video)
        except VideoError as error:
            self.problem = error

    @property
    def duration(self) -> Seconds:
        """How long it is; 0 where it cannot be opened."""
        return Seconds.of(self.file.extent.frames if self.file else 0, self)

    def get_clip(self, start_sec: Fraction | float, end_sec: Fraction | float) -> dict[str, Any]:
        """Decode the view that ``start_sec`` remembers; at a mere time, the whole pictures from there to ``end_sec``.

        Frames are uint8 [3 f h w], or the ``VideoError`` that says why there are none.
        """
        try:
            frames = torch.from_numpy(self._frames(start_sec, end_sec))
        except VideoError as error:
            return {"video": error, "audio": None}
        return {"video": frames.permute(3, 0, 1, 2), "audio": None}

    def _frames(self, start: Fraction | float, end: Fraction | float) -> UInt8[np.ndarray, "f h w 3"]:
        if self.file is None:
            raise self.problem or VideoError(self.name, "is closed")
        if isinstance(start, Seconds):
            return self.clips.show(self.file, start.meant)[0]
        length, height, width = self.file.extent
        numbers = range(math.ceil(start * RATE), min(math.ceil(end * RATE), length))
        return self.file.read(numbers, [Window(0, 0, height, width)], (height, width))[0]

    def close(self) -> None:
        """Close the file."""
        if self.file is not None:
            self.file.close()


@dataclass(frozen=True)
class OpenVideos(VideoPathHandler):
    """Opens videos with our decoder, for ``LabeledVideoDataset.video_path_handler``."""

    clips: ClipDataset

    def video_from_path(
        self, filepath: VideoPath, decode_audio: bool = False, decoder: str = "", fps: int = RATE
    ) -> OpenVideo:
        """Open one. What else could be asked for has no meaning here."""
        return OpenVideo(filepath, self.clips)


class PlannedClip(ClipSampler):
    """Our plan as its ``ClipSampler``: one clip of each video, by the random numbers of its ticket. Keeps no state."""

    def __init__(self, clips: ClipDataset) -> None:
        super().__init__(0)  # how long a clip is, its views know
        self.clips = clips

    def __call__(
        self, last_clip_time: Fraction | float, video_duration: Seconds, annotation: dict[str, Any]
    ) -> ClipInfo:
        """Plan the clip; its views and random numbers are left in the annotation for ``Finish``."""
        file = video_duration.meant.file
        if file is None:
            return ClipInfo(Fraction(0), Fraction(0), 0, 0, True)
        annotation["rng"] = self.clips.generator(annotation["ticket"])
        annotation["views"] = views = self.clips.plan(file.extent, annotation["rng"])
        first, last = views[0].numbers[0], max(views[0].numbers)
        return ClipInfo(Seconds.of(first, views), Fraction(last + 1, RATE), 0, 0, True)


@dataclass(frozen=True)
class Finish:
    """Its ``transform``: from its sample to a batch of one clip, with another in the place of a bad one."""

    clips: TrainingClips

    def __call__(self, sample: dict[str, Any]) -> Batch:
        """Mirror, transform, label."""
        ticket, video = sample["ticket"], sample["video"]
        if isinstance(video, VideoError):
            found: Clip | DecodeFailure = DecodeFailure(ticket.row, str(video))
        else:
            frames = video.permute(1, 2, 3, 0).numpy()[None]
            found = self.clips.finish(ticket, sample["label"], sample["views"], frames, sample["rng"])
        return collate(self.clips.instead(ticket, [found]))


class LabeledVideoLoader(TrainingLoader):
    """Trains through ``LabeledVideoDataset``. With workers, a run that goes on in mid-epoch repeats some clips."""

    def __init__(
        self, dataset: TrainingClips, batches: ShuffledBatches, workers: Workers, bad_share: float = 0.0
    ) -> None:
        super().__init__(dataset, batches, workers, bad_share)
        self.clips, self.workers = dataset, workers

    def batches(self) -> Iterator[Batch]:
        """Hand out the batches of one epoch. Workers are started for it, because theirs never learn of the next."""
        single = iter(
            DataLoader(
                self.epoch_of(list(chain.from_iterable(self.order))),
                batch_size=None,
                num_workers=self.workers.number,
                worker_init_fn=shield,
                prefetch_factor=self.workers.prefetch * self.order.batch_size if self.workers.number else None,
                timeout=self.workers.timeout if self.workers.number else 0,
            )
        )
        while clips := list(islice(single, self.order.batch_size)):
            frames, labels, videos, bad, first_frames = zip(*clips, strict=True)
            words = tuple(chain.from_iterable(bad))
            yield Batch(torch.cat(frames), torch.cat(labels), torch.cat(videos), words, torch.cat(first_frames))

    def epoch_of(self, tickets: list[Ticket]) -> LabeledVideoDataset:
        """Make the data set that gives the clips of these tickets."""
        dataset = LabeledVideoDataset(
            LabeledClips(self.clips.videos),
            PlannedClip(self.clips),
            video_sampler=partial(Tickets, tickets),
            transform=Finish(self.clips),
            decode_audio=False,
        )
        dataset.video_path_handler = OpenVideos(self.clips)
        return dataset

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the batches stopped, as far as that can be done."""
        super().load_state_dict(state)
        if state["delivered"] and self.workers.number:
            log.warning("loader=pytorchvideo repeats some clips of the epoch that it goes on with")


class Tickets(Sampler[Ticket]):
    """An order that stands, as its ``video_sampler``."""

    def __init__(self, tickets: list[Ticket], videos: LabeledVideoPaths) -> None:
        self.tickets = tickets

    def __iter__(self) -> Iterator[Ticket]:
        return iter(self.tickets)

    def __len__(self) -> int:
        return len(self.tickets)
