"""The pre-norm transformer block and its parts (ViViT, equations 2 and 3)."""

from collections.abc import Callable, Iterator
from typing import get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vivit.errors import ConfigError
from vivit.models.attention import Attention
from vivit.models.config import Gelu
from vivit.structures import AttentionMap

NORM_EPSILON = 1e-6
"""The reference's LayerNorm epsilon; PyTorch's default of 1e-5 moves ViT-B logits by 2e-4."""


class MLP(nn.Sequential):
    """Dense, GELU, dropout, dense, dropout. Kernels Xavier-uniform, biases N(0, 1e-6^2) as in the reference.

    The reference's GELU is the tanh approximation. Image models trained in PyTorch, such as DINOv2, have the exact one,
    ``gelu="erf"``; the two differ by up to 4.7e-4. Raises ConfigError for another ``gelu``.
    """

    def __init__(self, dim: int, hidden: int, dropout: float = 0.0, gelu: Gelu = "tanh") -> None:
        if gelu not in get_args(Gelu):
            raise ConfigError("model.gelu", gelu, "there is no such GELU", "set tanh (the reference's) or erf (exact)")
        widen, narrow = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        activation = nn.GELU(approximate="none" if gelu == "erf" else "tanh")
        super().__init__(widen, activation, nn.Dropout(dropout), narrow, nn.Dropout(dropout))
        self.gelu: Gelu = gelu
        for dense in (widen, narrow):
            nn.init.xavier_uniform_(dense.weight)
            nn.init.normal_(dense.bias, std=1e-6)


class StochasticDepth(nn.Module):
    """Drop a residual branch for whole samples (ViViT, equation 10; Huang et al. 2016), as the reference does.

    The branch that stays is *not* divided by its probability, unlike timm's DropPath. One number serves all frames of a
    clip, because the first axis is the clip. ``uniforms`` holds one uniform number a clip; the training module sets it
    before each step, so that what is dropped depends on the seed, the step and the clip's position in the global batch
    only. Where it is None, the numbers come from torch's generator. ``in_reference`` is whether the released code has
    it here, whose FLOPs count its mask. Raises ConfigError for a rate outside [0, 1].
    """

    def __init__(self, rate: float, *, in_reference: bool = True) -> None:
        super().__init__()
        if not 0 <= rate <= 1:
            raise ConfigError("model.stochastic_depth", rate, "is no probability", "set a number from 0 to 1")
        self.rate = rate
        self.in_reference = in_reference
        self.uniforms: Float[Tensor, " b"] | None = None

    def sample_mask(self, clips: int) -> Bool[Tensor, " b"]:
        """Return for each clip whether the branch is computed."""
        return (torch.rand(clips) if self.uniforms is None else self.uniforms) >= self.rate

    def forward(
        self,
        x: Float[Tensor, "b *rest"],
        branch: Callable[[Tensor], Tensor],
        branch_input: Float[Tensor, "b *more"] | None = None,
    ) -> Float[Tensor, "b *rest"]:
        """Return ``x``, plus ``branch(branch_input)`` for the clips of the mask; in evaluation for all.

        ``branch_input`` is ``x`` by default. What is dropped is not computed. Where a whole batch is dropped, the
        branch gets an empty one, so that its parameters have gradients of zero rather than none. A compiled network
        computes everything and masks: the number of clips changes from step to step, and every new shape would be
        compiled anew.
        """
        branch_input = x if branch_input is None else branch_input
        if not self.training or self.rate == 0:
            return x + branch(branch_input)
        mask = self.sample_mask(len(x))
        if torch.compiler.is_compiling():
            return x + branch(branch_input) * mask.to(x, non_blocking=True).view(-1, *[1] * (x.ndim - 1))
        indices = mask.nonzero().squeeze(1)  # the mask is the host's, so that nobody waits for a GPU
        if len(indices) == len(x):
            return x + branch(branch_input)
        indices = indices.to(x.device, non_blocking=True)
        return x.index_add(0, indices, branch(branch_input[indices]).to(x.dtype))


class ResidualBlock(nn.Module):
    """Base of all blocks, the units of depth: layer-wise decay of the learning rate counts them."""


class Block(ResidualBlock):
    """LayerNorm, attention, residual; LayerNorm, MLP, residual. Both branches have their stochastic depth."""

    def __init__(self, attention: Attention, mlp: MLP, dropout: float = 0.0, drop_rate: float = 0.0) -> None:
        super().__init__()
        dim = attention.out.out_features
        self.norm_attention = nn.LayerNorm(dim, eps=NORM_EPSILON)
        self.attention = attention
        self.dropout = nn.Dropout(dropout)
        self.drop_attention = StochasticDepth(drop_rate)
        self.norm_mlp = nn.LayerNorm(dim, eps=NORM_EPSILON)
        self.mlp = mlp
        self.drop_mlp = StochasticDepth(drop_rate)

    def forward(self, x: Float[Tensor, "b *batch n d"], *, cls_only: bool = False) -> Float[Tensor, "b *batch m d"]:
        """Return the block's output; with ``cls_only`` that of the first token alone, so that m is 1."""
        residual = x[..., :1, :] if cls_only else x
        x = self.drop_attention(
            residual, lambda x: self.dropout(self.attention(self.norm_attention(x), cls_only=cls_only)), x
        )
        return self.drop_mlp(x, lambda x: self.mlp(self.norm_mlp(x)))

    def attention_maps(self, x: Float[Tensor, "b *batch n d"]) -> Iterator[tuple[AttentionMap, ...]]:
        """Yield the attention maps of ``forward(x)``, one residual branch after the other."""
        yield self.attention.maps(self.norm_attention(x))


def stochastic_depth_rates(depth: int, last: float) -> list[float]:
    """Return the rate of each layer of one encoder: l / (L - 1) of ``last``, so that the first layer is never dropped.

    The paper's equation 10 has l / L; the released code, which made the published numbers, counts like this.
    """
    return [last * layer / max(depth - 1, 1) for layer in range(depth)]
