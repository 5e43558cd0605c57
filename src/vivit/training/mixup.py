"""Soft labels: one-hot vectors of several heads, mixup and label smoothing, as in the released code."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


def one_hot(labels: Int[Tensor, "b heads"], num_classes: Sequence[int]) -> Float[Tensor, "b k"]:
    """Return the one-hot vectors of all heads, behind one another; torch raises for a label that is no class.

    Unlike torch's own function this reads no number of a tensor, which a host would have to wait for.
    """
    zeros = (torch.zeros(len(labels), k, device=labels.device) for k in num_classes)
    return torch.cat([each.scatter_(1, labels[:, i : i + 1], 1.0) for i, each in enumerate(zeros)], dim=1)


def mixup(
    clips: Float[Tensor, "b 3 f h w"], targets: Float[Tensor, "b k"], alpha: float, rng: np.random.Generator
) -> tuple[Float[Tensor, "b 3 f h w"], Float[Tensor, "b k"]]:
    """Blend every clip and its target with those of its partner in reversed order (Zhang et al. 2018).

    As in the reference, one weight lambda ~ Beta(alpha, alpha) is drawn for the whole batch. A batch of one clip stays
    as it is.
    """
    weight = float(rng.beta(alpha, alpha))
    clips, targets = (weight * part + (1 - weight) * part.flip(0) for part in (clips, targets))
    return clips, targets


def smooth_labels(targets: Float[Tensor, "b k"], smoothing: float, num_classes: Sequence[int]) -> Float[Tensor, "b k"]:
    """Return y (1 - s) + s / K, for each head with its K (Szegedy et al. 2016)."""
    uniform = torch.cat([targets.new_full((k,), smoothing / k) for k in num_classes])
    return targets * (1 - smoothing) + uniform
