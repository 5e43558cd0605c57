"""Model 3: factorised self-attention (ViViT, section 3.3, figure 5).

Each block attends over space, then over time, each with its projections, LayerNorm and residual, then applies one MLP.
 Attention costs n * (n_h * n_w + n_t). At B/16x2, 32 frames of 224 px: 117.32 M parameters, 372.3 GFLOPs as the
paper counts.
"""

from collections.abc import Iterator
from typing import Literal

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vivit.errors import ConfigError
from vivit.models.attention import Attention
from vivit.models.blocks import MLP, NORM_EPSILON, Gelu, StochasticDepth, stochastic_depth_rates
from vivit.models.encoder import Encoder
from vivit.models.head import Head
from vivit.models.pos_embed import PosEmbed, learned
from vivit.models.tokenisers import Tokeniser
from vivit.structures import AttentionMap

Order = Literal["space_time", "time_space"]


class AxialAttention(nn.Module):
    """A residual branch, with its stochastic depth: LayerNorm, attention along one axis of (time, space), dropout.

    ``sequences`` is the arrangement, of "b t s d", whose second-last axis is attended over.
    """

    def __init__(self, attention: Attention, sequences: str, dropout: float, drop_rate: float) -> None:
        super().__init__()
        self.sequences = sequences
        self.norm = nn.LayerNorm(attention.out.out_features, eps=NORM_EPSILON)
        self.attention = attention
        self.dropout = nn.Dropout(dropout)
        self.drop = StochasticDepth(drop_rate)

    def forward(self, grid: Float[Tensor, "b t s d"]) -> Float[Tensor, "b t s d"]:
        """Return attention within every row or column of the grid."""
        sequences = rearrange(self.norm(grid), f"b t s d -> {self.sequences}")
        mixed = self.attention(sequences.contiguous())  # else bfloat16 copies the weights for every position
        return self.dropout(rearrange(mixed, f"{self.sequences} -> b t s d"))


class FactorisedSelfAttentionBlock(nn.Module):
    """Space, time and MLP branches, each with its residual (equations 4 to 6).

    Unlike the released code, which declares stochastic depth here and does not use it, all three branches have it.
    Raises ConfigError for another ``order``.
    """

    def __init__(
        self, space: Attention, time: Attention, mlp: MLP, *, t: int, order: Order, dropout: float, drop_rate: float
    ) -> None:
        super().__init__()
        if order not in ("space_time", "time_space"):
            raise ConfigError(
                "model.order", order, "there is no such order", "set space_time (the paper's) or time_space"
            )
        self.t = t
        self.order = order
        self.space = AxialAttention(space, "b t s d", dropout, drop_rate)
        self.time = AxialAttention(time, "b s t d", dropout, drop_rate)
        self.norm_mlp = nn.LayerNorm(space.out.out_features, eps=NORM_EPSILON)
        self.mlp = mlp
        self.drop_mlp = StochasticDepth(drop_rate)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Return the tokens after attention along one axis, then along the other, then the MLP."""
        grid = rearrange(x, "b (t s) d -> b t s d", t=self.t)
        for branch in self.branches():
            grid = branch.drop(grid, branch)
        x = rearrange(grid, "b t s d -> b (t s) d")
        return self.drop_mlp(x, lambda x: self.mlp(self.norm_mlp(x)))

    def branches(self) -> tuple[AxialAttention, AxialAttention]:
        """Return the branches of space and time, in their order."""
        return (self.space, self.time) if self.order == "space_time" else (self.time, self.space)

    def attention_maps(self, x: Float[Tensor, "b n d"]) -> Iterator[tuple[AttentionMap, ...]]:
        """Yield the attention maps of ``forward(x)``, one residual branch after the other."""
        grid = rearrange(x, "b (t s) d -> b t s d", t=self.t)
        for branch in self.branches():
            (attention,) = branch.attention.maps(rearrange(branch.norm(grid), f"b t s d -> {branch.sequences}"))
            yield (attention._replace(axis="space" if branch is self.space else "time"),)
            grid = branch.drop(grid, branch)


class FactorisedSelfAttention(nn.Module):
    """Model 3: attention over space and over time in turn, within every block.

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
        order: Order = "space_time",
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
            FactorisedSelfAttentionBlock(
                Attention(dim, heads, attention_dropout),
                Attention(dim, heads, attention_dropout),
                MLP(dim, mlp_dim, dropout, gelu),
                t=grid[0],
                order=order,
                dropout=dropout,
                drop_rate=rate,
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
