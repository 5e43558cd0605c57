"""Model 4: factorised dot-product attention (ViViT, section 3.3, figure 6).

Half of the heads attend over time, half over space; parameters are those of Model 1. Attention costs
n * (n_h * n_w + n_t) / 2. At B/16x2, 32 frames of 224 px: 88.95 M parameters, 277.1 GFLOPs as the paper counts.
"""

from collections.abc import Iterator

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vivit.errors import ConfigError
from vivit.models.attention import Attention
from vivit.models.attention_kernels import attention_weights, softmax_attention
from vivit.models.blocks import MLP, Block, Gelu, stochastic_depth_rates
from vivit.models.encoder import Encoder
from vivit.models.head import Head
from vivit.models.pos_embed import PosEmbed, learned
from vivit.models.tokenisers import Tokeniser
from vivit.structures import AttentionMap


class DotProductAttention(Attention):
    """Heads 0 to a/2 - 1 attend over time at one position, the others over space at one time.

    The paper writes the two halves the other way round; the released code, followed here, puts time first. For
    pretrained weights the order decides which heads become temporal. Raises ConfigError for an odd number of heads.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0, *, t: int) -> None:
        if heads % 2:
            raise ConfigError(
                "model.heads", heads, "half of the heads attend over time, half over space", "set an even number"
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
        time = rearrange(softmax_attention(q, k, v, dropout), "b s a t e -> b a (t s) e")
        q, k, v = (rearrange(half, "b a (t s) e -> b t a s e", t=self.t) for _, half in halves)
        space = rearrange(softmax_attention(q, k, v, dropout), "b t a s e -> b a (t s) e")
        return torch.cat([time, space], dim=1)

    def maps(self, x: Float[Tensor, "b n d"]) -> tuple[AttentionMap, ...]:
        """Return the attention maps of both halves: over time, over space."""
        q, k, _ = self.project(x)
        (q_time, q_space), (k_time, k_space) = (part.chunk(2, dim=1) for part in (q, k))
        q, k = (rearrange(part, "b a (t s) e -> b s a t e", t=self.t) for part in (q_time, k_time))
        time = AttentionMap(attention_weights(q, k), "time")
        q, k = (rearrange(part, "b a (t s) e -> b t a s e", t=self.t) for part in (q_space, k_space))
        return time, AttentionMap(attention_weights(q, k), "space")


class FactorisedDotProduct(nn.Module):
    """Model 4: attention over time and over space with different heads.

    There is no class token: the mean over tokens is classified.
    """

    def __init__(
        self,
        tokeniser: Tokeniser,
        *,
        classes: int,
        frames: int,
        height: int,
        width: int,
        depth: int,
        heads: int,
        mlp_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        stochastic_depth: float = 0.0,
        representation: int | None = None,
        gelu: Gelu = "tanh",
        positions: PosEmbed = learned,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        grid = tokeniser.grid(frames, height, width)
        dim = tokeniser.dim
        blocks = (
            Block(
                DotProductAttention(dim, heads, attention_dropout, t=grid[0]),
                MLP(dim, mlp_dim, dropout, gelu),
                dropout,
                rate,
            )
            for rate in stochastic_depth_rates(depth, stochastic_depth)
        )
        self.clip_size = (frames, height, width)
        self.tokeniser = tokeniser
        self.encoder = Encoder(
            blocks, grid=grid, dim=dim, pool="mean", dropout=dropout, positions=positions, checkpointing=checkpointing
        )
        self.head = Head(dim, classes, representation)

    def forward(self, clip: Float[Tensor, "b 3 f h w"]) -> Float[Tensor, "b k"]:
        """Return the logits of the k classes of every clip, in training and in evaluation; colours in [-1, 1]."""
        tokens = self.tokeniser(clip)
        video = self.encoder(rearrange(tokens, "b t rows columns d -> b (t rows columns) d"))
        return self.head(video)

    def attention_maps(self, clip: Float[Tensor, "b 3 f h w"]) -> Iterator[tuple[AttentionMap, ...]]:
        """Yield the attention maps of each residual branch; maps in a tuple act side by side."""
        tokens = self.tokeniser(clip)
        yield from self.encoder.attention_maps(rearrange(tokens, "b t rows columns d -> b (t rows columns) d"))
