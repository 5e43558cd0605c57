"""Search for the learning rate before training."""

import logging
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import LearningRateFinder

from vivit.errors import ConfigError

log = logging.getLogger(__name__)


class LRFinder(LearningRateFinder):
    """Tries rising rates on the first batches, restores the weights, and starts from the best rate (Smith 2017).

    The rate is the base rate: warm-up, cosine and layer-wise decay multiply it. A resumed run keeps its rate.
    """

    def __init__(self, *, min_lr: float = 1e-6, max_lr: float = 1.0, num_training_steps: int = 100) -> None:
        super().__init__(min_lr=min_lr, max_lr=max_lr, num_training_steps=num_training_steps, update_attr=False)
        self.max_lr = max_lr

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search and set the rate, unless the run resumes from a checkpoint."""
        if trainer.ckpt_path is not None:
            log.info("no search: a resumed run keeps the learning rate of its checkpoint")
            return
        super().on_fit_start(trainer, pl_module)
        rate = self.optimal_lr and self.optimal_lr.suggestion()
        if rate is None:
            raise ConfigError(
                "callbacks.rate_finder.max_lr", self.max_lr, "no rate up to it lowered the loss",
                "raise it or callbacks.rate_finder.num_training_steps, or set optim.optimiser.lr without a search",
            )  # fmt: skip
        scheduler: Any = trainer.lr_scheduler_configs[0].scheduler
        scheduler.base_lrs = [rate] * len(scheduler.base_lrs)
        for group, factor in zip(trainer.optimizers[0].param_groups, scheduler.lr_lambdas, strict=True):
            group["initial_lr"], group["lr"] = rate, rate * factor(0)
        log.info("learning rate: %.3g", rate)
