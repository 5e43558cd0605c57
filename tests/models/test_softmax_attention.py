"""Attention against the formula of the paper: every form, forward and backward, and which one is chosen."""

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from functorch.compile import make_boxed_func
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd
from torch.fx import GraphModule

from vivit.models import softmax_attention
from vivit.models.softmax_attention import LONG, attend, blocked_attention, choose, fused, in_blocks, written_out


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


def part(length: int, dtype: torch.dtype = torch.bfloat16, **more: object) -> Tensor:
    return torch.zeros(1, 2, length, 4, dtype=dtype, **more)


def test_the_form_is_chosen_by_what_tensors_are_not_by_what_is_in_them() -> None:
    assert choose(part(5, requires_grad=True), part(LONG - 1), 0.0) is written_out
    assert choose(part(5), part(LONG - 1), 0.0) is fused
    assert choose(part(5, requires_grad=True), part(LONG), 0.0) is in_blocks
    assert choose(part(5), part(LONG), 0.0) is in_blocks
    assert choose(part(5, requires_grad=True), part(LONG), 0.1) is written_out
    for dtype in (torch.float32, torch.float64, torch.float16):
        assert choose(part(5, dtype, requires_grad=True), part(LONG, dtype), 0.0) is fused
    for length in (5, LONG):
        assert choose(part(5, requires_grad=True, device="meta"), part(length, device="meta"), 0.0) is fused
    with torch.no_grad():
        assert choose(part(5, requires_grad=True), part(5), 0.0) is fused


FORMS = pytest.mark.parametrize("form", [fused, written_out, in_blocks])


@pytest.fixture(params=[3, 5, 512])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Blocks that do and do not divide five queries, and one that holds them all."""
    monkeypatch.setattr(softmax_attention, "BLOCK", request.param)
    return request.param


def parts(dtype: torch.dtype) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 4, n, 16, dtype=torch.float64).to(dtype).requires_grad_() for n in (5, 7, 7)]


def learned(form: softmax_attention.Form, inputs: list[Tensor]) -> list[Tensor]:
    torch.manual_seed(1)
    out = form(*inputs, 0.0)
    weights = torch.randn(out.shape, dtype=torch.float64).to(out)
    return [out, *torch.autograd.grad(out, inputs, weights)]


def formula(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> Tensor:
    return (query @ key.mT / math.sqrt(16)).softmax(-1) @ value


@FORMS
@pytest.mark.usefixtures("block")
def test_every_form_is_the_formula_to_rounding(form: softmax_attention.Form) -> None:
    """In float64 to thirteen digits for out and gradients; what sums up in float32 has seven."""
    tolerance = 1e-6 if form is in_blocks else 1e-13
    for found, wanted in zip(learned(form, parts(torch.float64)), learned(formula, parts(torch.float64)), strict=True):
        assert found.dtype == wanted.dtype
        torch.testing.assert_close(found, wanted, atol=tolerance, rtol=tolerance)


@FORMS
@pytest.mark.usefixtures("block")
def test_every_form_rounds_alike_in_bfloat16(form: softmax_attention.Form) -> None:
    """Each is as far from the exact gradients as its rounding, which is that of numbers of 8 bits."""
    exact = learned(formula, parts(torch.float64))
    for found, wanted in zip(learned(form, parts(torch.bfloat16)), exact, strict=True):
        assert found.dtype == torch.bfloat16
        torch.testing.assert_close(found.double(), wanted, atol=4e-2, rtol=4e-2)


@pytest.mark.parametrize("batch", [(2,), (2, 3)])
def test_attend_takes_the_form_that_is_chosen(batch: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number of batch axes, and tensors that are views of one projection, as a network has them."""
    monkeypatch.setattr(softmax_attention, "LONG", 7)
    calls = []
    monkeypatch.setattr(softmax_attention, "blocked_attention", lambda *x: calls.append(x) or blocked_attention(*x))
    torch.manual_seed(0)
    projected = torch.randn(*batch, 7, 3, 4, 16, dtype=torch.bfloat16, requires_grad=True)
    query, key, value = projected.transpose(-2, -4).unbind(-3)
    assert not query.is_contiguous()
    found = attend(query, key, value)
    assert len(calls) == 1
    torch.testing.assert_close(
        found.double(), formula(*(x.double() for x in (query, key, value)), 0.0), atol=2e-2, rtol=2e-2
    )


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_the_operation_is_what_torch_expects_of_one() -> None:
    """Schema, fake tensors, and what automatic differentiation registers: torch's own check of an operator."""
    torch.library.opcheck(blocked_attention, parts(torch.float32))
    with torch.no_grad():
        torch.library.opcheck(softmax_attention._blocked_gradients, (*parts(torch.float32), parts(torch.float32)[0]))


def test_blocks_can_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way is a graph of one operation, whatever the blocks; no code is made of it, which would want a compiler."""
    graphs: list[GraphModule] = []

    def keep(graph: GraphModule, _: Sequence[Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return make_boxed_func(graph.forward)

    monkeypatch.setattr(softmax_attention, "BLOCK", 3)
    compiled = torch.compile(in_blocks, backend=aot_autograd(fw_compiler=keep, bw_compiler=keep), fullgraph=True)
    expected = learned(in_blocks, parts(torch.bfloat16))
    for found, wanted in zip(learned(compiled, parts(torch.bfloat16)), expected, strict=True):
        torch.testing.assert_close(found, wanted)
    calls = [str(node.target) for graph in graphs for node in graph.graph.nodes if "vivit" in str(node.target)]
    assert calls == ["vivit.blocked_attention.default", "vivit.blocked_attention_gradients.default"]


def test_blocks_keep_no_weights_for_the_way_back() -> None:
    """Of 96 queries, keys and values, in two heads of 8 numbers each, no 96 x 96 weights."""
    inputs = [torch.randn(1, 2, 96, 8, requires_grad=True) for _ in range(3)]
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        in_blocks(*inputs)
    assert kept == [2 * 96 * 8] * 3


def test_dropout_of_written_out_weights() -> None:
    torch.manual_seed(0)
    value = torch.eye(8, dtype=torch.bfloat16).expand(1, 1, 8, 8)
    flat = torch.zeros(1, 1, 8, 8, dtype=torch.bfloat16, requires_grad=True)
    assert set(attend(flat, flat, value, dropout=0.5).unique().tolist()) == {0.0, 0.25}


def test_blocks_refuse_dropout() -> None:
    with pytest.raises(ValueError, match="no dropout"):
        in_blocks(part(5), part(5), part(5), 0.1)
