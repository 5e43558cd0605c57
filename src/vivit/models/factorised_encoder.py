"""Model 2: factorised encoder (ViViT, section 3.3, figure 4), and the average-pool baseline (table 2, last row).

A spatial encoder reads every temporal index on its own; a temporal encoder then reads one vector per index. Attention
costs n_t * (n_h * n_w)^2 + n_t^2. At B/16x2, 32 frames of 224 px and 4 temporal layers: 115.06 M parameters,
284.4 GFLOPs as the paper counts.
"""

from collections.abc import Iterator

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vivit.models.attention import Attention
from vivit.models.blocks import Block, Gelu, Mlp, drop_rates
from vivit.models.embedding import Tokeniser
from vivit.models.encoder import Encoder, Pool
from vivit.models.head import Head
from vivit.models.positions import Grid, Positions, learned
from vivit.structures import AttentionMap


class AveragePool(nn.Module):
    """The mean over temporal indices: what is left of the temporal encoder at depth 0. It cannot tell their order."""

    def forward(self, frames: Float[Tensor, "b t d"]) -> Float[Tensor, "b d"]:
        """Average."""
        return frames.mean(1)


class FactorisedEncoder(nn.Module):
    """Attend over space, then over time.

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
        positions: Positions = learned,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        t, rows, columns = tokeniser.grid(frames, height, width)
        dim = tokeniser.dim

        def encoder(grid: Grid, depth: int, heads: int, mlp_dim: int) -> Encoder:
            blocks = (
                Block(Attention(dim, heads, attention_dropout), Mlp(dim, mlp_dim, dropout, gelu), dropout, rate)
                for rate in drop_rates(depth, stochastic_depth)
            )
            return Encoder(
                blocks, grid=grid, dim=dim, pool=pool, dropout=dropout, positions=positions, checkpointing=checkpointing
            )

        self.clip = (frames, height, width)
        self.tokeniser = tokeniser
        self.spatial = encoder((1, rows, columns), depth, heads, mlp_dim)
        self.temporal = (
            encoder((t, 1, 1), temporal_depth, temporal_heads, temporal_mlp_dim) if temporal_depth else AveragePool()
        )
        self.head = Head(dim, classes, representation)

    def forward(self, clip: Float[Tensor, "b 3 f h w"]) -> Float[Tensor, "b k"]:
        """Score the k classes of every clip: logits, in training and in evaluation alike. Colours in [-1, 1]."""
        tokens = self.tokeniser(clip)
        frames = self.spatial(rearrange(tokens, "b t rows columns d -> b t (rows columns) d"))
        video = self.temporal(frames)
        return self.head(video)

    def attention_maps(self, clip: Float[Tensor, "b 3 f h w"]) -> Iterator[tuple[AttentionMap, ...]]:
        """Hand out who looks at whom, layer by layer: those of the spatial encoder, then those over frames, if any."""
        tokens = self.tokeniser(clip)
        frames = yield from self.spatial.attention_maps(rearrange(tokens, "b t rows columns d -> b t (rows columns) d"))
        if isinstance(self.temporal, Encoder):
            for maps in self.temporal.attention_maps(frames):
                yield tuple(found._replace(axis="frames") for found in maps)
