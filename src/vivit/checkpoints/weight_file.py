"""Read named tensors out of a file, whatever its format; nothing in a file is executed.

Also what other projects put around the names of their weights: several sets in one file, and prefixes of wrappers.
"""

import os
import re
import zipfile
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from vivit.checkpoints.formats.flax_msgpack import read_parameters
from vivit.checkpoints.model_zoo import resolve_weight_file
from vivit.errors import CheckpointError, ConfigError

Source = str | os.PathLike[str] | Mapping[str, Any]
SETS = ("state_dict", "model", "state_dict_ema", "model_ema", "ema")
"""Keys of the weights in a pickle that holds more than them; the first that exists is read."""
PREFIXES = ("module.", "_orig_mod.", "model.")
"""Prefixes of all names from DistributedDataParallel, torch.compile, and modules around a network."""


@dataclass(frozen=True, slots=True)
class NamedTensors:
    """Tensors on the CPU by their names in the source, with the dtypes that they have there."""

    label: str
    tensors: Mapping[str, Tensor]
    ignored: Mapping[str, str] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)
    """What a checkpoint of this repository stores about its network and clips; empty for all others."""
    source_names: Mapping[str, str] = field(default_factory=dict)
    """Names in the file of tensors that have another name here."""
    notes: tuple[str, ...] = ()
    """How the tensors were selected in the file."""


class FileContent(NamedTuple):
    """Tensors of a file, names that were ignored, the record of a checkpoint of this repository, and notes."""

    tensors: Mapping[Any, Any]
    ignored: Mapping[str, str] = {}
    record: Mapping[str, Any] = {}
    notes: tuple[str, ...] = ()


def read_tensors(source: Source, key: str | None = None) -> NamedTensors:
    """Read ``.npz``, ``.safetensors``, ``.pt``, ``.pth``, ``.bin``, ``.ckpt`` or, without a suffix, a flax checkpoint.

    A flat mapping of names to arrays or tensors is taken as it is. ``key`` selects one of several sets of weights in a
    PyTorch file, such as ``state_dict_ema``. Prefixes of wrappers (``module.``) are removed from the names.

    Raises CheckpointError for what cannot be read, for tensors that claim more than the file holds, and for a pickle
    that holds more than tensors and plain values: nothing of it is executed. Raises ConfigError for a missing file, and
    for a ``key`` that does not exist.
    """
    if isinstance(source, Mapping):
        label, content = "the tensors", FileContent(source)
        if key is not None:
            raise ConfigError("weights.key", key, "the source is one set of weights, not a file", "leave it out")
    else:
        path = resolve_weight_file(source)
        label = str(path)
        if path.suffix not in READERS:
            suffixes = ", ".join(filter(None, READERS))
            raise CheckpointError(path, f"no format has the suffix {path.suffix!r}", f"use {suffixes}, or none (flax)")
        if READERS[path.suffix] is not _read_pickle and key is not None:
            raise ConfigError("weights.key", key, f"{path} is no PyTorch file with several sets", "leave it out")
        content = READERS[path.suffix](path, key)
    tensors = _numeric_tensors(content.tensors, label)
    source_names, notes = remove_wrappers(tensors, label)
    if notes:
        tensors = {name: tensors[source_name] for name, source_name in source_names.items()}
    else:
        source_names = {}
    return NamedTensors(label, tensors, content.ignored, content.record, source_names, (*content.notes, *notes))


def read_names(path: Path) -> list[str]:
    """Return the names of the tensors in a file of PyTorch or safetensors, without most of the reading.

    Raises CheckpointError where it cannot be read.
    """
    if path.suffix != ".safetensors":
        return list(read_tensors(path).tensors)
    try:
        with safe_open(path, "pt") as file:
            return list(file.keys())
    except Exception as error:
        raise CheckpointError(path, f"not a readable safetensors file: {error}") from None


def select_weight_set(content: Mapping[Any, Any], key: str | None, file: object) -> tuple[str | None, tuple[str, ...]]:
    """Return the key of the set of weights to read from a file, and notes on the choice.

    None is the file itself. Raises ConfigError where ``key`` does not exist, or is needed.
    """
    sets = [str(name) for name, value in content.items() if isinstance(value, Mapping) and _has_tensors(value)]
    if key is not None and key not in sets:
        raise ConfigError(
            "weights.key", key, f"{file} has no such set of weights", f"set one of {', '.join(sets) or 'none'}"
        )
    selected = key or next((name for name in SETS if isinstance(content.get(name), Mapping)), None)
    if selected is None and not _has_tensors(content):
        if len(sets) > 1:
            raise ConfigError(
                "weights.key", None, f"{file} has several sets of weights", f"set one of {', '.join(sets)}"
            )
        selected = next(iter(sets), None)
    others = [name for name in sets if name != selected]
    if selected is None or not (key or others or selected not in SETS[:2]):
        return selected, ()
    alternatives = f"; weights.key selects another: {', '.join(others)}" if others else ""
    return selected, (f"of the file the weights under {selected!r} were read{alternatives}",)


def remove_wrappers(names: Mapping[str, Tensor], file: object) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return a map from names without prefixes of wrappers to those in the source, and notes on what was removed.

    Raises CheckpointError where two names become one.
    """
    counters = [name for name, tensor in names.items() if not (tensor.ndim or "." in name or "/" in name)]
    mapping = {name: name for name in names if name not in counters or len(counters) == len(names)}
    prefixes = ""
    while prefix := next((each for each in PREFIXES if mapping and all(new.startswith(each) for new in mapping)), None):
        mapping = {new.removeprefix(prefix): name for new, name in mapping.items()}
        prefixes += prefix
    bare: dict[str, str] = {}
    for new, name in mapping.items():
        short = re.sub(r"(^|\.)_orig_mod\.", r"\1", new)  # where single blocks were compiled
        if short in bare:
            raise CheckpointError(
                file, f"{bare[short]!r} and {name!r} are both {short!r} without the prefixes of wrappers", key=name
            )
        bare[short] = name
    within = any("_orig_mod." in new for new in mapping)
    notes = [f"all names begin with {prefixes!r}, which was removed"] if prefixes else []
    notes += [f"{', '.join(counters)} belong to no layer and were ignored"] if counters else []
    notes += ["names contain '_orig_mod.', which was removed"] if within else []
    return bare, tuple(notes)


def _has_tensors(content: Mapping[Any, Any]) -> bool:
    return any(isinstance(value, Tensor) for value in content.values())


def _read_npz(path: Path, key: None = None) -> FileContent:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return FileContent(dict(arrays))
    except Exception as error:
        raise CheckpointError(path, f"not a readable .npz of plain arrays: {error}") from None


def _read_safetensors(path: Path, key: None = None) -> FileContent:
    try:
        return FileContent(load_file(path))
    except Exception as error:
        raise CheckpointError(path, f"not a readable safetensors file: {error}") from None


def _read_pickle(path: Path, key: str | None = None) -> FileContent:
    try:
        with torch.serialization.safe_globals([Namespace]):  # of plain values: the arguments of many training scripts
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:
        if not (code := re.search(r"GLOBAL (\S+)", str(error))):
            raise CheckpointError(path, "not a readable PyTorch file: it is damaged, or of another kind") from None
        raise CheckpointError(
            path,
            f"it asks for {code[1]}, so it was refused and nothing of it was executed: only tensors and plain values "
            "are read",
            "use a safetensors file, or save its state_dict alone",
        ) from None
    if not isinstance(content, Mapping):
        raise CheckpointError(path, f"holds an object of type {type(content).__name__}, not tensors by name")
    record = content.get("vivit", {})
    selected, notes = select_weight_set(content, key, path)
    tensors = content if selected is None else content[selected]
    _check_size(path, tensors)
    if selected is None:
        return FileContent(tensors)
    others = {str(name): "not a parameter" for name in content if name != selected}
    return FileContent(tensors, others, record if isinstance(record, Mapping) else {}, notes)


def _check_size(path: Path, tensors: Mapping[Any, Any]) -> None:
    """Refuse what would fill memory when it is copied: one number in the file may stand for any number of them."""
    claimed = sum(each.numel() * each.element_size() for each in tensors.values() if isinstance(each, Tensor))
    if claimed > path.stat().st_size:
        raise CheckpointError(path, f"it has {path.stat().st_size:,} bytes, but its tensors claim {claimed:,}")


def _read_flax(path: Path, key: None = None) -> FileContent:
    _, arrays, ignored = read_parameters(path)
    return FileContent(arrays, dict.fromkeys(ignored, "not a parameter"))


READERS: Mapping[str, Callable[[Path, Any], FileContent]] = {
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
    **dict.fromkeys((".pt", ".pth", ".bin", ".ckpt"), _read_pickle),
    **dict.fromkeys(("", ".msgpack"), _read_flax),
}


def _numeric_tensors(values: Mapping[Any, Any], label: str) -> dict[str, Tensor]:
    tensors = {}
    for name, value in values.items():
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
            value = torch.from_numpy(np.array(value, value.dtype.newbyteorder("=")))
        if not isinstance(name, str) or not isinstance(value, Tensor) or value.layout != torch.strided:
            raise CheckpointError(label, f"expected a numeric tensor, got {type(value).__name__}", key=f"{name!r:.80}")
        tensors[name] = value.detach().cpu()
    return tensors
