"""The loss: soft or binary cross-entropy over several heads, with mixup and label smoothing of its targets."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from vivit.errors import ConfigError
from vivit.training.class_balance import KEY, ClassBalance, ClassWeights, class_balance
from vivit.training.mixup import mixup, one_hot, smooth_labels


def cross_entropy(
    logits: Float[Tensor, "b k"],
    targets: Float[Tensor, "b k"],
    num_classes: Sequence[int],
    multi_label: Collection[int] = (),
    *,
    weights: Float[Tensor, " k"] | None = None,
) -> Float[Tensor, ""]:
    """Return the mean over heads of each head's mean soft cross-entropy (Table 7: noun and verb weigh equally).

    That of the heads at the positions ``multi_label`` is binary, a mean over classes too. ``weights`` multiply the term
    of each class of the others.
    """
    sizes = list(num_classes)
    of_heads = [None] * len(sizes) if weights is None else weights.split(sizes)
    heads = zip(logits.float().split(sizes, 1), targets.split(sizes, 1), of_heads, strict=True)
    return torch.stack(
        [
            F.binary_cross_entropy_with_logits(predicted, target)
            if head in multi_label
            else F.cross_entropy(predicted, target, weight)
            for head, (predicted, target, weight) in enumerate(heads)
        ]
    ).mean()


@dataclass
class SoftTargetLoss:
    """Cross-entropy against soft labels, by mixup and label smoothing at the strengths of the paper's Table 7.

    Of multi-label heads it is a binary one for each class. Mixup is on where ``mixup``, the parameter of its Beta
    distribution, is above 0. Smoothing comes after it. Both fields may change along training
    (``callbacks.regularisation``).

    ``class_weights`` multiply the loss of each class, whose mean stays that over videos: "inverse" to its number of
    training videos, by the "effective" number with ``effective_beta``, or numbers. ``logit_adjustment`` is the
    temperature with which the logarithms of the classes' shares are added to their logits.
    """

    mixup: float = 0.0
    label_smoothing: float = 0.0
    class_weights: ClassWeights = None
    effective_beta: float = 0.999
    logit_adjustment: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.mixup, int | float) or self.mixup < 0:
            raise ConfigError("loss.mixup", self.mixup, "is not a number of at least 0", "set 0 for none")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError("loss.label_smoothing", self.label_smoothing, "is not in [0, 1)", "set one such as 0.1")
        if not 0 <= self.effective_beta < 1:
            raise ConfigError("loss.effective_beta", self.effective_beta, "is not in [0, 1)", "set 0.999 or alike")
        if not isinstance(self.logit_adjustment, int | float) or self.logit_adjustment < 0:
            problem = "is not a temperature of at least 0"
            raise ConfigError("loss.logit_adjustment", self.logit_adjustment, problem, "set 0 for none, 1 as published")
        if isinstance(self.class_weights, str) and self.class_weights not in ("inverse", "effective"):
            remedy = "set null, inverse, effective, or a number for each class"
            raise ConfigError(KEY, self.class_weights, "is no scheme of weights", remedy)
        if self.class_weights is not None and not isinstance(self.class_weights, str):
            lists = self.class_weights.values() if isinstance(self.class_weights, Mapping) else [self.class_weights]
            if not all(isinstance(number, int | float) and number >= 0 for numbers in lists for number in numbers):
                raise ConfigError(KEY, self.class_weights, "has an entry that is no weight", "set numbers, 0 or more")

    @property
    def needs_counts(self) -> bool:
        """Whether the loss depends on the number of training videos of each class."""
        return self.class_weights is not None or self.logit_adjustment > 0

    def balance(
        self, counts: Mapping[str, Int[np.ndarray, " _k"]], sizes: Mapping[str, int] | None = None
    ) -> ClassBalance | None:
        """Return the balance of classes with so many training videos, by head; None where nothing is balanced.

        ``sizes`` is the number of classes of all heads, those without counts too, which stay as they are.
        """
        return class_balance(self.class_weights, self.effective_beta, self.logit_adjustment, counts, sizes)

    def soft_labels(
        self,
        clips: Float[Tensor, "b 3 f h w"],
        labels: Int[Tensor, "b heads"],
        num_classes: Sequence[int],
        rng: np.random.Generator,
        multi_label: Collection[int] = (),
    ) -> tuple[Float[Tensor, "b 3 f h w"], Float[Tensor, "b k"]]:
        """Return blended clips and soft labels; clips as they are, and one-hot labels, where both strengths are 0."""
        if self.mixup:
            clips, targets = mixup(clips, one_hot(labels, num_classes, multi_label), self.mixup, rng)
            return clips, self._smoothed(targets, num_classes, multi_label)
        return clips, self.unmixed_labels(labels, num_classes, multi_label)

    def unmixed_labels(
        self, labels: Int[Tensor, "b heads"], num_classes: Sequence[int], multi_label: Collection[int] = ()
    ) -> Float[Tensor, "b k"]:
        """Return the soft labels of clips that are not blended."""
        return self._smoothed(one_hot(labels, num_classes, multi_label), num_classes, multi_label)

    def _smoothed(
        self, targets: Float[Tensor, "b k"], num_classes: Sequence[int], multi_label: Collection[int]
    ) -> Float[Tensor, "b k"]:
        return (
            smooth_labels(targets, self.label_smoothing, num_classes, multi_label) if self.label_smoothing else targets
        )

    def __call__(
        self,
        logits: Float[Tensor, "b k"],
        targets: Float[Tensor, "b k"],
        num_classes: Sequence[int],
        multi_label: Collection[int] = (),
        balance: ClassBalance | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss of a batch."""
        if balance is None:
            return cross_entropy(logits, targets, num_classes, multi_label)
        adjusted = logits if balance.offsets is None else logits.float() + balance.offsets
        return cross_entropy(adjusted, targets, num_classes, multi_label, weights=balance.weights)
