"""What watches a run: how long it takes, how much memory it needs, and a picture of its curves."""

import resource
import statistics
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure

from vivit.training.memory import forget_peak


@dataclass(frozen=True, slots=True)
class Spent:
    """What steps did: clips that they learned from, seconds that they waited for them, and seconds of work."""

    clips: int = 0
    waited: float = 0.0
    worked: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.clips + other.clips, self.waited + other.waited, self.worked + other.worked)

    def speed(self) -> dict[str, float]:
        """Say it as rates."""
        seconds = self.waited + self.worked
        return {"clips_per_second": self.clips / seconds, "data_wait_share": self.waited / seconds}


class Stopwatch(Callback):
    """Measures training time over all resumes, the median step, peak memory, and what the steps were spent on.

    Logs ``speed/clips_per_second`` over all devices, ``speed/data_wait_share``, which is the share of time in which a
    step waited for its batch, both over the last 50 steps, and ``speed/peak_mb``.
    """

    def __init__(self) -> None:
        self.train_seconds = 0.0
        self._since = self._ended = 0.0
        self._steps: list[float] = []
        self._last: deque[Spent] = deque(maxlen=50)
        self._all = Spent()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start counting."""
        forget_peak()
        self._since = self._ended = time.perf_counter()  # an epoch that is gone on with has no start of its own

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave out of the wait what lies between epochs."""
        self._ended = time.perf_counter()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note when the step began."""
        self._step_began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the step and the time since the last one."""
        now = time.perf_counter()
        self._steps.append(now - self._step_began)
        spent = Spent(len(batch[0]) * trainer.world_size, self._step_began - self._ended, self._steps[-1])
        self._last.append(spent)
        self._all += spent
        self.train_seconds += now - self._since
        self._since = self._ended = now
        for name, value in (sum(self._last, Spent()).speed() | {"peak_mb": self.peak_mb}).items():
            pl_module.log(f"speed/{name}", value, on_step=True, on_epoch=False, batch_size=1)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add what followed the last step: the last validation."""
        self.train_seconds += time.perf_counter() - self._since

    def speed(self) -> dict[str, float]:
        """Clips a second over all devices, and the share of time that steps waited, from the start; empty before it."""
        return self._all.speed() if self._steps else {}

    @property
    def step_seconds(self) -> float | None:
        """Median time of a step without its wait for data; None before the first."""
        return statistics.median(self._steps) if self._steps else None

    @property
    def peak_mb(self) -> float:
        """Peak memory since the start in MB: of the GPU where one was used, of the process otherwise."""
        if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
            return torch.cuda.max_memory_allocated() / 1e6
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1e-6 if sys.platform == "darwin" else 1.024e-3)

    def state_dict(self) -> dict[str, float]:
        """Keep the time spent so far in the checkpoint."""
        return {"train_seconds": self.train_seconds}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Go on counting."""
        self.train_seconds = state_dict["train_seconds"]


class Curves(Callback):
    """Draws ``curves.png`` into the run folder after every epoch: loss and accuracy, in training and validation.

    The first rank does it alone. A mean over an epoch is one over all of its batches, wherever the run was resumed;
    validation is the epoch's last, and is left out of an epoch that has none.
    """

    def __init__(self, folder: str) -> None:
        self.file = Path(folder) / "curves.png"
        self.epochs: list[dict[str, int | float]] = []
        self._begin(0)

    def _begin(self, epoch: int) -> None:
        self._epoch, self._batches = epoch, 0
        self._means: dict[str, Any] = {}
        self._val: dict[str, float] = {}

    @rank_zero_only
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the step's numbers, means over its parts, to the means so far, without waiting for the device."""
        if self._epoch != trainer.current_epoch:
            self._begin(trainer.current_epoch)
        if trainer.fit_loop._should_accumulate():
            return
        parts = batch_idx % trainer.accumulate_grad_batches + 1
        self._batches += parts
        for name in ("train/loss", "train/acc_top1"):
            mean = self._means.get(name, 0.0)
            self._means[name] = mean + (trainer.callback_metrics[name] - mean) * parts / self._batches

    @rank_zero_only
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note what was measured."""
        measured = trainer.callback_metrics
        if not trainer.sanity_checking:
            self._val = {name: float(measured[name]) for name in ("val/loss", "val/acc_top1") if name in measured}

    @rank_zero_only
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the epoch and draw."""
        means = {name: float(mean) for name, mean in self._means.items()}
        self.epochs.append({"epoch": trainer.current_epoch + 1} | means | self._val)
        self._begin(self._epoch)
        draw_curves(self.epochs, self.file)

    def state_dict(self) -> dict[str, Any]:
        """Keep the epochs drawn so far, and what there is of the next, in the checkpoint."""
        means = {name: float(mean) for name, mean in self._means.items()}
        return {"epochs": self.epochs, "under_way": [self._epoch, self._batches, means, self._val]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the curves of the run that is resumed; earlier checkpoints have less of the epoch under way."""
        self.epochs = state_dict["epochs"]
        self._epoch, self._batches, self._means, self._val = (*state_dict.get("under_way", (0, 0, {})), {})[:4]


def draw_curves(epochs: list[dict[str, int | float]], file: Path) -> None:
    """Draw loss on the left, accuracy on the right, over epochs."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, key, label in zip(figure.subplots(1, 2), ("loss", "acc_top1"), ("loss", "top-1 accuracy"), strict=True):
        for split, colour in (("train", "tab:blue"), ("val", "tab:orange")):
            points = [(row["epoch"], row[f"{split}/{key}"]) for row in epochs if f"{split}/{key}" in row]
            axes.plot(*zip(*points, strict=True), "o-", color=colour, label=split, markersize=3) if points else None
        axes.set(xlabel="epoch", ylabel=label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(file, dpi=120)
