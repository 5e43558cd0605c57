"""Parameters, multiply-adds and the paper's FLOPs of every model for which the paper prints them."""

from dataclasses import dataclass
from typing import Any

import torch

from vivit.models import ViViT, create_model
from vivit.models.flops import count_flops

SIZES = ("tiny", "base", "large", "huge")
"""Files of ``configs/size`` that benchmarks accept."""
TEMPORAL_DEPTH = {"large": 24}
"""Layers of Model 2's temporal encoder where they are not those of ``configs/size``.

The paper's text has 4 for large models, but prints the FLOPs of 24, as experiment=k400_large_factorised_encoder has.
"""


@dataclass(frozen=True)
class ModelSpec:
    """A network for 400 classes with tubelets of two frames, and what the paper prints of it (tables 2, 5 and 6).

    ``size`` is one of ``SIZES``, ``paper_params`` are 10^6 and ``paper_gflops`` 10^9, ``side`` is in pixels.
    """

    name: str
    network: str
    size: str
    paper_params: int | float | None
    paper_gflops: int | float | None
    frames: int = 32
    side: int = 224


PAPER_MODELS = (
    ModelSpec("spatiotemporal B/16x2", "spatiotemporal", "base", 88.9, 455.2),
    ModelSpec("factorised_encoder B/16x2", "factorised_encoder", "base", 115.1, 284.4),
    ModelSpec("factorised_self_attention B/16x2", "factorised_self_attention", "base", 117.3, 372.3),
    ModelSpec("factorised_dot_product B/16x2", "factorised_dot_product", "base", 88.9, 277.1),
    ModelSpec("average_pool B/16x2", "average_pool", "base", 86.7, 283.9),
    ModelSpec("spatiotemporal L/16x2 224", "spatiotemporal", "large", None, 1446),
    ModelSpec("spatiotemporal L/16x2 288", "spatiotemporal", "large", None, 2919, side=288),
    ModelSpec("spatiotemporal L/16x2 320", "spatiotemporal", "large", None, 3992, side=320),
    ModelSpec("factorised_encoder L/16x2", "factorised_encoder", "large", None, 995.3),
    ModelSpec("factorised_encoder L/16x2 128 frames", "factorised_encoder", "large", None, 3980.4, frames=128),
    ModelSpec("spatiotemporal H/14x2", "spatiotemporal", "huge", None, 47770 / 12),
)


def model_rows() -> list[dict[str, Any]]:
    """Count the parameters and FLOPs of every model of the paper; on the meta device, without memory for weights."""
    return [_row(spec) for spec in PAPER_MODELS]


def _row(spec: ModelSpec) -> dict[str, Any]:
    with torch.device("meta"):
        counted = count_flops(build_model(spec), frames=spec.frames, height=spec.side, width=spec.side)
    return {
        "case": spec.name,
        "params": counted.params,
        "gmac": counted.gmac,
        "paper_gflops": counted.paper_gflops,
        "paper_params": spec.paper_params,
        "paper_printed": spec.paper_gflops,
    }


def build_model(spec: ModelSpec) -> ViViT:
    """Return the network of a specification with random weights."""
    options: dict[str, Any] = {}
    if spec.network == "factorised_encoder" and spec.size in TEMPORAL_DEPTH:
        options["temporal_depth"] = TEMPORAL_DEPTH[spec.size]
    return create_model(
        spec.network, size=spec.size, num_classes=400, frames=spec.frames, image_size=spec.side, **options
    )
