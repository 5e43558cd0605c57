"""The loss: soft cross-entropy over several heads, with mixup and label smoothing of its targets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from vivit.errors import ConfigError
from vivit.training.mixup import mixup, one_hot, smooth_labels


def cross_entropy(
    logits: Float[Tensor, "b k"], targets: Float[Tensor, "b k"], num_classes: Sequence[int]
) -> Float[Tensor, ""]:
    """Return the mean over heads of each head's mean soft cross-entropy (Table 7: noun and verb weigh equally)."""
    heads = zip(logits.float().split(list(num_classes), 1), targets.split(list(num_classes), 1), strict=True)
    return torch.stack([F.cross_entropy(predicted, target) for predicted, target in heads]).mean()


@dataclass
class SoftTargetLoss:
    """Cross-entropy against soft labels, by mixup and label smoothing at the strengths of the paper's Table 7.

    Mixup is on where ``mixup``, the parameter of its Beta distribution, is above 0. Smoothing comes after it. Both
    fields may change along training (``callbacks.regularisation``).
    """

    mixup: float = 0.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.mixup, int | float) or self.mixup < 0:
            raise ConfigError("loss.mixup", self.mixup, "is not a number of at least 0", "set 0 for none")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError("loss.label_smoothing", self.label_smoothing, "is not in [0, 1)", "set one such as 0.1")

    def soft_labels(
        self,
        clips: Float[Tensor, "b 3 f h w"],
        labels: Int[Tensor, "b heads"],
        num_classes: Sequence[int],
        rng: np.random.Generator,
    ) -> tuple[Float[Tensor, "b 3 f h w"], Float[Tensor, "b k"]]:
        """Return blended clips and soft labels; clips as they are, and one-hot labels, where both strengths are 0."""
        if self.mixup:
            clips, targets = mixup(clips, one_hot(labels, num_classes), self.mixup, rng)
            return clips, self._smoothed(targets, num_classes)
        return clips, self.unmixed_labels(labels, num_classes)

    def unmixed_labels(self, labels: Int[Tensor, "b heads"], num_classes: Sequence[int]) -> Float[Tensor, "b k"]:
        """Return the soft labels of clips that are not blended."""
        return self._smoothed(one_hot(labels, num_classes), num_classes)

    def _smoothed(self, targets: Float[Tensor, "b k"], num_classes: Sequence[int]) -> Float[Tensor, "b k"]:
        return smooth_labels(targets, self.label_smoothing, num_classes) if self.label_smoothing else targets

    def __call__(
        self, logits: Float[Tensor, "b k"], targets: Float[Tensor, "b k"], num_classes: Sequence[int]
    ) -> Float[Tensor, ""]:
        """Return the mean loss of a batch."""
        return cross_entropy(logits, targets, num_classes)
