"""The order in which videos come: the batches of one rank, as tickets.

A ticket names a sample whatever process decodes it, so the workers, the ranks and a restart change nothing.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler


class Ticket(NamedTuple):
    """Names one sample. Workers live through epochs, so the epoch and step travel with each index."""

    epoch: int
    step: int
    row: int


class ShuffledBatches(Sampler[list[Ticket]]):
    """Batches of one rank in training: every epoch a new order of all videos, cut into global batches, shared by rank.

    What does not fill a global batch is left out of that epoch, as in the reference. ``first`` is the batch to begin
    the next epoch with. ``same`` leaves every epoch the order of the first, whose beginning can be learnt by heart.
    """

    def __init__(
        self, videos: int, batch_size: int, seed: int, rank: int = 0, ranks: int = 1, *, same: bool = False
    ) -> None:
        self.steps = videos // (batch_size * ranks)
        if not self.steps:
            raise ValueError(
                f"{videos} training videos do not fill one batch of {batch_size} on each of {ranks} devices; "
                "lower data.batch_size"
            )
        self.videos, self.batch_size, self.seed, self.rank, self.ranks = videos, batch_size, seed, rank, ranks
        self.same = same
        self.epoch = 0
        self.first = 0
        self.sampler = self  # Lightning calls set_epoch on a batch sampler's sampler

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[Ticket]]:
        order = np.random.default_rng([self.seed, 0 if self.same else self.epoch]).permutation(self.videos)
        for step in range(self.first, self.steps):
            begin = (step * self.ranks + self.rank) * self.batch_size
            chosen = order[begin : begin + self.batch_size]
            yield [Ticket(self.epoch, self.epoch * self.steps + step, int(index)) for index in chosen]


class OrderedBatches(Sampler[list[Ticket]]):
    """Batches of one rank in evaluation: every video exactly once over all ranks, none repeated to fill up.

    All ranks have as many batches, because those of a sharded network take every step together; the last of a rank is
    empty where its videos do not reach that far.
    """

    def __init__(self, videos: int, batch_size: int, rank: int = 0, ranks: int = 1) -> None:
        self.mine = range(rank, videos, ranks)
        self.steps = -(-videos // (batch_size * ranks))
        self.batch_size = batch_size

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[Ticket]]:
        for step in range(self.steps):
            begin = step * self.batch_size
            yield [Ticket(0, 0, index) for index in self.mine[begin : begin + self.batch_size]]
