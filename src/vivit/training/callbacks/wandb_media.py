"""Media for Weights & Biases: clips with their predictions, and confusion matrices."""

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

from vivit.evaluation.confusion_matrix import plot_confusion_matrix
from vivit.structures import Batch, Predictions
from vivit.training.wandb_logger import ResumableWandbLogger

MAX_FRAMES, MAX_SIDE = 16, 112
"""Frames, and pixels a side, of a clip that is logged."""


class WandbMediaLogger(Callback):
    """Logs the first ``clips`` clips and each head's confusion matrix, ``times`` times in training and after a test.

    A clip is subsampled to 16 frames of at most 112 pixels a side, so that the amount is bounded. Does nothing without
    a W&B logger.
    """

    def __init__(self, *, clips: int = 8, times: int = 5) -> None:
        self.clips, self.times = clips, times
        self._videos: list[wandb.Video] = []
        self._counts: list[Tensor] = []

    def _reset(self, module: Any) -> None:
        self._videos = []
        self._counts = [torch.zeros(k, k, dtype=torch.long, device=module.device) for k in module.num_classes]

    def _add(self, module: Any, batch: Batch, predictions: Predictions | None) -> None:
        if predictions is None:
            return  # a batch of no videos
        logits = predictions.logits.split([len(counts) for counts in self._counts], 1)
        for counts, part, label in zip(self._counts, logits, predictions.labels.T, strict=True):
            pairs = label * len(counts) + part.argmax(1)
            counts += torch.bincount(pairs, minlength=counts.numel()).view_as(counts)
        names = [tuple(names) for names in module.record["classes"].values()]
        for i in range(min(self.clips - len(self._videos), len(batch.videos))):
            caption = "; ".join(
                format_caption(part[i], int(label), classes)
                for part, label, classes in zip(logits, predictions.labels[i], names, strict=True)
            )
            clip = encode_gif(batch.frames[i, 0].cpu().numpy())
            self._videos.append(wandb.Video(clip, caption=caption, format="gif"))

    def _log(self, trainer: Trainer, module: Any, split: str) -> None:
        counts = [trainer.strategy.reduce(counts, reduce_op="sum") for counts in self._counts]
        loggers = [logger for logger in trainer.loggers if isinstance(logger, ResumableWandbLogger)]
        if not trainer.is_global_zero or not loggers:
            return
        heads = module.record["classes"].items()
        matrices = {
            f"{split}/confusion/{head}": wandb.Image(plot_confusion_matrix(table.cpu().numpy(), names))
            for table, (head, names) in zip(counts, heads, strict=True)
        }
        media = {f"{split}/clips": self._videos, "trainer/global_step": trainer.global_step} | matrices
        for logger in loggers:
            logger.experiment.log(media)

    def _is_due(self, trainer: Trainer) -> bool:
        every = max(1, -(-(trainer.max_epochs or 1) // self.times))
        return (trainer.current_epoch + 1) % every == 0

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Reset counts and clips."""
        self._reset(pl_module)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Count predictions and collect the first clips."""
        if self._is_due(trainer):
            self._add(pl_module, batch, outputs)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Log, if this epoch is one of ``times``."""
        if self._is_due(trainer):
            self._log(trainer, pl_module, "val")

    def on_test_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Reset counts and clips."""
        self._reset(pl_module)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Count predictions and collect the first clips."""
        self._add(pl_module, batch, outputs)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Log."""
        self._log(trainer, pl_module, "test")


def format_caption(logits: Tensor, label: int, names: Sequence[str]) -> str:
    """Return the predicted class with its probability, and the true one."""
    probabilities = logits.softmax(0)
    predicted = int(probabilities.argmax())
    return f"{names[predicted]} ({100 * float(probabilities[predicted]):.0f} %), is {names[label]}"


def encode_gif(frames: UInt8[np.ndarray, "f h w 3"]) -> io.BytesIO:
    """Encode a clip as GIF, subsampled over time and space."""
    step = -(-len(frames) // MAX_FRAMES)
    stride = -(-max(frames.shape[1:3]) // MAX_SIDE)
    images = [Image.fromarray(np.ascontiguousarray(frame[::stride, ::stride])) for frame in frames[::step]]
    file = io.BytesIO()
    images[0].save(file, format="GIF", save_all=True, append_images=images[1:], duration=100, loop=0)
    file.seek(0)
    return file
