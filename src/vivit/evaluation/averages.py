"""Rules that make one score of a video's views.

The paper and the released code average logits, other code bases probabilities; a result says which it was.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Average(Protocol):
    """Takes the logits of views, the number of classes of each head, and how much each view counts; None: all alike."""

    def __call__(
        self, views: Float[Tensor, "b v k"], sizes: Sequence[int], weights: Float[Tensor, " v"] | None = None
    ) -> Float[Tensor, "b k"]:
        """Make one score of the views of each video."""
        ...


def mean_of_logits(
    views: Float[Tensor, "b v k"], sizes: Sequence[int], weights: Float[Tensor, " v"] | None = None
) -> Float[Tensor, "b k"]:
    """Average before any softmax (ViViT, section 4.1); the heads do not matter."""
    return views.mean(1) if weights is None else torch.einsum("bvk,v->bk", views, weights / weights.sum())


def mean_of_probabilities(
    views: Float[Tensor, "b v k"], sizes: Sequence[int], weights: Float[Tensor, " v"] | None = None
) -> Float[Tensor, "b k"]:
    """Average each head's softmax, and give the logarithm, whose own softmax is that average again."""
    more = 0.0 if weights is None else (weights / weights.mean()).log()[:, None]
    heads = [(head.log_softmax(-1) + more).logsumexp(1) for head in views.split(list(sizes), -1)]
    return torch.cat(heads, -1) - math.log(views.shape[1])


RULES: Mapping[str, Average] = {"logits": mean_of_logits, "probabilities": mean_of_probabilities}


def average_named(name: str) -> Average:
    """Give the rule that ``views.average`` names."""
    if name not in RULES:
        raise ValueError(f"views.average={name} is no rule to average views by; there are {', '.join(RULES)}")
    return RULES[name]


@dataclass(frozen=True)
class Averaging:
    """A rule, the classes of each head that it asks for, and the numbers of the views that count; None: all do."""

    rule: Average = mean_of_logits
    sizes: Sequence[int] = ()
    chosen: Sequence[int] | None = None

    def __call__(
        self, views: Float[Tensor, "b v k"], weights: Float[Tensor, " v"] | None = None
    ) -> Float[Tensor, "b k"]:
        """Make one score of the views of each video; ``weights`` is how much each that counts does so."""
        return self.rule(views if self.chosen is None else views[:, list(self.chosen)], self.sizes, weights)
