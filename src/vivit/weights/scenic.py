"""Weights of the authors' own code (google-research/scenic, projects/vivit), in and out, bit for bit."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import nn

from vivit.models.factorised_self_attention import Order
from vivit.weights.msgpack_file import Tree, read_branches, read_plain, write_branches
from vivit.weights.names import check_names
from vivit.weights.report import LoadReport
from vivit.weights.scenic_network import Model, Shapes, network
from vivit.weights.scenic_windows import Network, windows

METADATA, OURS = "metadata", "vivit"
BRANCHES = ("params", "optimizer/target")
"""Where a checkpoint has its parameters: written with optax, or before that with flax.optim. The first one wins."""


def model_from_scenic(
    source: str | os.PathLike[str] | Mapping[str, np.ndarray],
    *,
    model: Model,
    frames: int,
    height: int,
    width: int,
    sampled_frames: int | None = None,
    order: Order = "space_time",
) -> tuple[Network, LoadReport]:
    """Build the network that a scenic checkpoint belongs to, float32 on the CPU, with its weights.

    ``source`` is a checkpoint file, or the parameters alone by '/'-joined name. Depths, widths, heads, tubelet, pooling
    and classes are read off the parameters. These cannot tell which model it is (Model 1 with mean pooling and Model 4
    look the same) nor the clips' size in frames and pixels; nor ``sampled_frames``, the number asked of uniform frame
    sampling (which takes one more for some pairs of numbers); nor ``order``, the axis that Model 3, and it alone,
    attends over first.

    Raises ValueError naming the key where one is missing, left over, of another shape than clips of this size need, or
    not float32; and naming the file where it is none of flax's.
    """
    label, arrays, ignored = read_parameters(source)
    try:
        _check_numbers(arrays)
        shapes = Shapes({name: array.shape for name, array in arrays.items()})
        # Without memory behind it, so that a file cannot make this allocate more than it holds.
        with torch.device("meta"):
            size = {"frames": frames, "height": height, "width": width}
            net = network(shapes, model, shapes.tokeniser(sampled_frames), size, order)
        check_names(shapes.shapes, {name: tuple(window.shape) for name, window in windows(net).items()})
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from None
    net.to_empty(device="cpu")
    for name, window in windows(net).items():
        window.numpy()[...] = arrays[name]
    return net, LoadReport(label, loaded=tuple(arrays), ignored=dict.fromkeys(ignored, "not a parameter"))


def export_scenic(net: nn.Module) -> dict[str, np.ndarray]:
    """Copy a network's parameters out under scenic's names and in its layouts, as ``model_from_scenic`` takes them.

    Raises ValueError for a network that scenic's code would compute differently.
    """
    if any(isinstance(part, nn.GELU) and part.approximate != "tanh" for part in net.modules()):
        raise ValueError("scenic has only the tanh GELU; with these parameters it would not compute what gelu=erf does")
    return {name: np.array(window.cpu().numpy(), order="C") for name, window in windows(net).items()}


def scenic_told(source: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what ``save_scenic`` was given to hold beside the parameters; nothing of a file of the authors' own."""
    told = read_plain(source, METADATA)
    try:
        found = json.loads(told[OURS]) if isinstance(told, dict) and OURS in told else {}
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{source}: what it tells under {METADATA}/{OURS} is not JSON: {error}") from None
    return found if isinstance(found, dict) else {}


def save_scenic(net: nn.Module, target: str | os.PathLike[str], *, beside: Mapping[str, Any] | None = None) -> None:
    """Write a checkpoint file with the parameters under ``params``, as scenic's optax states have them.

    ``beside`` are plain values for which scenic has no words, kept as JSON in the ``metadata`` that its states have.
    Raises FileExistsError where there is such a file already.
    """
    tree: Tree = {}
    for name, array in export_scenic(net).items():
        *branches, leaf = name.split("/")
        reduce(lambda node, branch: node.setdefault(branch, {}), branches, tree)[leaf] = array
    told = {METADATA: {OURS: json.dumps(beside, allow_nan=False)}} if beside else {}
    write_branches(target, {"global_step": 0, "model_state": {}, "params": tree} | told)


def read_parameters(
    source: str | os.PathLike[str] | Mapping[str, Any],
) -> tuple[str, dict[str, np.ndarray], tuple[str, ...]]:
    """Give a source's label, its parameters by '/'-joined name, and the names of the branches that are none."""
    if isinstance(source, Mapping):
        return "the given parameters", {name: np.asarray(array) for name, array in source.items()}, ()
    branches, skipped = read_branches(source, BRANCHES)
    for name in BRANCHES:
        tree = branches.pop(name, None)
        if not tree:
            continue
        if set(tree) == {"params"} and isinstance(tree["params"], dict):
            tree = renumbered(tree["params"])
        return os.fspath(source), dict(_flat(tree)), (*skipped, *branches)
    raise ValueError(f"{source} holds no parameters: there is nothing under {' or '.join(BRANCHES)}")


def renumbered(tree: Tree) -> Tree:
    """Undo the numbering of flax before Linen, which ran through all submodules: LayerNorm_0, MlpBlock_3, ...

    Since Linen every class counts for itself. Blocks are left alone: their numbers were always given by hand, and one
    that is missing must not be covered up.
    """
    counts: Counter[str] = Counter()
    tidy: Tree = {}
    for name in sorted(tree, key=_with_numbers):
        new = name
        if (match := re.fullmatch(r"(.*)_\d+", name)) and match[1] != "encoderblock":
            new = f"{match[1]}_{counts[match[1]]}"
            counts[match[1]] += 1
        tidy[new] = renumbered(tree[name]) if isinstance(tree[name], dict) else tree[name]
    return tidy


def _with_numbers(name: str) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _flat(tree: Tree, prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def _check_numbers(arrays: Mapping[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        if array.dtype != np.float32 or not array.size:
            raise ValueError(f"{name!r} is {array.dtype} of the shape {array.shape}; parameters are float32, not empty")
        if bad := int((~np.isfinite(array)).sum()):
            raise ValueError(f"{name!r} has {bad:,} of {array.size:,} values that are NaN or infinite")
