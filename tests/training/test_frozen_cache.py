"""Features of frozen frames that are kept: right whatever comes, met again where frames come again."""

import logging
from typing import Any

import pytest
import torch
from torch import nn

from vivit.errors import ConfigError
from vivit.models import create_model
from vivit.structures import Batch, normalize_frames
from vivit.training import OptimizerConfig, SoftTargetLoss, VideoClassifier
from vivit.training.frozen_cache import FrozenCache, tubelet_keys


def network(model: str = "factorised_encoder", **options: Any) -> Any:
    torch.manual_seed(0)
    frozen = {"frozen": "spatial"} | options
    net = create_model(model, size="tiny", num_classes=5, frames=8, image_size=16, **frozen).train()
    nn.init.normal_(net.head.projection.weight)
    return net


def clips(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(
        0, 256, (count, 8, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def test_keys_are_equal_where_all_bytes_are_and_differ_where_one_does() -> None:
    frames = clips(50).unflatten(1, (4, 2)).flatten(0, 1)
    keys = tubelet_keys(frames)
    assert keys == tubelet_keys(frames.clone())
    assert len({*keys}) == 200
    one = frames[:1].expand(1000, -1, -1, -1, -1).clone()
    flat = one.view(1000, -1)
    places = torch.arange(1000)
    flat[places, places] = flat[places, places] ^ (1 << (places % 8)).to(torch.uint8)  # one bit, anywhere
    assert len({*tubelet_keys(one)}) == 1000
    assert tubelet_keys(frames[:1].flip(1)) != tubelet_keys(frames[:1]), "the order of frames counts"


@pytest.mark.parametrize("options", [{}, {"tokeniser": {"name": "uniform_frames", "num_frames": 4}}])
def test_logits_and_gradients_are_those_without_it(options: dict[str, Any]) -> None:
    net, frames = network(**options).double(), clips(6)
    cache = FrozenCache(net, 0.01)
    for batch in (frames[:4], frames[2:], frames):  # new, half of it known, all of it known
        expected, actual = net(normalize_frames(batch, torch.float64)), cache.logits(batch, torch.float64)
        assert torch.allclose(actual, expected, atol=1e-10)
        gradients = [
            torch.autograd.grad(logits.square().sum(), [*net.temporal.parameters(), *net.head.parameters()])
            for logits in (expected, actual)
        ]
        assert all(torch.allclose(a, b, atol=1e-8) for a, b in zip(*gradients, strict=True))
    assert cache.share(0) == pytest.approx((2 * 4 + 6 * 4) / (14 * 4))
    assert cache.share(0) == 0


def test_frames_that_come_again_are_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    net, computed = network(), []
    cache = FrozenCache(net, 0.01)
    encode = net.encode_index
    monkeypatch.setattr(net, "encode_index", lambda clip: computed.append(len(clip)) or encode(clip))
    frames = clips(4)
    frames[3] = frames[0]  # within a batch too
    frames[2, 4:6] = frames[1, 2:4]  # at another moment
    for _ in range(3):
        cache.encode(frames, torch.float32)
    assert sum(computed) == 11


def test_validation_computes_its_frames_once_and_answers_as_without(monkeypatch: pytest.MonkeyPatch) -> None:
    net, computed = network(), []
    encode = net.encode_index
    monkeypatch.setattr(net, "encode_index", lambda clip: computed.append(len(clip)) or encode(clip))
    batch = Batch(clips(4)[:, None], torch.arange(4)[:, None], torch.arange(4))
    options: Any = {
        "heads": {"label": tuple("abcde")},
        "loss": SoftTargetLoss(),
        "optimizer_config": OptimizerConfig(torch.optim.AdamW, 0.5),
    }
    options |= {"seed": 0, "batch_size": 3, "record": {}}
    cache = FrozenCache(net, 0.01)
    modules = [VideoClassifier(net, **options, frozen_cache=kept).eval() for kept in (cache, None)]
    cached, expected = (module.validation_step(batch, 0).logits for module in modules)
    assert torch.allclose(cached, expected, atol=1e-5)
    assert len(computed) == 16
    nn.init.normal_(net.head.projection.weight)  # training goes on
    cached, expected = (module.validation_step(batch, 0).logits for module in modules)
    assert torch.allclose(cached, expected, atol=1e-5)
    assert len(computed) == 16
    assert cache.share(0) == 0, "training frames alone count"


def test_what_was_seen_before_changes_no_bit_so_that_a_resumed_run_is_the_same() -> None:
    net, frames = network(), clips(6)
    long, fresh = FrozenCache(net, 0.01), FrozenCache(net, 0.01)
    for start in range(4):
        expected = long.encode(frames[start : start + 3], torch.float32)
    assert torch.equal(fresh.encode(frames[3:], torch.float32), expected)


def test_there_is_no_more_than_was_asked_for() -> None:
    net = network()
    cache = FrozenCache(net, 10 * 64 * 4 / 1e9)
    assert cache.capacity == 10
    frames = clips(6)
    for _ in range(2):
        expected = net.encode_frames(normalize_frames(frames, torch.float32))
        assert torch.allclose(cache.encode(frames, torch.float32), expected, atol=1e-5)
    assert cache.share(0) == 10 / 48
    assert len(cache._features) == 10


def test_augmentation_that_never_repeats_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    cache = FrozenCache(network(), 0.01)
    with caplog.at_level(logging.WARNING):
        for epoch in range(4):
            cache.encode(clips(2, seed=epoch), torch.float32)
            cache.share(epoch)
    assert caplog.text.count("0 % of the frames of this epoch were met again") == 1
    assert "augment=aligned" in caplog.text


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("factorised_encoder", {"frozen": None}),
        ("factorised_encoder", {"frozen": 1}),
        ("spatiotemporal", {"frozen": "all_but_head"}),
    ],
)
def test_other_networks_are_refused(model: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="frozen_cache_gb=0") as error:
        FrozenCache(network(model, **options), 1.0)
    assert error.value.key == "frozen_cache_gb"


@pytest.mark.parametrize("gb", [-1, "much", True])
def test_what_is_no_size_is_refused(gb: Any, untyped: None) -> None:
    with pytest.raises(ConfigError, match="is no size above 0") as error:
        FrozenCache(network(), gb)
    assert error.value.key == "frozen_cache_gb"
