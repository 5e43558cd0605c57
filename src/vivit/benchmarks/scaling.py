"""Growth of the time and memory of a training step with frames and resolution, beside that of its FLOPs."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from torch import Tensor

from vivit.benchmarks.checks import check_list, check_name, check_names, check_positive
from vivit.benchmarks.device import choose_device, device_name, measure_peak_mb
from vivit.benchmarks.model import SIZES, ModelSpec
from vivit.benchmarks.step import NETWORKS, random_network
from vivit.device.clock import measure_seconds
from vivit.device.malloc import disable_malloc_trim
from vivit.errors import ConfigError
from vivit.models import read_size
from vivit.models.attention_kernels import softmax_attention
from vivit.models.flops import count_flops

log = logging.getLogger(__name__)

MARKERS = "osD^v"


@dataclass(frozen=True, slots=True)
class Point:
    """The size of a clip and what a training step on it takes; ``gmac`` and ``tokens`` are what it should grow with."""

    value: int
    tokens: int
    gmac: float
    seconds: float
    memory_mb: float
    """Stored by the forward pass for the backward pass."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Measurements of one model along one axis: frames, side or tokens."""

    model: str
    axis: str
    points: Sequence[Point]

    def exponent(self, quantity: str) -> float:
        """Return the slope of the line through the points in a log-log plot: 2 is quadratic growth."""
        x, y = (np.log([getattr(point, name) for point in self.points]) for name in ("value", quantity))
        return float(np.polyfit(x, y, 1)[0])

    def row(self) -> dict[str, Any]:
        """Return the table's row. Memory should grow with the tokens, as attention weights are not stored."""
        columns = {"time": "seconds", "time_expected": "gmac", "memory": "memory_mb", "memory_expected": "tokens"}
        limits = f"{self.points[0].value} to {self.points[-1].value}"
        exponents = {column: self.exponent(quantity) for column, quantity in columns.items()}
        points = [{name: getattr(point, name) for name in Point.__slots__} for point in self.points]
        return {"case": self.model, "over": self.axis, "range": limits} | exponents | {"points": points}


def scaling_rows(
    *,
    models: Sequence[str],
    size: str,
    frames: Sequence[int],
    image_sizes: Sequence[int],
    fixed_image_size: int,
    fixed_num_frames: int,
    tokens: Sequence[int],
    repeats: int,
    picture: str,
    device: str = "auto",
) -> list[dict[str, Any]]:
    """Fit the growth of forward and backward pass of one clip on a device in float32, from medians of ``repeats``.

    Clips of different ``frames`` have a side of ``fixed_image_size`` pixels; those of different ``image_sizes`` have
    ``fixed_num_frames`` frames. The last curve is Model 1's attention alone, over sequences of so many ``tokens``. All
    curves are plotted to ``picture``, a PNG file. Raises ConfigError for unknown names, counts below 1, and an axis
    with less than two values.
    """
    check_names("models", models, NETWORKS)
    check_name("size", size, SIZES)
    check_positive(repeats=repeats, fixed_image_size=fixed_image_size, fixed_num_frames=fixed_num_frames)
    for key, values in {"frames": frames, "image_sizes": image_sizes, "tokens": tokens}.items():
        check_list(key, values)
        if len(values) < 2:
            raise ConfigError(f"bench.{key}", list(values), "one value shows no growth", "set two values or more")
    disable_malloc_trim()
    place = choose_device(device)
    axes = {
        "frames": [(n, n, fixed_image_size) for n in frames],
        "side": [(n, fixed_num_frames, n) for n in image_sizes],
    }
    curves = [
        Curve(model, axis, [_time_step(model, size, *clip, repeats, place) for clip in clips])
        for axis, clips in axes.items()
        for model in models
    ]
    curves.append(Curve("attention of Model 1", "tokens", [_time_attention(size, n, repeats, place) for n in tokens]))
    _plot(curves).savefig(Path(picture), dpi=150)
    return [curve.row() | {"device": device_name(place)} for curve in curves]


def _time_step(model: str, size: str, value: int, frames: int, side: int, repeats: int, device: torch.device) -> Point:
    log.info("%s: %d frames of %d pixels", model, frames, side)
    net = random_network(ModelSpec(model, NETWORKS[model], size, None, None, frames, side))
    gmac = count_flops(net, frames=frames, height=side, width=side, all_tokens=False).gmac
    net, clip = net.to(device), (torch.rand(1, 3, frames, side, side) * 2 - 1).to(device)
    label, reset = torch.zeros(1, dtype=torch.long, device=device), partial(net.zero_grad, False)
    seconds, memory = _measure(lambda: F.cross_entropy(net(clip), label), repeats, reset, device)
    return Point(value, frames // 2 * (side // read_size(size).patch) ** 2, gmac, seconds, memory)


def _time_attention(size: str, tokens: int, repeats: int, device: torch.device) -> Point:
    heads, width = read_size(size).num_heads, read_size(size).dim // read_size(size).num_heads
    query, key, value = (torch.randn(1, heads, tokens, width).to(device).requires_grad_() for _ in range(3))
    gmac = 2 * heads * tokens**2 * width / 1e9
    seconds, memory = _measure(lambda: softmax_attention(query, key, value).sum(), repeats, lambda: None, device)
    return Point(tokens, tokens, gmac, seconds, memory)


def _measure(
    compute_loss: Callable[[], Tensor], repeats: int, reset: Callable[[], object], device: torch.device
) -> tuple[float, float]:
    """Return the median seconds of both passes and the median megabytes between them; a first run does not count.

    Gradients stay allocated, as between accumulated batches: new memory for them costs the same at any length.
    """
    seconds, memory, loss = [], [], torch.zeros(())

    def forward() -> None:
        nonlocal loss
        loss = compute_loss()

    for _ in range(repeats + 1):
        with measure_peak_mb(device) as peak:
            of_forward = measure_seconds(forward, device)
        seconds.append(of_forward + measure_seconds(loss.backward, device))
        memory.append(peak[0])
        reset()
    return median(seconds[1:]), median(memory[1:])


def _plot(curves: Sequence[Curve]) -> Figure:
    """Plot time above memory, one column an axis; dashed lines have the expected slope through the last point."""
    axes = list(dict.fromkeys(curve.axis for curve in curves))
    figure = Figure(figsize=(4.2 * len(axes), 7), layout="constrained")
    grid = figure.subplots(2, len(axes), sharex="col", squeeze=False)
    labels = {"frames": "frames", "side": "pixels a side", "tokens": "tokens"}
    measures = (("seconds", "gmac", "seconds a clip"), ("memory_mb", "tokens", "megabytes stored for backward"))
    for row, (measured, expected, label) in zip(grid, measures, strict=True):
        for plot, axis in zip(row, axes, strict=True):
            for curve, marker in zip((curve for curve in curves if curve.axis == axis), MARKERS, strict=False):
                x, y, target = ([getattr(p, name) for p in curve.points] for name in ("value", measured, expected))
                exponents = f"{curve.exponent(measured):.2f} ({curve.exponent(expected):.2f})"
                (line,) = plot.loglog(x, y, marker, label=f"{curve.model.replace('_', ' ')}: {exponents}")
                plot.loglog(x, np.array(target) * y[-1] / target[-1], "--", color=line.get_color(), lw=1)
            plot.set_xticks(x, [str(value) for value in x], minor=False)
            plot.minorticks_off()
            plot.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            plot.yaxis.set_major_formatter("{x:g}")
            plot.grid(alpha=0.25)
            plot.legend(fontsize=7.5, title="exponent (expected)", title_fontsize=7.5)
            plot.set_xlabel(labels[axis])
        row[0].set_ylabel(label)
    return figure
