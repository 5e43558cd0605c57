"""Model 4: factorised dot-product attention (ViViT, section 3.3, figure 6).

Half of the heads attend over time, half over space; parameters are those of Model 1. Attention costs
n * (n_h * n_w + n_t) / 2. At B/16x2, 32 frames of 224 px: 88.95 M parameters, 277.1 GFLOPs as the paper counts.
"""

from collections.abc import Iterator

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vivit.errors import ConfigError
from vivit.models.attention import Attention
from vivit.models.attention_kernels import attention_weights, softmax_attention
from vivit.models.base import ViViT
from vivit.models.blocks import MLP, Block, stochastic_depth_rates
from vivit.models.encoder import Encoder
from vivit.models.pos_embed import Grid
from vivit.models.registry import register_model
from vivit.structures import AttentionMap, Features


class DotProductAttention(Attention):
    """Heads 0 to a/2 - 1 attend over time at one position, the others over space at one time.

    The paper writes the two halves the other way round; the released code, followed here, puts time first. For
    pretrained weights the order decides which heads become temporal. Raises ConfigError for an odd number of heads.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0, *, t: int) -> None:
        if heads % 2:
            raise ConfigError(
                "model.num_heads", heads, "half of the heads attend over time, half over space", "set an even number"
            )
        super().__init__(dim, heads, dropout)
        self.t = t

    def apply_attention(
        self, q: Float[Tensor, "b a n e"], k: Float[Tensor, "b a n e"], v: Float[Tensor, "b a n e"]
    ) -> Float[Tensor, "b a n e"]:
        """Return the attention of each half of the heads along its axis."""
        dropout = self.attention_dropout if self.training else 0.0
        halves = [part.chunk(2, dim=1) for part in (q, k, v)]
        q, k, v = (rearrange(half, "b a (t s) e -> b s a t e", t=self.t) for half, _ in halves)
        time = rearrange(softmax_attention(q, k, v, dropout, self.kernel), "b s a t e -> b a (t s) e")
        q, k, v = (rearrange(half, "b a (t s) e -> b t a s e", t=self.t) for _, half in halves)
        space = rearrange(softmax_attention(q, k, v, dropout, self.kernel), "b t a s e -> b a (t s) e")
        return torch.cat([time, space], dim=1)

    def maps(self, x: Float[Tensor, "b n d"]) -> tuple[AttentionMap, ...]:
        """Return the attention maps of both halves: over time, over space."""
        q, k, _ = self.project(x)
        (q_time, q_space), (k_time, k_space) = (part.chunk(2, dim=1) for part in (q, k))
        q, k = (rearrange(part, "b a (t s) e -> b s a t e", t=self.t) for part in (q_time, k_time))
        time = AttentionMap(attention_weights(q, k), "time")
        q, k = (rearrange(part, "b a (t s) e -> b t a s e", t=self.t) for part in (q_space, k_space))
        return time, AttentionMap(attention_weights(q, k), "space")


@register_model("factorised_dot_product")
class FactorisedDotProduct(ViViT):
    """Model 4: attention over time and over space with different heads.

    There is no class token: the mean over tokens is classified.
    """

    def build(self, grid: Grid) -> None:
        """Create the encoder."""
        c, dim = self.config, self.tokeniser.dim
        blocks = (
            Block(
                DotProductAttention(dim, c.num_heads, c.attention_dropout, t=grid[0]),
                MLP(dim, c.mlp_dim, c.dropout, c.gelu),
                c.dropout,
                rate,
            )
            for rate in stochastic_depth_rates(c.depth, c.stochastic_depth)
        )
        self.encoder = Encoder.of_config(c, blocks, grid=grid, dim=dim, pool="mean")

    def encode(self, tokens: Float[Tensor, "b t rows columns d"]) -> Float[Tensor, "b d"]:
        """Return one vector for each clip."""
        return self.encoder(rearrange(tokens, "b t rows columns d -> b (t rows columns) d"))

    def encode_features(self, tokens: Float[Tensor, "b t rows columns d"], layer: int | None) -> Features:
        """Return the mean of the last tokens of each temporal index, and what is classified of each clip."""
        return self.encoder.clip_features(tokens, layer)

    def encode_attention_maps(self, tokens: Float[Tensor, "b t rows columns d"]) -> Iterator[tuple[AttentionMap, ...]]:
        """Yield the attention maps of each block; those over time and over space act side by side."""
        yield from self.encoder.attention_maps(rearrange(tokens, "b t rows columns d -> b (t rows columns) d"))
