"""Thresholds of multi-label heads for the views of a test, chosen on the validation videos before it."""

import logging
import shutil
from pathlib import Path

import torch
from lightning import Trainer

from vivit.data import VideoDataModule
from vivit.data.views import format_views
from vivit.evaluation.thresholds import choose_thresholds
from vivit.io import atomic_write
from vivit.structures import multi_label_heads
from vivit.tasks.test import prepare_test, run_test
from vivit.training import VideoClassifier

log = logging.getLogger(__name__)


def choose_test_thresholds(
    trainer: Trainer, module: VideoClassifier, data: VideoDataModule, folder: Path, checkpoint: str | None
) -> None:
    """Choose thresholds on the validation videos by the views of the test; ``checkpoint`` then stores them.

    Those of validation while training come from one view a video, whose probabilities are farther from 0.5 than means
    of several. Nothing is done where the test has one view too, without multi-label heads, and without validation.
    All ranks must call it at once.
    """
    views = data.test_views
    validates = "val" in data.dataset.splits and trainer.limit_val_batches != 0
    if not multi_label_heads(data.heads) or views.temporal * views.spatial == 1 or not validates:
        return
    before, scores = data.test_split, folder / "thresholds"
    data.test_split = "val"
    try:
        scores.mkdir(exist_ok=True)
        file, _ = run_test(trainer, module, data, prepare_test(data, by_difficulty=False), scores, checkpoint)
        thresholds = trainer.strategy.broadcast({} if file is None else choose_thresholds(file))
    finally:
        data.test_split = before
    module.record_thresholds(thresholds)
    if trainer.is_global_zero:
        shutil.rmtree(scores, ignore_errors=True)
        log.info("thresholds are those of %s views of the val videos", format_views(views.temporal, views.spatial))
        if checkpoint is not None:
            store_thresholds(Path(checkpoint), thresholds)
    trainer.strategy.barrier("thresholds")


def store_thresholds(checkpoint: Path, thresholds: dict[str, list[float]]) -> None:
    """Replace the thresholds in the record of a checkpoint; all else stays as it is."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    content["vivit"] = {**content["vivit"], "multi_label": thresholds}
    with atomic_write(checkpoint, sync=True) as partial:
        torch.save(content, partial)
