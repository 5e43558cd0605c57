"""Learning curves: ``curves.png``, loss, accuracy and learning rate over epochs."""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vivit.plotting import LETTERS, WIDTH, picture_style
from vivit.training.lightning_compat import is_accumulating

COLORS = {"train": "tab:blue", "val": "tab:orange"}
OF_EPOCH = "_epoch"
"""What is added to the names of a step's metrics in logs, where they are means over an epoch."""
LEAST_POINTS, LEAST_SHARE, MARGIN = 5.0, 0.05, 0.06
"""What an axis spans at least: percentage points of an accuracy; a share of the largest loss or learning rate;
beyond both ends comes a margin, a share of the span."""


class CurvePlotter(Callback):
    """Plots ``curves.png`` into the run folder after every epoch: loss and accuracy, and the learning rate.

    A mean over an epoch is one over all of its clips, of all ranks, also over a resume on others: every rank adds up
    its own, and they are put together when the epoch ends or is saved. Validation is the epoch's last, and is left out
    of an epoch that has none.
    """

    def __init__(self, folder: str) -> None:
        self.file = Path(folder) / "curves.png"
        self.epochs: list[dict[str, int | float]] = []
        self._strategy: Strategy | None = None
        self._rate = 0.0
        self._begin(0)

    def _begin(self, epoch: int) -> None:
        self._epoch, self._clips = epoch, 0
        self._means: dict[str, Any] = {}
        self._val: dict[str, float] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Record by what ranks communicate."""
        self._strategy = trainer.strategy

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Record the learning rate of the step, which the schedule changes before the step ends."""
        self._rate = max(group["lr"] for group in trainer.optimizers[0].param_groups)

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
        clips = (batch_idx % trainer.accumulate_grad_batches + 1) * len(batch[0]) * trainer.world_size
        self._clips += clips
        names = [name for name in ("train/loss", "train/acc_top1") if name in trainer.callback_metrics]
        values = {name: trainer.callback_metrics[name] for name in names} | {"learning_rate": self._rate}
        for name, value in values.items():
            mean = self._means.get(name, value)  # an earlier checkpoint has less
            self._means[name] = mean + (value - mean) * clips / self._clips

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
        logged = {f"{name}{OF_EPOCH}": mean for name, mean in means.items() if name.startswith("train/")}
        pl_module.log_dict(logged)
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
        return {"epochs": self.epochs, "under_way": [self._epoch, self._clips, self._means_of_ranks(), self._val]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the curves of the run that is resumed; earlier checkpoints have less of the epoch in progress."""
        self.epochs = state_dict["epochs"]
        self._epoch, self._clips, self._means, self._val = (*state_dict.get("under_way", (0, 0, {})), {})[:4]


def plot_curves(epochs: list[dict[str, int | float]], file: Path) -> None:
    """Plot loss, accuracy in percent and learning rate over epochs, below one another.

    Without accuracies mean average precision is plotted; a panel without any number is left out.
    """
    is_map = any("val/map" in row for row in epochs) and not any("val/acc_top1" in row for row in epochs)
    percent = ("map", "mean average precision, %") if is_map else ("acc_top1", "top-1 accuracy, %")
    lines = {
        "loss": {split: _points(epochs, f"{split}/loss", 1) for split in COLORS},
        percent[1]: {split: _points(epochs, f"{split}/{percent[0]}", 100) for split in COLORS},
        "learning rate": {"": _points(epochs, "learning_rate", 1)},
    }
    panels = {label: of_panel for label, of_panel in lines.items() if any(of_panel.values())} or {"loss": {}}
    with picture_style():
        figure = Figure(figsize=(WIDTH, 2.7 * len(panels) + 0.3), layout="constrained")
        for axes, (label, of_panel) in zip(
            figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels.items(), strict=True
        ):
            for split, points in of_panel.items():
                if points:
                    axes.plot(*zip(*points, strict=True), "o-", color=COLORS.get(split, "black"), label=split)
            values = [value for points in of_panel.values() for _, value in points if isfinite(value)]
            axes.set(xlabel="epoch", xlim=(0.7, len(epochs) + 0.3))
            if values:
                axes.set_ylim(*axis_limits(values, is_percent=label == percent[1]))
            axes.set_title(label, loc="left", fontsize=LETTERS)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
            axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(alpha=0.3)
            if len(of_panel) > 1:
                axes.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
        figure.savefig(file)


def axis_limits(values: Sequence[float], *, is_percent: bool) -> tuple[float, float]:
    """Return the lower and the upper end of an axis with all values, wide enough that noise stays small.

    It spans ``LEAST_POINTS`` of values in percent, of others ``LEAST_SHARE`` of the largest; percents end at 0 and 100.
    """
    low, high = min(values), max(values)
    span = max(high - low, LEAST_POINTS if is_percent else LEAST_SHARE * max(map(abs, values)) or 1.0)
    start = (low + high - span) / 2
    if is_percent:
        start = min(max(start, 0), 100 - span)
    margin = MARGIN * span
    return start - margin, start + span + margin


def _points(epochs: list[dict[str, int | float]], key: str, factor: int) -> list[tuple[int | float, float]]:
    return [(row["epoch"], factor * row[key]) for row in epochs if key in row]
