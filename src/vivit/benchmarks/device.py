"""The device that is measured: its name and its memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vivit.device.malloc import peak_memory, reset_peak_memory, resident_memory
from vivit.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """Return the device of ``bench.device``; of ``auto`` a GPU where there is one. Raises ConfigError for another."""
    has_gpu = torch.cuda.is_available()
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError("bench.device", name, "is no device", "set auto, cpu or cuda")
    if name == "cuda" and not has_gpu:
        raise ConfigError("bench.device", name, "torch finds no GPU here", "set auto or cpu")
    return torch.device("cuda" if has_gpu and name != "cpu" else "cpu")


def device_name(device: torch.device) -> str:
    """Return what a table calls a device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@contextmanager
def measure_peak_mb(device: torch.device) -> Iterator[list[float]]:
    """Yield a list that contains, afterwards, how many megabytes the peak was above the memory in use before.

    Of a GPU's tensors, or of this process; where its peak cannot be reset (not Linux), it is that of all its time.
    """
    reset_peak_memory()
    before = torch.cuda.memory_allocated(device) if device.type == "cuda" else resident_memory()
    result: list[float] = []
    yield result
    result.append((peak_memory(device) - before) / 1e6)
