"""Time of a forward pass, a training step and the optimizer, beside other forms and the machine's own matrix product.

The forms of one model take turns, so that a machine that is busy, or gets warm, slows all of them.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vivit.benchmarks.forms import FORMS, Form, make_forms
from vivit.benchmarks.memory import peak_mb
from vivit.benchmarks.model import BASE, CASES, HUGE, LARGE, TINY, Case, build
from vivit.models.encoder import Encoder
from vivit.models.flops import count_flops
from vivit.training.malloc import disable_malloc_trim

log = logging.getLogger(__name__)

SIZES = {"tiny": TINY, "base": BASE, "large": LARGE, "huge": HUGE}
NETWORKS = {case.name.split()[0]: case.network for case in CASES}
AUTOCAST = {"fp32": None, "bf16": torch.bfloat16}
PASSES = {"forward": 1, "train": 3}
"""Multiply-adds of a phase, in forward passes: the backward pass is two products for each one of the forward pass."""
SAME = 1e-3
"""Logits of two forms with the same weights may differ by so much."""
MATRIX_SIDE = 1024


@dataclass
class Times:
    """What was measured of one form in one phase."""

    seconds: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)

    def row(self, batch: int) -> dict[str, float]:
        """Say it in the words of the table."""
        middle = median(self.seconds)
        return {
            "seconds": middle,
            "min": min(self.seconds),
            "max": max(self.seconds),
            "clips_per_second": batch / middle,
        }


def step_rows(
    *,
    models: Sequence[str],
    size: str,
    precisions: Sequence[str],
    forms: Sequence[str],
    frames: int,
    side: int,
    batch: int,
    stochastic_depth: float,
    repeats: int,
) -> list[dict[str, Any]]:
    """Time a batch on the CPU: ``forward`` in evaluation; ``train``: forward, loss, backward; ``optimizer``: its step.

    ``matrix_share`` is the rate of multiply-adds over that of a large matrix product of the same precision, the best of
    those between the turns of this model; what is skipped is not counted (stochastic depth: as if nothing were
    dropped). ``peak_mb`` is the memory that a phase adds to the process at its highest, plus the weights. The
    optimizer, SGD with momentum, has no products to share in.
    """
    check_names("models", models, NETWORKS)
    check_names("precisions", precisions, AUTOCAST)
    check_names("size", [size], SIZES)
    check_names("forms", forms, FORMS)
    disable_malloc_trim()
    rows = []
    for model in models:
        case = Case(model, NETWORKS[model], SIZES[size], None, None, frames, side)
        net = network(case, stochastic_depth)
        gmac = count_flops(net, frames=frames, height=side, width=side, all_tokens=False).gmac
        clips = torch.rand(batch, 3, frames, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
        for precision in precisions:
            log.info("%s, %s: %s", model, precision, ", ".join(forms))
            what = {"model": model, "size": size, "precision": precision}
            measured, best = take_turns(net, forms, clips, AUTOCAST[precision], repeats)
            for (name, phase), times in measured.items():
                row = times.row(batch)
                rate = PASSES.get(phase, 0) * gmac * 1e9 * row["clips_per_second"]
                row |= {"matrix_share": rate / best, "peak_mb": max(times.peak_mb)}
                rows.append({"name": name} | what | {"phase": phase} | row)
    return rows


def check_names(key: str, names: Iterable[str], known: Collection[str]) -> None:
    """Refuse names that are not known."""
    if unknown := set(names) - set(known):
        raise ValueError(f"bench.{key} names {', '.join(unknown)}, which is none of {', '.join(known)}")


def network(case: Case, stochastic_depth: float = 0.0) -> nn.Module:
    """Build one whose head does not start at zero, where every form would look the same."""
    torch.manual_seed(0)
    net = build(case)
    for part in net.modules():
        if isinstance(part, Encoder):
            part.set_stochastic_depth(stochastic_depth)
    for name, parameter in net.named_parameters():
        if name.startswith("head."):
            nn.init.normal_(parameter, std=0.02)
    return net


def matrix_rate(dtype: torch.dtype) -> float:
    """Multiply-adds a second of a square matrix product: the best of five, or of as many as take two seconds."""
    a, b = torch.rand(2, MATRIX_SIDE, MATRIX_SIDE).to(dtype)
    times: list[float] = []
    while len(times) < 5 and sum(times) < 2:
        start = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - start)
    return MATRIX_SIDE**3 / min(times)


def take_turns(
    net: nn.Module, names: Sequence[str], clips: Tensor, autocast: torch.dtype | None, repeats: int
) -> tuple[dict[tuple[str, str], Times], float]:
    """Measure every form in every phase, once unmeasured, then ``repeats`` times; and the rate of a matrix product."""
    turns = make_forms(net, names)
    _check_same(turns, clips)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0, momentum=0.9)
    weights = sum(parameter.nbytes for parameter in net.parameters()) / 1e6
    measured: dict[tuple[str, str], Times] = {}
    rates = []
    for repeat, phase, form in product(range(repeats + 1), PASSES, turns):
        rates.append(matrix_rate(autocast or torch.float32))
        torch.manual_seed(repeat)  # so that every form drops the same branches
        with peak_mb() as peak:
            seconds = {phase: _timed(partial(_run, form, clips, phase, autocast))}
        if form.net is net and phase == "train":
            seconds["optimizer"] = _timed(optimizer.step)
        for name in seconds if repeat else ():
            times = measured.setdefault((form.name, name), Times())
            times.seconds.append(seconds[name])
            times.peak_mb.append(peak[0] + weights)
        form.net.zero_grad(set_to_none=True)
    return measured, max(rates)


def _check_same(turns: Sequence[Form], clips: Tensor) -> None:
    """Refuse to compare what does not compute the same."""
    logits = []
    for form in turns:
        form.net.eval()
        with torch.inference_mode(), form.around():
            logits.append(form.logits(clips))
        if (difference := (logits[-1] - logits[0]).abs().max().item()) > SAME:
            raise RuntimeError(f"{form.name} differs from {turns[0].name} by {difference:.2g}; their times say nothing")


def _run(form: Form, clips: Tensor, phase: str, autocast: torch.dtype | None) -> None:
    form.net.train(phase == "train")
    precision = torch.autocast("cpu", autocast, enabled=autocast is not None)
    if phase == "forward":
        with torch.inference_mode(), precision, form.around():
            form.logits(clips)
        return
    with precision, form.around():
        loss = F.cross_entropy(form.logits(clips).float(), torch.zeros(len(clips), dtype=torch.long))
        loss.backward()


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
