"""Progress of a run: a bar on a terminal, lines elsewhere; what it takes, from the first steps on, and each epoch."""

import logging
import os
import sys
import threading
import time
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from vivit.device.malloc import peak_memory
from vivit.text import count, format_duration
from vivit.training.heartbeat import BEAT, Heartbeat, Wait
from vivit.training.lightning_compat import is_accumulating, steps_an_epoch
from vivit.training.run_description import (
    describe_metrics,
    describe_run,
    describe_use,
    max_epochs,
    time_left,
    validations_an_epoch,
)
from vivit.training.time_left import TimeLeft

log = logging.getLogger(__name__)

DRAWN_EVERY = 0.2
"""Seconds between two drawings of a bar."""
MEASURED = 3
"""Steps from which the first estimate is made."""
LINES_EVERY = 60.0
"""Seconds between two lines of an epoch where there is no terminal."""


@cache
def renew_lock_of_bars_in_forks() -> None:
    """Have processes that are forked from this one use a lock of bars of their own: a thread may hold it meanwhile."""
    os.register_at_fork(after_in_child=lambda: tqdm.set_lock(threading.RLock()))


class RunProgress(TQDMProgressBar):
    """Logs that a run is alive and how long it takes, and draws a bar on a terminal.

    A bar moves on a terminal; elsewhere, in a pipe or the log of a queue, there are lines alone. Logged are what the
    run is before its first step, that it waits for its first batch or step, an estimate from three steps, corrected
    where a line is due, and each epoch.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_terminal = sys.stdout.isatty()
        if not self._is_terminal:
            self.disable()
        self._drawn = self._marked = self._lined = self._epoch_began = self._val_began = 0.0
        self._measured = 0
        self._left: TimeLeft | None = None
        self._wait: Wait | None = None
        self._heartbeat: Heartbeat | None = None
        self._redirected: AbstractContextManager[None] | None = None

    def _log(self, text: str, *values: Any) -> None:
        if self._trainer is None or self._trainer.is_global_zero:
            log.info(text, *values)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log what the run is; begin to watch the wait for the first batch."""
        if self._is_terminal and self._redirected is None:
            self._redirected = logging_redirect_tqdm()
            self._redirected.__enter__()
        super().on_train_start(trainer, pl_module)
        self._left, self._measured = time_left(trainer), 0
        self._log("%s", describe_run(trainer, self._left))
        self._marked = self._lined = self._epoch_began = time.perf_counter()
        self._wait = Wait("the first batch is being read", self._marked)
        renew_lock_of_bars_in_forks()
        self._heartbeat = Heartbeat(self._beat)

    def _beat(self) -> None:
        """Log a wait that is long, and keep the clock of the bar moving."""
        if (wait := self._wait) is not None and (sign := wait.sign()) is not None:
            self._log("%s", sign)
        bar = self._train_progress_bar
        if self.is_enabled and bar is not None and time.perf_counter() - self._drawn > BEAT:
            bar.refresh()

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        """Start the clock of the epoch."""
        super().on_train_epoch_start(trainer, *_)
        self._marked = self._epoch_began = time.perf_counter()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Log that the first batch is there."""
        if not self._measured and self._wait is not None:
            now = time.perf_counter()
            self._log("the first batch was read in %s; the first step runs", format_duration(now - self._wait.began))
            self._wait = Wait("the first step runs", now)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure the step; log the estimate when there are enough of them, and later how far the run is."""
        self._wait = None
        if self._left is not None and not is_accumulating(trainer):
            self._measured += 1
            first_estimate = self._measured == MEASURED
            if first_estimate and trainer.strategy.root_device.type == "cuda":
                torch.cuda.synchronize()  # the host runs ahead
            now = time.perf_counter()
            self._left.add_step(now - self._marked)
            self._marked = now
            if first_estimate:
                self._lined = now
                self._log("%s", self._estimate(trainer))
            elif not self._is_terminal and now - self._lined > LINES_EVERY and not trainer.is_last_batch:
                self._lined = now
                place = f"epoch {trainer.current_epoch + 1}, batch {batch_idx + 1} of {trainer.num_training_batches}"
                self._log("%s: %s", place, self._remaining())
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def _estimate(self, trainer: Trainer) -> str:
        assert self._left is not None
        step, epoch = self._left.step_seconds, self._epoch_seconds(trainer)
        memory = peak_memory(trainer.strategy.root_device) / 1e9
        return (
            f"a step takes {step:.2g} s, an epoch with its validation {_about(epoch)}; "
            f"{self._remaining()} of training; {memory:.1f} GB of memory so far"
        )

    def _epoch_seconds(self, trainer: Trainer) -> float:
        assert self._left is not None
        return (
            steps_an_epoch(trainer) * self._left.step_seconds
            + validations_an_epoch(trainer) * self._left.validation_seconds
        )

    def _remaining(self) -> str:
        if self._left is None or not self._left.step_seconds:
            return "time left unknown"
        seconds = self._left.seconds()
        return f"{_about(seconds)} left"

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Return what stands behind the bar: the time that is left, the use of the device, the last loss."""
        metrics: dict[str, Any] = super().get_metrics(trainer, pl_module)
        left = {"run": self._remaining()} if self._left is not None else {}
        return (
            left
            | describe_use(trainer)
            | {name.removeprefix("train/"): metrics[name] for name in ("train/loss",) if name in metrics}
        )

    def _should_update(self, current: int, total: int | float) -> bool:
        now = time.perf_counter()
        if not self.is_enabled or (now - self._drawn < DRAWN_EVERY and current != total):
            return False
        self._drawn = now
        return True

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of the validation."""
        super().on_validation_start(trainer, pl_module)
        self._val_began = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the validation."""
        super().on_validation_end(trainer, pl_module)
        if self._left is not None and not trainer.sanity_checking:
            self._left.add_validation(time.perf_counter() - self._val_began)
        self._marked = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the epoch."""
        super().on_train_epoch_end(trainer, pl_module)
        now = time.perf_counter()
        limit = max_epochs(trainer)
        of = "" if limit is None else f"/{limit}"
        parts = [*describe_metrics(trainer), format_duration(now - self._epoch_began)]
        if trainer.global_step < trainer.estimated_stepping_batches:
            parts.append(self._remaining())
        self._log("epoch %s: %s", f"{trainer.current_epoch + 1}{of}", "; ".join(parts))
        self._lined = now

    def on_train_end(self, *args: Any) -> None:
        """Close the bar."""
        super().on_train_end(*args)
        self._end()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stop watching; what is printed next comes behind the bar."""
        self._end()

    def _end(self) -> None:
        self._wait = self._left = None
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if self._redirected is not None:
            self._redirected.__exit__(None, None, None)
            self._redirected = None

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log that the test begins."""
        super().on_test_start(trainer, pl_module)
        self._lined = self._epoch_began = time.perf_counter()
        split = getattr(trainer.datamodule, "test_split", "test")  # type: ignore[attr-defined]
        self._log("the split %s has %s", split, count(sum(map(int, trainer.num_test_batches)), "batch", "batches"))

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Log how far the test is, where there is no terminal."""
        super().on_test_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)
        now, done, total = time.perf_counter(), batch_idx + 1, sum(map(int, trainer.num_test_batches))
        if not self._is_terminal and now - self._lined > LINES_EVERY and done < total:
            self._lined = now
            left = (now - self._epoch_began) / done * (total - done)
            self._log("test: batch %d of %d, about %s left", done, total, format_duration(left))


def _about(seconds: float) -> str:
    """Return an estimate in words: "about 94 s", "less than 1 s"."""
    return f"about {format_duration(seconds)}" if seconds >= 1 else format_duration(seconds)
