"""What a network makes of clips before its classifier, beside what hooks see of a forward pass."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vivit.errors import ConfigError
from vivit.models import create_model

CLIP = torch.randn(3, 3, 8, 16, 24, generator=torch.Generator().manual_seed(0))
POOLS = ("spatiotemporal", "factorised_encoder", "average_pool", "attentive_pool")
MODELS = (*POOLS, "factorised_self_attention", "factorised_dot_product")


def network(model: str, **options: Any) -> Any:
    torch.manual_seed(0)
    net = create_model(model, size="tiny", num_classes=5, frames=8, image_size=(16, 24), depth=3, **options).eval()
    nn.init.normal_(net.head.projection.weight)
    return net


def hooked(net: Any, module: nn.Module, *, whole: bool = True) -> Tensor:
    """Return the output of a module in a forward pass, whose last block computes all tokens."""
    seen: list[Tensor] = []
    for part in net.modules():
        if hasattr(part, "all_tokens"):
            part.all_tokens = whole
    handle = module.register_forward_hook(lambda module, inputs, output: seen.append(output))
    net(CLIP)
    handle.remove()
    return seen[-1]


@pytest.mark.parametrize("pool", ["cls", "mean", "mean_then_norm"])
@pytest.mark.parametrize("model", MODELS)
def test_features_equal_what_hooks_see(model: str, pool: str) -> None:
    net = network(model, **({"pool": pool} if model in POOLS else {}))
    with torch.inference_mode():
        frames, video = net.features(CLIP)
        assert frames.shape == (3, 4, 64)
        assert torch.allclose(net.head(video), net(CLIP), atol=1e-5)
        assert torch.allclose(video, hooked(net, net.head.pre_logits), atol=1e-5)
        if hasattr(net, "spatial"):
            assert torch.allclose(frames, hooked(net, net.spatial), atol=1e-5)
            return
        tokens = hooked(net, net.encoder.blocks[-1])
        tokens = net.encoder.norm(tokens[:, 1:] if tokens.shape[1] % 2 else tokens)
        expected = torch.stack([tokens[:, 6 * t : 6 * t + 6].mean(1) for t in range(4)], 1)
        assert torch.allclose(frames, expected, atol=1e-5)


@pytest.mark.parametrize("layer", [1, 2, 3])
@pytest.mark.parametrize("model", MODELS)
def test_features_of_a_layer_are_the_tokens_behind_it(model: str, layer: int) -> None:
    net = network(model)
    encoder = net.spatial if hasattr(net, "spatial") else net.encoder
    with torch.inference_mode():
        frames, video = net.features(CLIP, layer)
        tokens = hooked(net, encoder.blocks[layer - 1])
        tokens = tokens if encoder.cls is None else tokens[..., 1:, :]
        tokens = tokens if tokens.ndim == 4 else tokens.unflatten(1, (4, 6))
        assert torch.allclose(frames, tokens.mean(2), atol=1e-5)
        assert torch.allclose(video, tokens.mean((1, 2)), atol=1e-5)


def test_a_layer_that_there_is_not_is_refused() -> None:
    for layer in (0, 4, -1):
        with pytest.raises(ConfigError, match="set 1 to 3") as error:
            network("spatiotemporal").features(CLIP, layer)
        assert error.value.key == "layer"


def test_attentive_pooling_is_attention_of_one_query_written_out() -> None:
    pool = network("attentive_pool").temporal
    frames = torch.randn(2, 5, 64)
    query, key, value = pool.attention.in_proj_weight.chunk(3)
    split = [
        (x @ weight.T).unflatten(-1, (4, 16)).transpose(1, 2)
        for x, weight in ((pool.query, query), (frames, key), (frames, value))
    ]
    weights = (split[0] @ split[1].transpose(2, 3) / 4).softmax(-1)
    answer = pool.attention.out_proj((weights @ split[2]).transpose(1, 2).flatten(2))
    assert torch.allclose(pool(frames), pool.norm(answer[:, 0]), atol=1e-5)
    assert torch.allclose(pool(frames), pool(frames.flip(1)), atol=1e-5)
