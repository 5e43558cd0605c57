"""Parameters, multiply-adds, and FLOPs as the paper counts them, of a network for one clip.

The paper counts as scenic does, with XLA's cost analysis of its Flax modules divided by two: a multiply-add is one
FLOP, any other arithmetic operation half a one, a transcendental function none. That is 0.3 to 0.9 % above the
multiply-adds alone. Both are counted on the real modules, one PyTorch operation at a time, without computing anything.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from vivit.models.blocks import StochasticDepth
from vivit.models.encoder import Encoder

aten = torch.ops.aten


@dataclass(frozen=True, slots=True)
class FlopCount:
    """Parameters of a network, and the operations of one forward pass over one clip (one view)."""

    params: int
    gmac: float
    """Multiply-adds of matrix products and convolutions, in 10^9: half of what torch.utils.flop_counter returns."""
    paper_gflops: float
    """FLOPs by the paper's convention, in 10^9, unrounded."""
    uncounted: tuple[str, ...] = ()
    """Operations that are in no table, and counted as nothing."""


PRODUCTS: dict[Any, Callable[..., int]] = {
    aten.mm.default: lambda out, a, b: out.numel() * a.shape[-1],
    aten.bmm.default: lambda out, a, b: out.numel() * a.shape[-1],
    aten.addmm.default: lambda out, bias, a, b: out.numel() * a.shape[-1],
    aten.convolution.default: lambda out, x, weight, *_: out.numel() * weight[0].numel(),
}
"""Multiply-adds of each kind of product, from its result and its arguments."""


def _of_output(count: int | float) -> Callable[..., float]:
    return lambda out, *_: count * out.numel()


def _of_input(count: int | float) -> Callable[..., float]:
    return lambda out, x, *_: count * x.numel()


OTHERS: dict[Any, Callable[..., float]] = {
    # Positions, residuals, and biases that PyTorch does not fuse with their product.
    aten.add.Tensor: _of_output(1),
    # Query scaling in attention that is written out in Python.
    aten.mul.Tensor: _of_output(1),
    aten.div.Tensor: _of_output(1),
    # PyTorch's own written-out attention scales query and key by a square root each; the reference only the query.
    aten.mul.Scalar: _of_output(0.5),
    # The bias.
    aten.addmm.default: _of_output(1),
    aten.convolution.default: lambda out, x, weight, bias, *_: 0 if bias is None else out.numel(),
    # x * (0.5 * (1 + tanh(c * (x + 0.044715 * x * x * x)))): six products and two sums; tanh is free.
    aten.gelu.default: _of_input(8),
    # Maximum, subtraction of it, sum, division; exp is free.
    aten._softmax.default: _of_input(4),
    aten._safe_softmax.default: _of_input(4),
    # Flax's fast variance, E[x^2] - E[x]^2: sum of x, x * x, sum of it; then minus the mean, 1 / deviation times the
    # scale (the reference multiplies these two for every element), the product of both, plus the bias.
    aten.native_layer_norm.default: _of_input(7),
    # A sum of n is n - 1 additions, and one division.
    aten.mean.dim: _of_input(1),
}
"""Operations other than multiply-adds that XLA counts where the reference does the same step.

Reductions count each element once. The handful of operations for each *row* of a softmax or LayerNorm (epsilon, square
of the mean, ...) are left out: they are a millionth of the whole.
"""

FREE = {
    aten.tanh.default,
    aten.cat.default,
    aten.clone.default,
    aten.index.Tensor,
    aten._to_copy.default,
    aten._unsafe_view.default,
}
"""Transcendental functions, and moving data about. Views are free too."""


class _Counter(TorchDispatchMode):
    """Add up the cost of every operation. With ``strict``, raises TypeError at one that is in no table."""

    def __init__(self, strict: bool) -> None:
        super().__init__()
        self.strict = strict
        self.uncounted: dict[str, None] = {}
        self.products = 0
        self.others = 0.0

    def __torch_dispatch__(self, op: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = op(*args, **(kwargs or {}))
        if op in PRODUCTS:
            self.products += PRODUCTS[op](out, *args)
        if op in OTHERS:
            self.others += OTHERS[op](out, *args)
        if not (op in PRODUCTS or op in OTHERS or op in FREE or op.is_view):
            if self.strict:
                raise TypeError(f"{op} cannot be counted: it is not in PRODUCTS, OTHERS or FREE of {__name__}")
            self.uncounted[str(op)] = None
        return out


def _on_meta(net: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode, without memory behind its tensors."""
    tensors = {id(tensor): tensor.detach().to("meta") for tensor in chain(net.parameters(), net.buffers())}
    return copy.deepcopy(net, tensors).eval()


def _count_stochastic_depth(net: nn.Module, counter: _Counter) -> None:
    """Count one multiplication for each element of a residual branch that stochastic depth could drop.

    The reference multiplies by a mask of ones even in evaluation, where ours does nothing. Model 3 is left out: the
    released code has no stochastic depth there.
    """

    def count(module: nn.Module, args: tuple, branch: Tensor) -> None:
        counter.others += branch.numel()

    for module in net.modules():
        if isinstance(module, StochasticDepth) and module.in_reference:
            module.register_forward_hook(count)


def count_flops(
    net: nn.Module, *, frames: int, height: int, width: int, all_tokens: bool = True, strict: bool = True
) -> FlopCount:
    """Return what the network, in evaluation, does to one clip. It may be on any device and is left as it is.

    Counted as the paper does, every block in full; with ``all_tokens=False`` what is computed, which is less in the
    last block before a class token. Attention is counted written out, whichever kernel the network's device would use.
    Takes about a second for the paper's largest. Raises TypeError where the network uses an operation that is in no
    table of this file; unless ``strict``, those are named in the result and counted as nothing.
    """
    params = sum(parameter.numel() for parameter in net.parameters())
    net = _on_meta(net)
    for module in net.modules():
        if isinstance(module, Encoder):
            module.all_tokens = all_tokens
    counter = _Counter(strict)
    _count_stochastic_depth(net, counter)
    clip = torch.zeros(1, 3, frames, height, width, device="meta", dtype=next(net.parameters()).dtype)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        net(clip)
    return FlopCount(
        params, counter.products / 1e9, (counter.products + counter.others / 2) / 1e9, tuple(counter.uncounted)
    )
