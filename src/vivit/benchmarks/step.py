"""Time and memory of a forward pass, a training step and the optimizer, of a network and of variants of it.

The variants of one model are interleaved, so that a busy or hot machine slows all of them. A matrix product is timed
between them, so that their throughput can be compared with the machine's.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vivit.benchmarks.checks import check_names, check_positive
from vivit.benchmarks.device import choose_device, device_name, measure_peak_mb
from vivit.benchmarks.model import PAPER_MODELS, SIZES, ModelSpec, build_model
from vivit.benchmarks.variants import PARTIAL, VARIANTS, Variant, make_variants
from vivit.device.clock import measure_seconds
from vivit.device.malloc import disable_malloc_trim
from vivit.device.matrix_rate import BACKWARD, measure_matrix_rate
from vivit.models.encoder import Encoder
from vivit.models.flops import count_flops

log = logging.getLogger(__name__)

NETWORKS = {spec.name.split()[0]: spec.network for spec in PAPER_MODELS}
AUTOCAST = {"fp32": None, "bf16": torch.bfloat16}
PASSES = {"forward": 1, "train": 1 + BACKWARD}
"""Multiply-adds of a phase, in forward passes."""
MAX_DIFFERENCE = 1e-3
"""Between the logits of two variants with the same weights."""


@dataclass
class Times:
    """Measurements of one variant in one phase, one a repetition."""

    seconds: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)

    def row(self, batch: int) -> dict[str, float]:
        """Return the columns of a table's row."""
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
    variants: Sequence[str],
    frames: int,
    image_size: int,
    batch: int,
    stochastic_depth: float,
    repeats: int,
    device: str = "auto",
) -> list[dict[str, Any]]:
    """Time a batch on a device: ``forward`` in evaluation; ``train``: forward, loss, backward; ``optimizer``: its step.

    ``matrix_share`` is the rate of multiply-adds over that of a large matrix product of the same precision, the best
    one measured between the variants of this model; None of ``frozen`` and ``cached``, which compute less. Skipped
    computation is not counted; branches that stochastic depth drops are. ``peak_mb`` is the memory that a phase adds at
    its peak, to the process or on the GPU, plus the weights. The optimizer, SGD with momentum, has no products, so
    its share is zero. Raises ConfigError for unknown names and counts below 1.
    """
    check_names("models", models, NETWORKS)
    check_names("precisions", precisions, AUTOCAST)
    check_names("size", size, SIZES)
    check_names("variants", variants, VARIANTS)
    check_positive(frames=frames, image_size=image_size, batch=batch, repeats=repeats)
    disable_malloc_trim()
    place = choose_device(device)
    rows = []
    for model in models:
        net = random_network(ModelSpec(model, NETWORKS[model], size, None, None, frames, image_size), stochastic_depth)
        gmac = count_flops(net, frames=frames, height=image_size, width=image_size, all_tokens=False).gmac
        clips = torch.rand(batch, 3, frames, image_size, image_size, generator=torch.Generator().manual_seed(0)) * 2 - 1
        net, clips = net.to(place), clips.to(place)
        for precision in precisions:
            log.info("%s, %s: %s", model, precision, ", ".join(variants))
            settings = {"model": model, "size": size, "precision": precision, "device": device_name(place)}
            measured, best = time_interleaved(net, variants, clips, AUTOCAST[precision], repeats)
            for (name, phase), times in measured.items():
                row = times.row(batch)
                rate = PASSES.get(phase, 0) * gmac * 1e9 * row["clips_per_second"]
                share = None if name in PARTIAL else rate / best
                shares: dict[str, Any] = {"matrix_share": share, "peak_mb": max(times.peak_mb)}
                rows.append({"name": name} | settings | {"phase": phase} | shares | row)
    return rows


def random_network(spec: ModelSpec, stochastic_depth: float = 0.0) -> nn.Module:
    """Build a network with random weights, of the head as well: at zero, all variants would have equal logits."""
    torch.manual_seed(0)
    net = build_model(spec)
    for module in net.modules():
        if isinstance(module, Encoder):
            module.set_stochastic_depth(stochastic_depth)
    for name, parameter in net.named_parameters():
        if name.startswith("head."):
            nn.init.normal_(parameter, std=0.02)
    return net


def time_interleaved(
    net: nn.Module, names: Sequence[str], clips: Tensor, autocast: torch.dtype | None, repeats: int
) -> tuple[dict[tuple[str, str], Times], float]:
    """Measure every variant in every phase ``repeats`` times, after one run that does not count.

    Returns the measurements by variant and phase, and the best throughput of a matrix product between them.
    """
    variants = make_variants(net, names)
    _check_equal_logits(variants, clips)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0, momentum=0.9)
    weights = sum(parameter.nbytes for parameter in net.parameters()) / 1e6
    measured: dict[tuple[str, str], Times] = {}
    rates = []
    for repeat, phase, variant in product(range(repeats + 1), PASSES, variants):
        rates.append(measure_matrix_rate(clips.device, autocast or torch.float32))
        torch.manual_seed(repeat)  # so that every variant drops the same branches
        with measure_peak_mb(clips.device) as peak:
            seconds = {phase: measure_seconds(partial(_run_phase, variant, clips, phase, autocast), clips.device)}
        if variant.net is net and phase == "train":
            seconds["optimizer"] = measure_seconds(optimizer.step, clips.device)
        for name in seconds if repeat else ():
            times = measured.setdefault((variant.name, name), Times())
            times.seconds.append(seconds[name])
            times.peak_mb.append(peak[0] + weights)
        variant.net.zero_grad(set_to_none=True)
    return measured, max(rates)


def _check_equal_logits(variants: Sequence[Variant], clips: Tensor) -> None:
    """Raise RuntimeError where the variants do not compute the same."""
    logits = []
    for variant in variants:
        variant.net.eval()
        with torch.inference_mode(), variant.context():
            logits.append(variant.logits(clips))
        if (difference := (logits[-1] - logits[0]).abs().max().item()) > MAX_DIFFERENCE:
            raise RuntimeError(
                f"{variant.name} differs from {variants[0].name} by {difference:.2g}; their times cannot be compared"
            )


def _run_phase(variant: Variant, clips: Tensor, phase: str, autocast: torch.dtype | None) -> None:
    variant.net.train(phase == "train")
    precision = torch.autocast(clips.device.type, autocast, enabled=autocast is not None)
    if phase == "forward":
        with torch.inference_mode(), precision, variant.context():
            variant.logits(clips)
        return
    with precision, variant.context():
        loss = F.cross_entropy(
            variant.logits(clips).float(), torch.zeros(len(clips), dtype=torch.long, device=clips.device)
        )
        loss.backward()
