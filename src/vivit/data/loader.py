"""Batches of clips, decoded ahead in workers, and what happens when a video or a worker fails.

A worker never raises for a bad video: it reports it with the batch, and the process that trains decides. So the error
that a user sees is one sentence, whatever the number of workers.
"""

import logging
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import torch
import torch.distributed
from torch.utils.data import DataLoader

from vivit.data.dataset import ClipDataset, collate
from vivit.data.decode import VideoError
from vivit.data.order import OrderedBatches, ShuffledBatches, Ticket
from vivit.data.workers import shield
from vivit.structures import Batch, Clip

log = logging.getLogger(__name__)


class Workers(NamedTuple):
    """Processes that decode ahead; none: the training process decodes itself."""

    number: int
    prefetch: int = 2
    """Batches that each has ready, or in the making."""
    timeout: float = 0
    """Seconds that a batch may take before this counts as a hang; 0 waits forever."""


def cores() -> int:
    """Count the cores of this process: those that it may use, divided among the ranks that may use them too.

    All ranks must ask at once. A cluster may bind every rank to cores of its own; those that Lightning or torchrun
    starts have the same ones.
    """
    mine = platform.node(), _allowed()
    ranks = [mine]
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        ranks = [mine] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(ranks, mine)
    sharing = sum(machine == mine[0] and not allowed.isdisjoint(mine[1]) for machine, allowed in ranks)
    return max(1, len(mine[1]) // sharing)


def _allowed() -> set[int]:
    """Numbers of the cores that this process may use."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


class ClipLoader(DataLoader[Clip]):
    """Whole batches, from workers that stay alive between epochs; bad videos are reported in them."""

    def __init__(self, dataset: ClipDataset, batches: ShuffledBatches | OrderedBatches, workers: Workers) -> None:
        self.order, self.videos = batches, dataset.videos
        super().__init__(
            dataset,
            batch_sampler=batches,
            num_workers=workers.number,
            collate_fn=collate,
            persistent_workers=workers.number > 0,
            worker_init_fn=shield,
            prefetch_factor=workers.prefetch if workers.number else None,
            timeout=workers.timeout if workers.number else 0,
            pin_memory=torch.cuda.is_available(),
        )

    def batches(self) -> Iterator[Batch]:
        """Hand out the batches of one epoch. Raises ``TimeoutError``, which names the files, where a worker hangs."""
        awaited, batches = iter(self.order), super().__iter__()
        while True:
            tickets = next(awaited, ())
            try:
                batch = next(batches)
            except StopIteration:
                return
            except RuntimeError as error:
                if "timed out" not in str(error):
                    raise
                self._end_workers()
                raise TimeoutError(self._overdue(tickets)) from None
            yield batch

    def _end_workers(self) -> None:
        """Kill them, because one that hangs inside a library heeds no other signal and would outlive the run."""
        for worker in getattr(self._iterator, "_workers", ()):
            with suppress(RuntimeError):  # torch raises for a worker that dies, and here it should
                worker.kill()
                worker.join()

    def _overdue(self, tickets: Sequence[Ticket]) -> str:
        files = ", ".join(self.videos[ticket.row].path for ticket in tickets)
        timeout = f"data.timeout={self.timeout:g} s (in eval.py timeout)"
        return f"a batch did not come within {timeout}; reading hangs at one of {files}"


class ScoringLoader(ClipLoader):
    """A loader for evaluation: a video that cannot be read raises ``VideoError``, or is left out and noted.

    ``left_out`` collects those, by row; None wants every video. The frames of a batch of none still have the shape of
    the views.
    """

    dataset: ClipDataset

    def __init__(
        self,
        dataset: ClipDataset,
        batches: OrderedBatches,
        workers: Workers,
        left_out: dict[int, str] | None = None,
    ) -> None:
        super().__init__(dataset, batches, workers)
        self.left_out = left_out

    def __iter__(self) -> Any:  # torch promises the class of its own iterator, this is an Iterator[Batch]
        for batch in self.batches():
            for bad in batch.bad:
                if self.left_out is None:
                    raise VideoError(bad.why)
                if bad.why not in self.left_out.values():
                    log.warning("left out of the evaluation: %s", bad.why)
                self.left_out[bad.video] = bad.why
            yield batch if len(batch.videos) else batch._replace(frames=self.dataset.blank())


class TrainingLoader(ClipLoader):
    """A loader that knows how far it is, so that a run can go on in mid-epoch, and how many videos were bad.

    Lightning keeps ``state_dict`` in its checkpoints. Batches that the workers have ready but nobody took yet do not
    count. Raises ``ValueError`` where more than ``bad_share`` of the videos of an epoch (of this rank) are bad. After a
    resume in mid-epoch every rank counts on from what the first one had found.
    """

    order: ShuffledBatches

    def __init__(
        self, dataset: ClipDataset, batches: ShuffledBatches, workers: Workers, bad_share: float = 0.0
    ) -> None:
        super().__init__(dataset, batches, workers)
        self.bad_share = bad_share
        self.named: set[str] = set()
        self._position = (0, 0)
        self._resumed = (0, 0)
        self._bad: set[int] = set()

    def __iter__(self) -> Any:  # as above
        order = self.order
        epoch, delivered = self._resumed
        order.first = delivered if epoch == order.epoch else 0
        self._bad = self._bad if order.first else set()
        self._resumed = (0, 0)
        self._position = (order.epoch, order.first)
        for at, batch in enumerate(self.batches(), order.first + 1):
            self._position = (order.epoch, at) if at < order.steps else (order.epoch + 1, 0)
            self._watch(batch)
            yield batch

    def _watch(self, batch: Batch) -> None:
        """Name each bad video once, and stop where there are too many."""
        for word in batch.bad:
            self._bad.add(word.video)
            if word.why not in self.named:
                log.warning("skipped in training, another video in its place: %s", word.why)
                self.named.add(word.why)
        if len(batch.videos) < self.order.batch_size:
            raise ValueError(f"nothing but bad videos, whatever is tried in their place; the last: {batch.bad[-1].why}")
        videos = len(self.order) * self.order.batch_size
        if batch.bad and (bad := len(self._bad)) > self.bad_share * videos:
            raise ValueError(
                f"{bad} of this epoch's {videos} videos are bad so far, more than data.bad_share={self.bad_share} "
                f"allows; the last: {batch.bad[-1].why}"
            )

    def state_dict(self) -> dict[str, Any]:
        """Say which epoch is to go on, how many of its batches are out, and which videos were bad in them."""
        epoch, delivered = self._position
        return {"epoch": epoch, "delivered": delivered, "bad": sorted(self._bad)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Start that epoch, when it comes, behind the batches that were out; any other at its beginning."""
        self._resumed = self._position = state["epoch"], state["delivered"]
        self._bad = set(state.get("bad", ()))  # checkpoints of before have none
