"""What a run may switch on with one key each: a compiled network, a search for the rate, averaged weights."""

import logging
from collections.abc import Callable
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, LearningRateFinder
from lightning.pytorch.strategies import FSDPStrategy
from lightning.pytorch.trainer.states import TrainerFn

log = logging.getLogger(__name__)


class Compile(Callback):
    """Compiles the network in place: its parameters keep their names, unlike with ``torch.compile(network)``."""

    def __init__(self, backend: str | Callable[..., Any] = "inductor") -> None:
        self.backend = backend

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Compile; the work is done when the first batch comes."""
        pl_module.network.compile(backend=self.backend)


class RateFinder(LearningRateFinder):
    """Tries rising rates on the first batches, takes all back, and starts the schedule from the best (Smith 2017).

    The rate is the base rate: warm-up, cosine and layer-wise decay multiply it. A run that is resumed goes on with the
    rate that it has.
    """

    def __init__(self, *, min_lr: float = 1e-6, max_lr: float = 1.0, num_training_steps: int = 100) -> None:
        super().__init__(min_lr=min_lr, max_lr=max_lr, num_training_steps=num_training_steps, update_attr=False)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search, unless the run goes on from a checkpoint."""
        if trainer.ckpt_path is not None:
            return
        super().on_fit_start(trainer, pl_module)
        rate = self.optimal_lr and self.optimal_lr.suggestion()
        if rate is None:
            raise ValueError(
                "no learning rate lowered the loss; raise callbacks.rate_finder.num_training_steps or max_lr, or set "
                "optim.optimiser.lr and leave the search out"
            )
        schedule: Any = trainer.lr_scheduler_configs[0].scheduler
        schedule.base_lrs = [rate] * len(schedule.base_lrs)
        for group, factor in zip(trainer.optimizers[0].param_groups, schedule.lr_lambdas, strict=True):
            group["initial_lr"], group["lr"] = rate, rate * factor(0)
        log.info("learning rate found: %.3g", rate)


class EarlyStop(EarlyStopping):
    """Stops a run that does not improve any more; Lightning's own trains on for an epoch when it is resumed."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave a run alone that goes on from where it was stopped, unless it is to be more patient now."""
        if trainer.ckpt_path is not None and self.wait_count >= self.patience:
            trainer.should_stop = True
            log.info("%s has not improved for %d validations: stopped already", self.monitor, self.wait_count)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting, with the patience that is asked for now."""
        super().load_state_dict(state_dict | {"patience": self.patience})


class MovingAverage(EMAWeightAveraging):
    """Keeps an exponential moving average of the weights; validation, checkpoints and tests are of the average.

    Lightning's own, but that testing a checkpoint leaves the average in place: Lightning 2.6.6 loads the weights that
    were trained last instead.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay={decay} must lie in [0, 1): it is what a step leaves of the average")
        super().__init__(decay=decay)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Copy the weights, which must be whole for that."""
        if isinstance(trainer.strategy, FSDPStrategy):
            raise ValueError("callbacks.ema averages whole weights, and trainer=fsdp has them in shards: leave one out")
        super().setup(trainer, pl_module, stage)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Put both sets of weights back where training goes on."""
        if trainer.state.fn == TrainerFn.FITTING:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
