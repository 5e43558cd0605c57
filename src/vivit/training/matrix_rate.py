"""The rate of a device's matrix products, measured by a short one, and by which a training's use of it is told."""

import time

import torch

SIDES = {"cuda": 4096, "cpu": 1024}
"""Rows and columns of the matrices, by the type of device."""
SECONDS = {"cuda": 0.2, "cpu": 0.1}
"""Time after which no further product is made."""
AT_ONCE = 10
"""Products of a GPU that are timed together."""
BACKWARD = 2
"""Products of the backward pass for each of the forward pass."""


def measure_matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return multiply-adds a second of a square matrix product: the best of those made in a tenth or two of a second.

    Nothing random of this process is used, so that no run differs for it. Products of float32 are made as torch is set.
    """
    side = SIDES.get(device.type, SIDES["cpu"])
    numbers = torch.rand(2, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        a, b = numbers.to(device, dtype)
        times: list[float] = []
        if device.type == "cuda":
            _seconds_on_gpu(a, b, AT_ONCE)  # the first ones load their kernel and raise the clock
        end = time.perf_counter() + SECONDS.get(device.type, SECONDS["cpu"])
        while not times or time.perf_counter() < end:
            times.append(_seconds_on_gpu(a, b, AT_ONCE) if device.type == "cuda" else _seconds_on_cpu(a, b))
    return side**3 / min(times)


def _seconds_on_gpu(a: torch.Tensor, b: torch.Tensor, number: int) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(number):
        a @ b
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3 / number


def _seconds_on_cpu(a: torch.Tensor, b: torch.Tensor) -> float:
    begin = time.perf_counter()
    a @ b
    return time.perf_counter() - begin


def matrix_dtype(precision: str) -> torch.dtype:
    """Return the number format of the products of a training, by Lightning's name of its precision."""
    return torch.bfloat16 if precision.startswith("bf16") else torch.half if precision[:2] == "16" else torch.float32


def flops_of_training(gmac: float) -> float:
    """Return the FLOPs by which a clip is trained, of 10^9 multiply-adds of its forward pass; each of them is two."""
    return 2e9 * gmac * (1 + BACKWARD)
