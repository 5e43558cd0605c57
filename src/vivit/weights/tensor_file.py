"""Read named tensors out of a file, whatever its format, and run nothing that the file says."""

import os
import pickle
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


@dataclass(frozen=True, slots=True)
class NamedTensors:
    """Tensors by the names that their source gives them; floating ones in float32."""

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
    be read, and for a pickle that holds more than tensors and plain values: nothing of it is run.
    """
    if isinstance(source, Mapping):
        return NamedTensors("the given tensors", _tensors(source, "the given tensors"))
    path = check_weight_file(source)
    if path.suffix not in READERS:
        raise ValueError(f"{path} ends in none of {', '.join(filter(None, READERS))}, nor is it without a suffix")
    tensors, ignored, record = READERS[path.suffix](path)
    return NamedTensors(str(path), _tensors(tensors, str(path)), ignored, record)


Read = tuple[Mapping[str, Any], Mapping[str, str], Mapping[str, Any]]


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
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        why = " ".join(str(error).split())
        raise ValueError(
            f"{path} is a pickle that needs more than tensors and plain values, or is damaged; it was refused and "
            f"nothing of it was run. Ask for a safetensors file, or save its state_dict alone. Torch says: {why:.300}"
        ) from None
    except Exception as error:
        raise ValueError(f"{path} is not a readable PyTorch file ({type(error).__name__}: {error})") from None
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} holds a {type(content).__name__}, not tensors by name")
    record = content.get("vivit", {})
    for key in WRAPPERS:
        if isinstance(content.get(key), Mapping):
            others = {str(name): "not a parameter" for name in content if name != key}
            return content[key], others, record if isinstance(record, Mapping) else {}
    return content, {}, {}


def _flax(path: Path) -> Read:
    _, arrays, skipped = read_parameters(path)
    return arrays, dict.fromkeys(skipped, "not a parameter"), {}


READERS: Mapping[str, Callable[[Path], Read]] = {
    ".npz": _npz,
    ".safetensors": _safetensors,
    **dict.fromkeys((".pt", ".pth", ".bin", ".ckpt"), _pickle),
    **dict.fromkeys(("", ".msgpack"), _flax),
}


def _tensors(values: Mapping[str, Any], label: str) -> dict[str, Tensor]:
    tensors = {}
    for name, value in values.items():
        if not isinstance(value, Tensor):
            array = np.asarray(value)
            if array.dtype.kind not in "biuf":
                raise ValueError(f"{label}: {name!r} is {array.dtype}, not an array of numbers")
            value = torch.from_numpy(np.array(array, array.dtype.newbyteorder("=")))
        tensors[name] = value.detach().cpu().float() if value.is_floating_point() else value.detach().cpu()
    return tensors
