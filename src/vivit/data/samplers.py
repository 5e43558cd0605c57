"""Batch samplers: the order in which the samples of one rank come, as keys.

A key identifies a sample whatever process decodes it, so workers, ranks and restarts change nothing.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from vivit.errors import ConfigError


class SampleKey(NamedTuple):
    """Identifies one sample. Workers live for several epochs, so epoch and step travel with each row."""

    epoch: int
    step: int
    row: int


class DistributedBatchSampler(Sampler[list[SampleKey]]):
    """Batches of one rank in training: every epoch a new order of all videos, cut into global batches, shared by rank.

    Videos that do not fill a global batch are dropped from that epoch, as in the reference. ``first_batch`` is the
    batch with which the next epoch begins. ``same_every_epoch`` repeats the order of the first epoch, so that its
    beginning can be overfitted.
    """

    def __init__(
        self, videos: int, batch_size: int, seed: int, rank: int = 0, ranks: int = 1, *, same_every_epoch: bool = False
    ) -> None:
        self.steps = videos // (batch_size * ranks)
        if not self.steps:
            devices = f"set trainer.devices={max(1, videos)} or less"
            raise ConfigError(
                "data.batch_size",
                batch_size,
                f"{videos} training videos do not fill one batch on each of {ranks} devices",
                f"set {videos // ranks} or less" if videos >= ranks else devices,
            )
        self.videos, self.batch_size, self.seed, self.rank, self.ranks = videos, batch_size, seed, rank, ranks
        self.same_every_epoch = same_every_epoch
        self.epoch = 0
        self.first_batch = 0
        self.sampler = self  # Lightning calls set_epoch on a batch sampler's sampler

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch whose order comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[SampleKey]]:
        epoch = 0 if self.same_every_epoch else self.epoch
        order = np.random.default_rng([self.seed, epoch]).permutation(self.videos)
        for step in range(self.first_batch, self.steps):
            begin = (step * self.ranks + self.rank) * self.batch_size
            rows = order[begin : begin + self.batch_size]
            yield [SampleKey(self.epoch, self.epoch * self.steps + step, int(row)) for row in rows]


class DistributedEvalBatchSampler(Sampler[list[SampleKey]]):
    """Batches of one rank in evaluation: every video exactly once over all ranks, without padding.

    ``rows`` are those of the videos that are read, by default all. All ranks have equally many batches, because the
    ranks of a sharded network take every step together; the last batch of a rank is empty where its videos run out.
    """

    def __init__(
        self, videos: int, batch_size: int, rank: int = 0, ranks: int = 1, *, rows: Sequence[int] | None = None
    ) -> None:
        read = range(videos) if rows is None else rows
        self.rows = read[rank::ranks]
        self.steps = -(-len(read) // (batch_size * ranks))
        self.batch_size = batch_size

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[SampleKey]]:
        for step in range(self.steps):
            begin = step * self.batch_size
            yield [SampleKey(0, 0, row) for row in self.rows[begin : begin + self.batch_size]]
