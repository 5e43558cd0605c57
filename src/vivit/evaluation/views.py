"""Multi-view inference: all views of a video go through the network, and a rule makes one score of them."""

import torch
from torch import nn

from vivit.evaluation.averages import Averaging
from vivit.shapes import Batch, Scores, colours

MEAN = Averaging()
"""Logits of all views, as the paper averages them."""


def score(
    network: nn.Module,
    batch: Batch,
    *,
    clips_at_once: int,
    averaging: Averaging = MEAN,
    dtype: torch.dtype = torch.float32,
) -> Scores:
    """Score whole videos, ``clips_at_once`` views through the network at a time, however many there are.

    The network is called as often for a batch of no videos as for one: where it is sharded, all ranks must call it
    together, since each call gathers the weights of every block from them all.
    """
    videos, views = batch.frames.shape[:2]
    frames = batch.frames if videos else batch.frames.new_zeros(1, *batch.frames.shape[1:])
    logits = [network(colours(part, dtype)) for part in frames.flatten(0, 1).split(clips_at_once)]
    by_view = torch.cat(logits).float()[: videos * views].unflatten(0, (videos, views))
    return Scores(averaging(by_view), batch.labels, batch.videos, by_view, batch.firsts)
