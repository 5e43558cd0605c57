"""Model 3: factorised self-attention (ViViT, section 3.3, figure 5).

Each block attends over space, then over time, each with its projections, LayerNorm and residual, then applies one MLP.
Attention costs n * (n_h * n_w + n_t). At B/16x2, 32 frames of 224 px: 117.32 M parameters, 372.3 GFLOPs as the
paper counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vivit.errors import ConfigError
from vivit.models.attention import Attention
from vivit.models.base import ViViT
from vivit.models.blocks import MLP, NORM_EPSILON, ResidualBlock, StochasticDepth, stochastic_depth_rates
from vivit.models.config import EncoderConfig
from vivit.models.encoder import Encoder
from vivit.models.pos_embed import Grid
from vivit.models.registry import register_model
from vivit.structures import AttentionMap, Features

AttentionOrder = Literal["space_time", "time_space"]


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
        self.drop = StochasticDepth(drop_rate, in_reference=False)

    def forward(self, grid: Float[Tensor, "b t s d"]) -> Float[Tensor, "b t s d"]:
        """Return attention within every row or column of the grid."""
        sequences = rearrange(self.norm(grid), f"b t s d -> {self.sequences}")
        mixed = self.attention(sequences.contiguous())  # else bfloat16 copies the weights for every position
        return self.dropout(rearrange(mixed, f"{self.sequences} -> b t s d"))


class FactorisedSelfAttentionBlock(ResidualBlock):
    """Space, time and MLP branches, each with its residual (equations 4 to 6).

    Unlike the released code, which declares stochastic depth here and does not use it, all three branches have it.
    Raises ConfigError for another ``order``.
    """

    def __init__(
        self,
        space: Attention,
        time: Attention,
        mlp: MLP,
        *,
        t: int,
        order: AttentionOrder,
        dropout: float,
        drop_rate: float,
    ) -> None:
        super().__init__()
        if order not in ("space_time", "time_space"):
            raise ConfigError(
                "model.attention_order", order, "there is no such order", "set space_time (the paper's) or time_space"
            )
        self.t = t
        self.order = order
        self.space = AxialAttention(space, "b t s d", dropout, drop_rate)
        self.time = AxialAttention(time, "b s t d", dropout, drop_rate)
        self.norm_mlp = nn.LayerNorm(space.out.out_features, eps=NORM_EPSILON)
        self.mlp = mlp
        self.drop_mlp = StochasticDepth(drop_rate, in_reference=False)

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


@dataclass(frozen=True, kw_only=True)
class FactorisedSelfAttentionConfig(EncoderConfig):
    """Options of Model 3: ``attention_order`` is that of the two branches in a block."""

    attention_order: AttentionOrder = "space_time"


@register_model("factorised_self_attention")
class FactorisedSelfAttention(ViViT):
    """Model 3: attention over space and over time in turn, within every block.

    There is no class token: the mean over tokens is classified.
    """

    config_class: ClassVar = FactorisedSelfAttentionConfig

    def build(self, grid: Grid) -> None:
        """Create the encoder."""
        c, dim = self.config, self.tokeniser.dim
        blocks = (
            FactorisedSelfAttentionBlock(
                Attention(dim, c.num_heads, c.attention_dropout),
                Attention(dim, c.num_heads, c.attention_dropout),
                MLP(dim, c.mlp_dim, c.dropout, c.gelu),
                t=grid[0],
                order=c.attention_order,
                dropout=c.dropout,
                drop_rate=rate,
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
        """Yield the attention maps of each residual branch, of space and of time."""
        yield from self.encoder.attention_maps(rearrange(tokens, "b t rows columns d -> b (t rows columns) d"))
