"""Checkpoints for the benchmark of attention."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate

from vivit.benchmarks.attention import attention_row
from vivit.checkpoints import Network
from vivit.data.datasets import motion
from vivit.tasks.checkpoint import read_network
from vivit.tasks.clips import Cutting
from vivit.tasks.explain import heat_of
from vivit.tasks.record import model_name


def attention_rows(
    *, checkpoints: str | Sequence[str], root: str, clips: int, heads: str, seed: int
) -> list[dict[str, Any]]:
    """Measure each checkpoint beside the same network with random weights, on the embedded data set at ``root``."""
    motion.generate_if_missing(Path(root))
    files = [checkpoints] if isinstance(checkpoints, str) else checkpoints
    return [_row(Path(file), Path(root), clips, heads, seed) for file in files]


def _row(file: Path, root: Path, clips: int, heads: str, seed: int) -> dict[str, Any]:
    network, record = read_network(file)
    torch.manual_seed(seed)
    fresh = instantiate(record["model"], classes=sum(map(len, record["heads"].values())), _convert_="all")
    cutting = Cutting.of_record(record)
    assert isinstance(network, Network)
    row = attention_row(
        {name: partial(heat_of, net.eval(), fuse=heads) for name, net in (("", network), ("random_", fresh))},
        root=root,
        clips=clips,
        views=replace(cutting.views, temporal=1, spatial=1),
        resampling=cutting.resampling,
        frames_per_token=network.tokeniser.frames_per_token(network.clip_size[0]),
        grid=network.tokeniser.grid(*network.clip_size),
    )
    return {"case": model_name(network), "heads": heads} | row
