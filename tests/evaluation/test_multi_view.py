"""Predictions of whole videos: the mean of the logits of their views, however they are put through the network."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from networks import make_network
from torch import Tensor, nn

from vivit.evaluation import score
from vivit.models import FactorisedEncoder, Tubelets
from vivit.structures import Batch


def network() -> nn.Module:
    torch.manual_seed(0)
    net = make_network(
        FactorisedEncoder, Tubelets(dim=12, tubelet=(2, 4, 5)), num_classes=7, frames=4, height=8, width=15,
        depth=2, num_heads=3, mlp_dim=20,
        temporal_depth=1, temporal_num_heads=2, temporal_mlp_dim=16,
    ).eval()  # fmt: skip
    nn.init.normal_(net.head.projection.weight)
    return net


def batch(videos: int = 3, views: int = 5) -> Batch:
    frames = torch.randint(0, 256, (videos, views, 4, 8, 15, 3), dtype=torch.uint8)
    return Batch(frames, torch.tensor([[4], [0], [6]])[:videos], torch.tensor([30, 10, 20])[:videos])


@torch.no_grad()
@pytest.mark.parametrize("clips_at_once", [1, 2, 15, 100])
def test_score_does_not_depend_on_clips_at_once(clips_at_once: int) -> None:
    net, videos = network(), batch()
    found = score(net, videos, clips_at_once=clips_at_once)
    colours = videos.frames.float() * 2 / 255 - 1
    expected = torch.stack([net(video.movedim(-1, 1)).mean(0) for video in colours])
    torch.testing.assert_close(found.logits, expected, atol=1e-5, rtol=0)
    assert found.labels.equal(videos.labels)
    assert found.videos.equal(videos.videos)


class Replay(nn.Module):
    """Says the logits it was given, in order, and remembers how many were asked for at once."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = list(logits)
        self.portions: list[int] = []

    def forward(self, clips: Tensor) -> Tensor:
        self.portions.append(len(clips))
        return torch.stack([self.logits.pop(0) for _ in clips])


@pytest.mark.parametrize("clips_at_once", [1, 2, 3, 8])
def test_score_of_no_videos_takes_as_many_calls_as_one(clips_at_once: int) -> None:
    """So that no rank of a sharded network waits for another."""
    of_one, of_none = Replay(torch.zeros(5, 7)), Replay(torch.zeros(5, 7))
    score(of_one, batch(1), clips_at_once=clips_at_once)
    found = score(of_none, batch(0), clips_at_once=clips_at_once)
    assert of_none.portions == of_one.portions
    assert found.logits.shape == (0, 7)
    assert found.views is not None
    assert found.views.shape == (0, 5, 7)


def test_score_averages_logits_as_the_reference(reference_numbers: Mapping[str, np.ndarray]) -> None:
    """Five views, two at a time with a remainder; logits, not probabilities, are averaged."""
    replay = Replay(torch.from_numpy(reference_numbers["multiview/per_view_logits"]))
    found = score(replay, batch(1, int(reference_numbers["multiview/n_views"])), clips_at_once=2)
    assert replay.portions == [2, 2, 1]
    np.testing.assert_allclose(found.logits, reference_numbers["multiview/result_logits"], atol=1e-6)
