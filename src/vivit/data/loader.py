"""Data loaders: batches of clips, decoded ahead in workers, and what happens when a video or a worker fails.

A worker never raises about a bad video: it reports it with the batch, and the main process decides. So the error that
a user sees is the same for any number of workers.
"""

import logging
import platform
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any, NamedTuple, cast

import torch
import torch.distributed
from torch.utils.data import DataLoader

from vivit.cores import allowed_cores
from vivit.data.batch_receiver import BatchReceiver, without_child_handler
from vivit.data.dataset import TRIES, ClipDataset, collate
from vivit.data.readers.video_error import VideoError
from vivit.data.samplers import DistributedBatchSampler, DistributedEvalBatchSampler, SampleKey
from vivit.data.worker_processes import init_worker, start_worker_server
from vivit.errors import ConfigError, DataError
from vivit.structures import Batch, Clip, DecodeFailure

log = logging.getLogger(__name__)


class WorkerConfig(NamedTuple):
    """Processes that decode ahead; none: the training process decodes itself."""

    number: int
    prefetch: int = 2
    """Batches that each worker has ready, or in the making."""
    timeout: float = 0
    """Seconds that a batch may take before this counts as a hang; 0 waits forever."""
    pin_memory: bool = False
    """Whether batches are copied to memory that a GPU reads while the host goes on."""


def available_cpus() -> int:
    """Return the number of cores that this process may use, divided among the ranks that may use them too.

    All ranks must call it at once. A cluster may bind every rank to its own cores; the ranks that Lightning or torchrun
    starts share them.
    """
    local = platform.node(), allowed_cores()
    ranks = [local]
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        ranks = [local] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(ranks, local)
    sharing = sum(machine == local[0] and not cpus.isdisjoint(local[1]) for machine, cpus in ranks)
    return max(1, len(local[1]) // sharing)


class ClipLoader(DataLoader[Clip]):
    """Complete batches, from workers that stay alive between epochs; bad videos are reported in them."""

    def __init__(
        self,
        dataset: ClipDataset,
        batches: DistributedBatchSampler | DistributedEvalBatchSampler,
        workers: WorkerConfig,
    ) -> None:
        self.order, self.videos, self.workers = batches, dataset.videos, workers
        self._receiver: BatchReceiver | None = None
        if workers.number:
            start_worker_server()
        super().__init__(
            dataset,
            batch_sampler=batches,
            num_workers=workers.number,
            collate_fn=collate,
            persistent_workers=workers.number > 0,
            worker_init_fn=init_worker,
            prefetch_factor=workers.prefetch if workers.number else None,
            pin_memory=workers.pin_memory,
        )

    def batches(self) -> Iterator[Batch]:
        """Yield the batches of one epoch.

        Raises ``ConfigError`` with the files in question where a worker hangs, and ``RuntimeError`` where one died.
        """
        if not self.workers.number:
            yield from cast(Any, super().__iter__())
            return
        if self._receiver is not None:  # of an epoch that was left early
            with suppress(Exception):
                self._receiver.wait()
        expected, is_first = iter(self.order), self._iterator is None
        with without_child_handler():
            batches = cast(Any, super().__iter__())
        if is_first:
            # a script that ends with its loader alive ends them too, as with pinned memory
            batches._register_persistent_workers_atexit()
        receiver = self._receiver = BatchReceiver(batches, batches._workers)
        with closing(receiver):
            while True:
                with self._time_limit(next(expected, ())):
                    batch = receiver.wait()
                if batch is None:
                    return
                receiver.request()
                yield batch

    @contextmanager
    def _time_limit(self, keys: Sequence[SampleKey]) -> Iterator[None]:
        """Kill the workers and raise where a batch takes too long.

        torch's own ``timeout`` would not do: as long as it lasts, the death of a worker that is no fork of this process
        goes unnoticed.
        """
        if not (self.workers.number and self.workers.timeout):
            yield
            return
        late = threading.Event()
        timer = threading.Timer(self.workers.timeout, self._kill_workers, [late])
        timer.start()
        try:
            yield
        except RuntimeError:  # about workers that are gone
            if not late.is_set():
                raise
        finally:
            timer.cancel()
        if late.is_set():
            for worker in getattr(self._iterator, "_workers", ()):
                worker.join()
            raise self._timeout_error(keys)

    def _kill_workers(self, late: threading.Event) -> None:
        """Kill the workers, because one that hangs inside a library ignores other signals and would outlive the run."""
        late.set()
        for worker in getattr(self._iterator, "_workers", ()):
            worker.kill()

    def _timeout_error(self, keys: Sequence[SampleKey]) -> ConfigError:
        files = ", ".join(self.videos[key.row].path for key in keys)
        return ConfigError(
            "data.timeout",
            f"{self.workers.timeout:g}",
            f"a batch did not come within that many seconds; reading hangs at one of {files}",
            "remove the file, or set a longer time (timeout= in eval.py)",
        )


def _lost(path: str, failure: DecodeFailure) -> VideoError:
    """Return the error about a video that could not be read, as the worker raised it."""
    return VideoError(path, failure.why.removeprefix(f"{path}: "))


class EvalLoader(ClipLoader):
    """A loader for evaluation: an unreadable video raises ``VideoError``, or is skipped and recorded.

    ``skipped`` collects the skipped ones, by row; None allows none. The frames of a batch without videos still have
    the shape of the views.
    """

    dataset: ClipDataset

    def __init__(
        self,
        dataset: ClipDataset,
        batches: DistributedEvalBatchSampler,
        workers: WorkerConfig,
        skipped: dict[int, str] | None = None,
    ) -> None:
        super().__init__(dataset, batches, workers)
        self.skipped = skipped

    def __iter__(self) -> Any:  # torch declares the class of its own iterator, this is an Iterator[Batch]
        for batch in self.batches():
            for bad in batch.bad:
                if self.skipped is None or bad.unreachable:
                    raise _lost(self.videos[bad.video].path, bad)
                if bad.why not in self.skipped.values():
                    log.warning("left out of the evaluation: %s", bad.why)
                self.skipped[bad.video] = bad.why
            yield batch if len(batch.videos) else batch._replace(frames=self.dataset.empty_frames())


class StatefulTrainLoader(ClipLoader):
    """A loader for training that stores its position, so that a run can resume in mid-epoch, and counts bad videos.

    Lightning stores ``state_dict`` in its checkpoints. Batches that the workers have ready but that were not yielded do
    not count. Raises ``ConfigError`` where more than ``max_bad_share`` of the videos of an epoch (of this rank) are
    bad. After a resume in mid-epoch every rank counts on from the bad videos of the first one.
    """

    order: DistributedBatchSampler

    def __init__(
        self, dataset: ClipDataset, batches: DistributedBatchSampler, workers: WorkerConfig, max_bad_share: float = 0.0
    ) -> None:
        super().__init__(dataset, batches, workers)
        self.max_bad_share = max_bad_share
        self.warned: set[str] = set()
        self.waited = 0.0
        """Seconds for which training has waited for batches, since the loader was made."""
        self._position = (0, 0)
        self._resumed = (0, 0)
        self._bad: set[int] = set()

    def __iter__(self) -> Any:  # as above
        order = self.order
        epoch, delivered = self._resumed
        order.first_batch = delivered if epoch == order.epoch else 0
        self._bad = self._bad if order.first_batch else set()
        self._resumed = (0, 0)
        self._position = (order.epoch, order.first_batch)
        asked = time.perf_counter()
        for at, batch in enumerate(self.batches(), order.first_batch + 1):
            self._position = (order.epoch, at) if at < order.steps else (order.epoch + 1, 0)
            self._check(batch)
            self.waited += time.perf_counter() - asked
            yield batch
            asked = time.perf_counter()

    def _check(self, batch: Batch) -> None:
        """Warn about each bad video once, and raise where there are too many."""
        for bad in batch.bad:
            if bad.unreachable:  # a video that is skipped would change the run
                raise _lost(self.videos[bad.video].path, bad)
            self._bad.add(bad.video)
            if bad.why not in self.warned:
                log.warning("skipped in training, another video in its place: %s", bad.why)
                self.warned.add(bad.why)
        if len(batch.videos) < self.order.batch_size:
            last = batch.bad[-1]
            problem = f"is the last of {TRIES} videos of which none could be read: {last.why}"
            raise DataError(self.videos[last.video].path, problem, "check data.root")
        videos = len(self.order) * self.order.batch_size
        if batch.bad and (count := len(self._bad)) > self.max_bad_share * videos:
            raise ConfigError(
                "data.max_bad_share",
                self.max_bad_share,
                f"{count} of this epoch's {videos} videos are bad so far; the last: {batch.bad[-1].why}",
                "repair them, or set a larger share",
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch to resume, the number of its batches that were yielded, and the bad videos in them.

        ``clips`` are those batches of all ranks, ``of_epoch`` the training videos and the clips of an epoch: by them a
        run goes on with other ranks and parts.
        """
        (epoch, delivered), order = self._position, self.order
        clips = order.batch_size * order.ranks
        numbers = {"delivered": delivered, "clips": delivered * clips, "of_epoch": [order.videos, order.steps * clips]}
        return {"epoch": epoch, **numbers, "bad": sorted(self._bad)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Start that epoch, when it comes, after the batches that were yielded; any other at its beginning."""
        size = self.order.batch_size * self.order.ranks
        delivered = state["clips"] // size if "clips" in state else state["delivered"]
        self._resumed = self._position = state["epoch"], delivered
        self._bad = set(state.get("bad", ()))  # earlier checkpoints have less
