"""The device that is measured: its clock, its memory, and the time of what runs on it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from vivit.errors import ConfigError
from vivit.training.malloc import peak_memory, reset_peak_memory, resident_memory


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


def measure_seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds that work takes on a device: by events of a GPU's own clock, which the host waits for."""
    if device.type != "cuda":
        start = time.perf_counter()
        work()
        return time.perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    begin.record()
    work()
    end.record()
    torch.cuda.synchronize(device)
    return begin.elapsed_time(end) / 1e3


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
