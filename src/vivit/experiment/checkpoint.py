"""What a checkpoint of ours tells beside its weights, read without trusting it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from hydra.utils import instantiate
from torch import nn


def checkpoint_file(path: str) -> Path:
    """Check that a checkpoint is there."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"ckpt_path={path} is not a file; checkpoints lie in <run folder>/checkpoints")
    return Path(path)


def read_record(file: Path) -> dict[str, Any]:
    """Read what a checkpoint tells of its network and data. Only our own classes may be named in it."""
    if not is_zipfile(file):
        raise ValueError(f"{file} is not a checkpoint of this repository: it is no file that torch.save writes")
    try:
        record = torch.load(file, map_location="cpu", weights_only=True, mmap=True)["vivit"]
    except Exception as error:
        raise ValueError(f"{file} is not a checkpoint of this repository ({type(error).__name__}: {error})") from None
    for target in targets_of(record):
        if not target.startswith("vivit."):
            raise ValueError(f"{file} asks for {target}; a checkpoint may only name classes of this repository")
    return record


def targets_of(node: Any) -> list[str]:
    """List every ``_target_`` in nested plain values."""
    if isinstance(node, Mapping):
        own = [str(node["_target_"])] if "_target_" in node else []
        return own + [target for value in node.values() for target in targets_of(value)]
    return [target for value in node for target in targets_of(value)] if isinstance(node, list) else []


def is_checkpoint(file: Path) -> bool:
    """Whether a file, of PyTorch or not, is a checkpoint of this repository, with a record."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception:
        return False
    return isinstance(content, Mapping) and "vivit" in content


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
