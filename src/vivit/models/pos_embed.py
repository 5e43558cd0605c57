"""Position embeddings: a learned table, one that also tells time from the first step, fixed sines, or none.

Each function returns the table for a grid (t, rows, columns) of tokens, flattened with time outermost; ``cls`` adds a
row for a class token before it. The paper and all released weights learn it; the others are options of the released
code's encoder.
"""

from collections.abc import Callable

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vivit.errors import ConfigError

Grid = tuple[int, int, int]
"""Tokens over time, rows and columns."""
PosEmbed = Callable[[Grid, int, bool], Tensor]

LONGEST_WAVE = 10_000

TIME_STD, SHARED_TIME_STD = 0.5, 0.1
"""Standard deviations of what ``learned_time`` adds to a temporal index: where there is time alone, and with places."""


def make_pos_embed(name: str, grid: Grid, dim: int, cls: bool) -> Float[Tensor, "n d"]:
    """Return the table of a name. Raises ConfigError for one that does not exist."""
    if name not in POS_EMBEDS:
        raise ConfigError("model.positions", name, "there are no such", f"set one of {', '.join(POS_EMBEDS)}")
    return POS_EMBEDS[name](grid, dim, cls)


def learned(grid: Grid, dim: int, cls: bool) -> Float[nn.Parameter, "n d"]:
    """Return one learned vector a token, the class token included, from N(0, 0.02^2)."""
    return nn.Parameter(nn.init.normal_(torch.empty(_length(grid, cls), dim), std=0.02))


def learned_time(grid: Grid, dim: int, cls: bool) -> Float[nn.Parameter, "n d"]:
    """Return learned vectors, to which a random one a temporal index is added, the same at all places.

    With the 0.02 of ``learned`` a token of the first frames looks like one of the last until training has told them
    apart, which takes small networks longer than all else. N(0, 0.5^2) is about a token's content, so it is for a
    sequence of time alone, as Model 2's temporal encoder has; beside places it would drown them, and is N(0, 0.1^2). Of
    a grid without time the table is that of ``learned``.
    """
    table = learned(grid, dim, cls)
    if grid[0] > 1:
        places = grid[1] * grid[2]
        time = torch.empty(grid[0], dim).normal_(std=TIME_STD if places == 1 else SHARED_TIME_STD)
        with torch.no_grad():
            table[int(cls) :] += time.repeat_interleave(places, 0)
    return table


def time_part(places: Float[Tensor, "n d"], grid: Grid) -> Float[Tensor, "n d"]:
    """Return the mean vector of each temporal index, less that of all, for every place; without a class token."""
    means = places.reshape(grid[0], -1, places.shape[1]).mean(1)
    return (means - means.mean(0)).repeat_interleave(len(places) // grid[0], 0)


def none(grid: Grid, dim: int, cls: bool) -> Float[Tensor, "n d"]:
    """Return zeros: without positions a transformer processes a set."""
    return torch.zeros(_length(grid, cls), dim)


def sinusoidal_1d(grid: Grid, dim: int, cls: bool) -> Float[Tensor, "n d"]:
    """Return sines (even channels) and cosines (odd) of each token's number, class token included.

    After Vaswani et al. (2017). Raises ConfigError where ``dim`` is odd.
    """
    if dim % 2:
        raise ConfigError("size.dim", dim, "sinusoidal positions pair a sine with a cosine", "set an even number")
    return rearrange(_waves(torch.arange(_length(grid, cls)), dim // 2), "wave n d -> n (d wave)")


def sinusoidal_3d(grid: Grid, dim: int, cls: bool) -> Float[Tensor, "n d"]:
    """Return sines, then cosines, of time, column and row, each in a third of the channels.

    Raises ConfigError where ``dim`` is not a multiple of 6, or with a class token, for which there is no position. The
    released code needs as many rows as columns; this does not.
    """
    if dim % 6:
        raise ConfigError(
            "size.dim", dim, "positions over three axes have a sine and a cosine for each", "set a multiple of 6"
        )
    if cls:
        raise ConfigError(
            "model.pool",
            "cls",
            "positions over time, row and column have none for a class token",
            "set model.pool=mean",
        )
    time, row, column = (axis.flatten() for axis in torch.meshgrid(*map(torch.arange, grid), indexing="ij"))
    axes = [rearrange(_waves(axis, dim // 6), "wave n d -> n (wave d)") for axis in (time, column, row)]
    return torch.cat(axes, dim=1)


POS_EMBEDS: dict[str, PosEmbed] = {
    "learned": learned,
    "learned_time": learned_time,
    "none": none,
    "sinusoidal_1d": sinusoidal_1d,
    "sinusoidal_3d": sinusoidal_3d,
}


def _length(grid: Grid, cls: bool) -> int:
    t, rows, columns = grid
    return t * rows * columns + cls


def _waves(positions: Tensor, count: int) -> Float[Tensor, "2 n count"]:
    """Return sines and cosines of every position, in ``count`` frequencies from 1 down towards 1 / 10,000."""
    frequencies = LONGEST_WAVE ** -(torch.arange(count, dtype=torch.float64) / count)
    angles = positions[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()]).to(torch.get_default_dtype())
