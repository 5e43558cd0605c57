"""The attention module against PyTorch's own, how it starts, and when it drops."""

import math

import pytest
import torch
from torch import nn

from vivit.models.attention import Attention

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
