"""Preemption: a run that receives a signal saves ``last.ckpt`` first."""

import logging
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from vivit.signals import DeferredSignals
from vivit.training.agreement import StopAgreement
from vivit.training.callbacks.checkpoint import LastCheckpoint
from vivit.training.lightning_compat import (
    drop_signal_broadcast,
    is_mid_epoch_validation,
    is_step_boundary,
    log_train_epoch,
    log_train_step,
)  # fmt: skip

logger = logging.getLogger(__name__)


class PreemptionCheckpoint(Checkpoint):
    """Defers SIGTERM, SIGHUP, Ctrl-C and a queueing system's signal until ``last.ckpt`` is written.

    That is behind the step in progress, or behind the validation, where that is in progress or due; a second signal
    ends the run at once, and what was learnt since the last checkpoint is lost. One rank that receives a signal is
    enough: all hear of it in the next step on which they agree, within ten seconds. It is a ``Checkpoint`` to
    Lightning, which therefore calls it behind all other callbacks.

    It replaces Lightning's own handler of SIGTERM, which communicates with the other ranks wherever they are (they
    could wait for one another for ever), and what Lightning broadcasts in every step for its sake.
    """

    def __init__(self) -> None:
        self._signals = DeferredSignals()
        self._agreement = StopAgreement()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Record the handlers of the signals, before Lightning replaces them."""
        self._signals.save_handlers()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Defer the signals."""
        self._signals.install()
        drop_signal_broadcast(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the handlers back."""
        self._signals.restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Put the handlers back."""
        self._signals.restore()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End the run here if a signal came, but not between a step and its validation."""
        if is_step_boundary(trainer) and self._agreement.is_due(trainer, trainer.global_step):
            self._end_on_signal(trainer, log=partial(log_train_step, trainer))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the run here if a signal came, and the validation was one within an epoch."""
        if is_mid_epoch_validation(trainer):
            self._end_on_signal(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the run here if a signal came, behind the validation."""
        self._end_on_signal(trainer, log=partial(log_train_epoch, trainer))

    def _end_on_signal(self, trainer: Trainer, log: Callable[[], None] = lambda: None) -> None:
        number = self._agreement.largest(trainer, trainer.global_step, self._signals.caught or 0)
        if not number:
            return
        for checkpoint in trainer.checkpoint_callbacks:
            if isinstance(checkpoint, LastCheckpoint):
                checkpoint.save(trainer)
        log()  # the step that is saved, which Lightning would log behind its callbacks
        logger.warning("%s at step %d, which is saved", signal.Signals(number).name, trainer.global_step)
        self._signals.reraise(number)
