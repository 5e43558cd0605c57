"""Stops a run whose loss is not a number, before anything is learnt from it."""

import math

from lightning import Callback, LightningModule, Trainer
from torch import Tensor


class NotFiniteError(ValueError):
    """The same is raised on every rank, so that one of them may tell it for all."""

    on_every_rank = True


class FiniteLoss(Callback):
    """Raises at the first loss that is infinite or not a number, before its gradient is taken.

    So neither the weights nor a checkpoint ever hold the damage. All ranks stop in the same step. Looking at the loss
    waits for the forward pass; ``callbacks.finite=null`` spares that.
    """

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Look at the loss of this step."""
        found = loss.detach().float()
        if trainer.strategy.reduce_boolean_decision(bool(found.isfinite()), all=True):
            return
        losses = trainer.strategy.all_gather(found).flatten().tolist()
        rank, value = next((rank, value) for rank, value in enumerate(losses) if not math.isfinite(value))
        where = f" on rank {rank}" if trainer.world_size > 1 else ""
        raise NotFiniteError(
            f"the loss is {value}{where} at step {trainer.global_step} (epoch {trainer.current_epoch + 1}); nothing "
            "was learnt from it and the last checkpoint is good. Lower optim.optimiser.lr, raise optim.warmup_epochs, "
            "set trainer.gradient_clip_val, or, with 16-mixed, take trainer.precision=bf16-mixed"
        )
