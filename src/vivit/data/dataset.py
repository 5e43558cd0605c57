"""Videos in, clips out; and the order in which they come.

What a sample shows is a function of (seed, epoch, index) alone: the workers, the ranks and a restart change nothing.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from vivit.data.catalogue import Mirror
from vivit.data.decode import VideoFile
from vivit.data.sampling import Plan
from vivit.shapes import Batch, Clip, Video


class Ticket(NamedTuple):
    """Names one sample. Workers live through epochs, so the epoch and step travel with each index."""

    epoch: int
    step: int
    row: int


class ClipDataset(Dataset[Clip]):
    """Decodes the views that ``plan`` asks for."""

    def __init__(self, videos: Sequence[Video], plan: Plan, mirror: Mirror, seed: int) -> None:
        self.videos = videos
        self.plan = plan
        self.mirror = mirror
        self.seed = seed

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, ticket: Ticket | int) -> Clip:
        """Decode one video. A plain number is the ticket of epoch 0."""
        epoch, _, index = ticket if isinstance(ticket, tuple) else (0, 0, ticket)
        video = self.videos[index]
        rng = np.random.default_rng([self.seed, epoch, index])
        with VideoFile(video.path, video.start, video.end) as file:
            views = self.plan(file.extent, rng)
            numbers = sorted({number for view in views for number in view.numbers})
            windows = list(dict.fromkeys(view.window for view in views))
            decoded = file.read(numbers, windows, self.plan.crop)
        place = {number: at for at, number in enumerate(numbers)}
        frames = np.stack([decoded[windows.index(v.window)][[place[n] for n in v.numbers]] for v in views])
        labels = video.labels
        if mirrored := views[0].mirrored and self.mirror.allowed:
            labels = self.mirror(labels)
        return Clip(frames[..., ::-1, :] if mirrored else frames, labels, index)


def collate(clips: Sequence[Clip]) -> Batch:
    """Stack clips of one shape."""
    return Batch(
        torch.from_numpy(np.stack([clip.frames for clip in clips])),
        torch.tensor([clip.labels for clip in clips]),
        torch.tensor([clip.video for clip in clips]),
    )


class ShuffledBatches(Sampler[list[Ticket]]):
    """Batches of one rank in training: every epoch a new order of all videos, cut into global batches, shared by rank.

    What does not fill a global batch is left out of that epoch, as in the reference.
    """

    def __init__(self, videos: int, batch_size: int, seed: int, rank: int = 0, ranks: int = 1) -> None:
        self.steps = videos // (batch_size * ranks)
        if not self.steps:
            raise ValueError(
                f"{videos} training videos do not fill one batch of {batch_size} on each of {ranks} devices; "
                "lower data.batch_size"
            )
        self.videos, self.batch_size, self.seed, self.rank, self.ranks = videos, batch_size, seed, rank, ranks
        self.epoch = 0
        self.first = 0
        self.sampler = self  # Lightning calls set_epoch on a batch sampler's sampler

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[Ticket]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.videos)
        for step in range(self.first, self.steps):
            begin = (step * self.ranks + self.rank) * self.batch_size
            chosen = order[begin : begin + self.batch_size]
            yield [Ticket(self.epoch, self.epoch * self.steps + step, int(index)) for index in chosen]


class OrderedBatches(Sampler[list[Ticket]]):
    """Batches of one rank in evaluation: every video exactly once over all ranks, none repeated to fill up."""

    def __init__(self, videos: int, batch_size: int, rank: int = 0, ranks: int = 1) -> None:
        self.mine = range(rank, videos, ranks)
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.mine) // self.batch_size)

    def __iter__(self) -> Iterator[list[Ticket]]:
        for begin in range(0, len(self.mine), self.batch_size):
            yield [Ticket(0, 0, index) for index in self.mine[begin : begin + self.batch_size]]


class ClipLoader(DataLoader[Clip]):
    """A loader of clips whose workers stay alive between epochs."""

    def __init__(self, dataset: ClipDataset, batches: ShuffledBatches | OrderedBatches, workers: int) -> None:
        super().__init__(
            dataset,
            batch_sampler=batches,
            num_workers=workers,
            collate_fn=collate,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
        )


class TrainingLoader(ClipLoader):
    """A loader that counts the batches it has handed out, so that a run can go on in mid-epoch.

    Lightning keeps ``state_dict`` in its checkpoints. Batches that the workers have ready but nobody took yet do not
    count.
    """

    batch_sampler: ShuffledBatches
    delivered = 0

    def __iter__(self) -> Any:  # torch promises the class of its own iterator, this is an Iterator[Batch]
        self.delivered = self.batch_sampler.first
        for batch in super().__iter__():
            self.batch_sampler.first = 0
            self.delivered += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Say how many batches of this epoch are out; none when the epoch is complete."""
        return {"delivered": self.delivered % self.batch_sampler.steps}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Start the next iteration behind the batches that were out."""
        self.batch_sampler.first = self.delivered = state["delivered"]
