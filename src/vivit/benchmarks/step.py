"""Time of a forward pass and of a training step, beside transformers and the machine's own matrix product.

Contestants of one model take turns, so that a machine that is busy, or gets warm, slows all of them.
"""

import logging
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vivit.benchmarks.model import BASE, CASES, HUGE, LARGE, TINY, Case, build
from vivit.cost import cost
from vivit.weights import save_huggingface

log = logging.getLogger(__name__)

SIZES = {"tiny": TINY, "base": BASE, "large": LARGE, "huge": HUGE}
NETWORKS = {case.name.split()[0]: case.network for case in CASES}
AUTOCAST = {"fp32": None, "bf16": torch.bfloat16}
PASSES = {"forward": 1, "train": 3}
"""Multiply-adds of a phase, in forward passes: the backward pass is two products for each one of the forward pass."""
CLASSES = 400
SAME = 1e-3
"""Logits of two contestants with the same weights may differ by so much."""
MATRIX_SIDE = 1024


@dataclass(frozen=True)
class Contestant:
    """One implementation of a network: ``name`` is what the row says, ``logits`` what is timed."""

    name: str
    net: nn.Module
    logits: Callable[[Tensor], Tensor]
    seconds: dict[str, list[float]] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)


def step_rows(
    *, models: Sequence[str], size: str, precisions: Sequence[str], frames: int, side: int, repeats: int
) -> list[dict[str, Any]]:
    """Time one clip on the CPU: ``forward`` in evaluation; ``train``: forward, loss, backward, no optimiser.

    ``matrix_share`` is the rate of multiply-adds over that of a large matrix product of the same precision, measured
    before each model. ``peak_mb`` is the memory that a phase adds to the process at its highest, plus the weights.
    """
    for kind, names, known in (
        ("models", models, NETWORKS),
        ("precisions", precisions, AUTOCAST),
        ("size", [size], SIZES),
    ):
        if unknown := set(names) - set(known):
            raise ValueError(f"bench.{kind} names {', '.join(unknown)}, which is none of {', '.join(known)}")
    rates = {precision: matrix_rate(AUTOCAST[precision] or torch.float32) for precision in precisions}
    rows = []
    for model in models:
        case = Case(model, NETWORKS[model], SIZES[size], None, None, frames, side)
        contestants = _contestants(case)
        gmac = cost(contestants[0].net, frames=frames, height=side, width=side, whole=False).gmac
        clip = torch.rand(1, 3, frames, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
        _check_same(contestants, clip)
        for precision in precisions:
            _take_turns(contestants, clip, AUTOCAST[precision], repeats)
            for contestant, phase in product(contestants, PASSES):
                seconds = contestant.seconds[phase]
                rows.append(
                    {"name": contestant.name, "model": model, "size": size, "precision": precision, "phase": phase}
                    | {"seconds": median(seconds), "min": min(seconds), "max": max(seconds)}
                    | {"matrix_share": PASSES[phase] * gmac * 1e9 / median(seconds) / rates[precision]}
                    | {"peak_mb": contestant.peak_mb[phase]}
                )
    return rows


def matrix_rate(dtype: torch.dtype) -> float:
    """Multiply-adds a second of a square matrix product: the best of five, or of as many as take two seconds."""
    a, b = torch.rand(2, MATRIX_SIDE, MATRIX_SIDE).to(dtype)
    times: list[float] = []
    while len(times) < 5 and sum(times) < 2:
        start = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - start)
    return MATRIX_SIDE**3 / min(times)


def _contestants(case: Case) -> list[Contestant]:
    """Build ours and, for Model 1, transformers' with the same weights."""
    net = build(case)
    for name, parameter in net.named_parameters():
        if name.startswith("head."):  # it starts at zero, where every contestant would look the same
            nn.init.normal_(parameter, std=0.02)
    ours = Contestant("ours", net, net)
    return [ours, *_transformers(net)] if case.name == "spatiotemporal" else [ours]


def _transformers(net: nn.Module) -> list[Contestant]:
    try:
        from transformers import VivitForVideoClassification
    except ImportError:
        log.warning("transformers is not installed and left out: pip install -e '.[dev]'")
        return []
    with TemporaryDirectory() as folder:
        save_huggingface(net, Path(folder) / "model")
        peer = VivitForVideoClassification.from_pretrained(Path(folder) / "model")
    return [
        Contestant(
            "transformers", peer, lambda clip: peer(pixel_values=rearrange(clip, "b c f h w -> b f c h w")).logits
        )
    ]


def _check_same(contestants: Sequence[Contestant], clip: Tensor) -> None:
    """Run each once, which also warms it up, and refuse to compare what does not compute the same."""
    with torch.inference_mode():
        first, *others = (contestant.logits(clip) for contestant in contestants if contestant.net.eval())
    for contestant, logits in zip(contestants[1:], others, strict=True):
        if (difference := (logits - first).abs().max().item()) > SAME:
            raise RuntimeError(f"{contestant.name} differs from ours by {difference:.2g}; their times say nothing")


def _take_turns(contestants: Sequence[Contestant], clip: Tensor, autocast: torch.dtype | None, repeats: int) -> None:
    for contestant in contestants:
        contestant.seconds.update({phase: [] for phase in PASSES})
        contestant.peak_mb.update(dict.fromkeys(PASSES, 0.0))
    for _, phase, contestant in product(range(repeats), PASSES, contestants):
        weights = sum(parameter.nbytes for parameter in contestant.net.parameters()) / 1e6
        before = _memory_mb("VmRSS")
        _forget_peak()
        start = time.perf_counter()
        with torch.autocast("cpu", autocast, enabled=autocast is not None):
            _run(contestant, clip, phase)
        contestant.seconds[phase].append(time.perf_counter() - start)
        peak = _memory_mb("VmHWM") - before + weights
        contestant.peak_mb[phase] = max(contestant.peak_mb[phase], peak)
        contestant.net.zero_grad(set_to_none=True)


def _run(contestant: Contestant, clip: Tensor, phase: str) -> None:
    contestant.net.train(phase == "train")
    if phase == "forward":
        with torch.inference_mode():
            contestant.logits(clip)
        return
    F.cross_entropy(contestant.logits(clip).float(), torch.zeros(len(clip), dtype=torch.long)).backward()


def _memory_mb(key: str) -> float:
    """Ask Linux for the memory of this process, now (VmRSS) or at its highest (VmHWM); elsewhere only the latter."""
    status = Path("/proc/self/status")
    if status.is_file():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(key)) / 1e3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def _forget_peak() -> None:
    """Let Linux count the highest memory anew; where it does not, peaks of earlier phases count on."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return
