"""The end of a run whose time is over (``trainer.max_time``)."""

from datetime import timedelta
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Timer

from vivit.training.agreement import StopAgreement
from vivit.training.lightning_compat import is_accumulating


class TimeLimit(Timer):
    """Lightning's timer, except that ranks do not ask the first one in every step.

    The step that begins when the time is over, or at most ten seconds later, is the run's last: it is known as such
    from its start, so that it is logged like any other that is.
    """

    def __init__(self, duration: str | timedelta | dict[str, Any]) -> None:
        super().__init__(duration, interval="epoch")
        self._agreement = StopAgreement()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Stop the run behind this step where the time is over on any rank."""
        step = trainer.global_step + 1
        if is_accumulating(trainer) or not self._agreement.is_due(trainer, step):
            return
        remaining = self.time_remaining()
        if self._agreement.largest(trainer, step, int(remaining is not None and remaining <= 0)):
            trainer.should_stop = True
