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
    """Score whole videos, ``clips_at_once`` views through the network at a time, however many there are."""
    videos, views = batch.frames.shape[:2]
    clips = batch.frames.flatten(0, 1)
    logits = [network(colours(part, dtype)) for part in clips.split(clips_at_once)]
    by_view = torch.cat(logits).float().unflatten(0, (videos, views))
    return Scores(averaging(by_view), batch.labels, batch.videos, by_view, batch.firsts)
