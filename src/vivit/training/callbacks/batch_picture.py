"""``batch.png``: the first clips that a network trains on, after augmentation and mixup, with their labels."""

from pathlib import Path

import numpy as np
from lightning import Callback, Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from vivit.clip_sheets import SheetRow, draw_clips, spread
from vivit.structures import Batch, MultiLabel
from vivit.training.module import VideoClassifier
from vivit.training.picture_logging import log_pictures
from vivit.training.rng import step_generator

MOST_CLIPS, MOST_FRAMES = 8, 4
MOST_CLASSES = 3
"""Classes of a soft label that are written, the most likely ones."""
LEAST, MULTI_LABEL_LEAST = 0.005, 0.1
"""Share of a class below which it is left out: it would be written as 0 %; of a multi-label head smoothing has 5 %."""


class BatchPicture(Callback):
    """Writes ``batch.png`` before the first step, and passes it to the loggers; a resumed run has it already.

    Labels are the targets of the loss, smoothed and mixed. They are computed again from the numbers of that step, so
    that training draws the same ones as without this picture.
    """

    def __init__(self, folder: str) -> None:
        self.file = Path(folder) / "batch.png"
        self._is_due = True

    @rank_zero_only
    def on_train_batch_start(self, trainer: Trainer, pl_module: VideoClassifier, batch: Batch, batch_idx: int) -> None:  # type: ignore[override]
        """Write the picture, once."""
        if not self._is_due or not len(batch.videos):
            return
        self._is_due = False
        if self.file.is_file() or trainer.global_step:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        draw_clips("first clips of training, augmented", batch_rows(pl_module, batch, trainer.global_step)).savefig(
            self.file
        )
        log_pictures(trainer, {"train/batch": self.file})


def batch_rows(module: VideoClassifier, batch: Batch, step: int) -> list[SheetRow]:
    """Return the first clips of a batch with the targets of a step; mixup blends each with one of the other end."""
    few = batch.frames[:, :1, spread(batch.frames.shape[2], MOST_FRAMES)]
    clips = batch._replace(frames=few).normalized(module.precision)[:, 0]
    if module.frozen_cache is None:
        generator = step_generator(module.seed, step, "mixup")
        clips, targets = module.loss.soft_labels(clips, batch.labels, module.num_classes, generator, module.multi_label)
    else:
        targets = module.loss.unmixed_labels(batch.labels, module.num_classes, module.multi_label)
    pictures = ((clips[:MOST_CLIPS].float() + 1) * 127.5).round().clamp(0, 255).byte().movedim(1, -1).cpu().numpy()
    return [
        SheetRow(np.ascontiguousarray(frames), [(line, "black") for line in target_lines(module, target)])
        for frames, target in zip(pictures, targets[:MOST_CLIPS].float().cpu(), strict=True)
    ]


def target_lines(module: VideoClassifier, target: Tensor) -> list[str]:
    """Return a line for every head: its class, or the likely ones with their shares where it is soft."""
    lines = []
    for (head, names), part in zip(module.heads.items(), target.split(module.num_classes), strict=True):
        shares = sorted(zip(part.tolist(), names, strict=True), key=lambda pair: -pair[0])
        least = MULTI_LABEL_LEAST if isinstance(names, MultiLabel) else LEAST
        some = [(share, name) for share, name in shares if share >= least][:MOST_CLASSES]
        text = ", ".join(name if share == 1 else f"{name} {100 * share:.0f} %" for share, name in some)
        rest = sum(share >= least for share, _ in shares) - len(some)
        text = (text or "none") + (f" and {rest} more" if rest else "")
        lines.append(text if len(module.heads) == 1 else f"{head}: {text}")
    return lines
