"""What a checkpoint of ours tells beside its weights, read without trusting it."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from hydra.utils import instantiate
from torch import nn

from vivit.checkpoints.tensor_checks import check_finite

ROOMS = ("vivit.models", "vivit.data", "vivit.training.regularisation")
"""Where the classes are that a record may name: those of networks, of data sets, and of how clips are cut."""
POSITIONS = "vivit.models.pos_embed"
"""The one file whose functions it may name as well."""


def checkpoint_file(path: str) -> Path:
    """Check that a checkpoint is there."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"ckpt_path={path} is not a file; checkpoints lie in <run folder>/checkpoints")
    return Path(path)


def read_record(file: Path) -> dict[str, Any]:
    """Read what a checkpoint tells of its network and data: plain values, in which only ``ROOMS`` may be named."""
    if not is_zipfile(file):
        raise ValueError(f"{file} is not a checkpoint of this repository: it is no file that torch.save writes")
    try:
        record = dict(torch.load(file, map_location="cpu", weights_only=True, mmap=True)["vivit"])
    except Exception as error:
        raise ValueError(f"{file} is not a checkpoint of this repository ({type(error).__name__}: {error})") from None
    for part, values in record.items():
        if part != "heads":  # names of classes, of which nothing is built
            _check(values, file)
    return record


def _check(node: Any, file: Path) -> None:
    """Refuse whatever Hydra would make anything of but objects of our own from plain values."""
    if isinstance(node, Mapping):
        if "_target_" in node and not _may_be_named(node["_target_"]):
            raise ValueError(f"{file} asks for {node['_target_']}; a checkpoint may only name our models and data")
        node = list(node.values())
    if isinstance(node, list | tuple):
        for value in node:
            _check(value, file)
    elif isinstance(node, str) and "${" in node:
        raise ValueError(f"{file} asks for {node} to be worked out; a checkpoint may only tell plain values")
    elif not isinstance(node, str | int | float | None):
        raise ValueError(f"{file} tells a {type(node).__name__}; a checkpoint may only tell plain values")


def _may_be_named(target: Any) -> bool:
    """Whether a target is a module of ours and, in it, something that ``ROOMS`` define.

    The spelling alone says little, for Hydra goes on from a module to what that imports, and to methods.
    """
    module, _, name = target.rpartition(".") if isinstance(target, str) else ("", "", "")
    if not _is_room(module):
        return False
    try:
        found = getattr(import_module(module), name, None)
    except ImportError:
        return False
    home = getattr(found, "__module__", None)
    return isinstance(home, str) and (_is_room(home) if isinstance(found, type) else home == POSITIONS)


def _is_room(module: str) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in ROOMS)


def is_checkpoint(file: Path) -> bool:
    """Whether a file, of PyTorch or not, is a checkpoint of this repository, with a record."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception:
        return False
    return isinstance(content, Mapping) and "vivit" in content


def check_weights(network: nn.Module, file: Path) -> None:
    """Raise CheckpointError, with file and tensor, where a network of a file has values that are NaN or infinite."""
    for name, tensor in network.state_dict().items():
        check_finite(file, name, tensor, "nothing was written")


def read_network(file: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Build the network of a checkpoint, with its weights; and give the record."""
    record = read_record(checkpoint_file(str(file)))
    classes = sum(map(len, record["heads"].values()))
    network: nn.Module = instantiate(record["model"], classes=classes, _convert_="all")
    state = torch.load(file, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
    own = {name.removeprefix("network."): tensor for name, tensor in state.items() if name.startswith("network.")}
    try:
        network.load_state_dict(own)
    except RuntimeError as error:
        raise ValueError(f"{file} has other weights than its record says: {error}") from None
    return network, record
