"""Softmax(QK^T / sqrt(e)) V (ViViT, section 3.1): three equal kernels, and the rule that selects one."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vivit.errors import ConfigError
from vivit.processor import processor_maker

Kernel = Callable[[Tensor, Tensor, Tensor, float], Tensor]

AUTO = "auto"
"""The name of the rule, in place of a kernel's."""
LONG_SEQUENCE = 1024
"""Keys from which on the weights of all queries are not stored."""
FEW_WEIGHTS, FEW_WEIGHTS_AMD = 1024, 4096
"""Weights of all heads below which the calls take the time, not the products: ``fused`` is a single one."""
BLOCK_SIZE = 512
"""Queries of one head in a block: 3 MB of weights at 3,137 tokens, which stay in the processor's cache."""


def softmax_attention(
    query: Float[Tensor, "*batch a n e"],
    key: Float[Tensor, "*batch a m e"],
    value: Float[Tensor, "*batch a m e"],
    dropout: float = 0.0,
    kernel: str = AUTO,
) -> Float[Tensor, "*batch a n e"]:
    """Return attention of every query over all keys, head by head; ``dropout`` acts on the attention weights.

    The caller passes a dropout of 0 outside training: a kernel does not know the mode. ``kernel`` names one of
    ``KERNELS``; of ``auto`` the rule selects.
    """
    batch = query.shape[:-3]
    query, key, value = (part.flatten(0, -4) if batch else part[None] for part in (query, key, value))
    run = select_kernel(query, key, dropout) if kernel == AUTO else KERNELS[kernel]
    out = run(query, key, value, dropout)
    return out.unflatten(0, batch) if batch else out[0]


def attention_weights(
    query: Float[Tensor, "*heads n e"], key: Float[Tensor, "*heads m e"]
) -> Float[Tensor, "*heads n m"]:
    """Return softmax(QK^T / sqrt(e))."""
    return torch.softmax(query * query.shape[-1] ** -0.5 @ key.transpose(-2, -1), dim=-1)


def select_kernel(query: Tensor, key: Tensor, dropout: float) -> Kernel:
    """Return the fastest kernel for the device, dtype, sequence length and whether gradients are needed.

    The values of the tensors never matter. ``fused`` is selected except on the CPU in bfloat16, where it depends on who
    made the processor. Forward, and forward with backward, 12 heads of 64, in ms on 2 cores: an EPYC with bfloat16
    units, a Xeon with matrix units (AMX), and the same Xeon without (``ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16``):

    | sequences x tokens | processor | fused    | written out | blocks   |
    |--------------------|-----------|----------|-------------|----------|
    | 1,568 x 16         | EPYC      | 69, 878  | 39, 134     |          |
    |                    | AMX       | 40, 697  | 87, 230     |          |
    |                    | without   | 40, 745  | 87, 217     |          |
    | 16 x 197           | EPYC      | 19, 77   | 13, 35      | 26, 96   |
    |                    | AMX       | 6, 43    | 8, 32       | 20, 72   |
    |                    | without   | 7, 54    | 15, 39      | 28, 105  |
    | 4 x 785            | EPYC      | 69, 167  | 46, 100     | 42, 151  |
    |                    | AMX       | 15, 79   | 20, 51      | 31, 106  |
    |                    | without   | 15, 128  | 50, 142     | 59, 199  |
    | 1 x 3,137          | EPYC      | 209, 619 | 136, 373    | 126, 436 |
    |                    | AMX       | 37, 233  | 79, 203     | 96, 313  |
    |                    | without   | 52, 443  | 202, 594    | 201, 687 |

    Written out, the last row stores 236 MB a layer, the others nothing: none trains long sequences so. The one query
    of a last layer over 3,137 tokens stores nothing to speak of. On a second EPYC (Zen 4) its training takes 21
    fused, 10 written out and 29 in blocks; the table's last row is 257, 790; 162, 426; 175, 623. Processors of other
    makers have the Xeon's rule. In float32 ``fused`` is ahead everywhere (EPYC, the last row: 205, 748; 332, 873;
    377, 1,264).
    """
    if query.device.type != "cpu" or query.dtype != torch.bfloat16:
        return fused
    is_amd, queries, keys = _maker() == "amd", query.shape[-2], key.shape[-2]
    if not dropout and (min(queries, keys) if is_amd else keys) >= LONG_SEQUENCE:
        return blocks if is_amd else fused
    if not dropout and query.shape[:-1].numel() * keys < (FEW_WEIGHTS_AMD if is_amd else FEW_WEIGHTS):
        return fused
    needs_gradients = torch.is_grad_enabled() and query.requires_grad
    return written_out if needs_gradients or is_amd else fused


@torch.compiler.assume_constant_result
def _maker() -> str:
    return processor_maker()


def fused(query: Tensor, key: Tensor, value: Tensor, dropout: float = 0.0) -> Tensor:
    """Run torch's kernel, which never stores the weights (with dropout, on the CPU, it does)."""
    return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)


def written_out(query: Tensor, key: Tensor, value: Tensor, dropout: float = 0.0) -> Tensor:
    """Compute the weights of all sequences at once, and store them for the backward pass."""
    return F.dropout(attention_weights(query, key), dropout) @ value


def blocks(query: Tensor, key: Tensor, value: Tensor, dropout: float = 0.0) -> Tensor:
    """Compute the weights of ``BLOCK_SIZE`` queries at a time, again in the backward pass (Rabe and Staats 2021).

    Raises ConfigError for a dropout above 0.
    """
    if dropout:
        raise ConfigError("model.attention_dropout", dropout, "attention in blocks has no dropout", "set 0")
    return blocked_attention(query, key, value)


KERNELS: Mapping[str, Kernel] = {"fused": fused, "written_out": written_out, "blocks": blocks}
"""All kernels by name."""


@torch.library.custom_op("vivit::blocked_attention", mutates_args=())
def blocked_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Compute ``blocks`` as one operation for activation checkpointing and the compiler."""
    query, key, value = (part.contiguous() for part in (query, key, value))
    out = _heads_last(query)
    for head, rows in _query_blocks(query):
        out[rows] = attention_weights(query[rows], key[head]) @ value[head]
    return out


def _save_inputs(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


@partial(blocked_attention.register_autograd, setup_context=_save_inputs)
def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
    return _blocked_gradients(*ctx.saved_tensors, grad)


@torch.library.custom_op("vivit::blocked_attention_gradients", mutates_args=())
def _blocked_gradients(query: Tensor, key: Tensor, value: Tensor, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of queries, keys and values; those of keys and values are summed up in float32.

    An operation too, or the compiler would unroll the blocks of all heads: minutes a layer.
    """
    query, key, value, grad = (part.contiguous() for part in (query, key, value, grad))
    scale = query.shape[-1] ** -0.5
    to_query = torch.empty_like(query)
    to_key, to_value = (torch.zeros_like(part, dtype=torch.float32) for part in (key, value))
    for head, rows in _query_blocks(query):
        q, k, v, g = query[rows], key[head], value[head], grad[rows]
        weights = attention_weights(q, k)
        to_scores = torch.ops.aten._softmax_backward_data(g @ v.transpose(-2, -1), weights, -1, weights.dtype)
        to_query[rows] = to_scores @ k * scale
        to_key[head] += to_scores.transpose(-2, -1) @ (q * scale)
        to_value[head] += weights.transpose(-2, -1) @ g
    return to_query, to_key.to(key), to_value.to(value)


@_blocked_gradients.register_fake
def _fake_gradients(query: Tensor, key: Tensor, value: Tensor, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    query, key, value = (torch.empty_like(part, memory_format=torch.contiguous_format) for part in (query, key, value))
    return query, key, value


@blocked_attention.register_fake
def _fake_output(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return _heads_last(query)


def _heads_last(like: Float[Tensor, "b a n e"]) -> Float[Tensor, "b a n e"]:
    """Return an empty tensor that lies in memory as (b, n, a, e), which the output projection takes as it is."""
    b, a, n, e = like.shape
    return like.new_empty(b, n, a, e).transpose(1, 2)


def _query_blocks(query: Float[Tensor, "b a n e"]) -> Iterator[tuple[tuple[int, int], tuple[int, int, slice]]]:
    """Yield the index of every head, with the index of each of its blocks of queries."""
    b, a, n, _ = query.shape
    for sequence, head, start in product(range(b), range(a), range(0, n, BLOCK_SIZE)):
        yield (sequence, head), (sequence, head, slice(start, start + BLOCK_SIZE))


BLOCKED_ATTENTION = torch.ops.vivit.blocked_attention.default
"""The operation, for activation checkpointing."""
