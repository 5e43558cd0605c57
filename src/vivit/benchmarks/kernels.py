"""Every kernel of attention at every shape that a network has, and how far the rule's choice is from the best."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vivit.benchmarks.checks import check_name, check_names, check_positive
from vivit.benchmarks.device import choose_device, device_name
from vivit.benchmarks.model import SIZES, ModelSpec, build_model
from vivit.benchmarks.step import AUTOCAST, NETWORKS
from vivit.device.clock import measure_seconds
from vivit.device.malloc import disable_malloc_trim
from vivit.models import attention_kernels
from vivit.models.attention_kernels import KERNELS, Kernel, select_kernel

log = logging.getLogger(__name__)

PHASES = ("forward", "train")
"""Without gradients, and with the way back."""


class Shape(NamedTuple):
    """The sizes of one call of attention."""

    sequences: int
    queries: int
    tokens: int
    heads: int
    head_width: int


def kernel_rows(
    *,
    models: Sequence[str],
    size: str,
    precisions: Sequence[str],
    frames: int,
    image_size: int,
    batch: int,
    repeats: int,
    device: str = "auto",
) -> list[dict[str, Any]]:
    """Return a row for each shape, precision and phase: the milliseconds of every kernel, and the rule's regret.

    Medians of ``repeats``, between which the kernels take turns; a first round does not count. ``regret`` is the time
    of the kernel that the rule selects over that of the fastest. Raises ConfigError for unknown names and counts below
    1.
    """
    check_names("models", models, NETWORKS)
    check_name("size", size, SIZES)
    check_names("precisions", precisions, AUTOCAST)
    check_positive(frames=frames, image_size=image_size, batch=batch, repeats=repeats)
    disable_malloc_trim()
    place = choose_device(device)
    users: dict[Shape, list[str]] = {}
    for model in models:
        for shape in attention_shapes(ModelSpec(model, NETWORKS[model], size, None, None, frames, image_size), batch):
            users.setdefault(shape, []).append(model)
    rows = []
    for shape, of_models in users.items():
        for precision in precisions:
            for phase in PHASES:
                log.info("%d sequences of %d tokens, %s, %s", shape.sequences, shape.tokens, precision, phase)
                times, chosen = _time_kernels(shape, AUTOCAST[precision] or torch.float32, phase, repeats, place)
                rows.append(
                    {"name": ", ".join(of_models)}
                    | shape._asdict()
                    | {"precision": precision, "phase": phase}
                    | {f"{name}_ms": 1e3 * seconds for name, seconds in times.items()}
                    | {"chosen": chosen, "regret": times[chosen] / min(times.values()), "device": device_name(place)}
                )
    return rows


def attention_shapes(spec: ModelSpec, batch: int) -> list[Shape]:
    """Return the different shapes of attention in a network's forward pass, in their order."""
    shapes: list[Shape] = []
    with torch.device("meta"):
        network = build_model(spec).eval()
        clip = torch.empty(batch, 3, spec.frames, spec.side, spec.side)
    with _recorded_shapes(shapes), torch.no_grad():
        network(clip)
    return list(dict.fromkeys(shapes))


@contextmanager
def _recorded_shapes(shapes: list[Shape]) -> Iterator[None]:
    """Append the shape of each call of attention."""

    def record(query: Tensor, key: Tensor, dropout: float) -> Kernel:
        (sequences, heads, queries, width), tokens = query.shape, key.shape[-2]
        shapes.append(Shape(sequences, queries, tokens, heads, width))
        return select_kernel(query, key, dropout)

    attention_kernels.select_kernel = record
    try:
        yield
    finally:
        attention_kernels.select_kernel = select_kernel


def _time_kernels(
    shape: Shape, dtype: torch.dtype, phase: str, repeats: int, device: torch.device
) -> tuple[dict[str, float], str]:
    """Return the median seconds of each kernel, and the name of the one that the rule selects."""
    with torch.set_grad_enabled(phase == "train"):
        heads = shape.heads, shape.head_width
        # as a network has them: views of what was projected, tokens before heads
        inputs = [
            torch.randn(shape.sequences, length, *heads)
            .to(device, dtype)
            .transpose(1, 2)
            .requires_grad_(phase == "train")
            for length in (shape.queries, shape.tokens, shape.tokens)
        ]
        weights = torch.randn(shape.sequences, shape.queries, *heads).to(device, dtype).transpose(1, 2)
        seconds: dict[str, list[float]] = {name: [] for name in KERNELS}
        for turn in range(repeats + 1):
            for name, kernel in KERNELS.items():
                took = measure_seconds(partial(_run, kernel, inputs, weights), device)
                if turn:
                    seconds[name].append(took)
        rule = select_kernel(inputs[0], inputs[1], 0.0)
    chosen = next(name for name, kernel in KERNELS.items() if kernel is rule)
    return {name: median(values) for name, values in seconds.items()}, chosen


def _run(kernel: Kernel, inputs: Sequence[Tensor], weights: Tensor) -> None:
    query, key, value = inputs
    out = kernel(query, key, value, 0.0)
    if out.requires_grad:
        torch.autograd.grad(out, inputs, weights)
