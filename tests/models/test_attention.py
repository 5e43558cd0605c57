"""Attention against PyTorch's own module and against the formula written out."""

import math

import pytest
import torch
from torch import nn

from vivit.models.attention import FUSED_FROM, Attention, attend, writes_out

DIM, HEADS = 24, 3


def filled() -> Attention:
    torch.manual_seed(0)
    attention = Attention(DIM, HEADS)
    for parameter in attention.parameters():
        nn.init.normal_(parameter, std=0.3)
    return attention


@pytest.mark.parametrize("batch", [(2,), (2, 5)])
def test_it_equals_the_module_of_torch(batch: tuple[int, ...]) -> None:
    ours = filled()
    theirs = nn.MultiheadAttention(DIM, HEADS, batch_first=True)
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.qkv.weight,
            "in_proj_bias": ours.qkv.bias,
            "out_proj.weight": ours.out.weight,
            "out_proj.bias": ours.out.bias,
        }
    )
    x = torch.randn(*batch, 7, DIM)
    rows = x.flatten(0, -3)
    expected = theirs(rows, rows, rows, need_weights=False)[0].view_as(x)
    torch.testing.assert_close(ours(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_attend_is_the_softmax_of_the_paper(batch: tuple[int, ...]) -> None:
    query, key, value = (torch.randn(*batch, 4, n, 6) for n in (5, 7, 7))
    weights = (query @ key.mT / math.sqrt(6)).softmax(-1)
    torch.testing.assert_close(attend(query, key, value), weights @ value, atol=1e-5, rtol=1e-5)


def test_dropout_takes_whole_weights_and_rescales_the_rest() -> None:
    torch.manual_seed(0)
    value = torch.eye(8).expand(1, 1, 8, 8)
    flat = torch.zeros(1, 1, 8, 8)
    weights = attend(flat, flat, value, dropout=0.5)
    assert set(weights.unique().tolist()) == {0.0, 0.25}


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


def part(length: int, dtype: torch.dtype = torch.bfloat16, **more: object) -> torch.Tensor:
    return torch.zeros(1, 2, length, 4, dtype=dtype, **more)


def test_weights_are_written_down_where_the_fused_kernel_learns_slowly() -> None:
    """In training, on the CPU, in bfloat16, for short sequences; the content of the tensors plays no part."""
    assert writes_out(part(5, requires_grad=True), part(FUSED_FROM - 1))
    assert not writes_out(part(5, requires_grad=True), part(FUSED_FROM))
    assert not writes_out(part(5), part(5))
    assert not writes_out(part(5, torch.float32, requires_grad=True), part(5, torch.float32))
    assert not writes_out(part(5, requires_grad=True, device="meta"), part(5, device="meta"))
    with torch.no_grad():
        assert not writes_out(part(5, requires_grad=True), part(5))


@pytest.mark.parametrize("batch", [(2,), (2, 3)])
def test_both_forms_learn_the_same(batch: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """In bfloat16 each is as far from the exact gradients as its rounding, which is that of numbers of 8 bits."""
    torch.manual_seed(0)
    exact = [torch.randn(*batch, 4, n, 16, dtype=torch.float64, requires_grad=True) for n in (5, 7, 7)]
    weights = torch.randn(*batch, 4, 5, 16, dtype=torch.float64)
    out = attend(*exact)
    expected = [out, *torch.autograd.grad(out, exact, weights)]
    for longest in (0, FUSED_FROM):
        monkeypatch.setattr("vivit.models.attention.FUSED_FROM", longest)
        rounded = [tensor.detach().bfloat16().requires_grad_() for tensor in exact]
        assert writes_out(rounded[0], rounded[1]) == bool(longest)
        out = attend(*rounded)
        for found, wanted in zip([out, *torch.autograd.grad(out, rounded, weights.bfloat16())], expected, strict=True):
            torch.testing.assert_close(found.double(), wanted, atol=4e-2, rtol=4e-2)


def test_dropout_of_written_out_weights() -> None:
    torch.manual_seed(0)
    value = torch.eye(8, dtype=torch.bfloat16).expand(1, 1, 8, 8)
    flat = torch.zeros(1, 1, 8, 8, dtype=torch.bfloat16, requires_grad=True)
    assert set(attend(flat, flat, value, dropout=0.5).unique().tolist()) == {0.0, 0.25}
