"""Multi-view inference: logits are averaged over the views of a video, before any softmax (ViViT, section 4.1)."""

import torch
from torch import nn

from vivit.shapes import Batch, Scores


def score(network: nn.Module, batch: Batch, *, clips_at_once: int, dtype: torch.dtype = torch.float32) -> Scores:
    """Score whole videos, ``clips_at_once`` views through the network at a time, however many there are."""
    videos, views = batch.frames.shape[:2]
    clips = batch.frames.flatten(0, 1)
    logits = [
        network(Batch(part[:, None], batch.labels, batch.videos).clips(dtype)[:, 0])
        for part in clips.split(clips_at_once)
    ]
    return Scores(torch.cat(logits).float().unflatten(0, (videos, views)).mean(1), batch.labels, batch.videos)
