"""Loss and accuracy of a step: means over its parts and, where loggers record it, over ranks."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from lightning import Trainer
from torch import Tensor

from vivit.training.lightning_compat import is_logged_step, show_in_progress_bar

STEP_METRICS = ("train/loss", "train/acc_top1")


def batch_accuracy(
    logits: Float[Tensor, "b k"], labels: Int[Tensor, "b heads"], num_classes: Sequence[int]
) -> Float[Tensor, ""]:
    """Return the share of a batch's clips whose prediction is right for every head."""
    predicted = torch.stack([head.argmax(1) for head in logits.detach().split(list(num_classes), 1)], 1)
    return (predicted == labels).all(1).float().mean()


class StepMetrics:
    """Means over the parts of the step in progress; nothing is read from the device in between."""

    def __init__(self) -> None:
        self._parts: list[Tensor] = []
        self._logged = torch.zeros(len(STEP_METRICS))

    def add(self, trainer: Trainer, part: Float[Tensor, " m"], *, first: bool) -> dict[str, Tensor]:
        """Return the means over the parts so far: this rank's, and in a step that loggers record those of all ranks."""
        self._parts = [part] if first else [*self._parts, part]
        means = part if first else torch.stack(self._parts).mean(0)
        if is_logged_step(trainer, trainer.global_step + 1):
            means = self._logged = trainer.strategy.reduce(means, reduce_op="mean")
        return dict(zip(STEP_METRICS, means, strict=True))

    def show(self, trainer: Trainer) -> None:
        """Pass the means to the progress bar in a step that loggers record: there the host may wait for them."""
        if is_logged_step(trainer, trainer.global_step + 1):
            show_in_progress_bar(trainer, dict(zip(STEP_METRICS, self._logged.tolist(), strict=True)))
