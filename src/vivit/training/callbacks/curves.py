"""Learning curves: ``curves.png``, loss and accuracy over epochs."""

from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure

from vivit.training.lightning_compat import is_accumulating

OF_EPOCH = "_epoch"
"""What is added to the names of a step's metrics in logs, where they are means over an epoch."""


class CurvePlotter(Callback):
    """Plots ``curves.png`` into the run folder after every epoch: loss and accuracy, in training and validation.

    A mean over an epoch is one over all of its batches, of all ranks, also over a resume: every rank adds up its own,
    and they are put together when the epoch ends or is saved. Validation is the epoch's last, and is left out of an
    epoch that has none.
    """

    def __init__(self, folder: str) -> None:
        self.file = Path(folder) / "curves.png"
        self.epochs: list[dict[str, int | float]] = []
        self._strategy: Strategy | None = None
        self._begin(0)

    def _begin(self, epoch: int) -> None:
        self._epoch, self._batches = epoch, 0
        self._means: dict[str, Any] = {}
        self._val: dict[str, float] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Record by what ranks communicate."""
        self._strategy = trainer.strategy

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the step's metrics, means over its parts, to the running means, without a synchronisation.

        Of a step that loggers record they are those of all ranks already, of which the mean over ranks is the same.
        """
        if self._epoch != trainer.current_epoch:
            self._begin(trainer.current_epoch)
        if is_accumulating(trainer):
            return
        parts = batch_idx % trainer.accumulate_grad_batches + 1
        self._batches += parts
        for name in ("train/loss", "train/acc_top1"):
            if name not in trainer.callback_metrics:
                continue
            mean = self._means.get(name, 0.0)
            self._means[name] = mean + (trainer.callback_metrics[name] - mean) * parts / self._batches

    @rank_zero_only
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the metrics of a validation."""
        metrics = trainer.callback_metrics
        if not trainer.sanity_checking:
            self._val = {
                name: float(metrics[name]) for name in ("val/loss", "val/acc_top1", "val/map") if name in metrics
            }

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the epoch, for loggers too, and plot, on rank 0."""
        means = self._means_of_ranks()
        pl_module.log_dict({f"{name}{OF_EPOCH}": mean for name, mean in means.items()})
        self.epochs.append({"epoch": trainer.current_epoch + 1} | means | self._val)
        self._begin(self._epoch)
        if trainer.is_global_zero:
            plot_curves(self.epochs, self.file)

    def _means_of_ranks(self) -> dict[str, float]:
        """Return the means of the epoch in progress over all ranks, which must call it at once."""
        if self._strategy is None or not self._means:
            return dict(self._means)
        means = torch.tensor([float(mean) for mean in self._means.values()], device=self._strategy.root_device)
        return dict(zip(self._means, self._strategy.reduce(means, reduce_op="mean").tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Return the complete epochs, and the means of the one in progress; all ranks must call it at once."""
        return {"epochs": self.epochs, "under_way": [self._epoch, self._batches, self._means_of_ranks(), self._val]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the curves of the run that is resumed; earlier checkpoints have less of the epoch in progress."""
        self.epochs = state_dict["epochs"]
        self._epoch, self._batches, self._means, self._val = (*state_dict.get("under_way", (0, 0, {})), {})[:4]


def plot_curves(epochs: list[dict[str, int | float]], file: Path) -> None:
    """Plot loss on the left, accuracy on the right, over epochs; without accuracies mean average precision."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    is_map = any("val/map" in row for row in epochs) and not any("val/acc_top1" in row for row in epochs)
    right, of_right = ("map", "mean average precision") if is_map else ("acc_top1", "top-1 accuracy")
    for axes, key, label in zip(figure.subplots(1, 2), ("loss", right), ("loss", of_right), strict=True):
        for split, color in (("train", "tab:blue"), ("val", "tab:orange")):
            points = [(row["epoch"], row[f"{split}/{key}"]) for row in epochs if f"{split}/{key}" in row]
            axes.plot(*zip(*points, strict=True), "o-", color=color, label=split, markersize=3) if points else None
        axes.set(xlabel="epoch", ylabel=label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(file, dpi=120)
