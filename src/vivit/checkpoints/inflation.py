"""From an image to a video: the filter gains an axis for time, positions are repeated or resized (section 3.4)."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor

from vivit.errors import ConfigError
from vivit.models.pos_embed import Grid

Inflation = Literal["central_frame", "filter_inflation", "rank_pooling", "random"]
Interpolation = Literal["bilinear", "bicubic"]


def check_grid(lengths: Sequence[int]) -> Grid:
    """Return a grid of the configuration. Raises ConfigError unless it has three lengths."""
    if len(lengths) != 3:
        raise ConfigError(
            "weights.source_grid",
            list(lengths),
            "is no grid",
            "set [rows, columns] (image) or [t, rows, columns] (video)",
        )
    t, rows, columns = lengths
    return t, rows, columns


def inflate_filter(image: Float[Tensor, "d c h w"], t: int, inflation: Inflation) -> Float[Tensor, "d c t h w"]:
    """Return an image's filter with ``t`` slices.

    ``central_frame``: all zero but the slice t // 2, so of two frames the second is seen (equation 9; the paper's
    choice). ``filter_inflation``: every slice a t-th, as in I3D (equation 8). ``rank_pooling``: slices weighted as
    approximate rank pooling weights frames (Bilen et al. 2016), a t-th each; they sum to zero when frames are equal.
    """
    if t == 1:
        return image[:, :, None]
    return torch.einsum("dchw,t->dcthw", image.double(), slice_weights(t, inflation)).float()


def slice_weights(t: int, inflation: Inflation) -> Float[Tensor, " t"]:
    """Return the weights of the image's filter in each slice, in double precision."""
    if inflation == "central_frame":
        return torch.eye(t, dtype=torch.float64)[t // 2]
    if inflation == "filter_inflation":
        return torch.full((t,), 1 / t, dtype=torch.float64)
    if inflation == "rank_pooling":
        harmonic = [sum(1 / k for k in range(1, n + 1)) for n in range(t + 1)]
        alpha = [2 * (t - i + 1) - (t + 1) * (harmonic[t] - harmonic[i - 1]) for i in range(1, t + 1)]
        return torch.tensor(alpha, dtype=torch.float64) / t
    raise ConfigError(
        "weights.tubelet_init", inflation, "there is no such inflation", f"set one of {', '.join(get_args(Inflation))}"
    )


def fit_positions(
    positions: Float[Tensor, "n d"], old: Grid, new: Grid, interpolation: Interpolation
) -> Float[Tensor, "m d"]:
    """Return a table of positions, without the class token's, resized from one grid to another.

    In space, ``bilinear`` has aligned corners, as the reference; ``bicubic`` has not, nor antialiasing, as DINOv2. In
    time, an image's positions are repeated at every temporal index, a video's resized linearly with aligned corners.
    Raises ConfigError for another interpolation.
    """
    if interpolation not in get_args(Interpolation):
        raise ConfigError(
            "weights.interpolation", interpolation, "there is no such interpolation", "set bilinear or bicubic"
        )
    (t, rows, _), table = old, positions.double()
    if old[1:] != new[1:]:
        images = rearrange(table, "(t r c) d -> t d r c", t=t, r=rows)
        images = F.interpolate(images, new[1:], mode=interpolation, align_corners=interpolation == "bilinear")
        table = rearrange(images, "t d r c -> (t r c) d")
    if t == 1:
        table = repeat(table, "s d -> (t s) d", t=new[0])
    elif t != new[0]:
        lines = rearrange(table, "(t s) d -> s d t", t=t)
        table = rearrange(F.interpolate(lines, new[0], mode="linear", align_corners=True), "s d t -> (t s) d")
    return table.float()


def fold_normalisation(
    weight: Float[Tensor, "d c *pixels"], bias: Float[Tensor, " d"], mean: Float[Tensor, " c"], std: Float[Tensor, " c"]
) -> tuple[Float[Tensor, "d c *pixels"], Float[Tensor, " d"]]:
    """Return a filter for colours in [-1, 1] that equals one trained on (x - mean) / std, x in [0, 1].

    With x = (colour + 1) / 2 that is colour / (2 std) + (0.5 - mean) / std: the factor goes into the weights, the rest
    into the bias. Exact, because patches have no padding.
    """
    weight, mean, std = weight.double(), mean.double(), std.double()
    shift = torch.einsum("dc,c->d", weight.flatten(2).sum(2), (0.5 - mean) / std)
    return torch.einsum("dc...,c->dc...", weight, 0.5 / std).float(), (bias.double() + shift).float()
