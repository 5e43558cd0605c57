"""A run that is asked to end saves first."""

import logging
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from vivit.signals import HeldSignals
from vivit.training.checkpoints import LastCheckpoint, may_end, within_epoch

logger = logging.getLogger(__name__)


class Interruption(Checkpoint):
    """Holds SIGTERM, SIGHUP, Ctrl-C and a queueing system's signal back until ``last.ckpt`` is written.

    That is behind the step that was under way, or behind the validation, where that was under way or due; a second
    signal ends the run at once, and what was learnt since the last checkpoint is lost. One rank that is asked is
    enough. It is a ``Checkpoint`` to Lightning, which therefore calls it behind all that watch the step.

    It takes the place of Lightning's own handler of SIGTERM, which talks to the other ranks wherever they are: they
    could wait for one another for ever.
    """

    def __init__(self) -> None:
        self._signals = HeldSignals()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Note who handles the signals, before Lightning does."""
        self._signals.remember()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hold the signals."""
        self._signals.hold()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hold them no longer."""
        self._signals.release()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Hold them no longer."""
        self._signals.release()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End the run here if it was asked to; not between validation and the step before it."""
        if may_end(trainer):
            self._end_if_asked(trainer, log=trainer._logger_connector.update_train_step_metrics)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the run here if it was asked to, where the validation was one within an epoch."""
        if within_epoch(trainer):
            self._end_if_asked(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the run here if it was asked to, behind the validation."""
        self._end_if_asked(trainer, log=partial(log_epoch, trainer))

    def _end_if_asked(self, trainer: Trainer, log: Callable[[], None] = lambda: None) -> None:
        number = self._signals.caught or 0
        if trainer.world_size > 1:
            asked = torch.tensor(number, device=trainer.strategy.root_device)
            number = int(trainer.strategy.reduce(asked, reduce_op="max"))
        if not number:
            return
        for checkpoint in trainer.checkpoint_callbacks:
            if isinstance(checkpoint, LastCheckpoint):
                checkpoint.save(trainer)
        log()  # what is saved, which Lightning logs behind its callbacks
        logger.warning("%s at step %d, which is saved", signal.Signals(number).name, trainer.global_step)
        self._signals.obey(number)


def log_epoch(trainer: Trainer) -> None:
    """Log an epoch's sums at its last step, as Lightning does when all callbacks have seen its end."""
    steps = trainer.fit_loop.epoch_loop
    trainer._logger_connector.on_epoch_end()
    steps._batches_that_stepped -= 1
    trainer._logger_connector.update_train_epoch_metrics()
    steps._batches_that_stepped += 1
