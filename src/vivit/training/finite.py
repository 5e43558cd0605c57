"""Stops a run whose loss is not a number, before anything is learnt from it."""

import math

from lightning import Callback, LightningModule, Trainer
from torch import Tensor


class FiniteLoss(Callback):
    """Raises at the first loss that is infinite or not a number, before its gradient is taken.

    So neither the weights nor a checkpoint ever hold the damage. All ranks stop in the same step. Looking at the loss
    waits for the forward pass; ``callbacks.finite=null`` spares that.
    """

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Look at the loss of this step."""
        found = float(loss.detach())
        finite = math.isfinite(found)
        if not trainer.strategy.reduce_boolean_decision(finite, all=True):
            said = "is not finite on another device" if finite else f"is {found}"
            raise ValueError(
                f"the loss {said} at step {trainer.global_step} (epoch {trainer.current_epoch + 1}); nothing was "
                "learnt from it and the last checkpoint is good. Lower optim.optimiser.lr, raise optim.warmup_epochs, "
                "set trainer.gradient_clip_val, or, with 16-mixed, take trainer.precision=bf16-mixed"
            )
