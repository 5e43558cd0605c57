"""Where the right class stands among all: from this number of a video every accuracy follows."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vivit.evaluation.metrics import joint, pair_numbers

ACTION = "action"
AT_ONCE = 64
"""Videos whose pairs of classes are held in memory: EPIC-Kitchens has 29,100 pairs, 15 MB for so many."""


def standing(scores: Float[Tensor, "b k"], labels: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
    """Number of classes before the right one, 0 where it is first; of equal scores the lower class is first."""
    own = scores.gather(1, labels[:, None])
    before = torch.arange(scores.shape[1]) < labels[:, None]
    return ((scores > own) | (scores == own) & before).sum(1)


def standings(
    scores: Float[Tensor, "b k"], labels: Int[Tensor, "b heads"], heads: Mapping[str, Sequence[str]]
) -> dict[str, Int[np.ndarray, " b"]]:
    """Standing of every head's label and, where there are several heads, of all labels together (``action``).

    An action's score is the product of the heads' softmaxes.
    """
    sizes = [len(classes) for classes in heads.values()]
    parts = scores.split(sizes, 1)
    found = {head: standing(part, labels[:, at]) for at, (head, part) in enumerate(zip(heads, parts, strict=True))}
    if len(heads) > 1:
        few = zip(scores.split(AT_ONCE), pair_numbers(labels, sizes).split(AT_ONCE), strict=True)
        found[ACTION] = torch.cat([standing(joint(part.split(sizes, 1)), pairs) for part, pairs in few])
    return {name: places.numpy() for name, places in found.items()}
