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
from vivit.evaluation.predicted_classes import split_heads
from vivit.structures import Batch, MultiLabel, Predictions, label_columns, single_label_heads
from vivit.training.wandb_logger import ResumableWandbLogger

MAX_FRAMES, MAX_SIDE = 16, 112
"""Frames, and pixels a side, of a clip that is logged."""


class WandbMediaLogger(Callback):
    """Logs the first ``clips`` clips, ``times`` times in training and after a test; in training confusion matrices too.

    A clip is subsampled to 16 frames of at most 112 pixels a side, so that the amount is bounded. Does nothing without
    a W&B logger.
    """

    def __init__(self, *, clips: int = 8, times: int = 5) -> None:
        self.clips, self.times = clips, times
        self._videos: list[wandb.Video] = []
        self._counts: dict[str, Tensor] = {}

    def _reset(self, module: Any) -> None:
        self._videos = []
        single = single_label_heads(module.heads)
        self._counts = {
            head: torch.zeros(len(names), len(names), dtype=torch.long, device=module.device)
            for head, names in single.items()
        }

    def _add(self, module: Any, batch: Batch, predictions: Predictions | None) -> None:
        if predictions is None:
            return  # a batch of no videos
        logits, columns = split_heads(predictions.logits, module.heads), label_columns(module.heads)
        for head, counts in self._counts.items():
            pairs = predictions.labels[:, columns[head].start] * len(counts) + logits[head].argmax(1)
            counts += torch.bincount(pairs, minlength=counts.numel()).view_as(counts)
        for i in range(min(self.clips - len(self._videos), len(batch.videos))):
            caption = "; ".join(
                format_labels(logits[head][i], predictions.labels[i, columns[head]], names)
                for head, names in module.heads.items()
            )
            clip = encode_gif(batch.frames[i, 0].cpu().numpy())
            self._videos.append(wandb.Video(clip, caption=caption, format="gif"))

    def _log(self, trainer: Trainer, module: Any, split: str) -> None:
        counts = {head: trainer.strategy.reduce(each, reduce_op="sum") for head, each in self._counts.items()}
        loggers = [logger for logger in trainer.loggers if isinstance(logger, ResumableWandbLogger)]
        if not trainer.is_global_zero or not loggers:
            return
        matrices = {
            f"{split}/confusion/{head}": wandb.Image(plot_confusion_matrix(table.cpu().numpy(), module.heads[head]))
            for head, table in counts.items()
            if split == "val"  # that of a test is one of the run folder's pictures, which are logged behind it
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


def format_labels(logits: Tensor, labels: Tensor, names: Sequence[str]) -> str:
    """Return prediction and label of one head of a clip; of a multi-label head all labels and the probable classes."""
    if not isinstance(names, MultiLabel):
        return format_caption(logits, int(labels), names)
    listed = [", ".join(name for name, present in zip(names, each, strict=True) if present) or "none"
              for each in ((logits > 0).tolist(), labels.tolist())]  # fmt: skip
    return f"predicted {listed[0]}, label {listed[1]}"


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
