"""Read named tensors out of a file, whatever its format, and run nothing that the file says."""

import os
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from vivit.weights.published import check_weight_file
from vivit.weights.scenic import read_parameters

Source = str | os.PathLike[str] | Mapping[str, Any]
WRAPPERS = ("state_dict", "model")
"""Keys under which a pickle keeps its tensors where it holds more than them."""
NUMBERS = (torch.float32, torch.float16, torch.bfloat16)
"""What float32 holds without loss."""


@dataclass(frozen=True, slots=True)
class NamedTensors:
    """Tensors on the CPU by the names that their source gives them, of the dtypes that they have there."""

    label: str
    tensors: Mapping[str, Tensor]
    ignored: Mapping[str, str] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)
    """What a checkpoint of ours tells of its network and clips; empty for all others."""
    called: Mapping[str, str] = field(default_factory=dict)
    """What the file calls tensors that go by another name here."""


def read_tensors(source: Source) -> NamedTensors:
    """Read ``.npz``, ``.safetensors``, ``.pt``, ``.pth``, ``.bin``, ``.ckpt`` or, without a suffix, a flax checkpoint.

    A flat mapping of names to arrays or tensors is taken as it is. Raises ValueError, naming the file, for what cannot
    be read, for tensors that claim more than the file holds, and for a pickle that holds more than tensors and plain
    values: nothing of it is run.
    """
    if isinstance(source, Mapping):
        return NamedTensors("the given tensors", _tensors(source, "the given tensors"))
    path = check_weight_file(source)
    if path.suffix not in READERS:
        raise ValueError(f"{path} ends in none of {', '.join(filter(None, READERS))}, nor is it without a suffix")
    content, ignored, record = READERS[path.suffix](path)
    return NamedTensors(str(path), _tensors(content, str(path)), ignored, record)


def check_parameter(name: str, tensor: Tensor) -> None:
    """Raise ValueError unless a tensor is one that a parameter can be: of numbers that float32 holds, and not empty."""
    if tensor.dtype not in NUMBERS or not tensor.numel():
        raise ValueError(
            f"{name!r} is {tensor.dtype} of the shape {tuple(tensor.shape)}; parameters are float32, float16 or "
            "bfloat16, and not empty"
        )


Read = tuple[Mapping[Any, Any], Mapping[str, str], Mapping[str, Any]]


def _npz(path: Path) -> Read:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays), {}, {}
    except Exception as error:
        raise ValueError(f"{path} is not a readable .npz of plain arrays: {error}") from None


def _safetensors(path: Path) -> Read:
    try:
        return load_file(path), {}, {}
    except Exception as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from None


def _pickle(path: Path) -> Read:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        why = (
            f"asks for {asked[1]}, so it was refused and nothing of it was run: only tensors and plain values are "
            "opened. Ask for a safetensors file, or save its state_dict alone"
            if asked
            else "is not a readable PyTorch file: it is damaged, or of another kind"
        )
        raise ValueError(f"{path} {why}") from None
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} holds an object of type {type(content).__name__}, not tensors by name")
    record = content.get("vivit", {})
    inside = next((key for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
    tensors = content if inside is None else content[inside]
    _check_size(path, tensors)
    if inside is None:
        return tensors, {}, {}
    others = {str(name): "not a parameter" for name in content if name != inside}
    return tensors, others, record if isinstance(record, Mapping) else {}


def _check_size(path: Path, tensors: Mapping[Any, Any]) -> None:
    """Refuse what would fill memory when it is copied: one number in the file may stand for any number of them."""
    claimed = sum(each.numel() * each.element_size() for each in tensors.values() if isinstance(each, Tensor))
    if claimed > path.stat().st_size:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes, but its tensors claim to have {claimed:,}")


def _flax(path: Path) -> Read:
    _, arrays, skipped = read_parameters(path)
    return arrays, dict.fromkeys(skipped, "not a parameter"), {}


READERS: Mapping[str, Callable[[Path], Read]] = {
    ".npz": _npz,
    ".safetensors": _safetensors,
    **dict.fromkeys((".pt", ".pth", ".bin", ".ckpt"), _pickle),
    **dict.fromkeys(("", ".msgpack"), _flax),
}


def _tensors(values: Mapping[Any, Any], label: str) -> dict[str, Tensor]:
    tensors = {}
    for name, value in values.items():
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
            value = torch.from_numpy(np.array(value, value.dtype.newbyteorder("=")))
        if not isinstance(name, str) or not isinstance(value, Tensor) or value.layout != torch.strided:
            kind = type(value).__name__
            raise ValueError(f"{label}: {name!r:.80} is of type {kind}, and a tensor of numbers with a name is wanted")
        tensors[name] = value.detach().cpu()
    return tensors
