"""Read named tensors out of a file, whatever its format, and run nothing that the file says."""

import os
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from vivit.weights.published import check_weight_file
from vivit.weights.scenic import read_parameters
from vivit.weights.wrapped import chosen_set, unwrapped

Source = str | os.PathLike[str] | Mapping[str, Any]
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
    notes: tuple[str, ...] = ()
    """What is to be said of how they were found in the file."""


class Content(NamedTuple):
    """What is in a file."""

    tensors: Mapping[Any, Any]
    ignored: Mapping[str, str] = {}
    record: Mapping[str, Any] = {}
    notes: tuple[str, ...] = ()


def read_tensors(source: Source, key: str | None = None) -> NamedTensors:
    """Read ``.npz``, ``.safetensors``, ``.pt``, ``.pth``, ``.bin``, ``.ckpt`` or, without a suffix, a flax checkpoint.

    A flat mapping of names to arrays or tensors is taken as it is. ``key`` names one of several sets of weights in a
    PyTorch file, such as ``state_dict_ema``. Prefixes that wrappers put before names (``module.``) are left out.

    Raises ValueError, naming the file, for what cannot be read, for tensors that claim more than the file holds, and
    for a pickle that holds more than tensors and plain values: nothing of it is run.
    """
    if isinstance(source, Mapping):
        label, content = "the given tensors", Content(source)
        if key is not None:
            raise ValueError(f"weights.key={key} names a set of weights in a file, and {label} are one")
    else:
        path = check_weight_file(source)
        label = str(path)
        if path.suffix not in READERS:
            raise ValueError(f"{path} ends in none of {', '.join(filter(None, READERS))}, nor is it without a suffix")
        if READERS[path.suffix] is not _pickle and key is not None:
            raise ValueError(f"{path}: weights.key={key} names a set of weights in a PyTorch file, and this is another")
        content = READERS[path.suffix](path, key)
    tensors = _tensors(content.tensors, label)
    try:
        called, said = unwrapped(tensors)
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from None
    tensors, called = ({new: tensors[name] for new, name in called.items()}, called) if said else (tensors, {})
    return NamedTensors(label, tensors, content.ignored, content.record, called, (*content.notes, *said))


def check_parameter(name: str, tensor: Tensor) -> None:
    """Raise ValueError unless a tensor is one that a parameter can be: of finite numbers that float32 holds, some."""
    if tensor.dtype not in NUMBERS or not tensor.numel():
        raise ValueError(
            f"{name!r} is {tensor.dtype} of the shape {tuple(tensor.shape)}; parameters are float32, float16 or "
            "bfloat16, and not empty"
        )
    check_finite(name, tensor)


def check_finite(name: str, tensor: Tensor) -> None:
    """Raise ValueError for a tensor with values that are infinite or not numbers."""
    if not tensor.is_floating_point() or bool(tensor.isfinite().all()):
        return
    bad = int((~tensor.isfinite()).sum())
    raise ValueError(f"{name!r} has {bad:,} of {tensor.numel():,} values that are NaN or infinite")


def _npz(path: Path, key: None = None) -> Content:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return Content(dict(arrays))
    except Exception as error:
        raise ValueError(f"{path} is not a readable .npz of plain arrays: {error}") from None


def _safetensors(path: Path, key: None = None) -> Content:
    try:
        return Content(load_file(path))
    except Exception as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from None


def _pickle(path: Path, key: str | None = None) -> Content:
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
    try:
        inside, said = chosen_set(content, key)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    tensors = content if inside is None else content[inside]
    _check_size(path, tensors)
    if inside is None:
        return Content(tensors)
    others = {str(name): "not a parameter" for name in content if name != inside}
    return Content(tensors, others, record if isinstance(record, Mapping) else {}, said)


def _check_size(path: Path, tensors: Mapping[Any, Any]) -> None:
    """Refuse what would fill memory when it is copied: one number in the file may stand for any number of them."""
    claimed = sum(each.numel() * each.element_size() for each in tensors.values() if isinstance(each, Tensor))
    if claimed > path.stat().st_size:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes, but its tensors claim to have {claimed:,}")


def _flax(path: Path, key: None = None) -> Content:
    _, arrays, skipped = read_parameters(path)
    return Content(arrays, dict.fromkeys(skipped, "not a parameter"))


READERS: Mapping[str, Callable[[Path, Any], Content]] = {
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
