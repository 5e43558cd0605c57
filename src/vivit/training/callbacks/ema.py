"""EMA: an exponential moving average of the weights."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from vivit.errors import ConfigError
from vivit.training.fsdp import BlockFSDPStrategy, gather_state, local_part, shard_state
from vivit.training.lightning_compat import get_average_model, is_fitting, set_average_model


class EMA(WeightAveraging):
    """Exponential moving average of the weights; validation, checkpoints and tests use the average.

    Step n + 1 keeps min(``decay``, (1 + n) / (10 + n)) of the average (as in TensorFlow's), which would otherwise be,
    for some multiples of 1 / (1 - decay) steps, that of untrained weights. It is stored in float32 at least: a step
    moves it by less than the spacing of bfloat16.

    Lightning's own, except for this, and that testing a checkpoint leaves the average in place: Lightning 2.6.6 loads
    the weights that were trained last.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ConfigError("callbacks.ema.decay", decay, "is not in [0, 1)", "set one such as 0.999")
        super().__init__()
        self._update = partial(update_average, decay=decay)
        self._trained: list[Tensor] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Copy the weights to the device of training; where these will be divided among ranks, divide the average."""
        if stage == "fit":
            average = WeightAverage(pl_module, trainer.strategy.root_device, self._update, use_buffers=True)
            set_average_model(self, average)
            trainer.precision_plugin.convert_module(average.module)
            for tensor in parameters_and_buffers(average.module):
                if tensor.is_floating_point() and tensor.element_size() < torch.float32.itemsize:
                    tensor.data = tensor.data.float()
            if isinstance(trainer.strategy, BlockFSDPStrategy):
                trainer.strategy.shard(average.module.get_submodule("network"))

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Replace the weights by the average; the weights are copied, since they may have fewer bits."""
        if get_average_model(self) is not None:
            self._trained = [tensor.detach().clone() for tensor in parameters_and_buffers(pl_module)]
            self._copy_average_to_current(pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the weights."""
        for tensor, trained in zip(parameters_and_buffers(pl_module), self._trained, strict=False):
            tensor.data.copy_(trained)
        self._trained = []

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the average, complete, in place of the weights, which are saved beside it."""
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        if isinstance(trainer.strategy, BlockFSDPStrategy) and get_average_model(self) is not None:
            checkpoint["state_dict"] = gather_state(checkpoint["state_dict"])

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Load weights and average where training resumes."""
        if is_fitting(trainer):
            if isinstance(trainer.strategy, BlockFSDPStrategy):
                like = pl_module.state_dict()
                parts = [name for name in ("state_dict", "current_model_state") if name in checkpoint]
                checkpoint |= {name: shard_state(checkpoint[name], like) for name in parts}
            super().on_load_checkpoint(trainer, pl_module, checkpoint)


class WeightAverage(AveragedModel):
    """torch's average, except that no step reads from the device whether it is the first."""

    _steps = 0  # as n_averaged, on the host

    def update_parameters(self, model: nn.Module) -> None:
        """Move the average towards the weights of a step; after the first, it is these."""
        assert self.avg_fn is not None
        for average, weights in zip(parameters_and_buffers(self.module), parameters_and_buffers(model), strict=True):
            average.data.copy_(
                self.avg_fn(average.data, weights.data, self.n_averaged) if self._steps else weights.data
            )
        self.n_averaged += 1
        self._steps += 1

    def load_state_dict(self, *args: Any, **options: Any) -> Any:
        """Load an average and the number of its steps."""
        keys = super().load_state_dict(*args, **options)
        self._steps = int(self.n_averaged)
        return keys


def update_average(average: Tensor, weights: Tensor, n: Tensor, *, decay: float) -> Tensor:
    """Return an average of ``n`` steps, moved towards the weights of the next."""
    if not average.is_floating_point():
        return weights
    share = ((1 + n) / (10 + n)).clamp(max=decay).to(average.dtype)
    return torch.lerp(weights.to(average.dtype), average, share)


def parameters_and_buffers(module: nn.Module) -> Iterator[Tensor]:
    """Yield every parameter and buffer, in one order; of shards this rank's."""
    yield from map(local_part, module.parameters())
    yield from module.buffers()
