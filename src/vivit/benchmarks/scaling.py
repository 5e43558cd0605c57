"""How time and memory of a training step grow with frames and with resolution, beside what the arithmetic says."""

import logging
import time
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

from vivit.benchmarks.memory import peak_mb
from vivit.benchmarks.model import Case
from vivit.benchmarks.step import NETWORKS, SIZES, check_names, network
from vivit.models.attention_kernels import softmax_attention
from vivit.models.flops import count_flops
from vivit.training.malloc import disable_malloc_trim

log = logging.getLogger(__name__)

MARKERS = "osD^v"


@dataclass(frozen=True, slots=True)
class Point:
    """One clip's size and what a training step on it took; ``gmac`` and ``tokens`` say what it should."""

    value: int
    tokens: int
    gmac: float
    seconds: float
    memory_mb: float
    """Kept by the forward pass for the backward pass."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of one model along one axis."""

    model: str
    axis: str
    points: Sequence[Point]

    def exponent(self, of: str) -> float:
        """Slope of the line through the points, both axes in logarithms: 2 is growth with the square."""
        x, y = (np.log([getattr(point, name) for point in self.points]) for name in ("value", of))
        return float(np.polyfit(x, y, 1)[0])

    def row(self) -> dict[str, Any]:
        """Say it in the words of the table. Memory should grow as the tokens do: no attention weights are kept."""
        names = {"time": "seconds", "time_expected": "gmac", "memory": "memory_mb", "memory_expected": "tokens"}
        range_ = f"{self.points[0].value} to {self.points[-1].value}"
        exponents = {name: self.exponent(of) for name, of in names.items()}
        points = [{name: getattr(point, name) for name in Point.__slots__} for point in self.points]
        return {"case": self.model, "over": self.axis, "range": range_} | exponents | {"points": points}


def scaling_rows(
    *,
    models: Sequence[str],
    size: str,
    frames: Sequence[int],
    sides: Sequence[int],
    at_side: int,
    at_frames: int,
    tokens: Sequence[int],
    repeats: int,
    picture: str,
) -> list[dict[str, Any]]:
    """Fit how forward and backward pass of one clip grow on the CPU, in float32: medians of ``repeats``.

    Over ``frames`` pictures have a side of ``at_side`` pixels; over ``sides`` clips have ``at_frames`` frames. The last
    curve is Model 1's attention alone, over sequences of so many ``tokens``. ``picture`` is the PNG file of all curves.
    """
    check_names("models", models, NETWORKS)
    check_names("size", [size], SIZES)
    if min(len(frames), len(sides), len(tokens)) < 2:
        raise ValueError("bench.frames, bench.sides and bench.tokens must name two values or more: one shows no growth")
    disable_malloc_trim()
    axes = {"frames": [(n, n, at_side) for n in frames], "side": [(n, at_frames, n) for n in sides]}
    curves = [
        Curve(model, axis, [_step(model, size, value, n, side, repeats) for value, n, side in clips])
        for axis, clips in axes.items()
        for model in models
    ]
    curves.append(Curve("attention of Model 1", "tokens", [_attention(size, n, repeats) for n in tokens]))
    _draw(curves).savefig(Path(picture), dpi=150)
    return [curve.row() for curve in curves]


def _step(model: str, size: str, value: int, frames: int, side: int, repeats: int) -> Point:
    log.info("%s: %d frames of %d pixels", model, frames, side)
    case = Case(model, NETWORKS[model], SIZES[size], None, None, frames, side)
    net = network(case)
    gmac = count_flops(net, frames=frames, height=side, width=side, all_tokens=False).gmac
    clip = torch.rand(1, 3, frames, side, side) * 2 - 1
    answer = torch.zeros(1, dtype=torch.long)
    seconds, memory = _measure(lambda: F.cross_entropy(net(clip), answer), repeats, partial(net.zero_grad, False))
    return Point(value, frames // 2 * (side // case.size.patch) ** 2, gmac, seconds, memory)


def _attention(size: str, tokens: int, repeats: int) -> Point:
    heads, width = SIZES[size].heads, SIZES[size].dim // SIZES[size].heads
    query, key, value = (torch.randn(1, heads, tokens, width, requires_grad=True) for _ in range(3))
    gmac = 2 * heads * tokens**2 * width / 1e9
    seconds, memory = _measure(lambda: softmax_attention(query, key, value).sum(), repeats, lambda: None)
    return Point(tokens, tokens, gmac, seconds, memory)


def _measure(loss: Callable[[], Tensor], repeats: int, after: Callable[[], object]) -> tuple[float, float]:
    """Median of seconds of both passes, and of megabytes that stand between them; one more run goes unmeasured.

    Gradients stay where they are, as between accumulated batches: fresh memory for them costs the same at any length.
    """
    seconds, memory = [], []
    for _ in range(repeats + 1):
        with peak_mb() as peak:
            start = time.perf_counter()
            found = loss()
            forward = time.perf_counter() - start
        start = time.perf_counter()
        found.backward()
        seconds.append(forward + time.perf_counter() - start)
        memory.append(peak[0])
        after()
    return median(seconds[1:]), median(memory[1:])


def _draw(curves: Sequence[Curve]) -> Figure:
    """Time above, memory below, one column an axis; broken lines have the expected slope through the last point."""
    axes = list(dict.fromkeys(curve.axis for curve in curves))
    figure = Figure(figsize=(4.2 * len(axes), 7), layout="constrained")
    grid = figure.subplots(2, len(axes), sharex="col", squeeze=False)
    labels = {"frames": "frames", "side": "pixels a side", "tokens": "tokens"}
    measures = (("seconds", "gmac", "seconds a clip"), ("memory_mb", "tokens", "megabytes kept for the way back"))
    for row, (measured, expected, label) in zip(grid, measures, strict=True):
        for plot, axis in zip(row, axes, strict=True):
            for curve, marker in zip((curve for curve in curves if curve.axis == axis), MARKERS, strict=False):
                x, y, should = ([getattr(p, name) for p in curve.points] for name in ("value", measured, expected))
                exponents = f"{curve.exponent(measured):.2f} ({curve.exponent(expected):.2f})"
                (line,) = plot.loglog(x, y, marker, label=f"{curve.model.replace('_', ' ')}: {exponents}")
                plot.loglog(x, np.array(should) * y[-1] / should[-1], "--", color=line.get_color(), lw=1)
            plot.set_xticks(x, [str(value) for value in x], minor=False)
            plot.minorticks_off()
            plot.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            plot.yaxis.set_major_formatter("{x:g}")
            plot.grid(alpha=0.25)
            plot.legend(fontsize=7.5, title="exponent (expected)", title_fontsize=7.5)
            plot.set_xlabel(labels[axis])
        row[0].set_ylabel(label)
    return figure
