"""Accuracies of the validation split, accumulated batch by batch and summed over ranks."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from vivit.errors import ConfigError
from vivit.evaluation.metrics import label_ranks, missing_labels_message, top_k_metrics
from vivit.structures import Predictions, single_label_heads


class ValidationAccuracy(Metric):
    """Accuracies of a split, accumulated batch by batch and summed over ranks, as fractions.

    Multi-label heads have none. A mean over classes is that of a single head.
    """

    correct: Tensor
    total: Tensor
    correct_of_class: Tensor
    total_of_class: Tensor

    def __init__(self, heads: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.heads = heads
        self.has_mean_class = len(heads) == 1 and bool(single_label_heads(heads))
        self.top_k = top_k_metrics(heads)
        classes = len(next(iter(heads.values())))
        for name, size in (("correct", (len(self.top_k),)), ("total", ()), ("correct_of_class", (classes,)),
                           ("total_of_class", (classes,))):  # fmt: skip
            self.add_state(name, torch.zeros(size, dtype=torch.long), dist_reduce_fx="sum")

    @property
    def names(self) -> list[str]:
        """Names of the accuracies."""
        return [*self.top_k, *(["acc_mean_class"] if self.has_mean_class else [])]

    def update(self, predictions: Predictions) -> None:
        """Add a batch of videos. Raises ConfigError for a video without a label."""
        if unlabelled := int((predictions.labels < 0).any(1).sum()):
            problem = missing_labels_message(unlabelled, f"{len(predictions.labels)} videos of a batch")
            raise ConfigError("data.dataset", problem=problem, remedy="validate on videos with labels")
        ranks = label_ranks(predictions.logits, predictions.labels, self.heads)
        if self.top_k:
            self.correct += torch.stack([(ranks[head] < k).sum() for head, k in self.top_k.values()])
        self.total += len(predictions.labels)
        if self.has_mean_class:
            ((_, rank),) = ranks.items()
            labels, size = predictions.labels[:, 0], len(self.total_of_class)
            self.correct_of_class += torch.bincount(labels[rank < 1], minlength=size)
            self.total_of_class += torch.bincount(labels, minlength=size)

    def compute(self) -> dict[str, Tensor]:
        """Return the share of right videos and, of a single head, the mean over those classes that occur."""
        accuracies = dict(zip(self.top_k, self.correct / self.total, strict=True))
        if self.has_mean_class:
            occurs = self.total_of_class > 0
            accuracies["acc_mean_class"] = (self.correct_of_class[occurs] / self.total_of_class[occurs]).mean()
        return accuracies
