"""Soft labels: one-hot vectors of several heads, mixup and label smoothing, as in the released code."""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


def one_hot(
    labels: Int[Tensor, "b heads"], num_classes: Sequence[int], multi_label: Collection[int] = ()
) -> Float[Tensor, "b k"]:
    """Return the one-hot vectors of all heads, behind one another; torch raises for a label that is no class.

    The heads at the positions ``multi_label`` have one column of 0 and 1 for each class. Unlike torch's own function
    this reads no number of a tensor, which a host would have to wait for.
    """
    parts, column = [], 0
    for head, k in enumerate(num_classes):
        width = k if head in multi_label else 1
        of_head = labels[:, column : column + width]
        zeros = torch.zeros(len(labels), k, device=labels.device)
        parts.append(of_head.to(zeros) if head in multi_label else zeros.scatter_(1, of_head, 1.0))
        column += width
    return torch.cat(parts, dim=1)


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


def smooth_labels(
    targets: Float[Tensor, "b k"], smoothing: float, num_classes: Sequence[int], multi_label: Collection[int] = ()
) -> Float[Tensor, "b k"]:
    """Return y (1 - s) + s / K, for each head with its K (Szegedy et al. 2016).

    A class of the heads at the positions ``multi_label`` is there or not: K is 2.
    """
    counts = [2 if head in multi_label else k for head, k in enumerate(num_classes)]
    uniform = torch.cat(
        [targets.new_full((k,), smoothing / count) for k, count in zip(num_classes, counts, strict=True)]
    )
    return targets * (1 - smoothing) + uniform
