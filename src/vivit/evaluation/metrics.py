"""Accuracies of whole videos: top-1, top-5, mean over classes; in validation, and from a file of predictions.

One head: ``acc_top1``, ``acc_top5``, ``acc_mean_class``. Several, such as noun and verb: ``noun_acc_top1``, ... for
each, and ``action_acc_top1`` and ``action_acc_top5`` of the pair, whose probability is the product of the heads'
softmaxes; ``acc_top1`` is then the action's. A top-5 among five classes or fewer is always right and is left out.
``acc_direction`` is that of ``direction.py``, for data sets that name what a clip run backwards is.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vivit.errors import DataError
from vivit.evaluation.difficulty import correct_by_difficulty
from vivit.evaluation.direction import direction_accuracies
from vivit.evaluation.intervals import mean_rate_interval
from vivit.evaluation.joint_classes import joint_labels, joint_log_probs
from vivit.evaluation.multi_view import Aggregation, get_aggregation
from vivit.evaluation.predictions_reader import PredictionsFile
from vivit.wilson import wilson

ACTION = "action"
CHUNK = 64
"""Videos whose pairs of classes are held in memory: EPIC-Kitchens has 29,100 pairs, 15 MB for so many."""


def label_rank(scores: Float[Tensor, "b k"], labels: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
    """Return the number of classes before the right one, 0 where it is first.

    Of equal scores the lower class is first. A score that is not a number counts as before the right class.
    """
    label_scores = scores.gather(1, labels[:, None])
    lower = torch.arange(scores.shape[1], device=scores.device) < labels[:, None]
    return (~(scores <= label_scores) | (scores == label_scores) & lower).sum(1)


def label_ranks(
    scores: Float[Tensor, "b k"], labels: Int[Tensor, "b heads"], heads: Mapping[str, Sequence[str]]
) -> dict[str, Int[Tensor, " b"]]:
    """Return the rank of every head's label and, for several heads, of all labels together (``action``)."""
    sizes = [len(classes) for classes in heads.values()]
    parts = scores.split(sizes, 1)
    ranks = {head: label_rank(part, labels[:, i]) for i, (head, part) in enumerate(zip(heads, parts, strict=True))}
    if len(heads) > 1:
        chunks = zip(scores.split(CHUNK), joint_labels(labels, sizes).split(CHUNK), strict=True)
        ranks[ACTION] = torch.cat(
            [label_rank(joint_log_probs(chunk.split(sizes, 1)), pairs) for chunk, pairs in chunks]
        )
    return ranks


def top_k_metrics(heads: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, int]]:
    """Return, for the name of every top-k accuracy, the head (or ``action``) and k."""
    metrics: dict[str, tuple[str, int]] = {}
    for head in (*heads, ACTION) if len(heads) > 1 else heads:
        prefix = f"{head}_" if len(heads) > 1 else ""
        metrics[f"{prefix}acc_top1"] = head, 1
        if (math.prod(map(len, heads.values())) if head == ACTION else len(heads[head])) > 5:
            metrics[f"{prefix}acc_top5"] = head, 5
    return metrics | ({"acc_top1": (ACTION, 1)} if len(heads) > 1 else {})


@dataclass(frozen=True)
class EvaluationResult:
    """Metrics of a file of predictions. Accuracies are fractions."""

    file: Path
    names: list[str | None]
    """Identifiers of the videos in the data set."""
    labels: Int[np.ndarray, "n heads"]
    predicted: Int[np.ndarray, "n heads"]
    """The predicted class of every head."""
    ranks: Mapping[str, Int[np.ndarray, " n"]]
    """Of every head and of the action: the number of classes before the right one."""
    metrics: dict[str, float]
    metrics_by_views: dict[str, dict[str, float]]
    """The metrics of every set of views."""
    interval: dict[str, list[float]]
    """The 95 % confidence interval of every metric."""
    by: dict[str, list[dict[str, Any]]]
    """How many videos are right in each part of the range of every number in the file's ``score_by``."""


def compute_metrics(file: PredictionsFile, *, views: str | None = None, average: str | None = None) -> EvaluationResult:
    """Return all metrics of a file, by default with the views and the aggregation in its metadata.

    Raises ConfigError where the file has no such views, and DataError where a video has no label.
    """
    metadata = file.metadata
    views, aggregation = views or metadata.views, get_aggregation(average or metadata.average)
    file.view_indices(views)
    if unlabelled := file.count_unlabelled():
        raise DataError(file.file, missing_labels_message(unlabelled, "its videos"), SCORES_ONLY)
    names, labels, predicted, ranks, difficulty = _collect(file, aggregation)
    metrics_by_views = {
        name: accuracies(correct_videos(of_views, metadata.heads), labels) for name, of_views in ranks.items()
    }
    interval = intervals(correct_videos(ranks[views], metadata.heads), labels)
    for of_views, classes in predicted.items():
        directions = direction_accuracies(metadata.backwards, metadata.heads, labels, classes)
        metrics_by_views[of_views] |= {name: share for name, (share, _) in directions.items()}
        interval |= {name: ends for name, (_, ends) in directions.items()} if of_views == views else {}
    by = correct_by_difficulty(metadata.score_by, difficulty, ranks, views)
    return EvaluationResult(
        file.file,
        names,
        labels,
        predicted[views],
        ranks[views],
        metrics_by_views[views],
        metrics_by_views,
        interval,
        by,
    )


def _collect(
    file: PredictionsFile, aggregation: Aggregation
) -> tuple[
    list[str | None], np.ndarray, dict[str, np.ndarray], dict[str, dict[str, np.ndarray]], dict[str, np.ndarray]
]:
    """Read the file once: names, labels, predicted classes and ranks for every set of views, numbers of difficulty."""
    metadata = file.metadata
    sizes = [len(classes) for classes in metadata.heads.values()]
    ranks: dict[str, dict[str, list]] = {name: defaultdict(list) for name in metadata.view_indices}
    predicted: dict[str, list] = defaultdict(list)
    names, labels = [], []
    difficulty: dict[str, list] = defaultdict(list)
    for part in file.parts():
        names += part.names
        labels.append(part.labels)
        for name, numbers in part.difficulty.items():
            difficulty[name].append(numbers)
        for name, indices in metadata.view_indices.items():
            scores = aggregation(part.views[:, list(indices)].double(), sizes)
            for head, rank in label_ranks(scores, torch.from_numpy(part.labels).long(), metadata.heads).items():
                ranks[name][head].append(rank.numpy())
            predicted[name].append(torch.stack([head.argmax(1) for head in scores.split(sizes, 1)], 1).numpy())
    joined = {name: {head: np.concatenate(parts) for head, parts in heads.items()} for name, heads in ranks.items()}
    numbers_of = {name: np.concatenate(parts) for name, parts in difficulty.items()}
    classes = {name: np.concatenate(parts) for name, parts in predicted.items()}
    return names, np.concatenate(labels), classes, joined, numbers_of


def correct_videos(
    ranks: Mapping[str, Int[np.ndarray, " n"]], heads: Mapping[str, Sequence[str]]
) -> dict[str, Bool[np.ndarray, " n"]]:
    """Return, for every top-k accuracy, which videos are right."""
    return {name: ranks[head] < k for name, (head, k) in top_k_metrics(heads).items()}


def accuracies(correct: Mapping[str, Bool[np.ndarray, " n"]], labels: Int[np.ndarray, "n heads"]) -> dict[str, float]:
    """Return the share of right videos and, of a single head, the mean over those classes that occur."""
    shares = {name: float(of_videos.mean()) for name, of_videos in correct.items()}
    if labels.shape[1] == 1:
        of_class, total = count_by_class(correct["acc_top1"], labels[:, 0])
        shares["acc_mean_class"] = float((of_class / total).mean())
    return shares


def intervals(
    correct: Mapping[str, Bool[np.ndarray, " n"]], labels: Int[np.ndarray, "n heads"]
) -> dict[str, list[float]]:
    """Return the 95 % confidence interval of every accuracy."""
    ends = {name: list(wilson(int(of_videos.sum()), len(of_videos))) for name, of_videos in correct.items()}
    if labels.shape[1] == 1:
        ends["acc_mean_class"] = list(mean_rate_interval(*count_by_class(correct["acc_top1"], labels[:, 0])))
    return ends


def count_by_class(
    correct: Bool[np.ndarray, " n"], labels: Int[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """Return the number of right and of all videos for every class that occurs."""
    _, classes = np.unique(labels, return_inverse=True)
    return np.bincount(classes, correct).astype(np.int64), np.bincount(classes)


SCORES_ONLY = (
    "in eval.py set compute_metrics=false to write scores only, or submission=epic_kitchens to write the challenge's"
)
"""What to set for videos without labels."""


def missing_labels_message(unlabelled: int, of: str) -> str:
    """Return the problem of videos without a label, whose accuracy is undefined."""
    return f"{unlabelled} of {of} have no label, so no accuracy can be computed"
