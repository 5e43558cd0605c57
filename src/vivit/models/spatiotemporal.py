"""Model 1: spatio-temporal attention (ViViT, section 3.3, figure 1).

Every token attends to every other: attention costs (n_t * n_h * n_w)^2. At B/16x2, 32 frames of 224 px: 3,137 tokens,
88.95 M parameters, 455.2 GFLOPs as the paper counts.
"""

from collections.abc import Iterator

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vivit.models.attention import Attention
from vivit.models.blocks import MLP, Block, Gelu, stochastic_depth_rates
from vivit.models.encoder import Encoder, Pool
from vivit.models.head import Head
from vivit.models.pos_embed import PosEmbed, learned
from vivit.models.tokenisers import Tokeniser
from vivit.structures import AttentionMap


class SpatioTemporal(nn.Module):
    """Model 1: attention over space and time at once."""

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
        grid = tokeniser.grid(frames, height, width)
        dim = tokeniser.dim
        blocks = (
            Block(Attention(dim, heads, attention_dropout), MLP(dim, mlp_dim, dropout, gelu), dropout, rate)
            for rate in stochastic_depth_rates(depth, stochastic_depth)
        )
        self.clip_size = (frames, height, width)
        self.tokeniser = tokeniser
        self.encoder = Encoder(
            blocks, grid=grid, dim=dim, pool=pool, dropout=dropout, positions=positions, checkpointing=checkpointing
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
