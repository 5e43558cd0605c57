"""Multi-head self-attention, once for all models (ViViT, section 3.1, after Vaswani et al. 2017)."""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vivit.shapes import AttentionMap


def attend(
    query: Float[Tensor, "*batch a n e"],
    key: Float[Tensor, "*batch a m e"],
    value: Float[Tensor, "*batch a m e"],
    dropout: float = 0.0,
) -> Float[Tensor, "*batch a n e"]:
    """Softmax(QK^T / sqrt(e)) V for every head; ``dropout`` acts on the attention weights.

    The caller passes a dropout of 0 outside training: the fused kernel does not know which mode it is in.
    """
    if writes_out(query, key):
        return F.dropout(looks(query, key), dropout) @ value
    batch = query.shape[:-3]
    query, key, value = (part.flatten(0, -4) if batch else part[None] for part in (query, key, value))
    out = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
    return out.unflatten(0, batch) if batch else out[0]


FUSED_FROM = 1024
"""Keys from which on the fused kernel is the faster one even where ``writes_out`` has its doubts."""


def writes_out(query: Tensor, key: Tensor) -> bool:
    """Say whether the attention weights are written down: in training, on the CPU, in bfloat16, for short sequences.

    Everywhere else the fused kernel is the faster exact form. Its way back is slow there: by itself, 1,568 sequences of
    16 tokens, 12 heads of 64, forward and backward took 2.5 s against 0.5 s (Xeon with matrix units, 2 cores) and 1.0 s
    against 0.15 s (EPYC); for 16 of 197 tokens 0.25 s against 0.14 s, and 0.10 s against 0.03 s; for 4 of 785 tokens
    0.30 s against 0.27 s, and 0.17 s against 0.15 s; for 3,137 tokens it wins in time on the one, and always in memory.
    A training step of Models 2 to 4 at ViT-B gains a seventh by it.
    """
    learns = torch.is_grad_enabled() and query.requires_grad
    return learns and query.device.type == "cpu" and query.dtype == torch.bfloat16 and key.shape[-2] < FUSED_FROM


def looks(query: Float[Tensor, "*batch a n e"], key: Float[Tensor, "*batch a m e"]) -> Float[Tensor, "*batch a n m"]:
    """The attention weights that ``attend`` never writes down: softmax(QK^T / sqrt(e))."""
    return torch.softmax(query * query.shape[-1] ** -0.5 @ key.transpose(-2, -1), dim=-1)


class Attention(nn.Module):
    """Self-attention over the second-last axis; every axis before it is a batch axis.

    Query, key, value and output projections all have biases. Each is initialised Xavier-uniform on its own (d, d)
    matrix, biases zero as in flax.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim={dim} is not a multiple of heads={heads}: every head takes an equal share of it")
        self.heads = heads
        self.attention_dropout = dropout
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        for square in (*self.qkv.weight.chunk(3), self.out.weight):
            nn.init.xavier_uniform_(square)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Float[Tensor, "*batch n d"], *, first: bool = False) -> Float[Tensor, "*batch m d"]:
        """Let every token gather from all tokens of its sequence; with ``first`` only the first one, so that m is 1."""
        q, k, v = self.project_first(x) if first else self.project(x)
        return self.out(rearrange(self.mix(q, k, v), "... a n e -> ... n (a e)"))

    def project(self, x: Float[Tensor, "*batch n d"]) -> Float[Tensor, "3 *batch a n e"]:
        """Queries, keys and values of every head."""
        return rearrange(self.qkv(x), "... n (qkv a e) -> qkv ... a n e", qkv=3, a=self.heads)

    def project_first(self, x: Float[Tensor, "*batch n d"]) -> tuple[Tensor, Tensor, Tensor]:
        """Query of the first token, keys and values of all."""
        d = x.shape[-1]
        q = F.linear(x[..., :1, :], self.qkv.weight[:d], self.qkv.bias[:d])
        kv = F.linear(x, self.qkv.weight[d:], self.qkv.bias[d:])
        k, v = rearrange(kv, "... n (kv a e) -> kv ... a n e", kv=2, a=self.heads)
        return rearrange(q, "... n (a e) -> ... a n e", a=self.heads), k, v

    def maps(self, x: Float[Tensor, "b *batch n d"]) -> tuple[AttentionMap, ...]:
        """Write out who looks at whom in ``forward(x)``: maps of groups of heads that act side by side."""
        q, k, _ = self.project(x)
        weights = looks(q, k)
        return (AttentionMap(weights.flatten(1, -4) if weights.ndim > 4 else weights[:, None]),)

    def mix(
        self, q: Float[Tensor, "*batch a m e"], k: Float[Tensor, "*batch a n e"], v: Float[Tensor, "*batch a n e"]
    ) -> Float[Tensor, "*batch a m e"]:
        """Decide who looks at whom: here everyone at everyone."""
        return attend(q, k, v, self.attention_dropout if self.training else 0.0)
