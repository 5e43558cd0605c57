"""Model 2: factorised encoder (ViViT, section 3.3, figure 4), and pooling in place of its temporal encoder (table 2).

A spatial encoder reads every temporal index separately; a temporal encoder then reads one vector per index. Attention
costs n_t * (n_h * n_w)^2 + n_t^2. At B/16x2, 32 frames of 224 px and 4 temporal layers: 115.06 M parameters,
284.4 GFLOPs as the paper counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vivit.errors import ConfigError
from vivit.models.attention import Attention, check_heads
from vivit.models.base import ViViT
from vivit.models.blocks import MLP, Block, stochastic_depth_rates
from vivit.models.config import EncoderConfig
from vivit.models.encoder import Encoder, Pool
from vivit.models.pos_embed import Grid
from vivit.models.registry import register_model
from vivit.structures import AttentionMap, Features

FramePool = Literal["mean", "query"]
"""What makes one vector of those of all temporal indices where there is no temporal encoder."""


class AveragePool(nn.Module):
    """The mean over temporal indices, whatever their order: a temporal encoder of depth 0."""

    def forward(self, frames: Float[Tensor, "b t d"]) -> Float[Tensor, "b d"]:
        """Return the mean over temporal indices."""
        return frames.mean(1)


class AttentivePool(nn.Module):
    """What one learned query reads from all temporal indices, whatever their order, normalised.

    The attentive probe of frozen encoders, as V-JEPA's (Bardes et al. 2024, section 5) without its MLP. Where ``dim``
    is no multiple of ``num_heads`` it has one head.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.attention = nn.MultiheadAttention(dim, num_heads if dim % num_heads == 0 else 1, batch_first=True)
        self.norm = nn.LayerNorm(dim)

    def forward(self, frames: Float[Tensor, "b t d"]) -> Float[Tensor, "b d"]:
        """Return the query's answer of each clip."""
        answer, _ = self.attention(self.query.expand(frames.shape[0], -1, -1), frames, frames, need_weights=False)
        return self.norm(answer[:, 0])


@dataclass(frozen=True, kw_only=True)
class FactorisedEncoderConfig(EncoderConfig):
    """Options of Model 2: its temporal encoder, whose heads and MLP are those of the spatial one where they are None.

    ``temporal_depth=0`` is the average-pool baseline, or with ``frame_pool=query`` the attentive one. ``pool`` is what
    each encoder returns, its class token or the mean over its tokens.
    """

    temporal_depth: int = 4
    temporal_num_heads: int | None = None
    temporal_mlp_dim: int | None = None
    pool: Pool = "cls"
    frame_pool: FramePool = "mean"


@register_model("attentive_pool", temporal_depth=0, frame_pool="query")
@register_model("average_pool", temporal_depth=0, frame_pool="mean")
@register_model("factorised_encoder")
class FactorisedEncoder(ViViT):
    """Model 2: attention over space, then over time.

    The stochastic depth ramp starts anew in the temporal encoder. One mask serves all temporal indices of a clip.
    """

    config_class: ClassVar = FactorisedEncoderConfig
    image_encoder: ClassVar = "spatial"

    def build(self, grid: Grid) -> None:
        """Create the spatial encoder and the temporal one, or what pools in its place.

        Raises ConfigError where both are set, and for another ``frame_pool``.
        """
        c = self.config
        t, rows, columns = grid
        heads, mlp_dim = c.temporal_num_heads or c.num_heads, c.temporal_mlp_dim or c.mlp_dim
        if c.temporal_depth:
            check_heads(self.tokeniser.dim, heads, "model.temporal_num_heads")
        self.spatial = self._encoder((1, rows, columns), c.depth, c.num_heads, c.mlp_dim)
        if c.frame_pool not in get_args(FramePool):
            raise ConfigError("model.frame_pool", c.frame_pool, "there is no such pooling", "set mean or query")
        if c.temporal_depth and c.frame_pool != "mean":
            problem = f"there is a temporal encoder of {c.temporal_depth} layers in its place"
            raise ConfigError("model.frame_pool", c.frame_pool, problem, "set model.temporal_depth=0 too")
        if c.temporal_depth:
            self.temporal: nn.Module = self._encoder((t, 1, 1), c.temporal_depth, heads, mlp_dim)
        elif c.frame_pool == "query":
            self.temporal = AttentivePool(self.tokeniser.dim, heads)
        else:
            self.temporal = AveragePool()

    def _encoder(self, grid: Grid, depth: int, heads: int, mlp_dim: int) -> Encoder:
        c, dim = self.config, self.tokeniser.dim
        blocks = (
            Block(Attention(dim, heads, c.attention_dropout), MLP(dim, mlp_dim, c.dropout, c.gelu), c.dropout, rate)
            for rate in stochastic_depth_rates(depth, c.stochastic_depth)
        )
        return Encoder.of_config(c, blocks, grid=grid, dim=dim, pool=c.pool)

    def encode(self, tokens: Float[Tensor, "b t rows columns d"]) -> Float[Tensor, "b d"]:
        """Return one vector for each clip."""
        return self.temporal(self._encode_space(tokens))

    def encode_frames(self, clip: Float[Tensor, "b 3 f h w"]) -> Float[Tensor, "b t d"]:
        """Return the spatial encoder's vector of each temporal index."""
        return self._encode_space(self.tokeniser(clip))

    def encode_index(self, frames: Float[Tensor, "n 3 f h w"]) -> Float[Tensor, "n d"]:
        """Return the spatial encoder's vector of single temporal indices, each of frames of its own.

        They are those that the tokeniser's ``frames_per_token`` lists: nothing else of a clip matters to it.
        """
        return self._encode_space(self.tokeniser.embed_index(frames)[:, None])[:, 0]

    def classify_frames(self, frames: Float[Tensor, "b t d"]) -> Float[Tensor, "b k"]:
        """Return the logits of clips whose temporal indices have these vectors: ``forward`` from there on."""
        return self.head(self.temporal(frames))

    def _encode_space(self, tokens: Float[Tensor, "b t rows columns d"]) -> Float[Tensor, "b t d"]:
        return self.spatial(rearrange(tokens, "b t rows columns d -> b t (rows columns) d"))

    def encode_features(self, tokens: Float[Tensor, "b t rows columns d"], layer: int | None) -> Features:
        """Return the spatial encoder's vector of each temporal index, and the temporal encoder's of each clip."""
        places = rearrange(tokens, "b t rows columns d -> b t (rows columns) d")
        _, frames = self.spatial.features(places, layer)
        return Features(frames, self.temporal(frames) if layer is None else frames.mean(1))

    def encode_attention_maps(self, tokens: Float[Tensor, "b t rows columns d"]) -> Iterator[tuple[AttentionMap, ...]]:
        """Yield the attention maps layer by layer: of the spatial encoder, then of the temporal one, if any."""
        frames = yield from self.spatial.attention_maps(rearrange(tokens, "b t rows columns d -> b t (rows columns) d"))
        if isinstance(self.temporal, Encoder):
            for maps in self.temporal.attention_maps(frames):
                yield tuple(each._replace(axis="frames") for each in maps)
