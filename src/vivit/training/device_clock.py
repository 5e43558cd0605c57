"""The time of what runs on a device: by the host's clock on a CPU, by its own on a GPU."""

import time
from collections.abc import Callable

import torch


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
