"""Clips along a video whose temporal indices are encoded once have the logits of each clip on its own."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from films import film, noise
from torch import nn

from vivit.data.view_samplers import MultiViewSampler
from vivit.errors import ConfigError
from vivit.inference import Predictor, Preprocessing
from vivit.inference.streaming import StreamingClassifier, classify_shared, share_indices
from vivit.models import ViViT, create_model

STAMPS = sorted({*range(0, 150, 3), *range(151, 350)} - {200, 201, 205, 290})
"""Of a variable rate, in twenty-fifths of a second."""


def network(model: str = "factorised_encoder", frames: int = 8, **options: Any) -> ViViT:
    torch.manual_seed(0)
    net = create_model(model, size="tiny", num_classes=5, frames=frames, image_size=32, depth=1, **options).eval()
    nn.init.normal_(net.head.projection.weight, std=0.2)
    return net


def predictor(net: ViViT, **views: Any) -> Predictor:
    clip: dict[str, Any] = {"frames": net.clip_size[0], "resize": 36, "crop": (32, 32)} | views
    return Predictor(net, preprocessing=Preprocessing(MultiViewSampler(**clip)), batch_size=3, device="cpu")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    folder = tmp_path_factory.mktemp("films")
    return {
        "long": film(folder / "long.mp4", noise(520), bf=2),
        "uneven": film(folder / "uneven.mp4", noise(len(STAMPS)), stamps=STAMPS),
        "short": film(folder / "short.mp4", noise(5)),
    }


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many temporal indices each call of the spatial encoder had."""
    counts: list[int] = []
    kind = type(network())
    encode = kind.encode_index
    monkeypatch.setattr(kind, "encode_index", lambda self, frames: counts.append(len(frames)) or encode(self, frames))
    return counts


UNIFORM = {"tokeniser": {"name": "uniform_frames", "num_frames": 3}}


@pytest.mark.parametrize(
    ("video", "model", "options", "views", "every", "windows", "indices"),
    [
        ("long", "factorised_encoder", {}, {"stride": 1}, 2 / 25, 257, 260),  # a tubelet a step
        ("long", "factorised_encoder", {}, {"stride": 1}, 1 / 25, 513, 519),  # half a tubelet: two phases
        ("long", "factorised_encoder", {}, {"stride": 3}, 6 / 25, 84, None),
        ("long", "average_pool", {}, {"stride": 2, "spatial": 3}, 4 / 25, 127, None),
        ("long", "factorised_encoder", {}, {"stride": 1}, 3 / 25, 172, None),
        ("long", "factorised_encoder", {}, {"stride": 1}, 0.33, None, None),  # not even whole frames
        ("long", "factorised_encoder", {}, {"fps": 10}, 0.2, 101, 104),
        ("long", "factorised_encoder", {}, {"fps": 7}, 0.3, None, None),
        ("long", "average_pool", UNIFORM, {"stride": 1}, 2 / 25, 257, None),
        ("uneven", "factorised_encoder", {}, {"stride": 2}, 0.16, None, None),
        ("uneven", "factorised_encoder", {}, {"fps": 12.5}, 0.16, None, None),
        ("short", "factorised_encoder", {}, {"stride": 1}, 0.1, 1, None),
        ("short", "factorised_encoder", {}, {"fps": 25}, 0.1, 1, None),
    ],
)
def test_logits_are_those_of_each_clip_on_its_own(
    video: str, model: str, options: dict, views: dict, every: float, windows: int | None, indices: int | None,
    videos: Mapping[str, str], encoded: list[int],
) -> None:  # fmt: skip
    scorer = predictor(network(model, **options), **views)
    expected = scorer.predict_sliding(videos[video], every, False)
    assert not encoded
    shared = scorer.predict_sliding(videos[video], every, True)
    assert (shared.spans, shared.weights) == (expected.spans, expected.weights)
    assert torch.allclose(shared.logits, expected.logits, atol=1e-5)
    assert windows in (None, len(shared.logits))
    crops = views.get("spatial", 1)
    assert sum(encoded) <= crops * 4 * len(shared.logits)
    assert indices in (None, sum(encoded))
    automatic = scorer.predict_sliding(videos[video], every)
    assert torch.allclose(automatic.logits, expected.logits, atol=1e-5)


def test_every_distinct_index_has_the_frames_of_its_windows() -> None:
    rng = np.random.default_rng(0)
    windows = rng.integers(0, 6, (40, 8))
    parts = [[0, 1], [2, 3], [4, 5], [6, 7]]
    shared = share_indices(windows, parts)
    assert np.array_equal(shared.frames[shared.windows].reshape(40, 8), windows)
    assert len({*map(tuple, shared.frames.tolist())}) == len(shared.frames)
    firsts = [shared.windows.ravel().tolist().index(number) for number in range(len(shared.frames))]
    assert firsts == sorted(firsts), "in the order in which they are needed"


def test_memory_is_that_of_a_batch_and_a_window() -> None:
    net = network()
    shared = share_indices(2 * np.arange(500)[:, None] + np.arange(8), [[0, 1], [2, 3], [4, 5], [6, 7]])
    assert (len(shared.frames), shared.share) == (503, 503 / 2000)
    classifier, most = StreamingClassifier(net, 5), 0
    frames = torch.randint(0, 256, (503, 1, 2, 32, 32, 3), dtype=torch.uint8)
    done = 0
    for logits in classify_shared(classifier, shared, frames.split(10)):
        most, done = max(most, len(classifier._encoded)), done + len(logits)
    assert done == 500
    assert most <= 10 + 4
    assert classifier.count == 503 and not classifier._encoded
    with pytest.raises(IndexError):
        classifier.classify([[499, 500, 501, 502]])


@pytest.mark.parametrize("model", ["spatiotemporal", "factorised_self_attention", "factorised_dot_product"])
def test_networks_that_read_all_of_a_clip_together_are_refused_or_computed_clip_by_clip(
    model: str, videos: Mapping[str, str]
) -> None:
    scorer = predictor(network(model), stride=1)
    with pytest.raises(ConfigError, match=f"{model} reads all temporal indices of a clip together") as error:
        scorer.predict_sliding(videos["short"], 0.1, True)
    assert error.value.key == "streaming"
    assert torch.equal(
        scorer.predict_sliding(videos["uneven"], 1.0).logits,
        scorer.predict_sliding(videos["uneven"], 1.0, False).logits,
    )


def test_nothing_shared_is_nothing_streamed(videos: Mapping[str, str], encoded: list[int]) -> None:
    scorer = predictor(network(), stride=1)
    scorer.predict_sliding(videos["long"], 10.0)
    assert not encoded
