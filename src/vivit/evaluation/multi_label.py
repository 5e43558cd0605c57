"""Metrics of multi-label heads, by scikit-learn: average precision, F1 at thresholds, and the best thresholds.

Average precision is undefined for a class that no video has, and F1 for one that is neither there nor predicted: such
classes are left out of means.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from vivit.structures import MultiLabel

Labels = Int[np.ndarray, "n k"]
"""0 or 1 for every class of every video."""


@dataclass(frozen=True)
class MultiLabelScores:
    """Metrics of every class of a head; not a number where one is undefined."""

    videos: Int[np.ndarray, " k"]
    """Videos that have the class."""
    average_precision: Float[np.ndarray, " k"]
    precision: Float[np.ndarray, " k"]
    recall: Float[np.ndarray, " k"]
    f1: Float[np.ndarray, " k"]

    @property
    def metrics(self) -> dict[str, float]:
        """Mean average precision and macro F1."""
        return {"map": _mean(self.average_precision), "f1_macro": _mean(self.f1)}


def average_precisions(labels: Labels, scores: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " k"]:
    """Return the average precision of every class; not a number for a class that no video has."""
    from sklearn.metrics import average_precision_score  # here, as its import takes a second

    answer = np.full(labels.shape[1], np.nan)
    for number in np.flatnonzero(labels.any(0)):
        answer[number] = average_precision_score(labels[:, number], scores[:, number])
    return answer


def mean_average_precision(labels: Labels, scores: Float[np.ndarray, "n k"]) -> float:
    """Return the mean of the average precisions of the classes that occur; 0 where none does."""
    return _mean(average_precisions(labels, scores))


def best_thresholds(labels: Labels, probabilities: Float[np.ndarray, "n k"]) -> list[float]:
    """Return the threshold of every class with the largest F1, the lowest of equal ones; 0.5 where no video has it."""
    from sklearn.metrics import precision_recall_curve

    answer = [0.5] * labels.shape[1]
    for number in np.flatnonzero(labels.any(0)):
        precision, recall, thresholds = precision_recall_curve(labels[:, number], probabilities[:, number])
        f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
        answer[number] = float(thresholds[f1[:-1].argmax()])
    return answer


def multi_label_scores(labels: Labels, scores: Float[np.ndarray, "n k"], predicted: Labels) -> MultiLabelScores:
    """Return the metrics of every class, from scores in any order-preserving scale and predicted classes."""
    from sklearn.metrics import precision_recall_fscore_support

    # as indicators of two or more classes, which a single one alone is not
    padded = [np.pad(each, ((0, 0), (0, 1))) for each in (labels, predicted)]
    of_classes = precision_recall_fscore_support(*padded, average=None, zero_division=np.nan)[:3]
    precision, recall, f1 = (each[:-1] for each in of_classes)
    return MultiLabelScores(labels.sum(0), average_precisions(labels, scores), precision, recall, f1)


def named_metrics(of_heads: Mapping[str, Mapping[str, float]], *, several: bool) -> dict[str, float]:
    """Return the metrics of multi-label heads by name: of ``several`` heads with theirs, and the mean as ``map``."""
    if not several:
        return {name: value for metrics in of_heads.values() for name, value in metrics.items()}
    named = {f"{head}_{name}": value for head, metrics in of_heads.items() for name, value in metrics.items()}
    return named | ({"map": float(np.mean([each["map"] for each in of_heads.values()]))} if of_heads else {})


def write_class_scores(file: Path, names: MultiLabel, scores: MultiLabelScores) -> None:
    """Write a row for every class: its videos, average precision, and what its threshold makes of it."""
    columns = (scores.average_precision, np.array(names.thresholds), scores.precision, scores.recall, scores.f1)
    with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["class", "videos", "average_precision", "threshold", "precision", "recall", "f1"])
        for number, name in enumerate(names):
            writer.writerow([name, int(scores.videos[number]), *(_format(each[number]) for each in columns)])


def _mean(values: Float[np.ndarray, " k"]) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0


def _format(value: float) -> str:
    return f"{value:.4f}" if np.isfinite(value) else ""
