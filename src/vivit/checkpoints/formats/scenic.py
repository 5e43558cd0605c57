"""Weights of the authors' code (google-research/scenic, projects/vivit), in and out, bit for bit."""

import json
import os
from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import nn

from vivit.checkpoints.formats.flax_msgpack import Tree, read_parameters, read_plain, write_branches
from vivit.checkpoints.formats.scenic_config import Model, ShapeInspector, build_network
from vivit.checkpoints.formats.scenic_state_dict import state_dict_views
from vivit.checkpoints.load_report import LoadReport
from vivit.checkpoints.tensor_checks import check_names
from vivit.errors import CheckpointError, ConfigError
from vivit.models import ViViT
from vivit.models.factorised_self_attention import AttentionOrder

METADATA, METADATA_KEY = "metadata", "vivit"


def model_from_scenic(
    source: str | os.PathLike[str] | Mapping[str, np.ndarray],
    *,
    model: Model,
    frames: int,
    height: int,
    width: int,
    sampled_frames: int | None = None,
    order: AttentionOrder = "space_time",
) -> tuple[ViViT, LoadReport]:
    """Return the network that a scenic checkpoint belongs to, float32 on the CPU, with its weights, and a report.

    ``source`` is a checkpoint file, or the parameters alone by '/'-joined name. Depths, widths, heads, tubelet, pooling
    and classes are read off the parameters. These do not contain which model it is (Model 1 with mean pooling and Model
    4 have the same shapes) nor the clips' size in frames and pixels; nor ``sampled_frames``, the number that was set
    for uniform frame sampling (which takes one more for some pairs of numbers); nor ``order``, the axis that Model 3,
    and it alone, attends over first.

    Raises CheckpointError, with the key, where a parameter is missing, unexpected, of another shape than clips of this
    size need, or not float32; and where the file is not one of flax. Raises ConfigError for the other arguments.
    """
    label, arrays, ignored = read_parameters(source)
    _check_numbers(arrays, label)
    shapes = ShapeInspector({name: array.shape for name, array in arrays.items()}, label)
    # Without memory behind it, so that a file cannot make this allocate more than it holds.
    with torch.device("meta"):
        size = {"frames": frames, "height": height, "width": width}
        net = build_network(shapes, model, shapes.tokeniser(sampled_frames), size, order)
    check_names(label, shapes.shapes, {name: tuple(view.shape) for name, view in state_dict_views(net).items()})
    net.to_empty(device="cpu")
    for name, view in state_dict_views(net).items():
        view.numpy()[...] = arrays[name]
    return net, LoadReport(label, loaded=tuple(arrays), ignored=dict.fromkeys(ignored, "not a parameter"))


def export_scenic(net: nn.Module) -> dict[str, np.ndarray]:
    """Return a copy of a network's parameters with scenic's names and layouts, as ``model_from_scenic`` takes them.

    Raises ConfigError for a network that scenic's code would compute differently.
    """
    if any(isinstance(part, nn.GELU) and part.approximate != "tanh" for part in net.modules()):
        raise ConfigError("model.gelu", "erf", "scenic has only the tanh GELU", "convert to another format")
    return {name: np.array(view.cpu().numpy(), order="C") for name, view in state_dict_views(net).items()}


def scenic_metadata(source: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the values that ``save_scenic`` stored beside the parameters; nothing of a file of the authors'."""
    metadata = read_plain(source, METADATA)
    try:
        stored = json.loads(metadata[METADATA_KEY]) if isinstance(metadata, dict) and METADATA_KEY in metadata else {}
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(source, f"not JSON: {error}", key=f"{METADATA}/{METADATA_KEY}") from None
    return stored if isinstance(stored, dict) else {}


def save_scenic(net: nn.Module, target: str | os.PathLike[str], *, beside: Mapping[str, Any] | None = None) -> None:
    """Write a checkpoint file with the parameters under ``params``, as in scenic's optax states.

    ``beside`` are plain values that scenic has no entry for, stored as JSON in the ``metadata`` of its states.
    Raises FileExistsError where the file exists.
    """
    tree: Tree = {}
    for name, array in export_scenic(net).items():
        *branches, leaf = name.split("/")
        reduce(lambda node, branch: node.setdefault(branch, {}), branches, tree)[leaf] = array
    metadata = {METADATA: {METADATA_KEY: json.dumps(beside, allow_nan=False)}} if beside else {}
    write_branches(target, {"global_step": 0, "model_state": {}, "params": tree} | metadata)


def _check_numbers(arrays: Mapping[str, np.ndarray], label: str) -> None:
    for name, array in arrays.items():
        if array.dtype != np.float32 or not array.size:
            raise CheckpointError(
                label, f"is {array.dtype} of the shape {array.shape}; parameters are float32, not empty", key=name
            )
        if bad := int((~np.isfinite(array)).sum()):
            raise CheckpointError(label, f"{bad:,} of {array.size:,} values are NaN or infinite", key=name)
