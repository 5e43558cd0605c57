"""The time of what runs on a device: by the host's clock on a CPU, by its own on a GPU."""

import time
from collections.abc import Callable
from itertools import pairwise

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


class Marks:
    """Moments on a device between pieces of work that are queued without waits, on the clock of ``measure_seconds``."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._events: list[torch.cuda.Event] = []
        self._times: list[float] = []

    def add(self) -> None:
        """Record the moment at which the device has come this far."""
        if self._device.type != "cuda":
            self._times.append(time.perf_counter())
            return
        self._events.append(torch.cuda.Event(enable_timing=True))
        self._events[-1].record()

    def seconds(self) -> list[float]:
        """Wait for the device, and return the seconds from each moment to the next."""
        if self._device.type != "cuda":
            return [end - begin for begin, end in pairwise(self._times)]
        torch.cuda.synchronize(self._device)
        return [begin.elapsed_time(end) / 1e3 for begin, end in pairwise(self._events)]
