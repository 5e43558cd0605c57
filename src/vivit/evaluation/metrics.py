"""Accuracies of whole videos: top-1, top-5, mean over classes; in validation, and from a file of predictions.

One head: ``acc_top1``, ``acc_top5``, ``acc_mean_class``. Several, such as noun and verb: ``noun_acc_top1``, ... for
each, and ``action_acc_top1`` and ``action_acc_top5`` of the pair, whose probability is the product of the heads'
softmaxes; ``acc_top1`` is then the action's. A top-5 among five classes or fewer is always right and is left out.
``acc_direction`` is that of ``direction.py``, for data sets that name what a clip run backwards is.

A head of two classes has ``auc`` too, the area under the ROC curve (``area_under_curve.py``); beside other heads
``verb_auc``. A multi-label head has none of these, but ``map`` and ``f1_macro`` (``multi_label.py``), beside others
``tags_map``, ``tags_f1_macro``, and ``map``, the mean over multi-label heads. All else is about the other heads.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vivit.errors import DataError
from vivit.evaluation.area_under_curve import area_interval, area_under_curve
from vivit.evaluation.bootstrap import map_intervals
from vivit.evaluation.difficulty import correct_by_difficulty
from vivit.evaluation.direction import direction_accuracies
from vivit.evaluation.intervals import mean_rate_interval
from vivit.evaluation.joint_classes import joint_labels, joint_log_probs
from vivit.evaluation.multi_label import MultiLabelScores, multi_label_scores, named_metrics
from vivit.evaluation.multi_view import Aggregation, get_aggregation
from vivit.evaluation.predicted_classes import predicted_classes, split_heads
from vivit.evaluation.predictions_reader import PredictionsFile
from vivit.structures import Heads, label_columns, multi_label_heads, multi_label_positions, single_label_heads
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
    scores: Float[Tensor, "b k"], labels: Int[Tensor, "b heads"], heads: Heads
) -> dict[str, Int[Tensor, " b"]]:
    """Return the rank of every head's label and, for several heads, of all labels together (``action``)."""
    single, columns, parts = single_label_heads(heads), label_columns(heads), split_heads(scores, heads)
    numbers = {head: labels[:, columns[head].start] for head in single}
    ranks = {head: label_rank(parts[head], numbers[head]) for head in single}
    if len(single) > 1:
        joint = joint_labels(torch.stack([*numbers.values()], 1), [len(classes) for classes in single.values()])
        chunks = zip(zip(*(parts[head].split(CHUNK) for head in single), strict=True), joint.split(CHUNK), strict=True)
        ranks[ACTION] = torch.cat([label_rank(joint_log_probs(chunk), pairs) for chunk, pairs in chunks])
    return ranks


def top_k_metrics(heads: Heads) -> dict[str, tuple[str, int]]:
    """Return, for the name of every top-k accuracy, the head (or ``action``) and k."""
    metrics: dict[str, tuple[str, int]] = {}
    single = single_label_heads(heads)
    names = (*single, ACTION) if len(single) > 1 else tuple(single)
    for head in names:
        prefix = f"{head}_" if len(heads) > 1 else ""
        metrics[f"{prefix}acc_top1"] = head, 1
        if (math.prod(map(len, single.values())) if head == ACTION else len(single[head])) > 5:
            metrics[f"{prefix}acc_top5"] = head, 5
    return metrics | ({"acc_top1": (names[-1], 1)} if single and len(heads) > 1 else {})


@dataclass(frozen=True)
class EvaluationResult:
    """Metrics of a file of predictions. Accuracies are fractions."""

    file: Path
    names: list[str | None]
    """Identifiers of the videos in the data set."""
    labels: Int[np.ndarray, "n heads"]
    predicted: Int[np.ndarray, "n heads"]
    """The predicted class of every head; of a multi-label head 1 for every class that reaches its threshold."""
    ranks: Mapping[str, Int[np.ndarray, " n"]]
    """Of every head and of the action: the number of classes before the right one."""
    metrics: dict[str, float]
    metrics_by_views: dict[str, dict[str, float]]
    """The metrics of every set of views."""
    interval: dict[str, list[float]]
    """The 95 % confidence interval of every accuracy and mean average precision."""
    by: dict[str, list[dict[str, Any]]]
    """How many videos are right in each part of the range of every number in the file's ``score_by``."""
    multi_label: Mapping[str, MultiLabelScores] = field(default_factory=dict)
    """Metrics of every class of the multi-label heads."""


def compute_metrics(file: PredictionsFile, *, views: str | None = None, average: str | None = None) -> EvaluationResult:
    """Return all metrics of a file, by default with the views and the aggregation in its metadata.

    Raises ConfigError where the file has no such views, and DataError where a video has no label.
    """
    metadata = file.metadata
    views, aggregation = views or metadata.views, get_aggregation(average or metadata.average)
    file.view_indices(views)
    if unlabelled := file.count_unlabelled():
        raise DataError(file.file, missing_labels_message(unlabelled, "its videos"), SCORES_ONLY)
    names, labels, predicted, ranks, difficulty, scores, margins = _collect(file, aggregation)
    single, columns = single_label_heads(metadata.heads), label_columns(metadata.heads)
    numbered = [columns[head].start for head in single]
    of_single = labels[:, numbered]
    of_only_head = labels[:, 0] if numbered == [0] and len(metadata.heads) == 1 else None
    metrics_by_views = {
        name: accuracies(correct_videos(of_views, metadata.heads), of_only_head) for name, of_views in ranks.items()
    }
    interval = intervals(correct_videos(ranks[views], metadata.heads), of_only_head)
    for of_views, classes in predicted.items():
        directions = direction_accuracies(metadata.backwards, single, of_single, classes[:, numbered])
        metrics_by_views[of_views] |= {name: share for name, (share, _) in directions.items()}
        interval |= {name: ends for name, (_, ends) in directions.items()} if of_views == views else {}
    multi_label = {
        of_views: {
            head: multi_label_scores(labels[:, columns[head]], of_head, predicted[of_views][:, columns[head]])
            for head, of_head in of_heads.items()
        }
        for of_views, of_heads in scores.items()
    }
    for of_views, of_heads in multi_label.items():
        metrics = {head: of_head.metrics for head, of_head in of_heads.items()}
        metrics_by_views[of_views] |= named_metrics(metrics, several=len(metadata.heads) > 1)
    scored = {head: (labels[:, columns[head]], of_head) for head, of_head in scores.get(views, {}).items()}
    interval |= map_intervals(scored, several=len(metadata.heads) > 1)
    for of_views, differences in margins.items():
        for head, margin in differences.items():
            of_head, name = labels[:, columns[head].start], f"{head}_auc" if len(metadata.heads) > 1 else "auc"
            if (area := area_under_curve(of_head, margin)) is not None:
                metrics_by_views[of_views][name] = area
                counts = int((of_head == 1).sum()), int((of_head == 0).sum())
                interval |= {name: area_interval(area, *counts)} if of_views == views else {}
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
        multi_label.get(views, {}),
    )


def _collect(
    file: PredictionsFile, aggregation: Aggregation
) -> tuple[
    list[str | None],
    np.ndarray,
    dict[str, np.ndarray],
    dict[str, dict[str, np.ndarray]],
    dict[str, np.ndarray],
    dict[str, dict[str, np.ndarray]],
    dict[str, dict[str, np.ndarray]],
]:
    """Read the file once: names, labels, predicted classes and ranks for every set of views, numbers of difficulty.

    Last come, for every set of views, what needs all videos at once: the scores of multi-label heads, and how much
    higher the second class of a head of two is scored than the first.
    """
    metadata = file.metadata
    scores_of: dict[str, dict[str, list]] = {
        name: {head: [] for head in multi_label_heads(metadata.heads)} for name in metadata.view_indices
    }
    pairs = [head for head, classes in single_label_heads(metadata.heads).items() if len(classes) == 2]
    margins: dict[str, dict[str, list]] = {name: {head: [] for head in pairs} for name in metadata.view_indices}
    positions = multi_label_positions(metadata.heads)
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
            scores = aggregation(part.views[:, list(indices)].double(), sizes, multi_label=positions)
            for head, rank in label_ranks(scores, torch.from_numpy(part.labels).long(), metadata.heads).items():
                ranks[name][head].append(rank.numpy())
            of_heads = split_heads(scores, metadata.heads)
            predicted[name].append(predicted_classes(of_heads, metadata.heads))
            for head, parts in scores_of[name].items():
                parts.append(of_heads[head].numpy())
            for head, parts in margins[name].items():
                parts.append((of_heads[head][:, 1] - of_heads[head][:, 0]).numpy())
    joined = {name: {head: np.concatenate(parts) for head, parts in heads.items()} for name, heads in ranks.items()}
    numbers_of = {name: np.concatenate(parts) for name, parts in difficulty.items()}
    classes = {name: np.concatenate(parts) for name, parts in predicted.items()}
    logits, differences = (
        {name: {head: np.concatenate(parts) for head, parts in heads.items()} for name, heads in of_views.items()}
        for of_views in (scores_of, margins)
    )
    return names, np.concatenate(labels), classes, joined, numbers_of, logits, differences


def correct_videos(
    ranks: Mapping[str, Int[np.ndarray, " n"]], heads: Mapping[str, Sequence[str]]
) -> dict[str, Bool[np.ndarray, " n"]]:
    """Return, for every top-k accuracy, which videos are right."""
    return {name: ranks[head] < k for name, (head, k) in top_k_metrics(heads).items()}


def accuracies(correct: Mapping[str, Bool[np.ndarray, " n"]], labels: Int[np.ndarray, " n"] | None) -> dict[str, float]:
    """Return the share of right videos and, with the ``labels`` of a single head, the mean over classes that occur."""
    shares = {name: float(of_videos.mean()) for name, of_videos in correct.items()}
    if labels is not None:
        of_class, total = count_by_class(correct["acc_top1"], labels)
        shares["acc_mean_class"] = float((of_class / total).mean())
    return shares


def intervals(
    correct: Mapping[str, Bool[np.ndarray, " n"]], labels: Int[np.ndarray, " n"] | None
) -> dict[str, list[float]]:
    """Return the 95 % confidence interval of every accuracy."""
    ends = {name: list(wilson(int(of_videos.sum()), len(of_videos))) for name, of_videos in correct.items()}
    if labels is not None:
        ends["acc_mean_class"] = list(mean_rate_interval(*count_by_class(correct["acc_top1"], labels)))
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
