"""Loss and accuracy of a step: means over its parts and, where loggers record it, over ranks."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from lightning import Trainer
from torch import Tensor

from vivit.structures import Heads, label_columns, single_label_heads
from vivit.training.lightning_compat import is_logged_step, show_in_progress_bar

LOSS, TOP1 = "train/loss", "train/acc_top1"


def step_metrics(heads: Heads) -> tuple[str, ...]:
    """Return the names of a step's metrics: the accuracy is that of the heads of which a video has one class."""
    return (LOSS, TOP1) if single_label_heads(heads) else (LOSS,)


def batch_metrics(
    loss: Float[Tensor, ""], logits: Float[Tensor, "b k"], labels: Int[Tensor, "b heads"], heads: Heads
) -> Float[Tensor, " m"]:
    """Return the metrics of a batch: the loss, and the share of clips whose prediction is right for every head."""
    columns, sizes = label_columns(heads), [len(names) for names in heads.values()]
    parts = dict(zip(heads, logits.detach().split(sizes, 1), strict=True))
    right = [parts[head].argmax(1) == labels[:, columns[head].start] for head in single_label_heads(heads)]
    accuracy = [torch.stack(right, 1).all(1).float().mean()] if right else []
    return torch.stack([loss.detach().float(), *accuracy])


class StepMetrics:
    """Means over the parts of the step in progress, by ``names``; nothing is read from the device in between."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._parts: list[Tensor] = []
        self._logged = torch.zeros(len(names))

    def add(self, trainer: Trainer, part: Float[Tensor, " m"], *, first: bool) -> dict[str, Tensor]:
        """Return the means over the parts so far: this rank's, and in a step that loggers record those of all ranks."""
        self._parts = [part] if first else [*self._parts, part]
        means = part if first else torch.stack(self._parts).mean(0)
        if is_logged_step(trainer, trainer.global_step + 1):
            means = self._logged = trainer.strategy.reduce(means, reduce_op="mean")
        return dict(zip(self.names, means, strict=True))

    def show(self, trainer: Trainer) -> None:
        """Pass the means to the progress bar in a step that loggers record: there the host may wait for them."""
        if is_logged_step(trainer, trainer.global_step + 1):
            show_in_progress_bar(trainer, dict(zip(self.names, self._logged.tolist(), strict=True)))
