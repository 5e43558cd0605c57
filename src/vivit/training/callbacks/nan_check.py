"""NaN check: a run with a loss, gradient or weight that is not finite ends before it is saved."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor
from torch.optim import Optimizer

from vivit.errors import UserError
from vivit.structures import Batch
from vivit.training.clipping import has_scaler
from vivit.training.fsdp import local_part
from vivit.training.lightning_compat import has_saved, is_logged_step

LOSS, GRADIENT = 0.0, 1.0
"""What was not finite first; a step's loss counts before its gradient, which follows from it."""
SAVED = ("state_dict", "current_model_state", "optimizer_states")
"""Entries of a checkpoint with tensors; the second are the weights beside their moving average."""
MAX_VIDEOS = 4
"""Videos of a step that an error names."""
REMEDY = (
    "lower optim.optimizer.lr, raise optim.warmup_epochs, set trainer.gradient_clip_val or, with 16-mixed or 16-true, "
    "trainer.precision=bf16-mixed"
)


class NonFiniteError(UserError):
    """A loss, gradient or weight is infinite or not a number; raised identically on all ranks, rank 0 prints it."""

    on_every_rank = True


class NaNCheck(Checkpoint):
    """Ends a run in which a loss or gradient is infinite or not a number, and saves nothing of what follows from it.

    Findings are recorded on the device, and read where the host waits for it anyway: every ``log_every_n_steps`` steps,
    at the end of an epoch, and before anything is saved. The error is about the first of them. An optimizer that can
    leave out steps itself, as the fused ones can for torch's gradient scaler, gets the record and takes no step from
    there on; any other goes on with weights that are lost. A gradient scaler (16-mixed) leaves out steps whose
    gradients overflow, and goes on: there only the loss counts.

    What is to be saved is checked too, so that no checkpoint ever holds the damage, not even in the optimizer's state.
    It is a ``Checkpoint`` to Lightning, which therefore calls it behind all that add to one. All ranks stop in the same
    place. ``callbacks.nan_check=null`` switches it off.
    """

    def __init__(self) -> None:
        self._bad: Tensor | None = None
        self._first: Tensor | None = None
        self._videos: list[tuple[int, Tensor]] = []  # step and rows of the batches since the record was read

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset the record of an earlier training."""
        self._bad = self._first = None
        self._videos = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        """Note the videos of this part of a step."""
        self._videos.append((trainer.global_step, batch.videos))

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Record the loss of this part of a step."""
        self._record(trainer, LOSS, loss.detach().float())

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, optimizer: Optimizer) -> None:
        """Record the gradient, and pass the record to the optimizer; read it in a step that loggers record."""
        if not has_scaler(trainer):
            self._record(trainer, GRADIENT, pl_module.clipping.norm(trainer, optimizer).float())
            if getattr(optimizer, "_step_supports_amp_scaling", False):
                optimizer.found_inf = self._bad  # type: ignore[attr-defined]  # as torch's gradient scaler does
        if is_logged_step(trainer, trainer.global_step + 1):
            self._raise_recorded(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: Mapping[str, Any]) -> None:
        """Check all that is about to be saved, and the loss of the last validation."""
        self._raise_recorded(trainer)
        saved = {part: checkpoint[part] for part in SAVED if part in checkpoint}
        val_loss = trainer.callback_metrics.get("val/loss")
        self._check(trainer, saved if val_loss is None else saved | {"val/loss": val_loss})

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the trained weights, whether or not anything was saved."""
        self._raise_recorded(trainer)
        self._check(trainer, dict(pl_module.named_parameters()) | dict(pl_module.named_buffers()))

    def _record(self, trainer: Trainer, kind: float, value: Tensor) -> None:
        """Store the first value that is not finite, with its place, without a synchronisation with the device."""
        if self._bad is None or self._first is None:
            self._bad = torch.zeros_like(value)
            self._first = torch.full((4,), -1.0, device=value.device)
        bad = ~value.isfinite()
        place = [torch.full_like(value, number) for number in (trainer.global_step, trainer.current_epoch + 1, kind)]
        self._first = torch.where(bad & (self._bad == 0), torch.stack([*place, value]), self._first)
        self._bad = torch.maximum(self._bad, bad.float())

    def _raise_recorded(self, trainer: Trainer) -> None:
        """Raise NonFiniteError on all ranks for what was recorded on any."""
        fine = self._bad is None or not bool(self._bad)
        if trainer.strategy.reduce_boolean_decision(fine, all=True):
            self._videos = []
            return
        first = torch.full((4,), -1.0, device=trainer.strategy.root_device) if self._first is None else self._first
        records = enumerate(trainer.strategy.all_gather(first).reshape(-1, 4).tolist())
        rank, (step, epoch, kind, value) = min(
            (record for record in records if record[1][0] >= 0), key=lambda record: (record[1][0], record[1][2])
        )
        where = f" on rank {rank}" if trainer.world_size > 1 else ""
        what, ranks = f"the loss is {value}{where}", [rank]
        if kind == GRADIENT:  # the mean over all ranks
            what = f"the loss is finite, but the norm of its gradient is {value}"
            ranks = list(range(trainer.world_size))
        videos = [path for each in ranks for path in trainer.strategy.broadcast(self._paths(trainer, int(step)), each)]
        more = f" and {len(videos) - MAX_VIDEOS} more" if len(videos) > MAX_VIDEOS else ""
        raise NonFiniteError(
            f"{what} at step {step:.0f} (epoch {epoch:.0f}); its videos are {', '.join(videos[:MAX_VIDEOS])}{more}; "
            f"nothing was saved since, and {_state(trainer)}: {REMEDY}"
        )

    def _paths(self, trainer: Trainer, step: int) -> list[str]:
        """Return the paths of this rank's videos in a step; their rows, where the loader has no list of videos."""
        rows = [row for at, videos in self._videos if at == step for row in videos.tolist()]
        videos = getattr(trainer.train_dataloader, "videos", None)
        return [f"row {row}" if videos is None else videos[row].path for row in rows]

    def _check(self, trainer: Trainer, tree: Any) -> None:
        """Raise NonFiniteError on all ranks where a tensor of a tree is not finite on any."""
        bad = next((name for name, tensor in named_tensors(tree) if not bool(tensor.isfinite().all())), None)
        if trainer.strategy.reduce_boolean_decision(bad is None, all=True):
            return
        raise NonFiniteError(
            f"{bad or 'a tensor of another rank'} is not finite behind step {trainer.global_step} (epoch "
            f"{trainer.current_epoch + 1}); it was not saved, and {_state(trainer)}: {REMEDY}"
        )


def _state(trainer: Trainer) -> str:
    """Return what is left of a run that ends here."""
    return "the last checkpoint is good" if has_saved(trainer) else "there is no checkpoint yet"


def named_tensors(tree: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield every floating-point tensor of a tree of mappings and lists, with its path; of shards this rank's."""
    if isinstance(tree, Tensor):
        if tree.is_floating_point():
            yield name, local_part(tree)
    elif isinstance(tree, Mapping | list | tuple):
        for key, value in tree.items() if isinstance(tree, Mapping) else enumerate(tree):
            yield from named_tensors(value, f"{name}.{key}" if name else str(key))
