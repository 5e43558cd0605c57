"""Gradient clipping, and the norm of gradients, computed once for whoever checks and whoever clips them."""

import math

from lightning import Trainer
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grad_value_, clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from vivit.errors import ConfigError


class GradientClipping:
    """Clips as Lightning does, by torch's functions, also beside a fused optimizer in bf16-mixed.

    There Lightning refuses, because a fused optimizer may have to divide gradients by the factor of a gradient scaler
    itself; without a scaler there is no such factor. Raises ConfigError where there is one.
    """

    def __init__(self) -> None:
        self._norm: Tensor | None = None

    def norm(self, trainer: Trainer, optimizer: Optimizer) -> Tensor:
        """Return the norm by which this step's gradients will be clipped; where they will not, their largest number.

        Of shards it is that of all ranks, which must call it at once. NaN where a gradient is NaN.
        """
        value, by_value = trainer.gradient_clip_val or 0, trainer.gradient_clip_algorithm == GradClipAlgorithmType.VALUE
        clipped_by_norm = value > 0 and not by_value and not has_scaler(trainer)
        self._norm = total_norm(optimizer, 2.0 if clipped_by_norm else math.inf)
        return self._norm

    def clip(self, trainer: Trainer, optimizer: Optimizer, value: float | None, algorithm: str | None) -> None:
        """Scale gradients to a norm of at most ``value``; with the algorithm "value", cut off every number there."""
        norm, self._norm = self._norm, None
        if value is None or value <= 0:
            return
        kind = GradClipAlgorithmType(algorithm or GradClipAlgorithmType.NORM)
        if has_scaler(trainer):
            if getattr(optimizer, "_step_supports_amp_scaling", False):
                remedy = "set trainer.precision=bf16-mixed, optim.fused=false or trainer.gradient_clip_val=null"
                raise ConfigError("optim.fused", True, "divides by a scaler's factor behind the clipping", remedy)
            trainer.precision_plugin.clip_gradients(optimizer, value, kind)
        elif kind == GradClipAlgorithmType.VALUE:
            clip_grad_value_(get_parameters(optimizer), value)
        else:
            clip_grads_with_norm_(
                get_parameters(optimizer), value, total_norm(optimizer, 2.0) if norm is None else norm
            )


def has_scaler(trainer: Trainer) -> bool:
    """Return whether gradients are those of a loss that a gradient scaler has multiplied, as in 16-mixed."""
    return getattr(trainer.precision_plugin, "scaler", None) is not None


def total_norm(optimizer: Optimizer, order: float) -> Tensor:
    """Return the norm of the gradients of an optimizer's parameters; where they are shards, that of all ranks."""
    parameters = get_parameters(optimizer)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None and parameter.grad.numel()]
    norm = get_total_norm(gradients, order)
    return (norm.full_tensor() if isinstance(norm, DTensor) else norm).to(parameters[0].device)


def get_parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    """Return the parameters of all groups of an optimizer."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
