"""Model 2: factorised encoder (ViViT, section 3.3, figure 4), and the average-pool baseline (table 2, last row).

A spatial encoder reads every temporal index separately; a temporal encoder then reads one vector per index. Attention
costs n_t * (n_h * n_w)^2 + n_t^2. At B/16x2, 32 frames of 224 px and 4 temporal layers: 115.06 M parameters,
284.4 GFLOPs as the paper counts.
"""

from collections.abc import Iterator

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vivit.models.attention import Attention, check_heads
from vivit.models.blocks import MLP, Block, Gelu, stochastic_depth_rates
from vivit.models.encoder import Encoder, Pool
from vivit.models.head import Head
from vivit.models.pos_embed import Grid, PosEmbed, learned
from vivit.models.tokenisers import Tokeniser
from vivit.structures import AttentionMap


class AveragePool(nn.Module):
    """The mean over temporal indices, whatever their order: a temporal encoder of depth 0."""

    def forward(self, frames: Float[Tensor, "b t d"]) -> Float[Tensor, "b d"]:
        """Return the mean over temporal indices."""
        return frames.mean(1)


class FactorisedEncoder(nn.Module):
    """Model 2: attention over space, then over time.

    ``pool`` serves both encoders. ``temporal_depth=0`` is the average-pool baseline. The stochastic depth ramp starts
    anew in the temporal encoder. One mask serves all temporal indices of a clip.
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
        temporal_depth: int,
        temporal_heads: int,
        temporal_mlp_dim: int,
        pool: Pool = "cls",
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        stochastic_depth: float = 0.0,
        representation: int | None = None,
        gelu: Gelu = "tanh",
        positions: PosEmbed = learned,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        t, rows, columns = tokeniser.grid(frames, height, width)
        dim = tokeniser.dim

        def encoder(grid: Grid, depth: int, heads: int, mlp_dim: int) -> Encoder:
            blocks = (
                Block(Attention(dim, heads, attention_dropout), MLP(dim, mlp_dim, dropout, gelu), dropout, rate)
                for rate in stochastic_depth_rates(depth, stochastic_depth)
            )
            return Encoder(
                blocks, grid=grid, dim=dim, pool=pool, dropout=dropout, positions=positions, checkpointing=checkpointing
            )

        if temporal_depth:
            check_heads(dim, temporal_heads, "model.temporal_heads")
        self.clip_size = (frames, height, width)
        self.tokeniser = tokeniser
        self.spatial = encoder((1, rows, columns), depth, heads, mlp_dim)
        self.temporal = (
            encoder((t, 1, 1), temporal_depth, temporal_heads, temporal_mlp_dim) if temporal_depth else AveragePool()
        )
        self.head = Head(dim, classes, representation)

    def forward(self, clip: Float[Tensor, "b 3 f h w"]) -> Float[Tensor, "b k"]:
        """Return the logits of the k classes of every clip, in training and in evaluation; colours in [-1, 1]."""
        tokens = self.tokeniser(clip)
        frames = self.spatial(rearrange(tokens, "b t rows columns d -> b t (rows columns) d"))
        video = self.temporal(frames)
        return self.head(video)

    def attention_maps(self, clip: Float[Tensor, "b 3 f h w"]) -> Iterator[tuple[AttentionMap, ...]]:
        """Yield the attention maps layer by layer: of the spatial encoder, then of the temporal one, if any."""
        tokens = self.tokeniser(clip)
        frames = yield from self.spatial.attention_maps(rearrange(tokens, "b t rows columns d -> b t (rows columns) d"))
        if isinstance(self.temporal, Encoder):
            for maps in self.temporal.attention_maps(frames):
                yield tuple(each._replace(axis="frames") for each in maps)
