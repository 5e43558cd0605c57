"""The transformer encoder that all architectures share (ViViT, section 3.1)."""

from collections.abc import Callable, Generator, Iterable, Iterator
from functools import cache, partial
from typing import Any, Literal, get_args

import torch
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

from vivit.errors import ConfigError
from vivit.models.attention_kernels import BLOCKED_ATTENTION
from vivit.models.blocks import NORM_EPSILON, StochasticDepth, stochastic_depth_rates
from vivit.models.config import EncoderConfig
from vivit.models.pos_embed import Grid, make_pos_embed
from vivit.structures import AttentionMap, Features

Pool = Literal["cls", "mean", "mean_then_norm"]
"""What is classified: the normalised class token, the mean of normalised tokens, or (VideoMAE) the normalised mean."""
FUSED_KERNELS = ("flash_attention_for_cpu", "flash_attention", "efficient_attention", "cudnn_attention")
"""Kernels of torch's scaled dot-product attention, of which a build of torch may lack some."""


@cache
def saved_operations() -> list[Any]:
    """Return the operations whose results gradient checkpointing stores: attention, by any kernel that torch has.

    Of a long sequence that is nearly half of a block's arithmetic, for one vector a token.
    """
    names = (f"_scaled_dot_product_{kernel}" for kernel in FUSED_KERNELS)
    packets = (getattr(torch.ops.aten, name, None) for name in names)
    return [BLOCKED_ATTENTION, *(packet.default for packet in packets if packet is not None)]


def _save_attention() -> Any:
    return create_selective_checkpoint_contexts(saved_operations())


class Encoder(nn.Module):
    """Class token, positions, blocks, LayerNorm, pooling, over the second-last axis.

    One table of positions covers the whole sequence, class token included, and is added after the token is prepended.
    Every axis between the first and the sequence is a batch axis: of (b, t, s, d), each temporal index is encoded
    separately with the same weights. ``blocks`` take and return that shape. With ``gradient_checkpointing`` a step
    stores of each block its input and the result of attention, and computes the rest again in the backward pass, with
    the same random numbers: up to a third more arithmetic for a fraction of the memory (Chen et al. 2016). Where the
    class token is all that counts, the last block computes nothing else, unless ``all_tokens`` is set.

    Initialised as the reference: class token zero, positions N(0, 0.02^2) if they are learned. ``grid`` is that of the
    tokens over time, rows and columns. Raises ConfigError for another ``pool``.
    """

    def __init__(
        self,
        blocks: Iterable[nn.Module],
        *,
        grid: Grid,
        dim: int,
        pool: Pool,
        dropout: float = 0.0,
        positions: str = "learned",
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if pool not in get_args(Pool):
            raise ConfigError("model.pool", pool, "there is no such pooling", f"set one of {', '.join(get_args(Pool))}")
        self.pooling: Pool = pool
        self.cls = nn.Parameter(torch.zeros(dim)) if pool == "cls" else None
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(dim, eps=NORM_EPSILON)
        self.grid = grid
        self.gradient_checkpointing = gradient_checkpointing
        self.all_tokens = False
        self.positions: Tensor
        table = make_pos_embed(positions, grid, dim, pool == "cls")
        if isinstance(table, nn.Parameter):
            self.positions = table
        else:
            self.register_buffer("positions", table, persistent=False)

    @classmethod
    def of_config(
        cls, config: EncoderConfig, blocks: Iterable[nn.Module], *, grid: Grid, dim: int, pool: Pool
    ) -> "Encoder":
        """Return an encoder with the dropout, positions and checkpointing of a model's record."""
        return cls(
            blocks, grid=grid, dim=dim, pool=pool, dropout=config.dropout, positions=config.positions,
            gradient_checkpointing=config.gradient_checkpointing,
        )  # fmt: skip

    def forward(self, tokens: Float[Tensor, "b *batch n d"]) -> Float[Tensor, "b *batch d"]:
        """Return one vector for each sequence."""
        x = self.dropout(self.embed(tokens))
        for layer in self.layers():
            x = self.run_checkpointed(layer, x) if self.gradient_checkpointing and self.training else layer(x)
        return self.pool(x)

    def run_checkpointed(self, layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Return ``layer(x)``, most of which is computed again in the backward pass."""
        return checkpoint(layer, x, use_reentrant=False, context_fn=_save_attention, respect_saved_tensors_hooks=True)

    def layers(self) -> Iterator[Callable[[Tensor], Tensor]]:
        """Yield the blocks, the last one reduced to what the pooling needs."""
        *below, last = self.blocks
        yield from below
        yield last if self.cls is None or self.all_tokens else partial(last, cls_only=True)

    def embed(self, tokens: Float[Tensor, "b *batch n d"]) -> Float[Tensor, "b *batch m d"]:
        """Return the tokens with the class token and the positions. Raises ConfigError for clips of another size."""
        x = self.prepend_cls(tokens)
        if x.shape[-2] != len(self.positions):
            raise ConfigError(
                "model.frames",
                problem=f"these clips have sequences of {x.shape[-2]} tokens, the network {len(self.positions)}",
                remedy="set its frames, height and width to those of the clips",
            )
        return x + self.positions

    def pool(self, x: Float[Tensor, "b *batch m d"]) -> Float[Tensor, "b *batch d"]:
        """Return what is classified of each sequence, see ``Pool``."""
        if self.pooling == "mean_then_norm":
            return self.norm(x.mean(-2))
        x = self.norm(x)
        return x[..., 0, :] if self.pooling == "cls" else x.mean(-2)

    def features(self, tokens: Float[Tensor, "b *batch n d"], layer: int | None = None) -> tuple[Tensor, Tensor]:
        """Return the last tokens of every sequence, normalised and without the class token, and what is classified.

        With ``layer`` the tokens behind so many blocks, as they are, and their mean. Raises ConfigError for a layer
        that there is not.
        """
        blocks = len(self.blocks) if layer is None else layer
        if not 0 < blocks <= len(self.blocks):
            raise ConfigError("layer", layer, f"the encoder has {len(self.blocks)}", f"set 1 to {len(self.blocks)}")
        x = self.embed(tokens)
        for block in self.blocks[:blocks]:
            x = block(x)
        places = x if self.cls is None else x[..., 1:, :]
        return (self.norm(places), self.pool(x)) if layer is None else (places, places.mean(-2))

    def clip_features(self, tokens: Float[Tensor, "b t rows columns d"], layer: int | None = None) -> Features:
        """Return the features of clips whose tokens are one sequence: of a temporal index the mean over its places."""
        places, video = self.features(rearrange(tokens, "b t rows columns d -> b (t rows columns) d"), layer)
        return Features(reduce(places, "b (t places) d -> b t d", "mean", t=tokens.shape[1]), video)

    def attention_maps(
        self, tokens: Float[Tensor, "b *batch n d"]
    ) -> Generator[tuple[AttentionMap, ...], None, Float[Tensor, "b *batch d"]]:
        """Yield the attention maps block by block, so that no more than one block's are in memory; return ``forward``.

        As in evaluation: without the dropout and stochastic depth of training.
        """
        x = self.embed(tokens)
        for block in self.blocks:
            yield from (
                tuple(each._replace(cls=self.cls is not None) for each in maps)
                for maps in block.attention_maps(x)  # type: ignore[operator]  # a block is any module to torch
            )
            x = block(x)
        return self.pool(x)

    def set_stochastic_depth(self, last: float) -> None:
        """Set the rate of the last block to ``last``, and those of the blocks below it along the ramp."""
        for block, rate in zip(self.blocks, stochastic_depth_rates(len(self.blocks), last), strict=True):
            for part in block.modules():
                if isinstance(part, StochasticDepth):
                    part.rate = rate

    def prepend_cls(self, tokens: Float[Tensor, "b *batch n d"]) -> Float[Tensor, "b *batch m d"]:
        """Return every sequence with the class token, if there is one, before it."""
        if self.cls is None:
            return tokens
        return torch.cat([self.cls.to(tokens.dtype).expand(*tokens.shape[:-2], 1, -1), tokens], dim=-2)
