"""The rate of a device's matrix products, measured by a short one, and by which a training's use of it is told."""

import time
from functools import partial

import torch

from vivit.device.clock import measure_seconds

SIDES = {"cuda": 4096, "cpu": 1024}
"""Rows and columns of the matrices, by the type of device."""
SECONDS = {"cuda": 0.2, "cpu": 0.1}
"""Time after which no further product is made."""
AT_ONCE = {"cuda": 10}
"""Products that are timed together."""
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
        at_once = AT_ONCE.get(device.type, 1)
        if device.type == "cuda":
            multiply(a, b, at_once)  # the first ones load their kernel and raise the clock
        end = time.perf_counter() + SECONDS.get(device.type, SECONDS["cpu"])
        while not times or time.perf_counter() < end:
            times.append(measure_seconds(partial(multiply, a, b, at_once), device) / at_once)
    return side**3 / min(times)


def multiply(a: torch.Tensor, b: torch.Tensor, number: int) -> None:
    """Multiply two matrices so often."""
    for _ in range(number):
        a @ b


def matrix_dtype(precision: str) -> torch.dtype:
    """Return the number format of the products of a training, by Lightning's name of its precision."""
    return torch.bfloat16 if precision.startswith("bf16") else torch.half if precision[:2] == "16" else torch.float32


def flops_of_training(gmac: float) -> float:
    """Return the FLOPs by which a clip is trained, of 10^9 multiply-adds of its forward pass; each of them is two."""
    return 2e9 * gmac * (1 + BACKWARD)
