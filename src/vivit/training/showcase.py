"""Pictures for Weights & Biases: clips with what was said of them, and who is taken for whom."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import wandb
from jaxtyping import UInt8
from lightning import Callback, Trainer
from PIL import Image
from torch import Tensor

from vivit.evaluation.confusion import draw
from vivit.shapes import Batch, Scores
from vivit.training.tracking import WandbRun

LONGEST, WIDEST = 16, 112
"""Frames and pixels a side of a clip that is shown."""


class Showcase(Callback):
    """Shows the first ``clips`` clips and each head's confusion matrix, ``times`` times in training and after a test.

    What it writes is bounded: a clip is thinned out to 16 frames of at most 112 pixels a side. Does nothing without a
    W&B logger.
    """

    def __init__(self, *, clips: int = 8, times: int = 5) -> None:
        self.clips, self.times = clips, times
        self._shown: list[wandb.Video] = []
        self._counts: list[Tensor] = []

    def _start(self, module: Any) -> None:
        self._shown = []
        self._counts = [torch.zeros(k, k, dtype=torch.long, device=module.device) for k in module.sizes]

    def _see(self, module: Any, batch: Batch, scores: Scores | None) -> None:
        if scores is None:
            return  # a batch of no videos
        logits = scores.logits.split([len(counts) for counts in self._counts], 1)
        for counts, said, label in zip(self._counts, logits, scores.labels.T, strict=True):
            pairs = label * len(counts) + said.argmax(1)
            counts += torch.bincount(pairs, minlength=counts.numel()).view_as(counts)
        names = [tuple(names) for names in module.record["heads"].values()]
        for i in range(min(self.clips - len(self._shown), len(batch.videos))):
            caption = "; ".join(
                said_of(part[i], int(label), classes)
                for part, label, classes in zip(logits, scores.labels[i], names, strict=True)
            )
            self._shown.append(wandb.Video(gif(batch.frames[i, 0].cpu().numpy()), caption=caption, format="gif"))

    def _show(self, trainer: Trainer, module: Any, split: str) -> None:
        counts = [trainer.strategy.reduce(counts, reduce_op="sum") for counts in self._counts]
        runs = [logger for logger in trainer.loggers if isinstance(logger, WandbRun)]
        if not trainer.is_global_zero or not runs:
            return
        heads = module.record["heads"].items()
        pictures = {
            f"{split}/confusion/{head}": wandb.Image(draw(table.cpu().numpy(), names))
            for table, (head, names) in zip(counts, heads, strict=True)
        }
        found = {f"{split}/clips": self._shown, "trainer/global_step": trainer.global_step} | pictures
        for run in runs:
            run.experiment.log(found)

    def _due(self, trainer: Trainer) -> bool:
        every = max(1, -(-(trainer.max_epochs or 1) // self.times))
        return (trainer.current_epoch + 1) % every == 0

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start to count."""
        self._start(pl_module)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Count, and keep the first clips."""
        if self._due(trainer):
            self._see(pl_module, batch, outputs)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Show, if it is time."""
        if self._due(trainer):
            self._show(trainer, pl_module, "val")

    def on_test_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start to count."""
        self._start(pl_module)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Count, and keep the first clips."""
        self._see(pl_module, batch, outputs)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Show."""
        self._show(trainer, pl_module, "test")


def said_of(logits: Tensor, label: int, names: Sequence[str]) -> str:
    """Say what was said, how surely, and what is right."""
    shares = logits.softmax(0)
    said = int(shares.argmax())
    return f"{names[said]} ({100 * float(shares[said]):.0f} %), is {names[label]}"


def gif(frames: UInt8[np.ndarray, "f h w 3"]) -> io.BytesIO:
    """Encode a clip, thinned out over time and space."""
    thin = -(-len(frames) // LONGEST)
    coarse = -(-max(frames.shape[1:3]) // WIDEST)
    pictures = [Image.fromarray(np.ascontiguousarray(frame[::coarse, ::coarse])) for frame in frames[::thin]]
    file = io.BytesIO()
    pictures[0].save(file, format="GIF", save_all=True, append_images=pictures[1:], duration=100, loop=0)
    file.seek(0)
    return file
