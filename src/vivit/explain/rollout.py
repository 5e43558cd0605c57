"""Attention rollout (Abnar and Zuidema 2020) for attention over all tokens at once, and for the factorised kinds.

A branch with its residual takes half from the attended tokens and half from the token itself; the product over all
branches tells how much of every patch arrives where the classifier reads. It follows attention alone: what the MLPs
and the values do is not seen.

* Model 1: all tokens of a clip.
* Model 2: a product within each temporal index times one over the summaries of these. Average pooling: uniform in time.
* Model 3: space and time are branches of their own, multiplied in their order.
* Model 4: half of the heads look along each axis: the mean of both halves' maps, as over heads anywhere.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vivit.structures import AttentionMap

Fuse = Callable[[Tensor], Tensor]
"""Makes one map of those of all heads: "b q a n n -> b q n n"."""

Flow = Float[Tensor, "b q n _m"]
"""How much of each of m patches (and of the class token, where there is one) is in each token; rows sum to one.

q sequences of n tokens. Within one sequence m is n; over a grid of tokens that time mixes, q is t, n is s, m is t * s.
"""


def mean(weights: Float[Tensor, "b q a n n"]) -> Float[Tensor, "b q n n"]:
    """Average over heads, as Abnar and Zuidema do."""
    return weights.mean(2)


def maximum(weights: Float[Tensor, "b q a n n"]) -> Float[Tensor, "b q n n"]:
    """Take what the most interested head does: sharper, since heads that look everywhere do not blur it."""
    return weights.amax(2)


FUSES: dict[str, Fuse] = {"mean": mean, "max": maximum}


def rollout(
    branches: Iterable[Sequence[AttentionMap]], grid: tuple[int, int, int], fuse: Fuse = mean
) -> Float[Tensor, "b t rows columns"]:
    """Share of every token in what is classified; the shares of a clip sum to one.

    ``branches`` is what a network's ``attention_maps`` hands out: one is folded in at a time, so that never more than
    the maps of one are held. ``grid`` counts tokens over time, rows and columns. What falls to a class token as a
    source, which shows no part of the picture, is left out.
    """
    t, rows, columns = grid
    space: Tensor | None = None
    over_frames: Tensor | None = None
    cls = [False, False]
    for maps in branches:
        if maps[0].axis == "frames":
            over_frames, cls[1] = folded(over_frames, maps, fuse), maps[0].cls
        else:
            space, cls[0] = folded(space, maps, fuse), maps[0].cls
        del maps  # before the next are made
    if space is None:
        raise ValueError("a network without attention has nothing to roll out")
    shares = read(space, cls[0])
    if shares.shape[1:] == (t, rows * columns):  # one summary for each temporal index
        moments = shares.new_full((len(shares), t), 1 / t) if over_frames is None else read(over_frames, cls[1])[:, 0]
        shares = moments[:, :, None] * shares
    elif space.shape[1] == t:  # a grid that time has mixed: the mean over all its tokens is classified
        shares = shares.mean(1)
    return shares.reshape(-1, t, rows, columns)


def folded(flow: Flow | None, maps: Sequence[AttentionMap], fuse: Fuse = mean) -> Flow:
    """Let one more branch act: identity and the mean of ``maps`` are added, and the rows brought back to sum one."""
    flow = _nothing_moved(maps[0]) if flow is None else flow
    fused = [(found.axis, fuse(found.weights)) for found in maps]
    if any(axis == "time" for axis, _ in fused):
        flow = _over_grid(flow)
    taken, total = flow, torch.ones_like(flow[..., :1])
    for axis, weights in fused:
        moved, sums = weights @ (flow.transpose(1, 2) if axis == "time" else flow), weights.sum(-1, keepdim=True)
        if axis == "time":
            moved, sums = moved.transpose(1, 2), sums.transpose(1, 2)
        taken, total = taken + moved / len(maps), total + sums / len(maps)
    return taken / total


def read(flow: Flow, cls: bool) -> Float[Tensor, "b q _m"]:
    """What a classifier reads of every sequence: its class token, or the mean of its tokens."""
    if not cls:
        return flow.mean(2)
    patches = flow[:, :, 0, 1:]
    return patches / patches.sum(-1, keepdim=True)


def _nothing_moved(found: AttentionMap) -> Flow:
    """Every token holds itself."""
    b, q, _, n, _ = found.weights.shape
    if found.axis == "time":
        q, n = n, q
    return torch.eye(n, device=found.weights.device, dtype=found.weights.dtype).expand(b, q, n, n)


def _over_grid(flow: Flow) -> Flow:
    """Make room for patches of other times, where tokens held those of their own so far."""
    b, t, s, m = flow.shape
    if m != s:
        return flow
    wide = flow.new_zeros(b, t, s, t, s)
    wide.diagonal(dim1=1, dim2=3).copy_(flow.permute(0, 2, 3, 1))
    return wide.flatten(3)
