"""What tells a transformer where a token stands: a learned table, a fixed one, or nothing.

Each of these functions makes the table for a grid (t, rows, columns) of tokens, flattened with time outermost, and
``cls`` says whether a class token stands in front. The paper and all released weights learn it; the others are options
of the released code's encoder.
"""

from collections.abc import Callable

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

Grid = tuple[int, int, int]
Positions = Callable[[Grid, int, bool], Tensor]

LONGEST_WAVE = 10_000


def learned(grid: Grid, dim: int, cls: bool) -> Float[nn.Parameter, "n d"]:
    """Learn one vector a token, the class token included, from N(0, 0.02^2)."""
    return nn.Parameter(nn.init.normal_(torch.empty(_length(grid, cls), dim), std=0.02))


def none(grid: Grid, dim: int, cls: bool) -> Float[Tensor, "n d"]:
    """Add nothing: without it a transformer sees a set."""
    return torch.zeros(_length(grid, cls), dim)


def sinusoidal_1d(grid: Grid, dim: int, cls: bool) -> Float[Tensor, "n d"]:
    """Count tokens, the class token included, in sines (even channels) and cosines (odd) (Vaswani et al. 2017)."""
    if dim % 2:
        raise ValueError(f"dim={dim} is odd: sinusoidal positions pair a sine with a cosine")
    return rearrange(_waves(torch.arange(_length(grid, cls)), dim // 2), "wave n d -> n (d wave)")


def sinusoidal_3d(grid: Grid, dim: int, cls: bool) -> Float[Tensor, "n d"]:
    """Give time, column and row a third of the channels each: sines, then cosines. There is no place for a class token.

    The released code asks for as many rows as columns; this does not.
    """
    if dim % 6:
        raise ValueError(f"dim={dim} is not a multiple of 6: three axes have a sine and a cosine each")
    if cls:
        raise ValueError("positions over time, row and column have no place for a class token; take pool=mean")
    time, row, column = (axis.flatten() for axis in torch.meshgrid(*map(torch.arange, grid), indexing="ij"))
    axes = [rearrange(_waves(axis, dim // 6), "wave n d -> n (wave d)") for axis in (time, column, row)]
    return torch.cat(axes, dim=1)


def _length(grid: Grid, cls: bool) -> int:
    t, rows, columns = grid
    return t * rows * columns + cls


def _waves(places: Tensor, count: int) -> Float[Tensor, "2 n count"]:
    """Sines and cosines of every place, in ``count`` frequencies from 1 down towards 1 / 10,000."""
    frequencies = LONGEST_WAVE ** -(torch.arange(count, dtype=torch.float64) / count)
    angles = places[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()]).to(torch.get_default_dtype())
