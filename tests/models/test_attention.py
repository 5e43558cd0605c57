"""The attention module against PyTorch's own, how it starts, and when it drops."""

import math
from itertools import product

import pytest
import torch
from torch import nn

from vivit.errors import ConfigError
from vivit.models import attention_kernels, create_model
from vivit.models.attention import Attention
from vivit.models.registry import models

DIM, HEADS = 24, 3


def filled() -> Attention:
    torch.manual_seed(0)
    attention = Attention(DIM, HEADS)
    for parameter in attention.parameters():
        nn.init.normal_(parameter, std=0.3)
    return attention


@pytest.mark.parametrize("batch", [(2,), (2, 5)])
def test_it_equals_the_module_of_torch(batch: tuple[int, ...]) -> None:
    net = filled()
    reference = nn.MultiheadAttention(DIM, HEADS, batch_first=True)
    reference.load_state_dict(
        {
            "in_proj_weight": net.qkv.weight,
            "in_proj_bias": net.qkv.bias,
            "out_proj.weight": net.out.weight,
            "out_proj.bias": net.out.bias,
        }
    )
    x = torch.randn(*batch, 7, DIM)
    rows = x.flatten(0, -3)
    expected = reference(rows, rows, rows, need_weights=False)[0].view_as(x)
    torch.testing.assert_close(net(x), expected, atol=1e-5, rtol=1e-5)


def test_dropout_is_off_in_evaluation() -> None:
    attention, x = filled(), torch.randn(2, 7, DIM)
    expected = attention(x)
    attention.attention_dropout = 0.5
    assert not torch.allclose(attention(x), expected)
    assert torch.equal(attention.eval()(x), expected)


@torch.no_grad()
def test_each_square_starts_xavier_uniform() -> None:
    """The bound is that of one (d, d) matrix, sqrt(6 / 2d), not that of the (3d, d) matrix that holds three."""
    torch.manual_seed(0)
    attention = Attention(96, 4)
    for square in (*attention.qkv.weight.chunk(3), attention.out.weight):
        assert square.abs().max() <= math.sqrt(3 / 96)
        assert square.abs().max() > 0.99 * math.sqrt(3 / 96)
        assert square.std() == pytest.approx(96**-0.5, rel=0.03)
    assert not attention.qkv.bias.any()
    assert not attention.out.bias.any()


def test_one_kernel_computes_all_attention_of_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every model, whose logits stay the same; a record has the key where it is set."""
    clip, calls = torch.randn(1, 3, 4, 32, 32), []
    for name, kernel in product(models(), attention_kernels.KERNELS):
        run = attention_kernels.KERNELS[kernel]
        counted = {kernel: lambda *x, run=run: calls.append(1) or run(*x)}
        torch.manual_seed(0)
        options = {"size": "tiny", "num_classes": 3, "frames": 4, "image_size": 32}
        usual, forced = create_model(name, **options).eval(), create_model(name, attention=kernel, **options).eval()
        forced.load_state_dict(usual.state_dict())
        assert "attention" not in usual.config.to_dict()
        assert forced.config.to_dict()["attention"] == kernel
        with monkeypatch.context() as patch, torch.no_grad():
            patch.setattr(attention_kernels, "KERNELS", counted)
            calls.clear()
            torch.testing.assert_close(forced(clip), usual(clip), atol=1e-5, rtol=1e-5)
        heads = sum(isinstance(module, Attention) for module in forced.modules())
        assert len(calls) == (2 if name == "factorised_dot_product" else 1) * heads


def test_a_kernel_that_there_is_not_and_one_that_cannot_drop_are_refused() -> None:
    options = {"size": "tiny", "num_classes": 3, "frames": 4, "image_size": 32}
    with pytest.raises(ConfigError, match="model.attention=flash: there is no such kernel; set auto, fused, "):
        create_model("factorised_encoder", attention="flash", **options)
    with pytest.raises(ConfigError, match="model.attention=blocks: has no dropout, and model.attention_dropout is 0.1"):
        create_model("factorised_encoder", attention="blocks", attention_dropout=0.1, **options)
