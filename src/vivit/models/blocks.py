"""The pre-norm transformer block and its parts (ViViT, equations 2 and 3)."""

from collections.abc import Callable, Iterator
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vivit.models.attention import Attention
from vivit.structures import AttentionMap

NORM_EPSILON = 1e-6
"""The reference's LayerNorm epsilon; PyTorch's default of 1e-5 moves ViT-B logits by 2e-4."""


Gelu = Literal["tanh", "erf"]


class Mlp(nn.Sequential):
    """Dense, GELU, dropout, dense, dropout. Kernels Xavier-uniform, biases N(0, 1e-6^2) as in the reference.

    The reference's GELU is the tanh approximation. Image models trained in PyTorch, such as DINOv2, have the exact one,
    ``gelu="erf"``; the two differ by up to 4.7e-4.
    """

    def __init__(self, dim: int, hidden: int, dropout: float = 0.0, gelu: Gelu = "tanh") -> None:
        if gelu not in get_args(Gelu):
            raise ValueError(f"gelu={gelu!r} is neither 'tanh' (the reference's) nor 'erf' (exact)")
        widen, narrow = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        activation = nn.GELU(approximate="none" if gelu == "erf" else "tanh")
        super().__init__(widen, activation, nn.Dropout(dropout), narrow, nn.Dropout(dropout))
        self.gelu: Gelu = gelu
        for dense in (widen, narrow):
            nn.init.xavier_uniform_(dense.weight)
            nn.init.normal_(dense.bias, std=1e-6)


class StochasticDepth(nn.Module):
    """Drop a residual branch for whole samples (ViViT, equation 10; Huang et al. 2016), as the reference does.

    A kept branch is *not* divided by the keep probability, unlike timm's DropPath. One draw serves all frames of a
    clip, because the first axis is the clip. ``draws`` holds one uniform number a clip; the training module sets it
    before each step, so that what is dropped depends on the seed, the step and the clip's place in the global batch
    only. Where nobody sets it, the numbers come from torch's generator.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate <= 1:
            raise ValueError(f"a stochastic depth rate is a probability, not {rate}")
        self.rate = rate
        self.draws: Float[Tensor, " b"] | None = None

    def keep(self, clips: int) -> Bool[Tensor, " b"]:
        """Say for each clip whether the branch stays."""
        return (torch.rand(clips) if self.draws is None else self.draws) >= self.rate

    def forward(
        self,
        x: Float[Tensor, "b *rest"],
        branch: Callable[[Tensor], Tensor],
        seen: Float[Tensor, "b *more"] | None = None,
    ) -> Float[Tensor, "b *rest"]:
        """Add ``branch(seen)`` to the clips that keep it; in evaluation to all. The branch sees ``x`` if nothing else.

        What is dropped is not computed. Where a whole batch is dropped, the branch sees an empty one, so that its
        parameters get gradients of zero rather than none. A compiled network computes everything and masks: the number
        of kept clips changes from step to step, and every new shape would be compiled anew.
        """
        seen = x if seen is None else seen
        if not self.training or self.rate == 0:
            return x + branch(seen)
        keep = self.keep(len(x))
        if torch.compiler.is_compiling():
            return x + branch(seen) * keep.to(x).view(-1, *[1] * (x.ndim - 1))
        if keep.all():
            return x + branch(seen)
        kept = keep.nonzero().squeeze(1).to(x.device, non_blocking=True)
        return x.index_add(0, kept, branch(seen[kept]).to(x.dtype))


class Block(nn.Module):
    """LayerNorm, attention, residual; LayerNorm, MLP, residual. Both branches have a stochastic depth of their own."""

    def __init__(self, attention: Attention, mlp: Mlp, dropout: float = 0.0, drop_rate: float = 0.0) -> None:
        super().__init__()
        dim = attention.out.out_features
        self.norm_attention = nn.LayerNorm(dim, eps=NORM_EPSILON)
        self.attention = attention
        self.dropout = nn.Dropout(dropout)
        self.drop_attention = StochasticDepth(drop_rate)
        self.norm_mlp = nn.LayerNorm(dim, eps=NORM_EPSILON)
        self.mlp = mlp
        self.drop_mlp = StochasticDepth(drop_rate)

    def forward(self, x: Float[Tensor, "b *batch n d"], *, first: bool = False) -> Float[Tensor, "b *batch m d"]:
        """Mix the tokens, then transform each; with ``first`` only what becomes of the first one, so that m is 1."""
        own = x[..., :1, :] if first else x
        x = self.drop_attention(own, lambda x: self.dropout(self.attention(self.norm_attention(x), first=first)), x)
        return self.drop_mlp(x, lambda x: self.mlp(self.norm_mlp(x)))

    def attention_maps(self, x: Float[Tensor, "b *batch n d"]) -> Iterator[tuple[AttentionMap, ...]]:
        """Write out who looks at whom in ``forward(x)``, one residual branch after the other."""
        yield self.attention.maps(self.norm_attention(x))


def drop_rates(depth: int, last: float) -> list[float]:
    """Rate of each layer of one encoder: l / (L - 1) of ``last``, so the first layer is always kept.

    The paper's equation 10 says l / L; the released code, which made the published numbers, counts like this.
    """
    return [last * layer / max(depth - 1, 1) for layer in range(depth)]
