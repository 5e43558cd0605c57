"""Model 3: factorised self-attention (ViViT, section 3.3, figure 5).

Each block attends over space, then over time, with projections, LayerNorm and residual of their own, then applies one
MLP. Attention costs n * (n_h * n_w + n_t). At B/16x2, 32 frames of 224 px: 117.32 M parameters, 372.3 GFLOPs as the
paper counts.
"""

from collections.abc import Iterator
from typing import Literal

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vivit.models.attention import Attention
from vivit.models.blocks import NORM_EPSILON, Gelu, Mlp, StochasticDepth, drop_rates
from vivit.models.embedding import Tokeniser
from vivit.models.encoder import Encoder
from vivit.models.head import Head
from vivit.models.positions import Positions, learned
from vivit.structures import AttentionMap

Order = Literal["space_time", "time_space"]


class Branch(nn.Module):
    """LayerNorm, attention along one axis of the (time, space) grid, dropout: a residual branch, and what drops it."""

    def __init__(self, attention: Attention, sequences: str, dropout: float, drop_rate: float) -> None:
        super().__init__()
        self.sequences = sequences
        self.norm = nn.LayerNorm(attention.out.out_features, eps=NORM_EPSILON)
        self.attention = attention
        self.dropout = nn.Dropout(dropout)
        self.drop = StochasticDepth(drop_rate)

    def forward(self, grid: Float[Tensor, "b t s d"]) -> Float[Tensor, "b t s d"]:
        """Attend within every row or column of the grid."""
        sequences = rearrange(self.norm(grid), f"b t s d -> {self.sequences}")
        mixed = self.attention(sequences.contiguous())  # else a product in bfloat16 copies the weights for every place
        return self.dropout(rearrange(mixed, f"{self.sequences} -> b t s d"))


class FactorisedSelfAttentionBlock(nn.Module):
    """Space, time and MLP branches, each with its residual (equations 4 to 6).

    Unlike the released code, which declares stochastic depth here and forgets it, all three branches obey it.
    """

    def __init__(
        self, space: Attention, time: Attention, mlp: Mlp, *, t: int, order: Order, dropout: float, drop_rate: float
    ) -> None:
        super().__init__()
        if order not in ("space_time", "time_space"):
            raise ValueError(f"order={order!r} is neither 'space_time' (the paper's) nor 'time_space'")
        self.t = t
        self.order = order
        self.space = Branch(space, "b t s d", dropout, drop_rate)
        self.time = Branch(time, "b s t d", dropout, drop_rate)
        self.norm_mlp = nn.LayerNorm(space.out.out_features, eps=NORM_EPSILON)
        self.mlp = mlp
        self.drop_mlp = StochasticDepth(drop_rate)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Mix along one axis, then along the other, then transform each token."""
        grid = rearrange(x, "b (t s) d -> b t s d", t=self.t)
        for branch in self.branches():
            grid = branch.drop(grid, branch)
        x = rearrange(grid, "b t s d -> b (t s) d")
        return self.drop_mlp(x, lambda x: self.mlp(self.norm_mlp(x)))

    def branches(self) -> tuple[Branch, Branch]:
        """Space and time, in their order."""
        return (self.space, self.time) if self.order == "space_time" else (self.time, self.space)

    def attention_maps(self, x: Float[Tensor, "b n d"]) -> Iterator[tuple[AttentionMap, ...]]:
        """Write out who looks at whom in ``forward(x)``, one residual branch after the other."""
        grid = rearrange(x, "b (t s) d -> b t s d", t=self.t)
        for branch in self.branches():
            (found,) = branch.attention.maps(rearrange(branch.norm(grid), f"b t s d -> {branch.sequences}"))
            yield (found._replace(axis="space" if branch is self.space else "time"),)
            grid = branch.drop(grid, branch)


class FactorisedSelfAttention(nn.Module):
    """Attend over space and over time in turn, within every block. There is no class token: the mean is classified."""

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
        positions: Positions = learned,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        grid = tokeniser.grid(frames, height, width)
        dim = tokeniser.dim
        blocks = (
            FactorisedSelfAttentionBlock(
                Attention(dim, heads, attention_dropout),
                Attention(dim, heads, attention_dropout),
                Mlp(dim, mlp_dim, dropout, gelu),
                t=grid[0],
                order=order,
                dropout=dropout,
                drop_rate=rate,
            )
            for rate in drop_rates(depth, stochastic_depth)
        )
        self.clip = (frames, height, width)
        self.tokeniser = tokeniser
        self.encoder = Encoder(
            blocks, grid=grid, dim=dim, pool="mean", dropout=dropout, positions=positions, checkpointing=checkpointing
        )
        self.head = Head(dim, classes, representation)

    def forward(self, clip: Float[Tensor, "b 3 f h w"]) -> Float[Tensor, "b k"]:
        """Score the k classes of every clip: logits, in training and in evaluation alike. Colours in [-1, 1]."""
        tokens = self.tokeniser(clip)
        video = self.encoder(rearrange(tokens, "b t rows columns d -> b (t rows columns) d"))
        return self.head(video)

    def attention_maps(self, clip: Float[Tensor, "b 3 f h w"]) -> Iterator[tuple[AttentionMap, ...]]:
        """Hand out who looks at whom, one residual branch at a time; maps in a tuple act side by side."""
        tokens = self.tokeniser(clip)
        yield from self.encoder.attention_maps(rearrange(tokens, "b t rows columns d -> b (t rows columns) d"))
