"""Model 1: spatio-temporal attention (ViViT, section 3.3, figure 1).

Every token attends to every other: attention costs (n_t * n_h * n_w)^2. At B/16x2, 32 frames of 224 px: 3,137 tokens,
88.95 M parameters, 455.2 GFLOPs as the paper counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vivit.models.attention import Attention
from vivit.models.base import ViViT
from vivit.models.blocks import MLP, Block, stochastic_depth_rates
from vivit.models.config import EncoderConfig
from vivit.models.encoder import Encoder, Pool
from vivit.models.pos_embed import Grid
from vivit.models.registry import register_model
from vivit.structures import AttentionMap, Features


@dataclass(frozen=True, kw_only=True)
class SpatioTemporalConfig(EncoderConfig):
    """Options of Model 1: ``pool`` is what is classified, the class token or a mean over tokens."""

    pool: Pool = "cls"


@register_model("spatiotemporal")
class SpatioTemporal(ViViT):
    """Model 1: attention over space and time at once."""

    config_class: ClassVar = SpatioTemporalConfig

    def build(self, grid: Grid) -> None:
        """Create the encoder."""
        c, dim = self.config, self.tokeniser.dim
        blocks = (
            Block(
                Attention(dim, c.num_heads, c.attention_dropout),
                MLP(dim, c.mlp_dim, c.dropout, c.gelu),
                c.dropout,
                rate,
            )
            for rate in stochastic_depth_rates(c.depth, c.stochastic_depth)
        )
        self.encoder = Encoder.of_config(c, blocks, grid=grid, dim=dim, pool=c.pool)

    def encode(self, tokens: Float[Tensor, "b t rows columns d"]) -> Float[Tensor, "b d"]:
        """Return one vector for each clip."""
        return self.encoder(rearrange(tokens, "b t rows columns d -> b (t rows columns) d"))

    def encode_features(self, tokens: Float[Tensor, "b t rows columns d"], layer: int | None) -> Features:
        """Return the mean of the last tokens of each temporal index, and what is classified of each clip."""
        return self.encoder.clip_features(tokens, layer)

    def encode_attention_maps(self, tokens: Float[Tensor, "b t rows columns d"]) -> Iterator[tuple[AttentionMap, ...]]:
        """Yield the attention maps of each block."""
        yield from self.encoder.attention_maps(rearrange(tokens, "b t rows columns d -> b (t rows columns) d"))
