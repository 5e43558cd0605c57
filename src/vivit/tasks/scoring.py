"""What training ends with and `eval.py` does: the test, its scores in a file, and what follows from that file."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning import Trainer

from vivit.data import VideoDataModule
from vivit.data.views import format_views
from vivit.evaluation import get_aggregation
from vivit.evaluation.confusion_matrix import (
    confusion_matrix,
    plot_confusion_matrix,
    write_class_accuracies,
    write_confused_pairs,
    write_confusion_counts,
)
from vivit.evaluation.epic_kitchens import compute_official_metrics
from vivit.evaluation.metrics import compute_metrics, missing_labels_message
from vivit.evaluation.predictions import PredictionsMetadata, merge
from vivit.evaluation.predictions_reader import PredictionsFile, write_video_scores
from vivit.training import PredictionWriter, VideoClassifier

SCORES = "scores.parquet"


def announced(data: VideoDataModule, *, measured: bool = True) -> PredictionsMetadata:
    """Describe the scores that a test will give, and find out before it what would fail behind it."""
    videos, views = data.catalogue.videos(data.test_split), data.test_views
    get_aggregation(views.average)
    if measured and (unknown := videos.unlabelled()):
        raise ValueError(missing_labels_message(unknown, f"{len(videos)} {data.test_split} videos"))
    return PredictionsMetadata(
        heads=data.heads,
        views=format_views(views.temporal, views.spatial),
        view_indices=views.views_by_count(),
        spatial=views.spatial,
        average=views.average,
        split=data.test_split,
        listed=len(videos),
        epic_kitchens=data.catalogue.official(data.test_split),
    )


def scores_of(
    trainer: Trainer,
    module: VideoClassifier,
    data: VideoDataModule,
    about: PredictionsMetadata,
    folder: Path,
    checkpoint: str | None,
) -> tuple[PredictionsFile | None, dict[str, Any]]:
    """Test; give, on the first rank, the file of the scores, and what was left out."""
    keep = PredictionWriter(folder)
    trainer.callbacks.append(keep)  # type: ignore[attr-defined]  # Lightning sets it without declaring it
    trainer.test(module, data, ckpt_path=checkpoint, verbose=False, weights_only=True)
    left_out = data.left_out()
    if not trainer.is_global_zero:
        return None, left_out
    videos, target = data.catalogue.videos(data.test_split), folder / SCORES
    about = replace(about, left_out=left_out, checkpoint=checkpoint)
    try:
        merge(keep.parts, target, about, videos.column("path"), videos.column("name"))
    finally:
        for part in keep.parts:
            part.unlink(missing_ok=True)
    return PredictionsFile(target), left_out


def unmeasured(
    file: PredictionsFile, folder: Path, views: str | None = None, average: str | None = None
) -> dict[str, Any]:
    """Write the scores of whole videos, and say how they came about."""
    about = file.metadata
    said = {"views": views or about.views, "average": average or about.average, "split": about.split}
    write_video_scores(file, folder / "video_scores.parquet", views=said["views"], average=said["average"])
    return said | {"metrics": {}}


def measured(
    file: PredictionsFile, folder: Path, views: str | None = None, average: str | None = None
) -> dict[str, Any]:
    """Compute all metrics of a file of scores, write the tables and pictures, and give what ``results.json`` holds."""
    about, found = file.metadata, compute_metrics(file, views=views, average=average)
    results = unmeasured(file, folder, views, average)
    for at, (head, names) in enumerate(about.heads.items()):
        write_tables(folder, head, names, confusion_matrix(found.labels[:, at], found.predicted[:, at], len(names)))
    results |= {"metrics": named(found.metrics), "confidence_95": named(found.interval), "videos": len(found.labels)}
    if len(found.by_views) > 1:
        results["by_views"] = {views: named(metrics) for views, metrics in found.by_views.items()}
    if about.epic_kitchens is not None:
        results["epic_kitchens"] = compute_official_metrics(found, list(about.heads), about.epic_kitchens)
    return results


def named(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Give metrics the names that dashboards use."""
    return {f"test/{name}": value for name, value in metrics.items()}


def write_tables(folder: Path, head: str, names: Sequence[str], counts: Any) -> None:
    """Write a head's tables of classes and of what was confused most, and the matrix as numbers and as a picture."""
    write_class_accuracies(folder / f"classes_{head}.csv", counts, names)
    write_confused_pairs(folder / f"confused_{head}.csv", counts, names)
    write_confusion_counts(folder / f"confusion_{head}.csv", counts, names)
    plot_confusion_matrix(counts, names).savefig(folder / f"confusion_{head}.png", dpi=100)


def check_classes(known: Mapping[str, Sequence[str]], found: Mapping[str, Sequence[str]], whose: str) -> None:
    """Refuse a data set whose classes are not those of a checkpoint or a file of scores; name the first difference."""
    if list(known) != list(found):
        raise ValueError(f"{whose} has the heads {list(known)}, the data set {list(found)}")
    for head, names in known.items():
        if len(names) != len(found[head]):
            raise ValueError(f"{whose} has {len(names)} classes of {head!r}, the data set {len(found[head])}")
        for number, (ours, theirs) in enumerate(zip(names, found[head], strict=True)):
            if ours != theirs:
                raise ValueError(f"{whose} calls class {number} of {head!r} {ours!r}, the data set {theirs!r}")
