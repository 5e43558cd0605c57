"""Attention rollout (Abnar and Zuidema 2020) for attention over all tokens at once, and for the factorised kinds.

A branch with its residual takes half from the attended tokens and half from the token itself; the product over all
branches is how much of every patch arrives at the classifier. It follows attention alone: what the MLPs and the values
do is not seen.

* Model 1: all tokens of a clip.
* Model 2: a product within each temporal index times one over the summaries of these. Average pooling: uniform in time.
* Model 3: space and time are separate branches, multiplied in their order.
* Model 4: half of the heads attend along each axis: the mean of both halves' maps, as over heads anywhere.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vivit.errors import ConfigError
from vivit.structures import AttentionMap

HeadFusion = Callable[[Tensor], Tensor]
"""Returns one map from those of all heads: "b q a n n -> b q n n"."""

Flow = Float[Tensor, "b q n _m"]
"""How much of each of m patches (and of the class token, where there is one) is in each token; rows sum to one.

q sequences of n tokens. Within one sequence m is n; over a grid of tokens that time mixes, q is t, n is s, m is t * s.
"""


class NoAttentionError(ValueError):
    """A network has no attention."""


def mean_of_heads(weights: Float[Tensor, "b q a n n"]) -> Float[Tensor, "b q n n"]:
    """Return the average over heads, as Abnar and Zuidema."""
    return weights.mean(2)


def max_of_heads(weights: Float[Tensor, "b q a n n"]) -> Float[Tensor, "b q n n"]:
    """Return the maximum over heads: sharper, since heads that attend everywhere do not blur it."""
    return weights.amax(2)


HEAD_FUSIONS: dict[str, HeadFusion] = {"mean": mean_of_heads, "max": max_of_heads}


def check_head_fusion(name: str) -> None:
    """Raise ConfigError for a head fusion that does not exist."""
    if name not in HEAD_FUSIONS:
        raise ConfigError("head_fusion", name, "is unknown", f"set one of {', '.join(HEAD_FUSIONS)}")


def rollout(
    branches: Iterable[Sequence[AttentionMap]], grid: tuple[int, int, int], fuse: HeadFusion = mean_of_heads
) -> Float[Tensor, "b t rows columns"]:
    """Return the share of every token in what is classified; the shares of a clip sum to one.

    ``branches`` is what a network's ``attention_maps`` yields: they are processed one at a time, so that no more than
    the maps of one are in memory. ``grid`` counts tokens over time, rows and columns. The share of a class token as a
    source, which is no part of the picture, is left out. Raises NoAttentionError for a network without attention.
    """
    t, rows, columns = grid
    space: Tensor | None = None
    over_frames: Tensor | None = None
    cls = [False, False]
    for maps in branches:
        if maps[0].axis == "frames":
            over_frames, cls[1] = rollout_step(over_frames, maps, fuse), maps[0].cls
        else:
            space, cls[0] = rollout_step(space, maps, fuse), maps[0].cls
        del maps  # before the next are made
    if space is None:
        raise NoAttentionError("a network without attention has nothing to roll out")
    shares = readout(space, cls[0])
    if shares.shape[1:] == (t, rows * columns):  # one summary for each temporal index
        moments = (
            shares.new_full((len(shares), t), 1 / t) if over_frames is None else readout(over_frames, cls[1])[:, 0]
        )
        shares = moments[:, :, None] * shares
    elif space.shape[1] == t:  # a grid that time has mixed: the mean over all its tokens is classified
        shares = shares.mean(1)
    return shares.reshape(-1, t, rows, columns)


def rollout_step(flow: Flow | None, maps: Sequence[AttentionMap], fuse: HeadFusion = mean_of_heads) -> Flow:
    """Return the flow after one more branch: identity plus the mean of ``maps``, with rows that sum to one."""
    flow = _identity(maps[0]) if flow is None else flow
    fused = [(each.axis, fuse(each.weights)) for each in maps]
    if any(axis == "time" for axis, _ in fused):
        flow = _over_grid(flow)
    result, total = flow, torch.ones_like(flow[..., :1])
    for axis, weights in fused:
        moved, sums = weights @ (flow.transpose(1, 2) if axis == "time" else flow), weights.sum(-1, keepdim=True)
        if axis == "time":
            moved, sums = moved.transpose(1, 2), sums.transpose(1, 2)
        result, total = result + moved / len(maps), total + sums / len(maps)
    return result / total


def readout(flow: Flow, cls: bool) -> Float[Tensor, "b q _m"]:
    """Return the share of every patch in what is classified of each sequence: class token, or mean of its tokens."""
    if not cls:
        return flow.mean(2)
    patches = flow[:, :, 0, 1:]
    return patches / patches.sum(-1, keepdim=True)


def _identity(attention: AttentionMap) -> Flow:
    """Return the flow before the first branch: every token holds itself."""
    b, q, _, n, _ = attention.weights.shape
    if attention.axis == "time":
        q, n = n, q
    return torch.eye(n, device=attention.weights.device, dtype=attention.weights.dtype).expand(b, q, n, n)


def _over_grid(flow: Flow) -> Flow:
    """Return a flow with columns for patches of all times, where tokens held those of one time so far."""
    b, t, s, m = flow.shape
    if m != s:
        return flow
    wide = flow.new_zeros(b, t, s, t, s)
    wide.diagonal(dim1=1, dim2=3).copy_(flow.permute(0, 2, 3, 1))
    return wide.flatten(3)
