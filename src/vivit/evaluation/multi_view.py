"""Multi-view inference: the network on every view of a video, and the aggregation of views.

The paper and the released code average logits, other code bases probabilities; a result stores which it was.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from vivit.errors import ConfigError
from vivit.structures import Batch, Predictions, normalize_frames


@runtime_checkable
class Aggregation(Protocol):
    """A function of the logits of views, the number of classes of each head, and weights of views; None: equal.

    ``multi_label`` are the positions of the multi-label heads.
    """

    def __call__(
        self,
        views: Float[Tensor, "b v k"],
        num_classes: Sequence[int],
        weights: Float[Tensor, " v"] | None = None,
        *,
        multi_label: Collection[int] = (),
    ) -> Float[Tensor, "b k"]:
        """Return one vector of logits for each video."""
        ...


def mean_of_logits(
    views: Float[Tensor, "b v k"],
    num_classes: Sequence[int],
    weights: Float[Tensor, " v"] | None = None,
    *,
    multi_label: Collection[int] = (),
) -> Float[Tensor, "b k"]:
    """Return the mean of logits, before any softmax (ViViT, section 4.1); the heads do not matter."""
    return views.mean(1) if weights is None else torch.einsum("bvk,v->bk", views, weights / weights.sum())


def mean_of_probabilities(
    views: Float[Tensor, "b v k"],
    num_classes: Sequence[int],
    weights: Float[Tensor, " v"] | None = None,
    *,
    multi_label: Collection[int] = (),
) -> Float[Tensor, "b k"]:
    """Return the logarithm of each head's mean softmax; its softmax is that mean again.

    Of a multi-label head, return the logits whose sigmoid is the mean of the views' sigmoids.
    """
    log_weights = 0.0 if weights is None else (weights / weights.mean()).log()[:, None]

    def log_mean(log_probs: Float[Tensor, "b v _k"]) -> Float[Tensor, "b _k"]:
        return (log_probs + log_weights).logsumexp(1) - math.log(views.shape[1])

    heads = [
        log_mean(F.logsigmoid(head)) - log_mean(F.logsigmoid(-head))
        if number in multi_label
        else log_mean(head.log_softmax(-1))
        for number, head in enumerate(views.split(list(num_classes), -1))
    ]
    return torch.cat(heads, -1)


AGGREGATIONS: Mapping[str, Aggregation] = {"logits": mean_of_logits, "probabilities": mean_of_probabilities}


def get_aggregation(name: str) -> Aggregation:
    """Return the aggregation of a name, a value of ``views.average``."""
    if name not in AGGREGATIONS:
        raise ConfigError("views.average", name, "is unknown", f"set one of {', '.join(AGGREGATIONS)}")
    return AGGREGATIONS[name]


@dataclass(frozen=True)
class ViewAggregator:
    """An aggregation with the number of classes of each head, and the indices of the views it uses; None: all.

    ``multi_label`` are the positions of the multi-label heads.
    """

    aggregation: Aggregation = mean_of_logits
    num_classes: Sequence[int] = ()
    view_indices: Sequence[int] | None = None
    multi_label: Collection[int] = ()

    def __call__(
        self, views: Float[Tensor, "b v k"], weights: Float[Tensor, " v"] | None = None
    ) -> Float[Tensor, "b k"]:
        """Return one vector of logits for each video; ``weights`` are those of the selected views."""
        selected = views if self.view_indices is None else views[:, list(self.view_indices)]
        return self.aggregation(selected, self.num_classes, weights, multi_label=self.multi_label)


MEAN = ViewAggregator()
"""The mean of the logits of all views, as in the paper."""


def score(
    network: nn.Module,
    batch: Batch,
    *,
    clips_at_once: int,
    aggregator: ViewAggregator = MEAN,
    dtype: torch.dtype = torch.float32,
    classify: Callable[[UInt8[Tensor, "n f h w 3"], torch.dtype], Float[Tensor, "n k"]] | None = None,
) -> Predictions:
    """Return the predictions of whole videos, with ``clips_at_once`` views through the network at a time.

    The network is called as often for a batch of no videos as for one: where it is sharded, all ranks must call it
    together, since each call gathers the weights of every block from them all. ``classify`` computes the logits of
    frames in its place, as a cache of what the network made of them does.
    """
    videos, views = batch.frames.shape[:2]
    frames = batch.frames if videos else batch.frames.new_zeros(1, *batch.frames.shape[1:])
    parts = frames.flatten(0, 1).split(clips_at_once)
    logits = [network(normalize_frames(part, dtype)) if classify is None else classify(part, dtype) for part in parts]
    by_view = torch.cat(logits).float()[: videos * views].unflatten(0, (videos, views))
    return Predictions(aggregator(by_view), batch.labels, batch.videos, by_view, batch.first_frames)
