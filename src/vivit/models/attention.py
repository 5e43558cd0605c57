"""Multi-head self-attention, once for all models (ViViT, section 3.1, after Vaswani et al. 2017)."""

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vivit.errors import ConfigError
from vivit.models.attention_kernels import AUTO, KERNELS, attention_weights, softmax_attention
from vivit.structures import AttentionMap


def check_heads(dim: int, heads: int, key: str = "model.num_heads") -> None:
    """Raise ConfigError unless every head has an equal share of the hidden size."""
    if dim % heads:
        raise ConfigError(key, heads, f"the hidden size {dim} is not a multiple of it", f"set a divisor of {dim}")


class Attention(nn.Module):
    """Self-attention over the second-last axis; every axis before it is a batch axis.

    Query, key, value and output projections all have biases. Each is initialised Xavier-uniform on its own (d, d)
    matrix, biases zero as in flax. Raises ConfigError where ``dim`` is not a multiple of ``heads``.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        check_heads(dim, heads)
        self.heads = heads
        self.attention_dropout = dropout
        self.kernel = AUTO
        """How attention is computed: a name of ``KERNELS``, or by the rule."""
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        for square in (*self.qkv.weight.chunk(3), self.out.weight):
            nn.init.xavier_uniform_(square)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Float[Tensor, "*batch n d"], *, cls_only: bool = False) -> Float[Tensor, "*batch m d"]:
        """Return every token's attention output; with ``cls_only`` that of the first token alone, so that m is 1."""
        q, k, v = self.project_cls_only(x) if cls_only else self.project(x)
        return self.out(rearrange(self.apply_attention(q, k, v), "... a n e -> ... n (a e)"))

    def project(self, x: Float[Tensor, "*batch n d"]) -> Float[Tensor, "3 *batch a n e"]:
        """Return queries, keys and values of every head."""
        return rearrange(self.qkv(x), "... n (qkv a e) -> qkv ... a n e", qkv=3, a=self.heads)

    def project_cls_only(self, x: Float[Tensor, "*batch n d"]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the query of the first token, and keys and values of all."""
        d = x.shape[-1]
        q = F.linear(x[..., :1, :], self.qkv.weight[:d], self.qkv.bias[:d])
        kv = F.linear(x, self.qkv.weight[d:], self.qkv.bias[d:])
        k, v = rearrange(kv, "... n (kv a e) -> kv ... a n e", kv=2, a=self.heads)
        return rearrange(q, "... n (a e) -> ... a n e", a=self.heads), k, v

    def maps(self, x: Float[Tensor, "b *batch n d"]) -> tuple[AttentionMap, ...]:
        """Return the attention weights of ``forward(x)``, one map for each group of heads."""
        q, k, _ = self.project(x)
        weights = attention_weights(q, k)
        return (AttentionMap(weights.flatten(1, -4) if weights.ndim > 4 else weights[:, None]),)

    def apply_attention(
        self, q: Float[Tensor, "*batch a m e"], k: Float[Tensor, "*batch a n e"], v: Float[Tensor, "*batch a n e"]
    ) -> Float[Tensor, "*batch a m e"]:
        """Return full self-attention; subclasses restrict which tokens attend to which."""
        return softmax_attention(q, k, v, self.attention_dropout if self.training else 0.0, self.kernel)


def set_kernel(network: nn.Module, kernel: str) -> None:
    """Compute all attention of a network by one kernel, or by the rule: ``auto``.

    Raises ConfigError for another name, and for ``blocks`` beside a dropout of attention weights.
    """
    if kernel not in (AUTO, *KERNELS):
        raise ConfigError("model.attention", kernel, "there is no such kernel", f"set {AUTO}, {', '.join(KERNELS)}")
    for module in network.modules():
        if isinstance(module, Attention):
            if kernel == "blocks" and module.attention_dropout:
                problem = f"has no dropout, and model.attention_dropout is {module.attention_dropout:g}"
                raise ConfigError("model.attention", kernel, problem, "set model.attention_dropout=0, or written_out")
            module.kernel = kernel
