"""What a run may switch on with one key each: a compiled network, a search for the rate, averaged weights."""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, LearningRateFinder, WeightAveraging
from lightning.pytorch.strategies import FSDPStrategy
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn

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
            log.info("no search: a run that goes on keeps the rate of its checkpoint")
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


class MovingAverage(WeightAveraging):
    """Keeps an exponential moving average of the weights; validation, checkpoints and tests are of the average.

    Behind ``n`` steps the next leaves min(``decay``, (1 + n) / (10 + n)) of the average, which would otherwise be, for
    some multiples of 1 / (1 - decay) steps, that of weights that know nothing (as in TensorFlow's). It is kept in
    float32 at least, wherever the weights have less: a step moves it by less than the spacing of bfloat16.

    Lightning's own, but for these, and that testing a checkpoint leaves the average in place: Lightning 2.6.6 loads the
    weights that were trained last instead.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay={decay} must lie in [0, 1): it is what a step leaves of the average")
        super().__init__(avg_fn=partial(moved, decay=decay))
        self._trained: list[Tensor] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Copy the weights, which must be whole for that, to where they will be trained."""
        if isinstance(trainer.strategy, FSDPStrategy):
            raise ValueError("callbacks.ema averages whole weights, and trainer=fsdp has them in shards: leave one out")
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)
        if stage == "fit" and self._average_model is not None:
            trainer.precision_plugin.convert_module(self._average_model.module)
            for tensor in all_of(self._average_model.module):
                if tensor.is_floating_point() and tensor.element_size() < torch.float32.itemsize:
                    tensor.data = tensor.data.float()

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the average in the place of the weights, which are laid aside: they may have fewer bits."""
        if self._average_model is not None:
            self._trained = [tensor.detach().clone() for tensor in all_of(pl_module)]
            self._copy_average_to_current(pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the weights back."""
        for tensor, trained in zip(all_of(pl_module), self._trained, strict=False):
            tensor.data.copy_(trained)
        self._trained = []

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Put both sets of weights back where training goes on."""
        if trainer.state.fn == TrainerFn.FITTING:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)


def moved(average: Tensor, weights: Tensor, n: Tensor, *, decay: float) -> Tensor:
    """Move an average that has seen ``n`` steps towards the weights behind the next."""
    if not average.is_floating_point():
        return weights
    left = ((1 + n) / (10 + n)).clamp(max=decay).to(average.dtype)
    return torch.lerp(weights.to(average.dtype), average, left)


def all_of(module: nn.Module) -> Iterator[Tensor]:
    """Yield every parameter and buffer, in one order."""
    yield from module.parameters()
    yield from module.buffers()
