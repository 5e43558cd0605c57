"""Networks of checkpoints for the benchmark of attention."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from vivit.benchmarks.attention import attention_row
from vivit.checkpoints.vivit_checkpoint import build_network, load_network
from vivit.data.datasets import motion
from vivit.inference import Preprocessing
from vivit.inference.clip_attention import rollout_clips
from vivit.models import model_name


def attention_rows(
    *, checkpoints: str | Sequence[str], root: str, clips: int, head_fusion: str, seed: int
) -> list[dict[str, Any]]:
    """Return a row for each checkpoint, beside the same network with random weights, on the embedded data set."""
    motion.generate_if_missing(Path(root))
    files = [checkpoints] if isinstance(checkpoints, str) else checkpoints
    return [_row(Path(file), Path(root), clips, head_fusion, seed) for file in files]


def _row(file: Path, root: Path, clips: int, head_fusion: str, seed: int) -> dict[str, Any]:
    network, record = load_network(file)
    torch.manual_seed(seed)
    networks = {"": network, "random_": build_network(record)}
    preprocessing = Preprocessing.from_plain(record["preprocessing"], file)
    row = attention_row(
        {name: partial(rollout_clips, each.eval(), head_fusion=head_fusion) for name, each in networks.items()},
        root=root,
        clips=clips,
        views=replace(preprocessing.views, temporal=1, spatial=1),
        resampling=preprocessing.resampling,
        frames_per_token=network.tokeniser.frames_per_token(network.clip_size[0]),
        grid=network.tokeniser.grid(*network.clip_size),
    )
    return {"case": model_name(network), "head_fusion": head_fusion} | row
