"""The test at the end of training and of `eval.py`: predictions in a file, and metrics and tables from it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning import Trainer

from vivit.data import VideoDataModule
from vivit.data.transforms.flip import class_swaps
from vivit.data.views import format_views
from vivit.errors import ConfigError
from vivit.evaluation import get_aggregation
from vivit.evaluation.class_scores import class_scores, write_class_rows
from vivit.evaluation.confusion_matrix import (
    confusion_matrix,
    plot_confusion_matrix,
    write_confused_pairs,
    write_confusion_counts,
)
from vivit.evaluation.difficulty import quantile_bins
from vivit.evaluation.epic_kitchens import compute_official_metrics
from vivit.evaluation.metrics import SCORES_ONLY, compute_metrics, missing_labels_message
from vivit.evaluation.mistakes import most_confident_mistakes
from vivit.evaluation.multi_label import write_class_scores
from vivit.evaluation.predictions import PredictionsMetadata, merge
from vivit.evaluation.predictions_reader import PredictionsFile, write_video_scores
from vivit.inference.mistake_page import write_mistakes
from vivit.plotting import DPI
from vivit.structures import Video, label_columns, multi_label_heads, single_label_heads, thresholds_by_head
from vivit.training import PredictionWriter, VideoClassifier
from vivit.training.lightning_compat import get_callbacks

SCORES, VIDEO_SCORES = "scores.parquet", "video_scores.parquet"
MISTAKES = 24
"""Mistakes on the page about them, at most."""


def prepare_test(
    data: VideoDataModule, *, with_metrics: bool = True, by_difficulty: bool = True
) -> PredictionsMetadata:
    """Return the metadata of a test's predictions. Raises, before the test, what would fail after it."""
    videos, views = data.dataset.videos(data.test_split), data.test_views
    get_aggregation(views.average)
    if with_metrics and (unlabelled := videos.unlabelled()):
        problem = missing_labels_message(unlabelled, f"{len(videos)} {data.test_split} videos")
        raise ConfigError("data.dataset", problem=problem, remedy=f"set test=false in train.py; {SCORES_ONLY}")
    class_swaps(data.heads, data.dataset.backwards, "data.dataset.backwards")  # raises
    difficulty = data.dataset.difficulty(data.test_split) if with_metrics and by_difficulty else {}
    return PredictionsMetadata(
        heads=data.heads,
        multi_label=thresholds_by_head(data.heads),
        views=format_views(views.temporal, views.spatial),
        view_indices=views.views_by_count(),
        spatial=views.spatial,
        average=views.average,
        split=data.test_split,
        listed=len(videos),
        score_by={name: quantile_bins(column.to_numpy()) for name, column in difficulty.items()},
        backwards=data.dataset.backwards,
        epic_kitchens=data.dataset.official(data.test_split),
    )


def run_test(
    trainer: Trainer,
    module: VideoClassifier,
    data: VideoDataModule,
    metadata: PredictionsMetadata,
    folder: Path,
    checkpoint: str | None,
) -> tuple[PredictionsFile | None, dict[str, Any]]:
    """Test; return the file of the predictions, on the first rank alone, and the videos that were left out."""
    writer = PredictionWriter(folder)
    get_callbacks(trainer).append(writer)
    trainer.test(module, data, ckpt_path=checkpoint, verbose=False, weights_only=True)
    get_callbacks(trainer).remove(writer)
    skipped = data.skipped_videos()
    if not trainer.is_global_zero:
        return None, skipped
    videos, target = data.dataset.videos(data.test_split), folder / SCORES
    thresholds = module.record.get("multi_label", {})
    metadata = replace(metadata, skipped_videos=skipped, checkpoint=checkpoint, multi_label=thresholds)
    try:
        difficulty = data.dataset.difficulty(data.test_split) if metadata.score_by else {}
        groups = data.dataset.usable_groups(data.test_split)
        merge(writer.parts, target, metadata, videos.column("path"), videos.column("name"), difficulty, groups)
    finally:
        for part in writer.parts:
            part.unlink(missing_ok=True)
    return PredictionsFile(target), skipped


def score_training_videos(
    trainer: Trainer, module: VideoClassifier, data: VideoDataModule, folder: Path, checkpoint: str | None
) -> dict[str, float]:
    """Score the training videos as those of the test, without augmentation; return the metrics, on the first rank.

    Accuracies while training are those of augmented and mixed clips, and of weights that still change. Videos that
    cannot be read are left out, as in training.
    """
    before = data.test_split, data.skip_unreadable
    data.test_split, data.skip_unreadable = "train", True
    try:
        folder.mkdir(exist_ok=True)
        file, _ = run_test(trainer, module, data, prepare_test(data, by_difficulty=False), folder, checkpoint)
    finally:
        data.test_split, data.skip_unreadable = before
    if file is None:
        return {}
    return {f"test_train/{name}": value for name, value in compute_metrics(file).metrics.items()}


def write_scores_only(
    file: PredictionsFile, folder: Path, views: str | None = None, average: str | None = None
) -> dict[str, Any]:
    """Write the scores of videos; return the part of ``results.json`` about them, without metrics."""
    metadata = file.metadata
    results = {"views": views or metadata.views, "average": average or metadata.average, "scored_split": metadata.split}
    write_video_scores(file, folder / VIDEO_SCORES, views=results["views"], average=results["average"])
    return results | {"metrics": {}}


def write_metrics(
    file: PredictionsFile, folder: Path, views: str | None = None, average: str | None = None
) -> dict[str, Any]:
    """Write the scores of videos, tables and pictures; return the part of ``results.json`` with all metrics.

    Their names begin with the split: those of validation videos are never called ``test/``.
    """
    metadata, evaluation = file.metadata, compute_metrics(file, views=views, average=average)
    results = write_scores_only(file, folder, views, average)
    columns = label_columns(metadata.heads)
    results["classes"] = {}
    for head, names in single_label_heads(metadata.heads).items():
        of_head = columns[head].start
        counts = confusion_matrix(evaluation.labels[:, of_head], evaluation.predicted[:, of_head], len(names))
        results["classes"][head] = write_tables(folder, head, names, counts)
    for head, of_classes in multi_label_heads(metadata.heads).items():
        write_class_scores(folder / f"classes_{head}.csv", of_classes, evaluation.multi_label[head])
    results |= {
        "metrics": prefix(metadata.split, evaluation.metrics),
        "confidence_95": prefix(metadata.split, evaluation.interval),
        "videos": len(evaluation.labels),
    }
    if len(evaluation.metrics_by_views) > 1:
        results["metrics_by_views"] = {
            views: prefix(metadata.split, metrics) for views, metrics in evaluation.metrics_by_views.items()
        }
    if metadata.multi_label:
        results["thresholds"] = {
            head: dict(zip(names, names.thresholds, strict=True))
            for head, names in multi_label_heads(metadata.heads).items()
        }
    if evaluation.by:
        results["by"] = evaluation.by
    if metadata.epic_kitchens is not None:
        official = compute_official_metrics(evaluation, list(metadata.heads), metadata.epic_kitchens)
        results["epic_kitchens"] = official
    return results


def prefix(split: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return metrics of a split under the names that dashboards use."""
    return {f"{split}/{name}": value for name, value in metrics.items()}


def write_tables(folder: Path, head: str, names: Sequence[str], counts: Any) -> list[dict[str, Any]]:
    """Write a head's tables of classes and of confused pairs, and its confusion matrix as numbers and as a picture.

    Returns the rows of the table of classes.
    """
    rows = class_scores(counts, names)
    write_class_rows(folder / f"classes_{head}.csv", rows)
    write_confused_pairs(folder / f"confused_{head}.csv", counts, names)
    write_confusion_counts(folder / f"confusion_{head}.csv", counts, names)
    plot_confusion_matrix(counts, names).savefig(folder / f"confusion_{head}.png", dpi=DPI)
    return rows


def write_test_pictures(file: PredictionsFile, folder: Path, videos: Sequence[Video] | None) -> dict[str, Path]:
    """Write the mistakes of a test whose metrics are written; return all pictures of the test and the training by name.

    ``videos`` are those of the split; None where only their scores are there.
    """
    metadata = file.metadata
    mistakes = most_confident_mistakes(folder / VIDEO_SCORES, metadata.heads, MISTAKES)
    write_mistakes(folder, mistakes, videos, metadata.split)
    pictures = {f"{metadata.split}/confusion/{head}": folder / f"confusion_{head}.png" for head in metadata.heads}
    return pictures | {f"{metadata.split}/mistakes": folder / "mistakes.png", "train/curves": folder / "curves.png"}
