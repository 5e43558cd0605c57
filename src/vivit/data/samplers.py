"""Batch samplers: the order in which the samples of one rank come, as keys.

A key identifies a sample whatever process decodes it, so workers, ranks and restarts change nothing.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from torch.utils.data import Sampler

from vivit.errors import ConfigError


class SampleKey(NamedTuple):
    """Identifies one sample. Workers live for several epochs, so epoch and step travel with each row."""

    epoch: int
    step: int
    """The first batch of its step, counted from the beginning of the run."""
    row: int
    repeat: int = 0
    """How often the epoch has had this row before: a video that is drawn again is cut and augmented anew."""


class DistributedBatchSampler(Sampler[list[SampleKey]]):
    """Batches of one rank in training: every epoch a new order of all videos, cut into global batches, shared by rank.

    Videos that do not fill a global batch are dropped from that epoch, as in the reference. ``clips`` is the number of
    clips that an epoch has instead: those of a run that began with other ranks or parts. A step has ``parts`` batches.
    ``first_batch`` is the batch with which the next epoch begins. ``same_every_epoch`` repeats the order of the first
    epoch, so that its beginning can be overfitted. With ``balanced`` the order is that of ``BalancedOrder``, and videos
    may come again. Raises ConfigError where ranks have no batch, or ``clips`` leave a remainder.
    """

    def __init__(
        self, videos: int, batch_size: int, seed: int, rank: int = 0, ranks: int = 1, *,
        parts: int = 1, clips: int | None = None, same_every_epoch: bool = False,
        balanced: "BalancedOrder | None" = None,
    ) -> None:  # fmt: skip
        self.steps, rest = divmod(clips or videos, batch_size * ranks)
        if not self.steps:
            of_ranks = f" on each of {ranks} devices" if ranks > 1 else ""
            devices = f"set trainer.devices={max(1, videos)} or less"
            raise ConfigError(
                "data.batch_size",
                batch_size,
                f"{videos} training videos do not fill one batch{of_ranks}",
                f"set {videos // ranks} or less" if videos >= ranks else devices,
            )
        if clips and rest:
            raise ConfigError(
                "data.batch_size", batch_size,
                f"an epoch of this run has {clips} clips, which {ranks} devices do not share in such batches",
                f"set one that divides {clips} clips by trainer.devices={ranks}, or the devices that it had",
            )  # fmt: skip
        self.videos, self.batch_size, self.seed, self.rank, self.ranks = videos, batch_size, seed, rank, ranks
        self.parts = parts
        self.same_every_epoch, self.balanced = same_every_epoch, balanced
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
        rng = np.random.default_rng([self.seed, epoch])
        order, repeats = (rng.permutation(self.videos), None) if self.balanced is None else self.balanced.draw(rng)
        for step in range(self.first_batch, self.steps):
            begin = (step * self.ranks + self.rank) * self.batch_size
            rows = order[begin : begin + self.batch_size].tolist()
            again = [0] * len(rows) if repeats is None else repeats[begin : begin + self.batch_size].tolist()
            number = self.epoch * self.steps + step - step % self.parts
            yield [SampleKey(self.epoch, number, *drawn) for drawn in zip(rows, again, strict=True)]


class BalancedOrder:
    """Draws the order of an epoch so that rare classes come more often than they are.

    ``classes`` is the class of each video. A sample is of a class with a probability proportional to the number of the
    class's videos to the power of 1 - ``balance``: with 0 as often as it is, with 1 as often as any other. The videos
    of a class come in a new order every epoch, all of them before one comes again.
    """

    def __init__(self, classes: Int[np.ndarray, " n"], balance: float) -> None:
        self.by_class = np.split(np.argsort(classes, kind="stable"), np.cumsum(np.unique_counts(classes).counts)[:-1])
        sizes = np.array([len(rows) for rows in self.by_class])
        self.probabilities = sizes ** (1.0 - balance) / (sizes ** (1.0 - balance)).sum()

    def draw(self, rng: np.random.Generator) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """Return as many rows as there are videos, and how often the row of each has come before it."""
        videos = sum(map(len, self.by_class))
        drawn = rng.choice(len(self.by_class), videos, p=self.probabilities)
        order, repeats = np.empty(videos, np.int64), np.empty(videos, np.int64)
        for number, rows in enumerate(self.by_class):
            places = np.flatnonzero(drawn == number)
            order[places] = np.resize(rng.permutation(rows), len(places))
            repeats[places] = np.arange(len(places)) // len(rows)
        return order, repeats


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
