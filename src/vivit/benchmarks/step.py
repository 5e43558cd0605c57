"""Time and memory of a forward pass, a training step and the optimizer, of networks, variants of them and peers.

The variants of one model are interleaved, so that a busy or hot machine slows all of them. A matrix product is timed
between them, so that their throughput can be compared with the machine's.
"""

import logging
import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vivit.benchmarks.checks import check_name, check_names, check_positive
from vivit.benchmarks.device import choose_device, device_name, measure_peak_mb
from vivit.benchmarks.model import PAPER_MODELS, SIZES, ModelSpec, build_model
from vivit.benchmarks.peers import nearest_name
from vivit.benchmarks.variants import PARTIAL, VARIANTS, Variant, compiling_anew, make_variants
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
    first: float = 0.0
    """Seconds of the run that does not count."""

    def compilation(self, eager: "Times | None") -> dict[str, float | int | None]:
        """Return what compiling took, beyond the median run, and from how many runs it pays.

        That is from how many on it takes less than ``eager`` in all; None where it is not faster, or not compared.
        """
        cost = self.first - median(self.seconds)
        gain = median(eager.seconds) - median(self.seconds) if eager else 0.0
        return {"compile_seconds": cost, "pays_from_steps": math.ceil(cost / gain) if gain > 0 else None}

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
    its share is zero.

    ``peer`` is what the model's nearest network of transformers is called, ``none`` where there is none; in rows of
    that name it is that one, with ``params`` and multiply-adds (``gmac``, 10^9 a clip) of its own. With ``compiled``
    rows have ``compile_seconds``, by which its first run took longer than the others, without anything on the disk of
    earlier ones, and ``pays_from_steps``, from how many runs it has made up for that beside ``ours``.

    Raises ConfigError for unknown names and counts below 1.
    """
    check_names("models", models, NETWORKS)
    check_names("precisions", precisions, AUTOCAST)
    check_name("size", size, SIZES)
    check_names("variants", variants, VARIANTS)
    check_positive(frames=frames, image_size=image_size, batch=batch, repeats=repeats)
    disable_malloc_trim()
    place = choose_device(device)
    rows = []
    for model in models:
        net = random_network(ModelSpec(model, NETWORKS[model], size, None, None, frames, image_size), stochastic_depth)
        clips = torch.rand(batch, 3, frames, image_size, image_size, generator=torch.Generator().manual_seed(0)) * 2 - 1
        net, clips = net.to(place), clips.to(place)
        made = make_variants(net, variants)
        gmac = {variant.name: _count_gmac(net, variant, clips) for variant in made}
        params = {variant.name: sum(weight.numel() for weight in variant.net.parameters()) for variant in made}
        for precision in precisions:
            log.info("%s, %s: %s", model, precision, ", ".join(gmac))
            settings = {"model": model, "peer": nearest_name(net), "size": size, "precision": precision}
            settings |= {"device": device_name(place)}
            measured, best = time_interleaved(net, made, clips, AUTOCAST[precision], repeats)
            for (name, phase), times in measured.items():
                columns: dict[str, Any] = {"name": name, **settings, "phase": phase}
                columns |= {"params": params[name], "gmac": (work := gmac[name])}
                row = times.row(batch)
                share = work and PASSES.get(phase, 0) * work * 1e9 * row["clips_per_second"] / best
                columns |= {"matrix_share": share, "peak_mb": max(times.peak_mb)} | row
                if "compiled" in variants:
                    none = {"compile_seconds": None, "pays_from_steps": None}
                    columns |= times.compilation(measured.get(("ours", phase))) if name == "compiled" else none
                rows.append(columns)
    return rows


def _count_gmac(net: nn.Module, variant: Variant, clips: Tensor) -> float | None:
    """Return the multiply-adds of a clip, of the network itself where the variant computes the same; None for less."""
    if variant.name in PARTIAL:
        return None
    of, (frames, height, width) = variant.net if variant.name == "peer" else net, clips.shape[2:]
    return count_flops(of, frames=frames, height=height, width=width, all_tokens=False, strict=of is net).gmac


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
    net: nn.Module, variants: Sequence[Variant], clips: Tensor, autocast: torch.dtype | None, repeats: int
) -> tuple[dict[tuple[str, str], Times], float]:
    """Measure every variant in every phase ``repeats`` times, after one run that does not count.

    That one begins with training, as a run does, so that what is compiled is compiled there. Returns the measurements
    by variant and phase, and the best throughput of a matrix product between them.
    """
    compiled = [variant for variant in variants if variant.name == "compiled"]
    eager = [variant for variant in variants if variant not in compiled and variant.name != "peer"]
    _check_equal_logits(eager, clips)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0, momentum=0.9)
    measured = {(variant.name, phase): Times() for phase, variant in product(PASSES, variants)}
    rates = []
    for repeat in range(repeats + 1):
        with nullcontext() if repeat else compiling_anew(variants):
            for phase, variant in product(sorted(PASSES, reverse=not repeat), variants):
                rates.append(measure_matrix_rate(clips.device, autocast or torch.float32))
                torch.manual_seed(repeat)  # so that every variant drops the same branches
                with measure_peak_mb(clips.device) as peak:
                    work = partial(_run_phase, variant, clips, phase, autocast)
                    seconds = {phase: measure_seconds(work, clips.device)}
                if variant.net is net and phase == "train":
                    seconds["optimizer"] = measure_seconds(optimizer.step, clips.device)
                weights = sum(parameter.nbytes for parameter in variant.net.parameters()) / 1e6
                for name in seconds:
                    times = measured.setdefault((variant.name, name), Times())
                    if repeat:
                        times.seconds.append(seconds[name])
                        times.peak_mb.append(peak[0] + weights)
                    else:
                        times.first = seconds[name]
                variant.net.zero_grad(set_to_none=True)
            if not repeat:
                _check_equal_logits([*eager[:1], *compiled], clips)
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
