"""Read tensors by name out of a .safetensors file or a file of PyTorch, running nothing that such a file may name."""

import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

PYTORCH = (".bin", ".ckpt", ".pt", ".pth")
NESTED = ("state_dict", "model")
"""Where training programs put the weights in a file that holds more than these."""
NUMBERS = (torch.float32, torch.float16, torch.bfloat16)
"""What float32 holds without loss."""


def read_parameters(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read every tensor of the file, on the CPU and of the dtype that it has there: float32 or a half of it.

    Raises ValueError, naming the file, where it is of another kind, damaged, or holds or asks for anything but numbers.
    A pickle is read by PyTorch's restricted reader, which refuses to call what the file names.
    """
    file = Path(path)
    if file.is_dir():
        raise ValueError(f"{file} is a folder; say which file in it holds the weights")
    content = _safetensors(file) if file.suffix == ".safetensors" else _pytorch(file)
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise ValueError(f"{file}: {name!r:.80} is of type {type(tensor).__name__}, not a tensor")
        if tensor.layout != torch.strided or tensor.dtype not in NUMBERS or not tensor.numel():
            raise ValueError(
                f"{file}: {name!r} is {tensor.dtype} of the shape {tuple(tensor.shape)}; "
                "parameters are float32, float16 or bfloat16, and not empty"
            )
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in content.values())
    if claimed > file.stat().st_size:
        raise ValueError(f"{file} has {file.stat().st_size:,} bytes, but its tensors claim to have {claimed:,}")
    return {name: tensor.detach() for name, tensor in content.items()}


def _safetensors(file: Path) -> Mapping[Any, Any]:
    try:
        return load_file(file)
    except SafetensorError as error:
        raise ValueError(f"{file} is not a readable safetensors file: {error}") from None


def _pytorch(file: Path) -> Mapping[Any, Any]:
    if file.suffix not in PYTORCH:
        raise ValueError(f"{file} is of no kind that holds tensors: .safetensors, or PyTorch's {', '.join(PYTORCH)}")
    with file.open("rb"):
        pass  # a file that is absent or closed to us says so itself; whatever comes below is about what it holds
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except Exception as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        why = (
            f"it asks for {asked[1]}, and nothing but tensors is opened"
            if asked
            else "it is damaged, or of another kind"
        )
        raise ValueError(f"{file} is not a readable file of PyTorch tensors: {why}") from None
    for name in NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping):
        raise ValueError(f"{file} holds an object of type {type(content).__name__}, not tensors by name")
    return content
