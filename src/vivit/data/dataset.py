"""Videos in, clips out.

What a sample shows is a function of (seed, epoch, index) alone: the workers, the ranks and a restart change nothing.
Nothing is open between two samples, so a data set travels to workers however they are started.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from torch.utils.data import Dataset, default_collate

from vivit.data.catalogue import Mirror
from vivit.data.decode import VideoError
from vivit.data.order import Ticket
from vivit.data.reading import Reader, open_video
from vivit.data.resampling import Fused, Resampling
from vivit.data.sampling import Extent, Plan, View
from vivit.structures import Batch, Clip, DecodeFailure, Video

TRIES = 16
"""Videos in a row that may be unreadable in training; when half of all are bad, that happens once in 65,536 clips."""


class ClipDataset(Dataset[Clip]):
    """Decodes the views that ``plan`` asks for. One sample raises what is wrong with its video; a batch reports it.

    ``resampling`` scales the pictures. Training takes ``steps`` steps, on which strengths that grow or shrink with it
    depend; never ending by default.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        plan: Plan,
        mirror: Mirror,
        seed: int,
        *,
        resampling: Resampling | None = None,
        steps: float = math.inf,
    ) -> None:
        self.videos = videos
        self.plan = plan
        self.mirror = mirror
        self.seed = seed
        self.resampling = resampling or Fused()
        self.steps = steps

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, ticket: Ticket | int) -> Clip:
        """Decode one video. A plain number is the ticket of epoch 0. Raises ``VideoError``."""
        ticket = ticket if isinstance(ticket, Ticket) else Ticket(0, 0, ticket)
        return self.clip(ticket, self.generator(ticket))

    def __getitems__(self, tickets: Sequence[Ticket]) -> list[Clip | DecodeFailure]:
        """Decode a batch; a video that cannot be read leaves a word in its place."""
        return [self._read(ticket, self.generator(ticket)) for ticket in tickets]

    def generator(self, ticket: Ticket, attempt: int = 0) -> np.random.Generator:
        """Make the random numbers of one sample; those of a later attempt are for another video in its place."""
        return np.random.default_rng([self.seed, ticket.epoch, ticket.row, attempt])

    def blank(self) -> UInt8[torch.Tensor, "0 v f h w 3"]:
        """Give the frames of no video, in the shape of the plan's views."""
        views = self.plan(Extent(1, *self.plan.crop), np.random.default_rng(0))
        return torch.empty((0, len(views), len(views[0].numbers), *self.plan.crop, 3), dtype=torch.uint8)

    def clip(self, ticket: Ticket, rng: np.random.Generator) -> Clip:
        """Decode the views that the plan draws from ``rng``."""
        video = self.videos[ticket.row]
        with self.open(video) as file:
            views = self.plan(file.extent, rng)
            frames = self.show(file, views)
        return self.finish(ticket, video.labels, views, frames, rng)

    def open(self, video: Video) -> Reader:
        """Open a video with pixels of the shape that is asked for. Raises ``VideoError``."""
        return open_video(video, square_pixels=self.resampling.square_pixels)

    def show(self, file: Reader, views: Sequence[View]) -> UInt8[np.ndarray, "v f h w 3"]:
        """Decode the views."""
        return self.resampling(file, views, self.plan.crop)

    def finish(
        self,
        ticket: Ticket,
        labels: tuple[int, ...],
        views: Sequence[View],
        frames: UInt8[np.ndarray, "v f h w 3"],
        rng: np.random.Generator,
    ) -> Clip:
        """Mirror decoded views and their labels, and change their colours by what comes next from ``rng``."""
        if views[0].mirrored and self.mirror.allowed:
            labels = self.mirror(labels)
            frames = torch.from_numpy(frames).flip(3).numpy()  # a sixth of the time of frames[..., ::-1, :]
        if recolour := views[0].colours:
            progress = min(ticket.step / self.steps, 1.0)
            frames = np.stack([recolour(clip, rng, progress) for clip in frames])
        return Clip(frames, labels, ticket.row, tuple(view.numbers[0] for view in views))

    def _read(self, ticket: Ticket, rng: np.random.Generator) -> Clip | DecodeFailure:
        try:
            return self.clip(ticket, rng)
        except VideoError as error:
            return DecodeFailure(ticket.row, str(error))


class TrainingClips(ClipDataset):
    """Puts another video, with its own label, in the place of one that cannot be read, so that batches stay full.

    Which one is a function of (seed, epoch, index) too.
    """

    def __getitems__(self, tickets: Sequence[Ticket]) -> list[Clip | DecodeFailure]:
        """Decode a batch; each unreadable video leaves a word and another clip in its place."""
        return [
            found for ticket in tickets for found in self.instead(ticket, [self._read(ticket, self.generator(ticket))])
        ]

    def instead(self, ticket: Ticket, found: list[Clip | DecodeFailure]) -> list[Clip | DecodeFailure]:
        """Go on behind what was ``found`` for a ticket, until it is a clip or ``TRIES`` are used up."""
        while isinstance(found[-1], DecodeFailure) and len(found) < TRIES:
            rng = self.generator(ticket, len(found))
            other = Ticket(ticket.epoch, ticket.step, int(rng.integers(len(self))))
            found = [*found, self._read(other, rng)]
        return found


def collate(found: Sequence[Clip | DecodeFailure]) -> Batch:
    """Stack clips of one shape, in a worker right into the memory that it shares; keep what is said of bad videos."""
    clips = [clip for clip in found if isinstance(clip, Clip)]
    bad = tuple(word for word in found if isinstance(word, DecodeFailure))
    return Batch(
        default_collate([torch.from_numpy(clip.frames) for clip in clips])
        if clips
        else torch.empty(0, dtype=torch.uint8),
        torch.tensor([clip.labels for clip in clips], dtype=torch.long),
        torch.tensor([clip.video for clip in clips], dtype=torch.long),
        bad,
        torch.tensor([clip.first_frames for clip in clips], dtype=torch.long),
    )
