"""Agreement of ranks on stopping, without a word in most steps."""

import time

import torch
from lightning import Trainer

from vivit.training.lightning_compat import is_logged_step

SECONDS = 5.0
"""Time after which ranks communicate again at the latest, so that steps may double their time and it is still ten."""


class StopAgreement:
    """Passes a number of any rank to all, in steps on which all ranks have agreed before.

    Those are the steps that loggers record and, where these are further apart than ``SECONDS``, more between them: with
    each number the slowest rank's time of a step goes round. A single process waits for nobody: every step is due.
    """

    def __init__(self) -> None:
        self._next = self._step = 0
        self._time: float | None = None

    def is_due(self, trainer: Trainer, step: int) -> bool:
        """Return whether ranks communicate in step ``step``, counted from 1: the same on all of them."""
        return trainer.world_size == 1 or step >= self._next or is_logged_step(trainer, step)

    def largest(self, trainer: Trainer, step: int, number: int) -> int:
        """Return the largest ``number`` of any rank; all must call it at once."""
        if trainer.world_size == 1:
            return number
        steps = step - self._step
        seconds = SECONDS if self._time is None or not steps else (time.monotonic() - self._time) / steps
        both = torch.tensor([float(number), seconds], device=trainer.strategy.root_device)
        largest, slowest = trainer.strategy.reduce(both, reduce_op="max").tolist()
        self._step, self._time, self._next = step, time.monotonic(), step + max(1, int(SECONDS / max(slowest, 1e-6)))
        return int(largest)
