"""The transformer encoder that all architectures share (ViViT, section 3.1)."""

from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

from vivit.models.blocks import NORM_EPSILON, StochasticDepth, drop_rates
from vivit.models.positions import Grid, Positions, learned
from vivit.models.softmax_attention import BLOCKED_ATTENTION
from vivit.structures import AttentionMap

Pool = Literal["cls", "mean"]
FUSED_KERNELS = ("flash_attention_for_cpu", "flash_attention", "efficient_attention", "cudnn_attention")
KEPT = [
    BLOCKED_ATTENTION,
    *(getattr(torch.ops.aten, f"_scaled_dot_product_{kernel}").default for kernel in FUSED_KERNELS),
]
"""What checkpointing keeps: of a long sequence nearly half of a block's arithmetic, for one vector a token."""


class Encoder(nn.Module):
    """Class token, positions, blocks, LayerNorm, pooling, over the second-last axis.

    One table of positions covers the whole sequence, class token included, and is added after the token is put in
    front. Every axis between the first and the sequence is a batch axis: given (b, t, s, d), each temporal index is
    encoded on its own with the same weights. ``blocks`` take and return that shape. With ``checkpointing`` a training
    step keeps of each block its input and what attention gave, and computes the rest again on the way back, with
    the same random draws: up to a third more arithmetic for a fraction of the memory (Chen et al. 2016). Where the
    class token is all that counts, the last block computes nothing else, unless ``whole`` is set.

    Starts as the reference does: class token zero, positions N(0, 0.02^2) if they are learned. ``grid`` is that of the
    tokens over time, rows and columns.
    """

    def __init__(
        self,
        blocks: Iterable[nn.Module],
        *,
        grid: Grid,
        dim: int,
        pool: Pool,
        dropout: float = 0.0,
        positions: Positions = learned,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if pool not in ("cls", "mean"):
            raise ValueError(f"pool={pool!r} is neither 'cls' (a class token) nor 'mean' (over all tokens)")
        self.cls = nn.Parameter(torch.zeros(dim)) if pool == "cls" else None
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(dim, eps=NORM_EPSILON)
        self.checkpointing = checkpointing
        self.whole = False
        self.positions: Tensor
        table = positions(grid, dim, pool == "cls")
        if isinstance(table, nn.Parameter):
            self.positions = table
        else:
            self.register_buffer("positions", table, persistent=False)

    def forward(self, tokens: Float[Tensor, "b *batch n d"]) -> Float[Tensor, "b *batch d"]:
        """Summarise each sequence in one vector."""
        x = self.dropout(self.placed(tokens))
        for layer in self.layers():
            x = self.checkpointed(layer, x) if self.checkpointing and self.training else layer(x)
        return self.pooled(x)

    def checkpointed(self, layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Run a block so that little of it stays in memory."""
        keep = partial(create_selective_checkpoint_contexts, KEPT)
        return checkpoint(layer, x, use_reentrant=False, context_fn=keep, respect_saved_tensors_hooks=True)

    def layers(self) -> Iterator[Callable[[Tensor], Tensor]]:
        """The blocks, the last one reduced to what the pooling needs."""
        *below, last = self.blocks
        yield from below
        yield last if self.cls is None or self.whole else partial(last, first=True)

    def placed(self, tokens: Float[Tensor, "b *batch n d"]) -> Float[Tensor, "b *batch m d"]:
        """Add the class token and the positions."""
        x = self.with_cls(tokens)
        if x.shape[-2] != len(self.positions):
            raise ValueError(
                f"the clip gives sequences of {x.shape[-2]}, the network was built for {len(self.positions)}: "
                "its frames, height and width must be those of the clips"
            )
        return x + self.positions

    def pooled(self, x: Float[Tensor, "b *batch m d"]) -> Float[Tensor, "b *batch d"]:
        """Normalise, and take what stands for the whole sequence."""
        x = self.norm(x)
        return x.mean(-2) if self.cls is None else x[..., 0, :]

    def attention_maps(
        self, tokens: Float[Tensor, "b *batch n d"]
    ) -> Generator[tuple[AttentionMap, ...], None, Float[Tensor, "b *batch d"]]:
        """Hand out who looks at whom, block by block, so that no more maps are held than one's; return ``forward``.

        As in evaluation: without the dropout and stochastic depth of training.
        """
        x = self.placed(tokens)
        for block in self.blocks:
            yield from (
                tuple(found._replace(cls=self.cls is not None) for found in maps)
                for maps in block.attention_maps(x)  # type: ignore[operator]  # a block is any module to torch
            )
            x = block(x)
        return self.pooled(x)

    def set_stochastic_depth(self, last: float) -> None:
        """Let the last block drop at rate ``last`` and those below it along the ramp."""
        for block, rate in zip(self.blocks, drop_rates(len(self.blocks), last), strict=True):
            for part in block.modules():
                if isinstance(part, StochasticDepth):
                    part.rate = rate

    def with_cls(self, tokens: Float[Tensor, "b *batch n d"]) -> Float[Tensor, "b *batch m d"]:
        """Put the class token, where there is one, in front of every sequence."""
        if self.cls is None:
            return tokens
        return torch.cat([self.cls.to(tokens.dtype).expand(*tokens.shape[:-2], 1, -1), tokens], dim=-2)
