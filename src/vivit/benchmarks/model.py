"""Parameters, multiply-adds and the paper's FLOPs of every model that the paper prints figures for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vivit.models import (
    BackboneConfig,
    FactorisedDotProduct,
    FactorisedEncoder,
    FactorisedSelfAttention,
    SpatioTemporal,
    Tubelets,
)
from vivit.models.flops import count_flops

TINY = BackboneConfig(dim=64, depth=2, heads=4, mlp_dim=256, temporal_depth=2, patch=8)
BASE = BackboneConfig(dim=768, depth=12, heads=12, mlp_dim=3072, temporal_depth=4, patch=16)
LARGE = BackboneConfig(dim=1024, depth=24, heads=16, mlp_dim=4096, temporal_depth=24, patch=16)
HUGE = BackboneConfig(dim=1280, depth=32, heads=16, mlp_dim=5120, temporal_depth=4, patch=14)


@dataclass(frozen=True)
class Case:
    """One row: a network for 400 classes, tubelets of two frames, and what the paper prints of it (tables 2, 5, 6)."""

    name: str
    network: Callable[..., nn.Module]
    size: BackboneConfig
    paper_params: int | float | None
    paper_gflops: int | float | None
    frames: int = 32
    side: int = 224


CASES = (
    Case("spatiotemporal B/16x2", SpatioTemporal, BASE, 88.9, 455.2),
    Case("factorised_encoder B/16x2", FactorisedEncoder, BASE, 115.1, 284.4),
    Case("factorised_self_attention B/16x2", FactorisedSelfAttention, BASE, 117.3, 372.3),
    Case("factorised_dot_product B/16x2", FactorisedDotProduct, BASE, 88.9, 277.1),
    Case("average_pool B/16x2", FactorisedEncoder, BASE, 86.7, 283.9),
    Case("spatiotemporal L/16x2 224", SpatioTemporal, LARGE, None, 1446),
    Case("spatiotemporal L/16x2 288", SpatioTemporal, LARGE, None, 2919, side=288),
    Case("spatiotemporal L/16x2 320", SpatioTemporal, LARGE, None, 3992, side=320),
    Case("factorised_encoder L/16x2", FactorisedEncoder, LARGE, None, 995.3),
    Case("factorised_encoder L/16x2 128 frames", FactorisedEncoder, LARGE, None, 3980.4, frames=128),
    Case("spatiotemporal H/14x2", SpatioTemporal, HUGE, None, 47770 / 12),
)


def model_rows() -> list[dict[str, Any]]:
    """Count every case on the meta device, without memory for weights."""
    return [_row(case) for case in CASES]


def _row(case: Case) -> dict[str, Any]:
    with torch.device("meta"):
        counted = count_flops(build(case), frames=case.frames, height=case.side, width=case.side)
    return {
        "case": case.name,
        "params": counted.params,
        "gmac": counted.gmac,
        "paper_gflops": counted.paper_gflops,
        "paper_params": case.paper_params,
        "paper_printed": case.paper_gflops,
    }


def build(case: Case) -> nn.Module:
    """Build the network of a case, with random weights."""
    size = case.size
    temporal: dict[str, Any] = {}
    if case.network is FactorisedEncoder:
        depth = 0 if case.name.startswith("average_pool") else size.temporal_depth
        temporal = {"temporal_depth": depth, "temporal_heads": size.heads, "temporal_mlp_dim": size.mlp_dim}
    return case.network(
        Tubelets(dim=size.dim, tubelet=(2, size.patch, size.patch)),
        classes=400,
        frames=case.frames,
        height=case.side,
        width=case.side,
        depth=size.depth,
        heads=size.heads,
        mlp_dim=size.mlp_dim,
        **temporal,
    )
