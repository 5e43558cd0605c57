"""A run in which something is no finite number ends with a message, before harm is done that lasts."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

LOSS, GRADIENT = 0.0, 1.0
"""What was found; of one step the loss counts, from which the gradient has it."""
SAVED = ("state_dict", "current_model_state", "optimizer_states")
"""What a checkpoint holds of a network and its optimiser: the second are the weights beside their moving average."""
CURE = (
    "Lower optim.optimiser.lr, raise optim.warmup_epochs, set trainer.gradient_clip_val, or, with 16-mixed or 16-true, "
    "take trainer.precision=bf16-mixed"
)


class NotFiniteError(ValueError):
    """The same is raised on every rank, so that one of them may tell it for all."""

    on_every_rank = True


class FiniteLoss(Checkpoint):
    """Ends a run at the first loss or gradient that is infinite or not a number; its step is not taken.

    What comes is noted on the device. An optimiser that can leave out a step itself, as the fused ones can for torch's
    gradient scaler, is handed the note: it takes no step any more, and nobody waits for the note but every
    ``log_every_n_steps`` steps. For any other it is read before every step, which waits for the backward pass.
    A gradient scaler (16-mixed) leaves out steps whose gradients overflow, and goes on: there only the loss counts.

    What is to be saved is looked at too, so that no checkpoint ever holds the damage, be it the optimiser's; it is a
    ``Checkpoint`` to Lightning, which therefore calls it behind all that add to one. All ranks stop in the same place.
    ``callbacks.finite=null`` spares all of it.
    """

    def __init__(self) -> None:
        self._bad: Tensor | None = None
        self._first: Tensor | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an earlier training."""
        self._bad = self._first = None

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Note the loss of this part of a step."""
        self._note(trainer, LOSS, loss.detach().float())

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Note the gradient; hand the note to the optimiser, or read it."""
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        if not scaled:
            self._note(trainer, GRADIENT, largest(optimizer))
            if getattr(optimizer, "_step_supports_amp_scaling", False):
                optimizer.found_inf = self._bad  # type: ignore[attr-defined]  # as torch's gradient scaler does
                every = trainer.log_every_n_steps  # type: ignore[attr-defined]  # set without being declared
                if not every or (trainer.global_step + 1) % every:
                    return
        self._read(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: Mapping[str, Any]) -> None:
        """Look at all that is about to be saved, and at the validation that it came out of."""
        self._read(trainer)
        saved = {part: checkpoint[part] for part in SAVED if part in checkpoint}
        measured = trainer.callback_metrics.get("val/loss")
        self._look(trainer, saved if measured is None else saved | {"val/loss": measured})

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at what training leaves, whether or not anything was saved."""
        self._read(trainer)
        self._look(trainer, dict(pl_module.named_parameters()) | dict(pl_module.named_buffers()))

    def _note(self, trainer: Trainer, kind: float, value: Tensor) -> None:
        """Keep the first value that is not finite, with its place, without waiting for the device."""
        if self._bad is None or self._first is None:
            self._bad = torch.zeros_like(value)
            self._first = torch.full((4,), -1.0, device=value.device)
        bad = ~value.isfinite()
        here = [torch.full_like(value, known) for known in (trainer.global_step, trainer.current_epoch + 1, kind)]
        self._first = torch.where(bad & (self._bad == 0), torch.stack([*here, value]), self._first)
        self._bad = torch.maximum(self._bad, bad.float())

    def _read(self, trainer: Trainer) -> None:
        """Raise, on all ranks at once, what was noted on any."""
        fine = self._bad is None or not bool(self._bad)
        if trainer.strategy.reduce_boolean_decision(fine, all=True):
            return
        mine = torch.full((4,), -1.0, device=trainer.strategy.root_device) if self._first is None else self._first
        notes = enumerate(trainer.strategy.all_gather(mine).reshape(-1, 4).tolist())
        rank, (step, epoch, kind, value) = min(
            (note for note in notes if note[1][0] >= 0), key=lambda note: (note[1][0], note[1][2])
        )
        where = f" on rank {rank}" if trainer.world_size > 1 else ""
        what = (
            f"the loss is {value}{where}"
            if kind == LOSS
            else f"the loss is finite, but its largest gradient is {value}"
        )
        raise NotFiniteError(
            f"{what} at step {step:.0f} (epoch {epoch:.0f}); nothing was learnt from it, and what "
            f"was saved before is good. {CURE}"
        )

    def _look(self, trainer: Trainer, node: Any) -> None:
        """Raise, on all ranks at once, where a number below a node is not finite on any."""
        found = next((name for name, tensor in numbers(node) if not bool(tensor.isfinite().all())), None)
        if trainer.strategy.reduce_boolean_decision(found is None, all=True):
            return
        raise NotFiniteError(
            f"{found or 'what another rank holds'} is not finite behind step {trainer.global_step} (epoch "
            f"{trainer.current_epoch + 1}); it was not saved and the last checkpoint is good. {CURE}"
        )


def largest(optimiser: Optimizer) -> Tensor:
    """Largest absolute value in the gradients that an optimiser steps by, of this rank; NaN where there is one."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None and parameter.grad.numel()]
    device = parameters[0].device
    return get_total_norm(gradients, math.inf).float().to(device)


def numbers(node: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of floating point below a node of mappings and lists, with its name."""
    if isinstance(node, Tensor):
        if node.is_floating_point():
            yield name, node
    elif isinstance(node, Mapping | list | tuple):
        for key, value in node.items() if isinstance(node, Mapping) else enumerate(node):
            yield from numbers(value, f"{name}.{key}" if name else str(key))
