"""What the network is asked to say: soft labels by mixup and label smoothing, and the loss, as the released code."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def one_hot(labels: Int[Tensor, "b heads"], classes: Sequence[int]) -> Float[Tensor, "b k"]:
    """One one for each head, the heads behind one another."""
    return torch.cat([F.one_hot(labels[:, i], k) for i, k in enumerate(classes)], dim=1).float()


def cross_entropy(
    logits: Float[Tensor, "b k"], targets: Float[Tensor, "b k"], classes: Sequence[int]
) -> Float[Tensor, ""]:
    """Mean over heads of each head's mean soft cross-entropy (Table 7's runs weigh noun and verb equally)."""
    heads = zip(logits.float().split(list(classes), 1), targets.split(list(classes), 1), strict=True)
    return torch.stack([F.cross_entropy(said, wanted) for said, wanted in heads]).mean()


def smooth(targets: Float[Tensor, "b k"], strength: float, classes: Sequence[int]) -> Float[Tensor, "b k"]:
    """Turn y into y (1 - s) + s / K, for each head with its own K."""
    spread = torch.cat([torch.full((k,), strength / k) for k in classes]).to(targets)
    return targets * (1 - strength) + spread


@dataclass
class Targets:
    """Mixup (Zhang et al. 2018) and label smoothing (Szegedy et al. 2016), at the strengths of the paper's Table 7.

    As in the reference, mixup blends each clip of a device's batch with its partner in reversed order, by one weight
    lambda ~ Beta(mixup, mixup) a step; it is on whenever ``mixup`` is above 0, and leaves a batch of one clip as it is.
    Smoothing comes after it.
    """

    mixup: float = 0.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.mixup, int | float) or self.mixup < 0:
            raise ValueError(f"mixup={self.mixup} must be the parameter of a Beta distribution, above 0, or 0 for none")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing={self.label_smoothing} must lie in [0, 1)")

    def __call__(
        self,
        clips: Float[Tensor, "b 3 f h w"],
        labels: Int[Tensor, "b heads"],
        classes: Sequence[int],
        rng: np.random.Generator,
    ) -> tuple[Float[Tensor, "b 3 f h w"], Float[Tensor, "b k"]]:
        """Blend clips and labels, then smooth the labels."""
        targets = one_hot(labels, classes)
        if self.mixup:
            weight = float(rng.beta(self.mixup, self.mixup))
            clips, targets = (weight * part + (1 - weight) * part.flip(0) for part in (clips, targets))
        if self.label_smoothing:
            targets = smooth(targets, self.label_smoothing, classes)
        return clips, targets
