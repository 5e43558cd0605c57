"""Thresholds of multi-label heads from the scores of videos, aggregated over views as those of a test are."""

import numpy as np

from vivit.evaluation.multi_label import best_thresholds
from vivit.evaluation.multi_view import get_aggregation
from vivit.evaluation.predicted_classes import split_heads
from vivit.evaluation.predictions_reader import PredictionsFile
from vivit.structures import label_columns, multi_label_heads, multi_label_positions


def choose_thresholds(file: PredictionsFile) -> dict[str, list[float]]:
    """Return the threshold of every class with the largest F1, by multi-label head; 0.5 where no video has a class.

    Probabilities are those of the file's main views, by its aggregation.
    """
    metadata = file.metadata
    aggregation, indices = get_aggregation(metadata.average), file.view_indices(metadata.views)
    heads, columns = multi_label_heads(metadata.heads), label_columns(metadata.heads)
    sizes, positions = [len(names) for names in metadata.heads.values()], multi_label_positions(metadata.heads)
    labels: list[np.ndarray] = []
    probabilities: dict[str, list[np.ndarray]] = {head: [] for head in heads}
    for part in file.parts():
        scores = aggregation(part.views[:, indices].double(), sizes, multi_label=positions)
        labels.append(part.labels)
        for head, of_head in split_heads(scores, metadata.heads).items():
            if head in heads:
                probabilities[head].append(of_head.sigmoid().numpy())
    joined = np.concatenate(labels)
    return {head: best_thresholds(joined[:, columns[head]], np.concatenate(probabilities[head])) for head in heads}
