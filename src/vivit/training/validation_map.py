"""Mean average precision of the validation split, and the thresholds that are best there."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from vivit.evaluation.multi_label import best_thresholds, mean_average_precision, named_metrics
from vivit.structures import Heads, Predictions, label_columns, multi_label_heads


class ValidationMAP(Metric):
    """Mean average precision of every multi-label head, from the logits of all videos of all ranks.

    After ``compute``, ``thresholds`` has the probability of each class, by head, from which on its F1 is largest.
    """

    logits: list[Tensor]
    labels: list[Tensor]

    def __init__(self, heads: Heads) -> None:
        super().__init__()
        self.heads = heads
        self.width = list(label_columns(heads).values())[-1].stop
        self.thresholds: dict[str, list[float]] = {}
        for name in ("logits", "labels"):
            self.add_state(name, [], dist_reduce_fx="cat")

    @property
    def names(self) -> list[str]:
        """Names of the metrics."""
        values = {head: {"map": 0.0} for head in multi_label_heads(self.heads)}
        return list(named_metrics(values, several=len(self.heads) > 1))

    def update(self, predictions: Predictions) -> None:
        """Add a batch of videos, also one of no videos: every rank needs something to gather."""
        self.logits.append(predictions.logits.float())
        self.labels.append(predictions.labels.reshape(-1, self.width))

    def compute(self) -> dict[str, Tensor]:
        """Return the mean average precision of every head and, of several, their mean."""
        logits, labels = dim_zero_cat(self.logits).cpu().double(), dim_zero_cat(self.labels).cpu().numpy()
        parts = dict(zip(self.heads, logits.split([len(names) for names in self.heads.values()], 1), strict=True))
        columns, of_heads = label_columns(self.heads), {}
        for head in multi_label_heads(self.heads):
            truth, scores = labels[:, columns[head]], parts[head]
            of_heads[head] = {"map": mean_average_precision(truth, scores.numpy())}
            self.thresholds[head] = best_thresholds(truth, scores.sigmoid().numpy())
        metrics: Mapping[str, float] = named_metrics(of_heads, several=len(self.heads) > 1)
        return {name: torch.tensor(value, device=self.device) for name, value in metrics.items()}
