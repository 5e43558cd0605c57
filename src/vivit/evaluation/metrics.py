"""Accuracies of whole videos, each counted once, under the names that files and dashboards use."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from vivit.shapes import Scores


class Accuracies(MetricCollection):
    """Top-1, top-5 and mean class accuracy, as fractions.

    One head: ``acc_top1``, ``acc_top5``, ``acc_mean_class``. Several, such as noun and verb: ``noun_acc_top1``, ... for
    each, and ``action_acc_top1`` and ``action_acc_top5`` of the pair, whose score is the product of the heads'
    softmaxes; ``acc_top1`` is then the action's. A top-5 among five classes or fewer says nothing and is left out.
    """

    def __init__(self, heads: Mapping[str, Sequence[str]], prefix: str) -> None:
        metrics: dict[str, Metric | MetricCollection] = {}
        if len(heads) == 1:
            ((_, classes),) = heads.items()
            metrics |= _of_head(0, "", len(classes)) | {"acc_mean_class": Of(0, len(classes), average="macro")}
        else:
            for number, (name, classes) in enumerate(heads.items()):
                metrics |= _of_head(number, f"{name}_", len(classes))
            pairs = torch.Size(len(classes) for classes in heads.values()).numel()
            metrics |= _of_head(None, "action_", pairs) | {"acc_top1": Of(None, pairs)}
        super().__init__(metrics, prefix=prefix, compute_groups=False)
        self.sizes = [len(classes) for classes in heads.values()]

    def update(self, scores: Scores) -> None:  # type: ignore[override]
        """Count a batch of videos. Raises ``ValueError`` where nobody tells the label of one."""
        if unknown := int((scores.labels < 0).any(1).sum()):
            raise ValueError(no_labels(unknown, f"{len(scores.labels)} videos of a batch"))
        logits = list(scores.logits.split(self.sizes, dim=1))
        for metric in self.values(copy_state=False):
            assert isinstance(metric, Of)
            if metric.head is None:
                metric.update(joint(logits), pair_numbers(scores.labels, self.sizes))
            else:
                metric.update(logits[metric.head], scores.labels[:, metric.head])


class Of(MulticlassAccuracy):
    """Accuracy of head number ``head``, or of all heads together where it is None."""

    def __init__(
        self, head: int | None, classes: int, top_k: int = 1, average: Literal["micro", "macro"] = "micro"
    ) -> None:
        super().__init__(num_classes=classes, top_k=top_k, average=average, validate_args=False)
        self.head = head

    def compute(self) -> Tensor:
        """Give the share of right answers; on average over classes, of those that occur among the labels.

        (torchmetrics also counts, as a class of accuracy 0, what was only ever answered.)
        """
        if self.average != "macro":
            return super().compute()
        right, _, _, missed = self._final_state()
        occurs = right + missed > 0
        return (right[occurs] / (right + missed)[occurs]).mean()


def _of_head(head: int | None, prefix: str, classes: int) -> dict[str, Metric]:
    tops = {1: "acc_top1"} | ({5: "acc_top5"} if classes > 5 else {})
    return {prefix + name: Of(head, classes, top_k) for top_k, name in tops.items()}


def no_labels(unknown: int, of: str) -> str:
    """Say that so many of some videos can be neither right nor wrong."""
    return (
        f"{unknown} of {of} have no label, so no accuracy can be computed; eval.py with metrics=false leaves it at "
        "their scores, and with submission=epic_kitchens writes those for the challenge"
    )


def joint(logits: Sequence[Tensor]) -> Tensor:
    """Log-probability of every combination of classes, the last head fastest: pair = noun * verbs + verb."""
    total = logits[0].log_softmax(1)
    for head in logits[1:]:
        total = (total[:, :, None] + head.log_softmax(1)[:, None, :]).flatten(1)
    return total


def pair_numbers(labels: Tensor, sizes: Sequence[int]) -> Tensor:
    """Number of each video's combination of classes, counted as ``joint`` does."""
    number = labels[:, 0]
    for head, size in list(enumerate(sizes))[1:]:
        number = number * size + labels[:, head]
    return number
