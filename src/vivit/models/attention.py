"""Multi-head self-attention, once for all models (ViViT, section 3.1, after Vaswani et al. 2017)."""

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vivit.models.softmax_attention import attend, looks
from vivit.structures import AttentionMap


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
