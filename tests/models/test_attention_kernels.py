"""Attention against the formula of the paper: every kernel, forward and backward, and which one is selected."""

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from functorch.compile import make_boxed_func
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd
from torch.fx import GraphModule

from vivit.errors import ConfigError
from vivit.models import attention_kernels
from vivit.models.attention_kernels import (
    LONG_SEQUENCE,
    Kernel,
    blocked_attention,
    blocks,
    fused,
    select_kernel,
    softmax_attention,
    written_out,
)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_softmax_attention_is_the_formula_of_the_paper(batch: tuple[int, ...]) -> None:
    query, key, value = (torch.randn(*batch, 4, n, 6) for n in (5, 7, 7))
    weights = (query @ key.mT / math.sqrt(6)).softmax(-1)
    torch.testing.assert_close(softmax_attention(query, key, value), weights @ value, atol=1e-5, rtol=1e-5)


def test_dropout_drops_single_weights_and_rescales_the_rest() -> None:
    torch.manual_seed(0)
    value = torch.eye(8).expand(1, 1, 8, 8)
    flat = torch.zeros(1, 1, 8, 8)
    weights = softmax_attention(flat, flat, value, dropout=0.5)
    assert set(weights.unique().tolist()) == {0.0, 0.25}


def part(length: int, dtype: torch.dtype = torch.bfloat16, **more: object) -> Tensor:
    return torch.zeros(1, 2, length, 4, dtype=dtype, **more)


@pytest.fixture(params=["amd", "intel", "other"])
def maker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who made the processor."""
    monkeypatch.setattr(attention_kernels, "processor_maker", lambda: request.param)
    return request.param


def test_kernel_is_selected_by_device_dtype_length_and_maker(maker: str) -> None:
    long, short = part(LONG_SEQUENCE), part(LONG_SEQUENCE - 1)
    of_long, without_gradients = (blocks, written_out) if maker == "amd" else (fused, fused)
    for query in (part(LONG_SEQUENCE, requires_grad=True), long):
        assert select_kernel(query, long, 0.0) is of_long
    assert select_kernel(part(LONG_SEQUENCE, requires_grad=True), long, 0.1) is written_out
    assert select_kernel(part(5, requires_grad=True), short, 0.0) is written_out
    assert select_kernel(part(5), short, 0.0) is without_gradients
    few_queries = written_out if maker == "amd" else fused
    assert select_kernel(part(5, requires_grad=True), long, 0.0) is few_queries, "stores nothing to speak of"
    assert select_kernel(part(5, requires_grad=True), part(5), 0.0) is fused, "of hardly any weights the calls count"
    assert select_kernel(part(5, requires_grad=True), part(5), 0.1) is written_out
    enough = 64 if maker == "amd" else 16
    assert select_kernel(part(32, requires_grad=True), part(enough), 0.0) is written_out
    assert select_kernel(part(32, requires_grad=True), part(enough - 1), 0.0) is fused
    for dtype in (torch.float32, torch.float64, torch.float16):
        assert select_kernel(part(5, dtype, requires_grad=True), part(LONG_SEQUENCE, dtype), 0.0) is fused
    for length in (5, LONG_SEQUENCE):
        assert select_kernel(part(5, requires_grad=True, device="meta"), part(length, device="meta"), 0.0) is fused
    with torch.no_grad():
        assert select_kernel(part(5, requires_grad=True), short, 0.0) is without_gradients


every_kernel = pytest.mark.parametrize("kernel", [fused, written_out, blocks])


@pytest.fixture(params=[3, 5, 512])
def block_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Blocks that do and do not divide five queries, and one that holds them all."""
    monkeypatch.setattr(attention_kernels, "BLOCK_SIZE", request.param)
    return request.param


def parts(dtype: torch.dtype) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 4, n, 16, dtype=torch.float64).to(dtype).requires_grad_() for n in (5, 7, 7)]


def output_and_gradients(kernel: Kernel, inputs: list[Tensor]) -> list[Tensor]:
    torch.manual_seed(1)
    out = kernel(*inputs, 0.0)
    weights = torch.randn(out.shape, dtype=torch.float64).to(out)
    return [out, *torch.autograd.grad(out, inputs, weights)]


def formula(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> Tensor:
    return (query @ key.mT / math.sqrt(16)).softmax(-1) @ value


@every_kernel
@pytest.mark.usefixtures("block_size")
def test_kernels_equal_the_formula_to_rounding(kernel: Kernel) -> None:
    """In float64 to thirteen digits for out and gradients; what sums up in float32 has seven."""
    tolerance = 1e-6 if kernel is blocks else 1e-13
    for actual, expected in zip(
        output_and_gradients(kernel, parts(torch.float64)),
        output_and_gradients(formula, parts(torch.float64)),
        strict=True,
    ):
        assert actual.dtype == expected.dtype
        torch.testing.assert_close(actual, expected, atol=tolerance, rtol=tolerance)


@every_kernel
@pytest.mark.usefixtures("block_size")
def test_kernels_round_alike_in_bfloat16(kernel: Kernel) -> None:
    """Each is as far from the exact gradients as its rounding, which is that of numbers of 8 bits."""
    exact = output_and_gradients(formula, parts(torch.float64))
    for actual, expected in zip(output_and_gradients(kernel, parts(torch.bfloat16)), exact, strict=True):
        assert actual.dtype == torch.bfloat16
        torch.testing.assert_close(actual.double(), expected, atol=4e-2, rtol=4e-2)


@pytest.mark.parametrize("batch", [(2,), (2, 3)])
def test_softmax_attention_runs_the_selected_kernel(batch: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number of batch axes, and tensors that are views of one projection, as a network has them."""
    monkeypatch.setattr(attention_kernels, "LONG_SEQUENCE", 7)
    monkeypatch.setattr(attention_kernels, "processor_maker", lambda: "amd")
    calls = []
    monkeypatch.setattr(attention_kernels, "blocked_attention", lambda *x: calls.append(x) or blocked_attention(*x))
    torch.manual_seed(0)
    projected = torch.randn(*batch, 7, 3, 4, 16, dtype=torch.bfloat16, requires_grad=True)
    query, key, value = projected.transpose(-2, -4).unbind(-3)
    assert not query.is_contiguous()
    actual = softmax_attention(query, key, value)
    assert len(calls) == 1
    torch.testing.assert_close(
        actual.double(), formula(*(x.double() for x in (query, key, value)), 0.0), atol=2e-2, rtol=2e-2
    )


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_blocked_attention_passes_opcheck() -> None:
    """Schema, fake tensors, and what automatic differentiation registers: torch's own check of an operator."""
    torch.library.opcheck(blocked_attention, parts(torch.float32))
    with torch.no_grad():
        torch.library.opcheck(attention_kernels._blocked_gradients, (*parts(torch.float32), parts(torch.float32)[0]))


def test_blocks_compile_to_one_operation_each_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way is a graph of one operation, whatever the blocks; no code is made of it, which would want a compiler."""
    graphs: list[GraphModule] = []

    def collect(graph: GraphModule, _: Sequence[Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return make_boxed_func(graph.forward)

    monkeypatch.setattr(attention_kernels, "BLOCK_SIZE", 3)
    compiled = torch.compile(blocks, backend=aot_autograd(fw_compiler=collect, bw_compiler=collect), fullgraph=True)
    exact = output_and_gradients(blocks, parts(torch.bfloat16))
    for actual, expected in zip(output_and_gradients(compiled, parts(torch.bfloat16)), exact, strict=True):
        torch.testing.assert_close(actual, expected)
    calls = [str(node.target) for graph in graphs for node in graph.graph.nodes if "vivit" in str(node.target)]
    assert calls == ["vivit.blocked_attention.default", "vivit.blocked_attention_gradients.default"]


def test_the_rule_is_compiled_into_the_graph(maker: str) -> None:
    """The processor is asked when a graph is made, and breaks none."""

    def negate_if_written_out(query: Tensor) -> Tensor:
        return -query if select_kernel(query, query, 0.0) is written_out else query

    query = torch.randn(1, 2, 64, 4, dtype=torch.bfloat16, requires_grad=True)
    compiled = torch.compile(negate_if_written_out, backend="eager", fullgraph=True)
    assert torch.equal(compiled(query), -query)
    torch.compiler.reset()


def test_blocks_save_no_attention_weights_for_backward() -> None:
    """Of 96 queries, keys and values, in two heads of 8 numbers each, no 96 x 96 weights."""
    inputs = [torch.randn(1, 2, 96, 8, requires_grad=True) for _ in range(3)]
    saved: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x.numel()) or x, lambda x: x):
        blocks(*inputs)
    assert saved == [2 * 96 * 8] * 3


def test_dropout_of_written_out_weights() -> None:
    torch.manual_seed(0)
    value = torch.eye(8, dtype=torch.bfloat16).expand(1, 1, 8, 8)
    flat = torch.zeros(1, 1, 8, 8, dtype=torch.bfloat16, requires_grad=True)
    assert set(softmax_attention(flat, flat, value, dropout=0.5).unique().tolist()) == {0.0, 0.25}


def test_blocks_refuse_dropout() -> None:
    with pytest.raises(ConfigError) as error:
        blocks(part(5), part(5), part(5), 0.1)
    assert error.value.key == "model.attention_dropout"
